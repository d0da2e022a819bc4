/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_TIMERS_H
#define ASYNCTOOLS_POOL_TIMERS_H

/* The timers of one pool: a wheel and its lock. Workers fire what is due; see timers.c. */
#include "base/lock.h"
#include "pool/executor.h"
#include "queue/timer_wheel.h"

#include <asynctools/clock.h>

/* A timer, in storage of whoever uses it; zeroed but for `fire`. */
typedef struct ati_pool_timer {
    ati_timer timer;
    /* Short, of the library, under no lock. NULL: it is the first member of an ati_task_timer. */
    void (*fire)(struct ati_pool_timer *timer);
} ati_pool_timer;

/* A timer that starts a task when it expires. */
typedef struct ati_task_timer {
    ati_pool_timer timer;
    ati_task_node node;
} ati_task_timer;

/* Tasks whose timers have expired, by lane, in each the earliest first. */
typedef struct ati_expired {
    struct {
        ati_task_node *first;
        ati_task_node *last;
        size_t count;
    } lanes[ATI_LANE_COUNT];
} ati_expired;

typedef struct ati_timers {
    _Atomic int64_t next; /* AT_FOREVER, or no later than the earliest timer; written under lock */
    _Atomic uint64_t task_count; /* timers that are to start a task; written under lock */
    ati_try_lock runner;         /* of the worker that fires; outside lock */
    ati_lock lock;               /* guards what follows; innermost */
    bool is_closed;              /* no task may be set from outside the pool */
    uint64_t set_count;          /* how often a timer was set */
    uint64_t fired_count;        /* how often one was fired */
    uint64_t removed_count;      /* how often one was removed before that */
    ati_pool_timer *firing;      /* the one that is being fired, without the lock */
    ati_timer_wheel wheel;
} ati_timers;

static inline int64_t ati_timers_next(const ati_timers *timers) {
    /* ORDER timers.next: seq_cst. Comes after the worker has announced how long it sleeps.
     * Pairs with: seq_cst in set_next(). If acquire: a timer that is set meanwhile is late. */
    return atomic_load_explicit(&((ati_timers *)timers)->next, memory_order_seq_cst);
}

/* In storage that need not be zeroed. */
void ati_timers_init(ati_timers *timers);

/* Sets a timer that is not set. True: it is the next one; a sleeper may have to be told
 * (ati_idle_keep_time). */
bool ati_timers_add(ati_timers *timers, ati_pool_timer *timer, int64_t moment);

/* When it returns, the timer does not fire any more and is not being fired. True: it had not. */
bool ati_timers_remove(ati_timers *timers, ati_pool_timer *timer);

/* Fires what is due at `now`, for some 50 microseconds at most, unless another worker does. Gives
 * the number of tasks that the caller is to start; only if that is not 0, `expired` is written. */
size_t ati_timers_run(ati_timers *timers, int64_t now, ati_expired *expired);

/* Sets a timer that is not set, from any thread, and tells who keeps the time. The pool cannot end
 * meanwhile. */
void ati_pool_timer_start(at_pool *pool, ati_pool_timer *timer, int64_t moment);

/* Sets a timer that is not set and is to start a task of `pool`; as at_timer_start.
 * AT_ERROR_CLOSED: nothing may be set from outside any more. */
at_status ati_task_timer_start(at_pool *pool, ati_task_timer *timer, int64_t moment);

/* Takes it back, in constant time. False: it is not set, or has expired. */
bool ati_task_timer_remove(at_pool *pool, ati_task_timer *timer);

/* From now on no task is set from outside; none that began before is still in progress. */
void ati_timers_close(ati_timers *timers);

/* Fires all that are left, when no task is to be started by them any more and nobody else fires. */
void ati_timers_end(ati_timers *timers);

/* Makes ati_timers_next() exact, where it may be too early, and gives it. */
int64_t ati_timers_settle(ati_timers *timers);

/* Whether a task is yet to be started by a timer. */
static inline bool ati_timers_has_tasks(const ati_timers *timers) {
    return atomic_load_explicit(&((ati_timers *)timers)->task_count, memory_order_relaxed) != 0;
}

/* -- For timer.c -- */

/* Under the lock: what ati_timers_add does. */
bool ati_timers_set(ati_timers *timers, ati_pool_timer *timer, int64_t moment);

/* Under the lock. False: it was not set, or has been fired. */
static inline bool ati_timers_unset(ati_timers *timers, ati_pool_timer *timer) {
    bool removed = ati_timer_wheel_remove(&timers->wheel, &timer->timer);
    timers->removed_count += removed;
    return removed;
}

/* Under the lock: how many are set. */
static inline uint64_t ati_timers_count(const ati_timers *timers) {
    return timers->set_count - timers->fired_count - timers->removed_count;
}

/* Under the lock. */
static inline void ati_timers_count_tasks(ati_timers *timers, int64_t change) {
    uint64_t count = atomic_load_explicit(&timers->task_count, memory_order_relaxed);
    atomic_store_explicit(&timers->task_count, count + (uint64_t)change, memory_order_relaxed);
}
#endif
