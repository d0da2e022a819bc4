/* SPDX-License-Identifier: MIT */
/* Purpose: sleeps, deadlines and delays of one pool. Whoever sets or removes a timer, and the
 * worker that fires, meet at one lock; each holds it for a few steps of the wheel, the worker for a
 * slice of its work. One worker fires at a time (`runner`); the others pass by and do not wait.
 *
 * A timer is set -ati_timers_run-> being fired -> not set, or set -ati_timers_remove-> not set.
 * Its storage may go as soon as it is removed, so a remove waits while it is being fired. The fire
 * function may let the storage go too (it wakes the task on whose stack the timer lies, whose next
 * step is the remove): after it the timer is not looked at any more.
 *
 * A timer that starts a task is fired under the lock, as that only puts its node onto a list: who
 * removes it finds it set or not. Its storage stays until the task has run, which is the promise of
 * whoever set it, not of the remove.
 *
 * Checked by: tests/unit/timers_test.c, tests/stress/timers_test.c. */
#include "pool/timers.h"

#include <sched.h>

enum { slice_budget = 256 }; /* steps of the wheel before others may use it: some 20 microseconds */

/* Under the lock. */
static void set_next(ati_timers *timers, int64_t next) {
    /* ORDER timers.next: seq_cst. Comes before the look who keeps the time.
     * Pairs with: seq_cst in ati_timers_next(). If release: a timer is late. */
    atomic_store_explicit(&timers->next, next, memory_order_seq_cst);
}

static void update_next(ati_timers *timers) {
    set_next(timers, ati_timer_wheel_next(&timers->wheel));
}

void ati_timers_init(ati_timers *timers) {
    atomic_init(&timers->next, AT_FOREVER);
    atomic_init(&timers->task_count, 0);
    timers->runner = (ati_try_lock){0};
    timers->lock = (ati_lock){0};
    timers->is_closed = false;
    timers->set_count = 0;
    timers->fired_count = 0;
    timers->removed_count = 0;
    timers->firing = NULL;
    ati_timer_wheel_init(&timers->wheel);
}

bool ati_timers_set(ati_timers *timers, ati_pool_timer *timer, int64_t moment) {
    int64_t before = atomic_load_explicit(&timers->next, memory_order_relaxed);
    ati_timer_wheel_add(&timers->wheel, &timer->timer, moment);
    timers->set_count++;
    bool is_next = moment < before;
    if (is_next)
        update_next(timers);
    return is_next;
}

bool ati_timers_add(ati_timers *timers, ati_pool_timer *timer, int64_t moment) {
    ati_lock_acquire(&timers->lock);
    bool is_next = ati_timers_set(timers, timer, moment);
    ati_lock_release(&timers->lock);
    return is_next;
}

bool ati_timers_remove(ati_timers *timers, ati_pool_timer *timer) {
    ati_lock_acquire(&timers->lock);
    bool removed = ati_timers_unset(timers, timer);
    while (timers->firing == timer) {
        ati_lock_release(&timers->lock);
        sched_yield();
        ati_lock_acquire(&timers->lock);
    }
    ati_lock_release(&timers->lock);
    return removed;
}

/* Under the lock, which is free meanwhile. */
static void fire(ati_timers *timers, ati_pool_timer *timer) {
    timers->firing = timer;
    ati_lock_release(&timers->lock);
    timer->fire(timer);
    ati_lock_acquire(&timers->lock);
    timers->firing = NULL;
}

/* Of many timers hardly one is in the cache, and the task needs what lies behind its node soon. */
static void expire(ati_expired *expired, ati_task_timer *timer) {
    __builtin_prefetch(timer + 1);
    __builtin_prefetch((const char *)(timer + 1) + ATI_CACHE_LINE);
    ati_task_node *node = &timer->node;
    ati_lane lane = ati_work_lane(&node->work);
    if (expired->lanes[lane].count++ > 0)
        expired->lanes[lane].last->next = node;
    else
        expired->lanes[lane].first = node;
    expired->lanes[lane].last = node;
}

static size_t end_lists(ati_expired *expired) {
    size_t count = 0;
    for (size_t lane = 0; lane < ATI_LANE_COUNT; lane++)
        if (expired->lanes[lane].count > 0) {
            expired->lanes[lane].last->next = NULL;
            count += expired->lanes[lane].count;
        }
    return count;
}

size_t ati_timers_run(ati_timers *timers, int64_t now, ati_expired *expired) {
    if (ati_timers_next(timers) > now || !ati_try_lock_acquire(&timers->runner))
        return 0;
    *expired = (ati_expired){0};
    uint32_t budget = slice_budget;
    ati_timer *due;
    ati_lock_acquire(&timers->lock);
    while ((due = ati_timer_wheel_take(&timers->wheel, now, &budget))) {
        ati_pool_timer *timer = (ati_pool_timer *)due;
        timers->fired_count++;
        if (timer->fire)
            fire(timers, timer);
        else
            expire(expired, (ati_task_timer *)timer);
    }
    size_t count = end_lists(expired);
    ati_timers_count_tasks(timers, -(int64_t)count);
    update_next(timers);
    ati_lock_release(&timers->lock);
    ati_try_lock_release(&timers->runner);
    return count;
}

void ati_timers_close(ati_timers *timers) {
    ati_lock_acquire(&timers->lock);
    timers->is_closed = true;
    ati_lock_release(&timers->lock);
}

void ati_timers_end(ati_timers *timers) {
    ati_expired expired;
    while (ati_timers_next(timers) != AT_FOREVER)
        (void)ati_timers_run(timers, AT_FOREVER - 1, &expired);
}

int64_t ati_timers_settle(ati_timers *timers) {
    ati_lock_acquire(&timers->lock);
    int64_t next = ati_timer_wheel_earliest(&timers->wheel);
    set_next(timers, next);
    ati_lock_release(&timers->lock);
    return next;
}
