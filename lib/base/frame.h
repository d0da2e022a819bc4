/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_FRAME_H
#define ASYNCTOOLS_BASE_FRAME_H

/* What belongs to the running task, or to a plain thread outside tasks: the error slot, and what
 * its function said about the value it is about to return. Tasks nest on one stack (a wait runs an
 * unstarted target in place), so frames form a chain. Only the owning thread writes it. Others read
 * context, identity, site, name and outer, and only while the task cannot leave its stack: it is
 * suspended and its worker's suspended_lock is held, or it has forked a call that is not joined. */
#include "base/context_stock.h"

#include <asynctools/error.h>
#include <asynctools/task.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct ati_frame {
    struct ati_frame *outer;     /* the frame below on this stack */
    struct ati_context *context; /* the operation, borrowed, or NULL; read by others too, see
                                    ati_worker_hand_out_forks() */
    /* Gives the task an operation of its own, which is cancelled with it alone, and makes it the
     * frame's, if it `is_needed` or the task is asked to stop. NULL: it has one, or nobody can
     * cancel it alone. */
    void (*own_context)(struct ati_frame *frame, bool is_needed);
    const void *identity;            /* of the task: its future, or NULL */
    const char *site;                /* where the task was started, or NULL */
    const char *name;                /* that the program gave it, or "" or NULL */
    at_error *error;                 /* the error slot, owned */
    const struct ati_frame *part_of; /* a part of the task of this frame, made on another stack
                                        than the rest; only to compare */
    bool in_flight;                  /* a failure is on its way out of the task */
    bool may_not_wait;               /* runs inline, on a thread that has other things to do */
    bool keeps_thread;        /* a wait holds the thread: below it the library is in the middle of
                                 something */
    uint32_t blocking_depth;  /* sections by at_blocking_begin that the task has not ended */
    uint32_t scope_depth;     /* the same by at_scope_begin */
    void *returned;           /* what at_return was given last, or NULL */
    at_drop_fn returned_drop; /* and how to drop it; means something only then */
    void *next_future;        /* what at_return_future was given last, owned, or NULL */
    void (*next_release)(void *next_future); /* means something only then */
    void *taken_from;                        /* the source that at_value_take may take from */
} ati_frame;

/* The uppermost frame of this thread's stack, or NULL: the thread's own. */
extern _Thread_local ati_frame *ati_frame_top;

/* The thread's own frame, which becomes the current one. */
ati_frame *ati_frame_of_thread(void);

/* The current frame; never NULL. */
static inline ati_frame *ati_frame_current(void) {
    return ati_frame_top ? ati_frame_top : ati_frame_of_thread();
}

/* Prepares `frame`, in memory of any content, and makes it the current one. What the outer one may
 * not do, it may not either. */
static inline void ati_frame_enter(ati_frame *frame, struct ati_context *context, const char *site,
                                   const char *name) {
    ati_frame *outer = ati_frame_current();
    frame->outer = outer;
    frame->context = context;
    frame->own_context = NULL;
    frame->identity = NULL;
    frame->site = site;
    frame->name = name;
    frame->error = NULL;
    frame->part_of = NULL;
    frame->in_flight = false;
    frame->may_not_wait = outer->may_not_wait;
    frame->keeps_thread = outer->keeps_thread;
    frame->blocking_depth = 0;
    frame->scope_depth = 0;
    frame->returned = NULL;
    frame->next_future = NULL;
    frame->taken_from = NULL;
    ati_frame_top = frame;
    ati_context_stock_go_over(context);
}

/* The frame below it is the current one again. Drops the error in its slot. */
static inline void ati_frame_leave(ati_frame *frame) {
    ati_frame_top = frame->outer;
    ati_context_stock_go_over(frame->outer->context);
    if (frame->error)
        at_error_release(frame->error);
}

/* Whether `frame` is that of a task, or of a part of it. */
static inline bool ati_frame_is_of(const ati_frame *frame, const ati_frame *task) {
    return frame == task || frame->part_of == task;
}

/* Sets the chain of frames of this thread, when it goes over to another stack; gives the one that
 * it had. NULL: the thread's own frame. */
ati_frame *ati_frame_exchange(ati_frame *frame);

/* What a call on another stack has left in its frame becomes the current frame's own, as if it had
 * been a direct call. */
void ati_frame_take_over(const ati_frame *from);

/* Puts the error slot aside, while what others leave there is not to be mixed up with it; and back,
 * in the same frame, over what they have left. */
typedef struct ati_frame_slot {
    at_error *error; /* owned */
    bool in_flight;
} ati_frame_slot;
static inline ati_frame_slot ati_frame_put_slot_aside(void) {
    ati_frame *frame = ati_frame_current();
    ati_frame_slot slot = {.error = frame->error, .in_flight = frame->in_flight};
    frame->error = NULL;
    frame->in_flight = false;
    return slot;
}

void ati_frame_exchange_slot(ati_frame_slot slot);

static inline void ati_frame_put_slot_back(ati_frame_slot slot) {
    ati_frame *frame = ati_frame_current();
    if (slot.error || frame->error)
        ati_frame_exchange_slot(slot);
    else
        frame->in_flight = slot.in_flight;
}

/* Drops the value that the task returned, if at_return said how. */
void ati_frame_drop_returned(const ati_frame *frame, void *returned);

/* Returned by a work function that continues with another future. */
extern char ati_continued_object;
#define ATI_CONTINUED ((void *)&ati_continued_object)

#endif
