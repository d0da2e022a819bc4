/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_CONTEXT_H
#define ASYNCTOOLS_BASE_CONTEXT_H

/* One record per operation: what is being done and for whom. Reference-counted; immutable but for
 * its cancellation word. Every floor reads it: the pool captures and restores the pointer to the
 * current one, waits read deadline and cancellation, the logger copies the encoded fields. */
#include "base/atomic.h"
#include "base/frame.h"

#include <asynctools/clock.h>
#include <asynctools/inline/worker.h>

#include <stddef.h>
#include <stdint.h>

typedef struct ati_context {
    _Atomic uint32_t references;
    _Atomic uint32_t cancelled; /* the first reason, an at_status without its sign; 0: no */
    struct ati_context *parent; /* kept by a reference of its own, or NULL */
    at_deadline deadline;       /* effective: the minimum over the parents */
    uint64_t id;                /* of the operation, never 0 */
    uint64_t trace_id[2];       /* inherited from the parent, else new */
    const char *name;           /* in `bytes` */
    const char *log_fields;     /* encoded JSON members, each with a leading comma, in `bytes` */
    size_t log_fields_length;
    size_t size; /* of this allocation */
    char bytes[];
} ati_context;

/* Makes a child of `parent` (NULL: a root); copies name and fields. NULL: out of memory. */
ati_context *ati_context_create(ati_context *parent, const char *name, at_deadline deadline,
                                const char *log_fields, size_t log_fields_length);
void ati_context_retain(ati_context *context);  /* NULL is allowed */
void ati_context_release(ati_context *context); /* NULL is allowed; iterative over the parents */

/* The context of the running task or thread, borrowed, or NULL. */
static inline ati_context *ati_context_current(void) {
    return ati_frame_current()->context;
}

/* Sets it, for the rest of the task; gives the one before. What sets it puts it back. */
static inline ati_context *ati_context_exchange(ati_context *context) {
    ati_frame *frame = ati_frame_current();
    ati_context *before = frame->context;
    frame->context = context;
    if (context && at_inline_worker_current) /* from now on at_check has something to say */
        AT_INLINE_STORE(&at_inline_worker_current->look, 1, __ATOMIC_RELAXED);
    return before;
}

/* The deadline of a wait under the current operation. */
static inline at_deadline ati_context_limit(at_deadline deadline) {
    const ati_context *context = ati_context_current();
    return context && context->deadline < deadline ? context->deadline : deadline;
}

#endif
