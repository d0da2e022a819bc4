/* SPDX-License-Identifier: MIT */
/* Purpose: to look at an operation at a moment.
 *
 * A watch has two holders from the moment on that it is set: who has made it, and the timer in the
 * wheel or, once that has fired, the task that looks. Whoever takes the timer out of the wheel lets
 * go for it. So nobody waits for a task that is on its way, and what that finds is still there.
 *
 * The timer is not counted among those that are to start a task, for which a shutdown waits. It may
 * fire as long as a worker is awake, also in a pool that is at its end: once all is at rest there,
 * and a shutdown may have said so, nothing is started any more, and what is left in the wheel is
 * let go of. Who gets up does so under the lock under which that is decided (ati_idle_is_at_rest).
 *
 * Checked by: tests/unit/cancel_test.c, tests/stress/cancel_test.c. */
#include "pool/watch.h"

#include "base/memory.h"
#include "base/process_fork.h"
#include "pool/pool.h"

struct ati_watch {
    ati_task_timer timer; /* first */
    _Atomic uint32_t holders;
    bool is_set;
    uint32_t fork_count; /* of the process that it is set in */
    at_pool *pool;
    ati_context *context;
    void (*look)(ati_context *context);
};

static void release_holders(ati_watch *watch, uint32_t count) {
    /* ORDER watch.holders: acq_rel. All uses happen before the free.
     * Pairs with: itself in release_holders(). If relaxed: freed while still read. */
    if (atomic_fetch_sub_explicit(&watch->holders, count, memory_order_acq_rel) != count)
        return;
    ati_context_release(watch->context);
    ati_pool_release(watch->pool);
    ati_release(watch, sizeof *watch);
}

static void *run_look(void *argument) {
    ati_watch *watch = argument;
    ati_worker *worker = ati_worker_current;
    ati_task_run run;
    ati_task_begin(worker, &run, NULL, AT_SITE("the deadline of an operation"), NULL);
    watch->look(watch->context);
    release_holders(watch, 1);
    ati_task_end(worker, &run, AT_OK);
    return NULL;
}

static void fire(ati_pool_timer *timer) {
    ati_watch *watch = (ati_watch *)timer;
    at_pool *pool = watch->pool;
    if (atomic_load_explicit(&pool->has_rested, memory_order_relaxed))
        release_holders(watch, 1);
    else
        (void)ati_pool_start_nodes(pool, &watch->timer.node, 1, true); /* inside: not refused */
}

ati_watch *ati_watch_create(at_pool *pool, ati_context *context,
                            void (*look)(ati_context *context)) {
    ati_watch *watch = ati_allocate_zeroed(sizeof *watch);
    if (!watch)
        return NULL;
    watch->timer.timer.fire = fire;
    watch->timer.node.work = (ati_work){
        .run = run_look,
        .argument = watch,
        .context = ati_context_in_lane(NULL, ati_lane_inherited()),
    };
    atomic_init(&watch->holders, 1);
    watch->look = look;
    watch->pool = pool;
    ati_pool_retain(pool);
    watch->context = context;
    ati_context_retain(context);
    return watch;
}

void ati_watch_set(ati_watch *watch, at_deadline moment) {
    atomic_store_explicit(&watch->holders, 2, memory_order_relaxed);
    watch->is_set = true;
    watch->fork_count = (uint32_t)ati_process_fork_count();
    ati_pool_timer_start(watch->pool, &watch->timer.timer, moment);
}

/* True: it does not fire any more, and has not. */
static bool take_timer_back(ati_watch *watch) {
    bool is_of_parent = watch->fork_count != (uint32_t)ati_process_fork_count();
    return is_of_parent || ati_timers_remove(&watch->pool->timers, &watch->timer.timer);
}

void ati_watch_end(ati_watch *watch) {
    if (watch)
        release_holders(watch, watch->is_set && take_timer_back(watch) ? 2 : 1);
}

void ati_watch_leave(ati_watch *watch) {
    if (watch)
        release_holders(watch, 1);
}
