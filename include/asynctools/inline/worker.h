/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_INLINE_WORKER_H
#define ASYNCTOOLS_INLINE_WORKER_H

#include <asynctools/attributes.h>

/* What inline code reads of the worker whose thread it runs on. Layout and names are part of the
 * binary interface; the members are private. */

/* A call that was forked: what others run who take it. */
struct at_inline_call {
    void *(*run)(void *argument);
    void *argument; /* private to the library once the call was handed out */
};

/* The forked calls of the running stack lie in an array, the oldest first. Written by the worker
 * but for `split`, `limit` and `look`, which others change too. See lib/pool/fork.c. */
struct at_inline_worker {
    struct at_inline_call *head; /* the next free place */
    struct at_inline_call
        *split; /* calls below were handed out; a join of one takes the long way */
    struct at_inline_call *limit; /* a start at or above takes the long way: the array is full, or
                                     somebody wants a call (then this is NULL) */
    struct at_inline_call place;  /* for one call, while there is no array */
    unsigned long look;           /* not 0: at_check takes the long way; see lib/pool/turn.c */
    void *reserved[2];
};

#if defined(__cplusplus)
static_assert(sizeof(struct at_inline_worker) == 8 * sizeof(void *),
              "part of the binary interface");
#else
_Static_assert(sizeof(struct at_inline_worker) == 8 * sizeof(void *),
               "part of the binary interface");
#endif

/* The operations on these words are named here so that the model checker can put its own in their
 * place. */
#if !defined(AT_INLINE_LOAD)
#define AT_INLINE_LOAD(object, order) __atomic_load_n(object, order)
#define AT_INLINE_STORE(object, value, order) __atomic_store_n(object, value, order)
/* For the only thread that writes the object: compilers make it a part of the instruction that uses
 * the value, which they do not with an atomic load. */
#define AT_INLINE_LOAD_OWN(object) (*(object))
/* Half of a pair: the other half, which others pay for, is in lib/base/barrier.c. */
#define AT_INLINE_LIGHT_BARRIER() __asm__ volatile("" ::: "memory")
#endif

AT_DECLARATIONS_BEGIN

/* The worker of the calling thread; NULL in a plain thread. */
extern AT_API __thread
    __attribute__((tls_model("initial-exec"))) struct at_inline_worker *at_inline_worker_current;

AT_DECLARATIONS_END

#endif
