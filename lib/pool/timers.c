/* SPDX-License-Identifier: MIT */
/* Purpose: sleeps, deadlines and delays of one pool. Whoever sets or removes a timer, and the
 * worker that fires, meet at one lock; each holds it for a few steps of the wheel.
 *
 * A timer is set -ati_timers_run-> being fired -> not set, or set -ati_timers_remove-> not set.
 * Its storage may go as soon as it is removed, so a remove waits while it is being fired. The fire
 * function may let the storage go too (it wakes the task on whose stack the timer lies, whose next
 * step is the remove): after it the timer is not looked at any more.
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
    timers->lock = (ati_lock){0};
    timers->is_closed = false;
    timers->set_count = 0;
    timers->fired_count = 0;
    timers->removed_count = 0;
    timers->runs = false;
    timers->firing = NULL;
    timers->first_task = NULL;
    timers->last_task = NULL;
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

void ati_timers_expire_task(ati_timers *timers, ati_task_node *task) {
    task->next = NULL;
    if (timers->last_task)
        timers->last_task->next = task;
    else
        timers->first_task = task;
    timers->last_task = task;
}

/* Under the lock, at the end of a run. */
static size_t take_tasks(ati_timers *timers, ati_task_node **tasks) {
    size_t count = 0;
    *tasks = timers->first_task;
    for (ati_task_node *task = *tasks; task; task = task->next)
        count++;
    timers->first_task = NULL;
    timers->last_task = NULL;
    ati_timers_count_tasks(timers, -(int64_t)count);
    return count;
}

size_t ati_timers_run(ati_timers *timers, int64_t now, ati_task_node **tasks) {
    if (ati_timers_next(timers) > now)
        return 0;
    size_t count = 0;
    uint32_t budget = slice_budget;
    ati_lock_acquire(&timers->lock);
    if (!timers->runs) {
        ati_timer *due;
        timers->runs = true;
        while ((due = ati_timer_wheel_take(&timers->wheel, now, &budget))) {
            ati_pool_timer *timer = (ati_pool_timer *)due;
            timers->firing = timer;
            timers->fired_count++;
            ati_lock_release(&timers->lock);
            timer->fire(timer);
            ati_lock_acquire(&timers->lock);
        }
        timers->firing = NULL;
        timers->runs = false;
        count = take_tasks(timers, tasks);
        update_next(timers);
    }
    ati_lock_release(&timers->lock);
    return count;
}

void ati_timers_close(ati_timers *timers) {
    ati_lock_acquire(&timers->lock);
    timers->is_closed = true;
    ati_lock_release(&timers->lock);
}

int64_t ati_timers_settle(ati_timers *timers) {
    ati_lock_acquire(&timers->lock);
    int64_t next = ati_timer_wheel_earliest(&timers->wheel);
    set_next(timers, next);
    ati_lock_release(&timers->lock);
    return next;
}
