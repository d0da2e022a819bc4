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
 * but for `split` and `limit`, which others change too. See lib/pool/fork.c. */
struct at_inline_worker {
    struct at_inline_call *head; /* the next free place */
    struct at_inline_call
        *split; /* calls below were handed out; a join of one takes the long way */
    struct at_inline_call *limit; /* a start at or above takes the long way: the array is full, or
                                     somebody wants a call (then this is NULL) */
    struct at_inline_call place;  /* for one call, while there is no array */
    void *reserved[3];
};

#if defined(__cplusplus)
static_assert(sizeof(struct at_inline_worker) == 8 * sizeof(void *),
              "part of the binary interface");
#else
_Static_assert(sizeof(struct at_inline_worker) == 8 * sizeof(void *),
               "part of the binary interface");
#endif

AT_DECLARATIONS_BEGIN

/* The worker of the calling thread; NULL in a plain thread. */
extern AT_API __thread
    __attribute__((tls_model("initial-exec"))) struct at_inline_worker *at_inline_worker_current;

AT_DECLARATIONS_END

#endif
