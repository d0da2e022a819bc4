/* SPDX-License-Identifier: MIT */
#include "base/memory.h"

#include "base/atomic.h"
#include "base/block_cache.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Sanitizers are to see every object by itself. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { keeps_blocks = false };
#else
enum { keeps_blocks = true };
#endif

/* What lies in a block of the cache: futures, above all. Much smaller ones would waste it. */
static bool fits_block(size_t size) {
    return keeps_blocks && size > ATI_BLOCK_SIZE / 2 && size <= ATI_BLOCK_SIZE;
}

static void *allocate_malloc(void *context, size_t size, size_t alignment) {
    (void)context;
    if (fits_block(size) && alignment <= ATI_BLOCK_ALIGNMENT)
        return ati_block_allocate();
    if (alignment <= _Alignof(max_align_t))
        return malloc(size);
    return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void release_malloc(void *context, void *pointer, size_t size) {
    (void)context;
    if (fits_block(size))
        ati_block_release(pointer);
    else
        free(pointer);
}

/* Written by at_allocator_set only, before any other call of the library. */
static at_allocator allocator = {.allocate = allocate_malloc, .release = release_malloc};

/* Set by the first allocation; relaxed: at_allocator_set promises nothing when calls overlap. */
static _Atomic bool allocator_used;

at_status at_allocator_set(const at_allocator *wanted) {
    if (atomic_load_explicit(&allocator_used, memory_order_relaxed))
        return ati_fail(AT_ERROR_INVALID,
                        "at_allocator_set: the library has allocated memory already");
    if (!wanted) {
        allocator = (at_allocator){.allocate = allocate_malloc, .release = release_malloc};
        return AT_OK;
    }
    if (!wanted->allocate || !wanted->release)
        return ati_fail(AT_ERROR_INVALID, "at_allocator_set: `%s` is NULL",
                        wanted->allocate ? "release" : "allocate");
    allocator = *wanted;
    return AT_OK;
}

void *ati_allocate_aligned(size_t size, size_t alignment) {
    if (size > PTRDIFF_MAX - alignment)
        return NULL; /* no object is so large, and rounding up could wrap around */
    if (!atomic_load_explicit(&allocator_used, memory_order_relaxed))
        atomic_store_explicit(&allocator_used, true, memory_order_relaxed);
    return allocator.allocate(allocator.context, size, alignment);
}

void *ati_allocate(size_t size) {
    return ati_allocate_aligned(size, _Alignof(max_align_t));
}

void *ati_allocate_zeroed(size_t size) {
    void *pointer = ati_allocate(size);
    if (pointer)
        memset(pointer, 0, size);
    return pointer;
}

void ati_release(void *pointer, size_t size) {
    if (pointer)
        allocator.release(allocator.context, pointer, size);
}

char *ati_copy_text(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = ati_allocate(size);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

void ati_release_text(char *text) {
    if (text)
        ati_release(text, strlen(text) + 1);
}

void at_text_release(char *text) {
    ati_release_text(text);
}
