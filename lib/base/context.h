/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_CONTEXT_H
#define ASYNCTOOLS_BASE_CONTEXT_H

/* One record per operation, and per part of one that is cancelled alone: what is being done and for
 * whom. Reference-counted; its ids, deadline, name and fields do not change. Every floor reads it:
 * the pool captures and restores the pointer to the current one, waits read deadline and
 * cancellation, the logger copies the encoded fields.
 *
 * The records are a tree, along which cancellation spreads; see context.c for the argument. */
#include "base/atomic.h"
#include "base/context_stock.h"
#include "base/frame.h"
#include "base/lock.h"
#include "base/process_fork.h"

#include <asynctools/cancel_reason.h>
#include <asynctools/clock.h>
#include <asynctools/inline/worker.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is to be told that an operation is cancelled: in a ring, under the operation's lock. */
typedef struct ati_cancel_link {
    struct ati_cancel_link *next;
    struct ati_cancel_link *previous; /* NULL: in no ring */
} ati_cancel_link;

/* A wait of the library, which ends when its operation is cancelled. `end` is called once, under
 * the lock; it touches nothing of the link after it has let the waiting code go on. */
typedef struct ati_cancel_wait {
    ati_cancel_link link;   /* first */
    _Atomic bool is_listed; /* cleared as the last thing that is done to it */
    void (*end)(struct ati_cancel_wait *wait);
} ati_cancel_wait;

struct ati_context;

/* What lies behind a record, in its memory. */
typedef struct ati_context_kind {
    void (*deinit)(struct ati_context *context);     /* before it is freed */
    void (*after_fork)(struct ati_context *context); /* see ati_context_adopt() */
} ati_context_kind;

typedef struct ati_context {
    _Atomic uint32_t references;
    _Atomic uint32_t cancelled; /* the first reason, at_cancel_reason; 0: no */
    struct ati_context *parent; /* kept by a reference of its own, or NULL */
    struct ati_context *lender; /* the operation it is of without being under it; the same */
    at_deadline deadline;       /* effective: the minimum over the parents */
    _Atomic bool is_shielded;   /* neither cancellation nor deadline of the parent count; written
                                   under the parent's lock */
    bool has_foreign_deadline;  /* that of a token, of which this is no child */
    bool is_own;            /* of one task, to cancel it alone; what it starts is not under it */
    bool is_exact;          /* no thread keeps references of it in stock; so are those below it */
    uint8_t log_level;      /* at_log_level that decides for lines in it; 0: that of the loggers */
    uint8_t kept_level;     /* lines from this one on are kept in kept_lines; 0: none */
    uint8_t trace_flags;    /* of the trace, as the header `traceparent` has them */
    uint64_t id;            /* never 0 */
    uint64_t trace_id[2];   /* inherited from the parent, else new */
    uint64_t parent_id;     /* of the operation around it, here or in another process; 0: none */
    const char *name;       /* in `bytes` */
    const char *log_fields; /* encoded JSON members, each with a leading comma, in `bytes` */
    size_t log_fields_length;
    const struct ati_cut_keys *log_cut; /* of log_fields; NULL: nothing was */
    /* Whose name, id and fields log lines have: itself, or one above it; NULL: none. */
    const struct ati_context *operation;
    struct ati_log_kept *kept_lines;  /* of the operation, or NULL */
    const ati_context_kind *kind;     /* NULL: nothing lies behind it */
    _Atomic(const ati_frame *) owner; /* whose scope it is, or NULL */

    _Atomic uint32_t process;      /* that uses the locks; see ati_context_adopt() */
    ati_lock lock;                 /* guards what follows; that of a child is taken inside */
    struct ati_context *children;  /* the newest first; borrowed */
    ati_cancel_link *waits;        /* the last, or NULL */
    ati_cancel_link *callbacks;    /* the user's, the last, or NULL; see lib/pool/cancel.c */
    struct ati_cancel_call *calls; /* those that are being called */

    struct ati_context *older_sibling; /* under the lock of the parent */
    struct ati_context *newer_sibling;
    struct ati_context *next_cancelled; /* of the thread that cancels it */

    size_t size; /* of this allocation */
    _Alignas(8) char bytes[];
} ati_context;

enum {
    ATI_CONTEXT_SHIELDED = 1,  /* neither cancellation nor deadline of the parent count for it */
    ATI_CONTEXT_FOREIGN = 2,   /* if `deadline` counts, it is that of a token, which passes it on */
    ATI_CONTEXT_OPERATION = 4, /* log lines are of this one, not of the one around it */
    ATI_CONTEXT_EXACT = 8,     /* somebody will ask ati_context_has_others() */
};

/* What a record is made of. */
typedef struct ati_context_parts {
    ati_context *parent;  /* NULL: a root */
    const char *name;     /* copied */
    at_deadline deadline; /* AT_FOREVER: none */
    uint32_t bits;
    const char *log_fields; /* copied */
    size_t log_fields_length;
    size_t extra; /* bytes of the caller's, not set, at the beginning of `bytes` */
} ati_context_parts;

/* NULL: out of memory. */
ati_context *ati_context_make(const ati_context_parts *parts);

/* Makes one that is an operation if there is none around it. */
static inline ati_context *ati_context_create(ati_context *parent, const char *name,
                                              at_deadline deadline, const char *log_fields,
                                              size_t log_fields_length) {
    const ati_context_parts parts = {
        .parent = parent,
        .name = name,
        .deadline = deadline,
        .bits = parent && parent->operation ? 0 : ATI_CONTEXT_OPERATION,
        .log_fields = log_fields,
        .log_fields_length = log_fields_length,
    };
    return ati_context_make(&parts);
}

/* Makes a part of the operation around it, if there is one. */
static inline ati_context *ati_context_create_scope(ati_context *parent, at_deadline deadline,
                                                    uint32_t bits) {
    const ati_context_parts parts = {
        .parent = parent, .name = parent ? parent->name : "", .deadline = deadline, .bits = bits};
    return ati_context_make(&parts);
}

/* What a task of `parent` runs under, such as a manager, whose starter may be in another operation:
 * gives a record that is cancelled with the parent, and in which log lines are of the operation of
 * the running code; NULL where that is none, or the parent's. False: out of memory. */
ati_context *ati_context_make_lent(ati_context *parent, const ati_context *starter);

static inline bool ati_context_lend(ati_context *parent, ati_context **lent) {
    const ati_context *starter = ati_frame_current()->context;
    bool is_needed = starter && starter->operation && starter->operation != parent->operation;
    *lent = __builtin_expect(is_needed, 0) ? ati_context_make_lent(parent, starter) : NULL;
    return !is_needed || *lent;
}

static inline bool ati_context_is_shielded(const ati_context *context) {
    return atomic_load_explicit(&((ati_context *)context)->is_shielded, memory_order_relaxed);
}

/* From now on the cancellation of the parent counts. False: the parent is cancelled already, and
 * nothing was changed. */
bool ati_context_end_shield(ati_context *context);

/* The id that log lines under `context` (NULL is allowed) have; 0: none. */
static inline uint64_t ati_context_operation_id(const ati_context *context) {
    return context && context->operation ? context->operation->id : 0;
}

/* Whether it has more references than these, of the caller: if not, nobody else will get one. Of
 * one made with ATI_CONTEXT_EXACT. */
static inline bool ati_context_has_others(const ati_context *context, uint32_t references) {
    return atomic_load_explicit(&((ati_context *)context)->references, memory_order_relaxed) >
           references;
}

/* Gives the context for a task that is started under `context` (NULL is allowed), with a reference
 * for ati_context_stock_put(). False: it is detached, and there is no memory for a context of its
 * own. */
bool ati_context_share(ati_context *context, bool is_detached, ati_context **shared);

void ati_context_retain(ati_context *context);  /* NULL is allowed */
void ati_context_release(ati_context *context); /* NULL is allowed; iterative over the parents */

/* The same for several references at once; not for NULL. */
void ati_context_retain_many(ati_context *context, size_t count);
void ati_context_release_many(ati_context *context, size_t count);

/* -- Its locks --
 *
 * In the child of a process fork, what a thread of the parent was in the middle of stays so: a lock
 * may be held for ever. So who comes first in a process puts the record in order, and is the only
 * one to do it: `process` is twice the number of forks that lead to it, and one more meanwhile. */

static inline uint32_t ati_context_process(void) {
    return 2 * (uint32_t)ati_process_fork_count();
}

void ati_context_adopt_now(ati_context *context); /* of the next */

/* Before a lock of the record, or of what lies behind it, is taken. */
static inline void ati_context_adopt(ati_context *context) {
    /* ORDER context.process: acquire. Sees the locks as they were put in order.
     * Pairs with: release in ati_context_adopt_now(). If relaxed: waits for a lost thread. */
    if (__builtin_expect(atomic_load_explicit(&context->process, memory_order_acquire) !=
                             ati_context_process(),
                         0))
        ati_context_adopt_now(context);
}

static inline void ati_context_lock(ati_context *context) {
    ati_context_adopt(context);
    ati_lock_acquire(&context->lock);
}

static inline void ati_context_unlock(ati_context *context) {
    ati_lock_release(&context->lock);
}

/* The context of the running task or thread, borrowed, or NULL. */
static inline ati_context *ati_context_current(void) {
    return ati_frame_current()->context;
}

/* The context for what code under `context` starts: an operation that a task has for itself alone
 * is not handed on, else it would grow longer from task to task. */
static inline ati_context *ati_context_shared_by(ati_context *context) {
    while (context && context->is_own)
        context = context->parent;
    return context;
}

/* The same for the running code. */
static inline ati_context *ati_context_to_share(void) {
    return ati_context_shared_by(ati_context_current());
}

/* Sets it, for the rest of the task; gives the one before. What sets it puts it back. The task must
 * have no private forks. */
static inline ati_context *ati_context_exchange(ati_context *context) {
    ati_frame *frame = ati_frame_current();
    ati_context *before = frame->context;
    frame->context = context;
    ati_context_stock_go_over(context);
    if (context && at_inline_worker_current) /* from now on at_check has something to say */
        AT_INLINE_STORE(&at_inline_worker_current->look, 1, __ATOMIC_RELAXED);
    return before;
}

/* The frame whose scope it is, as long as that lasts, or NULL. */
static inline const ati_frame *ati_context_owner(const ati_context *context) {
    return atomic_load_explicit(&((ati_context *)context)->owner, memory_order_relaxed);
}
static inline void ati_context_set_owner(ati_context *context, const ati_frame *owner) {
    atomic_store_explicit(&context->owner, owner, memory_order_relaxed);
}

/* The deadline of a wait under the current operation. */
static inline at_deadline ati_context_limit(at_deadline deadline) {
    const ati_context *context = ati_context_current();
    return context && context->deadline < deadline ? context->deadline : deadline;
}

/* -- Cancelling -- */

/* Why it is cancelled; AT_CANCEL_NONE: it is not. A deadline that has passed is another matter. */
static inline at_cancel_reason ati_context_reason(const ati_context *context) {
    return (at_cancel_reason)atomic_load_explicit(&((ati_context *)context)->cancelled,
                                                  memory_order_relaxed);
}

/* Cancels an operation and all below it, those that are shielded excepted; ends their waits. By a
 * deadline, those below that had an earlier one of their own have ended by that. The caller keeps
 * it. Gives the list (by next_cancelled, each retained for the caller) of those that
 * this call has cancelled: their callbacks are to be called. */
ati_context *ati_context_cancel(ati_context *context, at_cancel_reason reason);

/* Notes a wait. False: the operation is cancelled already, the wait must not begin. */
bool ati_context_add_wait(ati_context *context, ati_cancel_wait *wait);

/* Takes it back, ended or not; then nobody touches it any more. */
void ati_context_remove_wait(ati_context *context, ati_cancel_wait *wait);

/* Puts a link at the end of a ring, of which `*last` is the last; or takes it out. Under the lock.
 */
void ati_cancel_link_add(ati_cancel_link **last, ati_cancel_link *link);
void ati_cancel_link_remove(ati_cancel_link **last, ati_cancel_link *link);

#endif
