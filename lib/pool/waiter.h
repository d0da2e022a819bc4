/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_WAITER_H
#define ASYNCTOOLS_POOL_WAITER_H

/* The one way to wait. In a task the stack is suspended and its worker goes on with other work; in
 * a plain thread, and where there is no memory for another stack, the thread sleeps.
 *
 * The waiter lies on the waiting stack. It is published where the one who ends the wait finds it,
 * and then waited on; it may be woken before that. */
#include "base/atomic.h"
#include "base/context.h"
#include "base/frame.h"
#include "pool/fiber.h"
#include "pool/timers.h"
#include "queue/work.h"

#include <asynctools/clock.h>

#include <stdbool.h>

struct ati_worker;

typedef enum ati_waiter_state {
    ATI_WAITER_OPEN = 0,      /* does not wait, and was not woken */
    ATI_WAITER_SUSPENDED = 1, /* a task waits */
    ATI_WAITER_ASLEEP = 2,    /* a thread waits; futex */
    ATI_WAITER_WOKEN = 3,     /* for good */
    ATI_WAITER_TIMED_OUT = 4, /* does not wait any more; may still be woken */
    ATI_WAITER_CANCELLED = 5, /* is not to wait, or not any more; may still be woken */
} ati_waiter_state;

typedef struct ati_waiter {
    _Atomic uint32_t state;    /* ati_waiter_state */
    struct ati_worker *worker; /* of the suspended task */
    at_clock *clock;           /* that the sleeping thread has left */
    struct ati_waiter *next;   /* in an inbox or a list of tasks to be resumed */

    /* What a suspended task is, and how it goes on; its worker's own. */
    ati_fiber *fiber;
    uint32_t depth;
    ati_lane lane;

    /* In the worker's list of suspended tasks; under its suspended_lock. */
    struct ati_waiter *newer;
    struct ati_waiter *older;
    const ati_frame *frame; /* of the task on top of the stack */
    const char *what;       /* the call that waits */
    const void *target;     /* identity of the task or future that is waited for, or NULL */
    int64_t since;          /* of the coarse clock */
    bool is_provable; /* it may be part of a cycle of waits that can be told from a long wait */

    /* For the delay until it goes on. */
    bool is_measured; /* to the nanosecond, not by the coarse clock */
    int64_t woken_at; /* written by who ends the wait */

    ati_pool_timer timer;   /* its deadline, if it has one */
    ati_cancel_wait cancel; /* with the operation, if that may end the wait */
} ati_waiter;

/* Prepares a waiter; `what` is the name of the public call, `target` what it waits for. */
static inline void ati_waiter_init(ati_waiter *waiter, const char *what, const void *target) {
    atomic_init(&waiter->state, ATI_WAITER_OPEN);
    waiter->what = what;
    waiter->target = target;
    waiter->is_provable = false;
    waiter->clock = NULL;
    waiter->timer.timer.link.previous = NULL; /* not set */
}

/* Waits until woken or until `deadline` of the current clock. True: woken. False: the deadline has
 * passed; the waiter may still be woken, so before it goes out of scope make sure that nobody can,
 * or wait again. */
bool ati_waiter_wait(ati_waiter *waiter, at_deadline deadline);

/* The same under the current operation: false also when that is cancelled or its deadline has
 * passed, see ati_cancel_check(). */
bool ati_waiter_wait_cancellable(ati_waiter *waiter, at_deadline deadline);

/* The same, by a sleep of the thread, which is inside `clock`; and it gives up at `limit` of
 * CLOCK_MONOTONIC too. */
bool ati_waiter_sleep(ati_waiter *waiter, at_clock *clock, at_deadline deadline, at_deadline limit);

/* Wakes it, once, from any thread; what the caller did happens before the wait returns. The last
 * access to the waiter. */
void ati_waiter_wake(ati_waiter *waiter);

/* Whether the wait of a suspended task is still on. */
static inline bool ati_waiter_is_waiting(const ati_waiter *waiter) {
    return atomic_load_explicit(&((ati_waiter *)waiter)->state, memory_order_relaxed) ==
           ATI_WAITER_SUSPENDED;
}

/* -- For suspend.c -- */

/* From now on a wake sets the waiter going, which is `waiting` so or so. False: it was woken
 * already. */
bool ati_waiter_begin(ati_waiter *waiter, ati_waiter_state waiting);
bool ati_waiter_is_woken(const ati_waiter *waiter);

/* The deadline of the wait is over; called when its timer fires. */
void ati_waiter_time_out(ati_pool_timer *timer);

/* -- For virtual_clock.c -- */

/* The same for the deadline of a thread. True: it goes on. */
bool ati_waiter_time_out_thread(ati_timer *timer);

#endif
