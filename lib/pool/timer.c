/* SPDX-License-Identifier: MIT */
/* Purpose: tasks that start at a moment.
 *
 * A timer that is set lies in the pool's wheel, and once it has expired its node lies in a queue of
 * the pool, on its way to run_timer(). What is in a queue stays there: who cancels or moves the
 * timer then only notes what is to become of it.
 *
 *   IDLE  -start-> SET
 *   SET   -cancel in the wheel-> IDLE    -cancel on its way-> VOID    -start on its way-> RESET
 *   VOID  -start-> RESET
 *   RESET -cancel-> VOID
 *   on its way: SET -run_timer-> IDLE, and runs;  VOID -run_timer-> IDLE;  RESET -run_timer-> SET
 *
 * Invariants
 *   1. State, `runs` and who waits are guarded by the timer's lock; outside the lock of the wheel.
 *   2. Its expiry takes no lock of the timer: what it touches, the node, belongs to whoever is on
 *      the way. So a timer is in the wheel, on a list of expired ones, or in a queue; and it gets
 *      into one queue only, as it is set again only from IDLE or where run_timer() has taken it
 *      out.
 *   3. A task that runs has begun before the state became IDLE, and is counted in `runs` until it
 *      has ended, unless it has itself let the storage go.
 *
 * Checked by: tests/unit/timer_test.c, tests/stress/timer_test.c. */
#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "pool/cancel.h"
#include "pool/exception.h"
#include "pool/pool.h"
#include "pool/report.h"
#include "pool/waiter.h"

#include <asynctools/timer.h>

typedef enum timer_state {
    TIMER_IDLE,
    TIMER_SET,
    TIMER_VOID,  /* on its way, cancelled */
    TIMER_RESET, /* on its way, to be set to `moment` instead of running */
} timer_state;

/* The task of a timer while it runs, on its stack. */
typedef struct timer_run {
    ati_task_run run;
    bool is_released; /* the timer is not to be touched any more */
    struct timer_run *next;
} timer_run;

typedef struct task_timer {
    ati_task_timer timer; /* first */
    ati_lock lock;
    uint8_t state; /* timer_state */
    uint8_t lane;  /* ati_lane of the last start */
    bool is_own;   /* allocated by at_pool_start_later */
    at_run_fn run;
    void *argument;
    const char *site;
    ati_context *context; /* of the last start, owned, or NULL */
    timer_run *runs;      /* the tasks that run */
    ati_waiter *waiter;   /* of at_timer_unregister */
    at_pool *pool;
    int64_t moment;      /* of a RESET */
    uint32_t fork_count; /* of the process that it is set in */
} task_timer;

_Static_assert(sizeof(task_timer) <= sizeof(at_timer), "at_timer is too small");
_Static_assert(_Alignof(task_timer) <= _Alignof(at_timer), "at_timer is not aligned enough");

static void *run_timer(void *argument);

/* -- Setting -- */

void ati_timer_start_tasks(at_pool *pool, const ati_expired *expired) {
    for (size_t lane = 0; lane < ATI_LANE_COUNT; lane++)
        if (expired->lanes[lane].count > 0)
            (void)ati_pool_start_nodes(pool, expired->lanes[lane].first, expired->lanes[lane].count,
                                       true); /* inside: nothing refuses them */
}

/* Takes the lock of the wheel. False: nothing may be set from outside any more. */
static bool open_wheel(at_pool *pool, bool is_outside) {
    if (is_outside)
        ati_clock_enter(pool->options.clock);
    ati_lock_acquire(&pool->timers.lock);
    if (!pool->timers.is_closed || !is_outside)
        return true;
    ati_lock_release(&pool->timers.lock);
    ati_clock_leave(pool->options.clock);
    return false;
}

/* Gives it back. `is_next`: a timer was set that comes before all others. */
static void close_wheel(at_pool *pool, bool is_outside, bool is_next) {
    at_clock *clock = pool->options.clock;
    if (is_next && is_outside)
        ati_pool_retain(pool); /* the task may end, and with it the pool, once the lock is free */
    ati_lock_release(&pool->timers.lock);
    if (is_next)
        ati_idle_keep_time(pool);
    if (is_next && is_outside)
        ati_pool_release(pool);
    if (is_outside)
        ati_clock_leave(clock);
}

/* Under the timer's lock. Sets or moves the timer. */
static at_status set(task_timer *timer, int64_t moment) {
    at_pool *pool = timer->pool;
    ati_timers *timers = &pool->timers;
    bool is_outside = at_pool_current() != pool, is_next = false;
    if (!open_wheel(pool, is_outside))
        return AT_ERROR_CLOSED;
    bool was_set = ati_timers_unset(timers, &timer->timer.timer);
    if (was_set || timer->state == TIMER_IDLE) {
        timer->timer.node.work.context = ati_context_in_lane(NULL, timer->lane);
        is_next = ati_timers_set(timers, &timer->timer.timer, moment);
        ati_timers_count_tasks(timers, !was_set);
        timer->state = TIMER_SET;
    } else {
        timer->state = TIMER_RESET;
        timer->moment = moment;
    }
    close_wheel(pool, is_outside, is_next);
    return AT_OK;
}

at_status ati_task_timer_start(at_pool *pool, ati_task_timer *timer, int64_t moment) {
    bool is_outside = at_pool_current() != pool;
    if (!open_wheel(pool, is_outside))
        return AT_ERROR_CLOSED;
    bool is_next = ati_timers_set(&pool->timers, &timer->timer, moment);
    ati_timers_count_tasks(&pool->timers, 1);
    close_wheel(pool, is_outside, is_next);
    return AT_OK;
}

void ati_pool_timer_start(at_pool *pool, ati_pool_timer *timer, int64_t moment) {
    at_clock *clock = pool->options.clock;
    ati_clock_enter(clock); /* else a virtual one might run on */
    if (ati_timers_add(&pool->timers, timer, moment))
        ati_idle_keep_time(pool);
    ati_clock_leave(clock);
}

static void init(task_timer *timer, const char *site, at_pool *pool, at_run_fn run,
                 void *argument) {
    *timer = (task_timer){.timer.node.work = {.run = run_timer, .argument = timer},
                          .fork_count = (uint32_t)ati_process_fork_count(),
                          .pool = pool,
                          .run = run,
                          .argument = argument,
                          .site = site};
}

/* In the child of a fork a timer of the parent is one that was never set, if the pool can be used
 * there at all; its lock may have been held. */
static at_status enter_process(task_timer *timer) {
    at_pool *pool = timer->pool;
    at_status status = ati_pool_is_forked(pool) ? ati_pool_start_afresh(pool) : AT_OK;
    if (status == AT_OK && timer->fork_count != (uint32_t)ati_process_fork_count())
        init(timer, timer->site, pool, timer->run, timer->argument);
    return status;
}

static at_status refuse(const task_timer *timer, const char *call, at_status status) {
    if (status == AT_ERROR_INVALID)
        return ati_fail(status, "%s: `moment` is AT_FOREVER, which never comes", call);
    return ati_fail(status, "%s: pool \"%s\" %s", call, timer->pool->name,
                    status == AT_ERROR_CLOSED ? "is shut down"
                                              : "belongs to the parent of this forked process");
}

static at_status start_timer(task_timer *timer, const char *call, int64_t moment) {
    if (moment == AT_FOREVER)
        return refuse(timer, call, AT_ERROR_INVALID);
    if (enter_process(timer) != AT_OK)
        return refuse(timer, call, AT_ERROR_FORKED);
    ati_context *context = ati_context_to_share();
    ati_context_retain(context);
    ati_lock_acquire(&timer->lock);
    uint8_t lane = timer->lane;
    timer->lane = (uint8_t)ati_lane_inherited();
    at_status status = set(timer, moment);
    if (status == AT_OK) {
        ati_context *before = timer->context;
        timer->context = context;
        context = before;
    } else {
        timer->lane = lane;
    }
    ati_lock_release(&timer->lock);
    ati_context_release(context);
    return status == AT_OK ? AT_OK : refuse(timer, call, status);
}

/* -- Cancelling -- */

bool ati_task_timer_remove(at_pool *pool, ati_task_timer *timer) {
    ati_timers *timers = &pool->timers;
    ati_lock_acquire(&timers->lock);
    bool was_set = ati_timers_unset(timers, &timer->timer);
    if (was_set)
        ati_timers_count_tasks(timers, -1);
    /* A shutdown may have waited for this one alone; the pool may end once the lock is free. */
    bool was_last =
        was_set && timers->is_closed && !ati_timers_has_tasks(timers) && at_pool_current() != pool;
    if (was_last)
        ati_pool_retain(pool);
    ati_lock_release(&timers->lock);
    if (was_last) {
        ati_pool_come_to_rest(pool);
        ati_pool_release(pool);
    }
    return was_set;
}

/* Under the timer's lock. */
static bool cancel(task_timer *timer) {
    if (timer->state == TIMER_IDLE || timer->state == TIMER_VOID)
        return false;
    timer->state = timer->state == TIMER_SET && ati_task_timer_remove(timer->pool, &timer->timer)
                       ? TIMER_IDLE
                       : TIMER_VOID;
    return true;
}

/* -- Running -- */

/* Under the timer's lock, which it releases; the last access if the timer is idle now. */
static void leave(task_timer *timer) {
    ati_waiter *waiter = NULL;
    if (timer->state == TIMER_IDLE && !timer->runs) {
        waiter = timer->waiter;
        timer->waiter = NULL;
    }
    ati_lock_release(&timer->lock);
    if (waiter)
        ati_waiter_wake(waiter);
}

/* One that was cancelled or moved on its way: for the pool a cancelled task. */
static void pass_by(ati_worker *worker, task_timer *timer) {
    ati_task_run run;
    ati_task_begin(worker, &run, NULL, timer->site, NULL);
    ati_task_end(worker, &run, AT_ERROR_CANCELLED);
    if (timer->state == TIMER_RESET) {
        timer->state = TIMER_IDLE;
        (void)set(timer, timer->moment); /* inside: cannot be refused */
    } else {
        timer->state = TIMER_IDLE;
    }
    leave(timer);
}

static void end_run(task_timer *timer, const timer_run *run) {
    ati_lock_acquire(&timer->lock);
    timer_run **place = &timer->runs;
    while (*place != run)
        place = &(*place)->next;
    *place = run->next;
    leave(timer);
}

static void *run_timer(void *argument) {
    task_timer *timer = argument;
    ati_worker *worker = ati_worker_current;
    ati_lock_acquire(&timer->lock);
    if (timer->state != TIMER_SET) {
        pass_by(worker, timer);
        return NULL;
    }
    timer_run run;
    run.is_released = false;
    run.next = timer->runs;
    timer->runs = &run;
    timer->state = TIMER_IDLE;
    ati_context *context = timer->context;
    timer->context = NULL;
    const char *site = timer->site;
    bool is_own = timer->is_own;
    ati_lock_release(&timer->lock);

    ati_task_begin(worker, &run.run, context, site, NULL);
    bool is_cancelled = ati_is_cancelled(context);
    ATI_STOP_EXCEPTIONS;
    at_error *error = NULL;
    at_status status = AT_ERROR_CANCELLED;
    if (!is_cancelled) {
        void *returned = timer->run(timer->argument);
        status = ati_task_outcome(&run.run.frame, returned, site, &error);
        if (status == AT_OK)
            ati_frame_drop_returned(&run.run.frame, returned);
    }
    if (is_own)
        ati_release(timer, sizeof *timer);
    else if (!run.is_released)
        end_run(timer, &run);
    ati_task_end(worker, &run.run, status);
    if (error)
        ati_report_dropped_error(error);
    ati_context_release(context);
    return NULL;
}

/* -- The calls -- */

void at_timer_init_at(const char *site, at_timer *timer, at_pool *pool, at_run_fn run,
                      void *argument) {
    ATI_CALLER_CHECK(timer, "at_timer_init", "`timer` is NULL");
    ATI_CALLER_CHECK(pool, "at_timer_init", "`pool` is NULL");
    ATI_CALLER_CHECK(run, "at_timer_init", "`run` is NULL");
    init((task_timer *)timer, site, pool, run, argument);
}

at_status at_timer_start(at_timer *timer, at_deadline moment) {
    ATI_CALLER_CHECK(timer, "at_timer_start", "`timer` is NULL");
    return start_timer((task_timer *)timer, "at_timer_start", moment);
}

bool at_timer_cancel(at_timer *timer) {
    ATI_CALLER_CHECK(timer, "at_timer_cancel", "`timer` is NULL");
    task_timer *it = (task_timer *)timer;
    if (enter_process(it) != AT_OK)
        return false;
    ati_context *context = NULL;
    ati_lock_acquire(&it->lock);
    bool cancelled = cancel(it);
    if (cancelled) {
        context = it->context;
        it->context = NULL;
    }
    ati_lock_release(&it->lock);
    ati_context_release(context);
    return cancelled;
}

/* Under the timer's lock. The tasks of the timer that run below on this very stack, or that a
 * forked call is part of, are not waited for: they do not touch it any more. */
static void release_own_runs(task_timer *timer) {
    for (const ati_frame *frame = ati_frame_current(); frame; frame = frame->outer)
        for (timer_run **place = &timer->runs; *place; place = &(*place)->next)
            if (ati_frame_is_of(frame, &(*place)->run.frame)) {
                (*place)->is_released = true;
                *place = (*place)->next;
                break;
            }
}

void at_timer_unregister(at_timer *timer) {
    ATI_CALLER_CHECK(timer, "at_timer_unregister", "`timer` is NULL");
    ATI_CALLER_CHECK(!ati_frame_current()->may_not_wait, "at_timer_unregister",
                     "an inline continuation may not wait; call it in a task");
    task_timer *it = (task_timer *)timer;
    if (enter_process(it) != AT_OK)
        return;
    (void)at_timer_cancel(timer);
    ati_waiter waiter;
    ati_waiter_init(&waiter, "at_timer_unregister", timer);
    ati_lock_acquire(&it->lock);
    release_own_runs(it);
    bool is_busy = it->state != TIMER_IDLE || it->runs;
    if (is_busy)
        it->waiter = &waiter;
    ati_lock_release(&it->lock);
    if (is_busy)
        (void)ati_waiter_wait(&waiter, AT_FOREVER);
}

at_status at_pool_start_later_at(const char *site, at_pool *pool, at_run_fn run, void *argument,
                                 at_deadline moment) {
    ATI_CALLER_CHECK(pool, "at_pool_start_later", "`pool` is NULL");
    ATI_CALLER_CHECK(run, "at_pool_start_later", "`run` is NULL");
    task_timer *timer = ati_allocate(sizeof *timer);
    if (!timer)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_pool_start_later: out of memory");
    init(timer, site, pool, run, argument);
    timer->is_own = true;
    at_status status = start_timer(timer, "at_pool_start_later", moment);
    if (status != AT_OK)
        ati_release(timer, sizeof *timer);
    return status;
}
