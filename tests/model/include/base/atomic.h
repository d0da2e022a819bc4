/* SPDX-License-Identifier: MIT
 *
 * Stands before lib/base/atomic.h on the include path of the models: every atomic operation of the
 * library becomes a call of the checker. An operation that is not listed here, or that names no
 * order, does not link. */
#ifndef MODEL_BASE_ATOMIC_H
#define MODEL_BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* One operation in the source. */
typedef struct model_site {
    const char *function;
    const char *object; /* the text of the first argument */
    const char *operation;
    int line;
    memory_order order;     /* as written */
    memory_order effective; /* as explored: a mutant has a weaker one */
    bool is_known;
    struct model_site *next;
} model_site;

void model_load(model_site *site, void *object, size_t size, void *value);
void model_store(model_site *site, void *object, size_t size, const void *value);
void model_exchange(model_site *site, void *object, size_t size, const void *value, void *old);
void model_add(model_site *site, void *object, size_t size, uint64_t change, void *old);
bool model_compare_exchange(model_site *site, void *object, size_t size, void *expected,
                            const void *value, memory_order failure);
void model_fence(model_site *site);
void *model_copy(void *to, const void *from, size_t size);
void *model_fill(void *to, int byte, size_t size);

#define MODEL_SITE(operation_text, object_text, written)                                           \
    ({                                                                                             \
        static model_site model_site_here = {.function = __func__,                                 \
                                             .object = object_text,                                \
                                             .operation = operation_text,                          \
                                             .line = __LINE__,                                     \
                                             .order = written,                                     \
                                             .effective = written};                                \
        &model_site_here;                                                                          \
    })

/* The type of what `object` points to, without _Atomic. */
#define MODEL_VALUE(object) __typeof__((void)0, *(object))
#define MODEL_OBJECT(object) ((void *)(uintptr_t)(object)), sizeof(*(object))

#undef atomic_init
#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_thread_fence

#define atomic_init(object, value) atomic_store_explicit(object, value, memory_order_relaxed)

#define atomic_load_explicit(object, order)                                                        \
    ({                                                                                             \
        MODEL_VALUE(object) model_value;                                                           \
        model_load(MODEL_SITE("load", #object, order), MODEL_OBJECT(object), &model_value);        \
        model_value;                                                                               \
    })

#define atomic_store_explicit(object, value, order)                                                \
    ({                                                                                             \
        MODEL_VALUE(object) model_value = (value);                                                 \
        model_store(MODEL_SITE("store", #object, order), MODEL_OBJECT(object), &model_value);      \
    })

#define atomic_exchange_explicit(object, value, order)                                             \
    ({                                                                                             \
        MODEL_VALUE(object) model_value = (value), model_old;                                      \
        model_exchange(MODEL_SITE("exchange", #object, order), MODEL_OBJECT(object), &model_value, \
                       &model_old);                                                                \
        model_old;                                                                                 \
    })

#define MODEL_ADD(object, change, order, operation)                                                \
    ({                                                                                             \
        MODEL_VALUE(object) model_old;                                                             \
        model_add(MODEL_SITE(operation, #object, order), MODEL_OBJECT(object), change,             \
                  &model_old);                                                                     \
        model_old;                                                                                 \
    })
#define atomic_fetch_add_explicit(object, change, order)                                           \
    MODEL_ADD(object, (uint64_t)(change), order, "fetch_add")
#define atomic_fetch_sub_explicit(object, change, order)                                           \
    MODEL_ADD(object, -(uint64_t)(change), order, "fetch_sub")

#define atomic_compare_exchange_strong_explicit(object, expected, value, order, failure)           \
    ({                                                                                             \
        MODEL_VALUE(object) model_value = (value);                                                 \
        model_compare_exchange(MODEL_SITE("compare_exchange", #object, order),                     \
                               MODEL_OBJECT(object), expected, &model_value, failure);             \
    })
#define atomic_compare_exchange_weak_explicit atomic_compare_exchange_strong_explicit

/* As the loop that it is on some machines. */
#define atomic_fetch_or_explicit(object, bits, order)                                              \
    ({                                                                                             \
        MODEL_VALUE(object) model_before = atomic_load_explicit(object, memory_order_relaxed);     \
        while (!atomic_compare_exchange_weak_explicit(                                             \
            object, &model_before, model_before | (bits), order, memory_order_relaxed))            \
            ;                                                                                      \
        model_before;                                                                              \
    })

#define atomic_thread_fence(order) model_fence(MODEL_SITE("fence", "", order))

/* Of public inline code. A light barrier and a heavy one are together as good as two full fences;
 * two light ones never meet. */
#define AT_INLINE_LOAD(object, order) atomic_load_explicit(object, order)
#define AT_INLINE_LOAD_OWN(object) atomic_load_explicit(object, memory_order_relaxed)
#define AT_INLINE_STORE(object, value, order) atomic_store_explicit(object, value, order)
#define AT_INLINE_LIGHT_BARRIER() atomic_thread_fence(memory_order_seq_cst)

/* Calls that the compiler does not announce as reads and writes. */
#undef memcpy
#undef memset
#define memcpy(to, from, size) model_copy(to, from, size)
#define memset(to, byte, size) model_fill(to, byte, size)

#include_next "base/atomic.h"

#endif
