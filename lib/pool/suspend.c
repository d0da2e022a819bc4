/* SPDX-License-Identifier: MIT */
/* Purpose: a task that waits keeps its stack, and gives its worker away.
 *
 * A worker has one thread and any number of stacks: the thread's own, and fibers. On each of them
 * runs the worker's loop, and on that, for a time, a task. At any moment a stack
 *
 *   runs        worker->fiber
 *   waits       under a task that is suspended
 *   is free     inside ati_worker_resume_next, with nothing on it but the loop
 *
 *   runs -ati_worker_suspend-> waits -ati_worker_resume_next or another's suspend-> runs
 *   runs -ati_worker_resume_next-> free -ati_worker_suspend-> runs
 *
 * A task that has to wait goes on with the next task that is ready, else with a free stack, else
 * with a fresh one. So a stack is taken only when a task does wait, and goes to the next that needs
 * one.
 *
 * Invariants
 *   1. Stacks stay on the worker that started them: compilers keep addresses of thread-local
 *      variables across calls.
 *   2. `ready` and the free stacks are the worker's own. Others put the tasks that they wake into
 *      `inbox`, under its lock; the worker cannot take them out before that lock is released, so
 *      whoever wakes may look at the worker until then, and not later: with the task the pool may
 *      end.
 *   3. A task that is set going is in one of `ready`, `yielded` and `inbox`, once.
 *   4. A worker's thread ends on its own stack, when no task is suspended.
 *
 * Checked by: tests/unit/pool_suspend_test.c, tests/stress/pool_suspend_test.c. */
#include "pool/suspend.h"

#include "base/check.h"
#include "base/clock.h"
#include "pool/pool.h"
#include "pool/report.h"
#include "pool/search.h"
#include "pool/turn.h"

#include <sched.h>
#include <urcu/urcu-bp.h>

enum {
    free_limit = 64, /* free stacks that a worker keeps */
    lines_below = 4, /* of a waiter, and above its beginning: fetched before its task goes on */
    lines_above = 10,
};

static const at_duration slow_resume = AT_MILLISECONDS(100);

/* -- Stacks -- */

static void push_free(ati_worker *worker, ati_fiber *fiber) {
    if (fiber == &worker->thread_fiber) {
        worker->thread_fiber_is_free = true;
        return;
    }
    fiber->next = worker->free_fibers;
    worker->free_fibers = fiber;
    worker->free_count++;
}

static ati_fiber *pop_fiber(ati_worker *worker) {
    ati_fiber *fiber = worker->free_fibers;
    if (fiber) {
        worker->free_fibers = fiber->next;
        worker->free_count--;
    }
    return fiber;
}

static ati_fiber *pop_free(ati_worker *worker) {
    if (!worker->thread_fiber_is_free)
        return pop_fiber(worker);
    worker->thread_fiber_is_free = false;
    return &worker->thread_fiber;
}

static void free_exited(ati_worker *worker) {
    while (worker->exited) {
        ati_fiber *fiber = worker->exited;
        worker->exited = fiber->next;
        ati_stack *stack = ati_fiber_destroy(fiber);
        stack->next = NULL;
        ati_stacks_give(&worker->pool->stacks, stack);
    }
}

static void set_current(ati_worker *worker, ati_fiber *fiber) {
    worker->fiber = fiber;
    worker->stack_end = fiber->lowest;
}

/* Leaves this stack for another one, and comes back to it some time. */
static void switch_to(ati_worker *worker, ati_fiber *fiber) {
    ati_fiber *from = worker->fiber;
    set_current(worker, fiber);
    ati_fiber_switch(from, fiber);
    free_exited(worker);
}

/* Leaves this stack for good. */
static _Noreturn void exit_to(ati_worker *worker, ati_fiber *fiber) {
    ati_fiber *from = worker->fiber;
    from->next = worker->exited;
    worker->exited = from;
    set_current(worker, fiber);
    ati_fiber_exit(from, fiber);
}

/* What a fresh stack runs. At the end each of the free stacks has its turn to leave its loop, the
 * thread's own the last. */
static void run_loop(void *argument) {
    ati_worker *worker = argument;
    ati_worker_loop(worker);
    ati_fiber *next = worker->free_fibers ? pop_fiber(worker) : &worker->thread_fiber;
    exit_to(worker, next);
}

static ati_fiber *create_fiber(ati_worker *worker) {
    ati_stacks *stacks = &worker->pool->stacks;
    ati_stack *stack = ati_stacks_take(stacks, 1);
    if (!stack)
        return NULL;
    ati_fiber *fiber = ati_fiber_create(stack, &worker->thread_fiber, run_loop, worker);
    if (!fiber)
        ati_stacks_give(stacks, stack);
    return fiber;
}

void ati_worker_loop_on_stacks(ati_worker *worker) {
    ati_fiber_init_thread(&worker->thread_fiber);
    set_current(worker, &worker->thread_fiber);
    worker->thread_fiber_is_free = false;
    ati_worker_loop(worker);
    if (worker->free_fibers)
        switch_to(worker, pop_fiber(worker));
    ATI_ASSERT(worker->fiber == &worker->thread_fiber && worker->free_count == 0);
}

/* -- Who is ready -- */

static void append(ati_ready_list *list, ati_waiter *waiter) {
    waiter->next = NULL;
    if (list->last)
        list->last->next = waiter;
    else
        list->first = waiter;
    list->last = waiter;
}

/* What a task that goes on uses of its stack lies around its waiter, most likely in no cache: from
 * the registers that the switch has saved to the frames of the loop. */
static void prefetch_stack(const ati_waiter *waiter) {
    for (ptrdiff_t line = -lines_below; line < lines_above; line++)
        __builtin_prefetch((const char *)waiter + line * ATI_CACHE_LINE);
}

static ati_waiter *take_first(ati_ready_list *list) {
    ati_waiter *waiter = list->first;
    if (waiter) {
        list->first = waiter->next;
        if (!list->first)
            list->last = NULL;
        if (list->first)
            prefetch_stack(list->first);
    }
    return waiter;
}

/* Moves all of `from` to the end of `to`. */
static void move_all(ati_ready_list *to, ati_ready_list *from) {
    if (!from->first)
        return;
    if (to->last)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    *from = (ati_ready_list){0};
}

bool ati_inbox_is_empty(const ati_worker *worker) {
    /* ORDER worker.inbox: seq_cst. Comes after the worker has announced its sleep.
     * Pairs with: seq_cst in put_into_inbox(). If acquire: it sleeps on a woken task. */
    return !atomic_load_explicit(&((ati_worker *)worker)->inbox_is_full, memory_order_seq_cst);
}

/* The last look at the worker is at the address of its futex. */
static void put_into_inbox(ati_worker *worker, ati_waiter *waiter) {
    ati_lock_acquire(&worker->inbox_lock);
    if (!worker->inbox.first)
        atomic_store_explicit(&worker->inbox_since, ati_monotonic_ns(), memory_order_relaxed);
    append(&worker->inbox, waiter);
    /* ORDER worker.inbox: seq_cst. Comes before the look whether the worker sleeps.
     * Pairs with: seq_cst in ati_inbox_is_empty(). If release: the worker sleeps on a woken task.
     */
    atomic_store_explicit(&worker->inbox_is_full, true, memory_order_seq_cst);
    ati_worker_ask_to_look(worker);
    bool slept = ati_idle_get_up(worker);
    ati_lock_release(&worker->inbox_lock);
    if (slept)
        ati_futex_wake(&worker->signal, 1);
}

static void empty_inbox(ati_worker *worker) {
    if (!atomic_load_explicit(&worker->inbox_is_full, memory_order_relaxed))
        return;
    ati_lock_acquire(&worker->inbox_lock);
    move_all(&worker->ready, &worker->inbox);
    atomic_store_explicit(&worker->inbox_is_full, false, memory_order_relaxed);
    ati_lock_release(&worker->inbox_lock);
}

void ati_worker_resume(ati_waiter *waiter) {
    ati_worker *worker = waiter->worker;
    waiter->woken_at = waiter->is_measured ? ati_monotonic_ns() : ati_coarse_ns();
    if (worker == ati_worker_current) {
        append(&worker->ready, waiter);
        ati_worker_ask_to_look(worker);
    } else {
        put_into_inbox(worker, waiter);
    }
}

bool ati_worker_has_ready(ati_worker *worker) {
    empty_inbox(worker);
    return worker->ready.first;
}

bool ati_worker_is_crowded(ati_worker *worker) {
    at_pool *pool = worker->pool;
    return ati_worker_has_ready(worker) && worker->ready.first->lane == ATI_LANE_LOW &&
           atomic_load_explicit(&pool->low_count, memory_order_relaxed) >= pool->low_limit;
}

static ati_waiter *take_ready(ati_worker *worker) {
    empty_inbox(worker);
    return take_first(&worker->ready);
}

bool ati_worker_resume_next(ati_worker *worker) {
    ati_waiter *waiter = take_ready(worker);
    if (!waiter)
        return false;
    ati_worker_note_clock(worker, ati_coarse_ns());
    worker->site_before = atomic_load_explicit(&worker->site, memory_order_relaxed);
    ati_worker_end_quiet(worker);
    if (worker->free_count == free_limit && worker->fiber != &worker->thread_fiber)
        exit_to(worker, waiter->fiber);
    push_free(worker, worker->fiber);
    switch_to(worker, waiter->fiber);
    return true;
}

void ati_worker_move_yielded(ati_worker *worker) {
    move_all(&worker->ready, &worker->yielded);
}

/* -- Leaving the stack of a task -- */

/* The list of the tasks that wait, for those who look from outside. */
void ati_worker_lock_suspended(ati_worker *worker) {
    if (worker == ati_worker_current)
        ati_owner_lock_acquire(&worker->suspended_lock);
    else
        ati_owner_lock_visit(&worker->suspended_lock);
}

void ati_worker_unlock_suspended(ati_worker *worker) {
    if (worker == ati_worker_current)
        ati_owner_lock_release(&worker->suspended_lock);
    else
        ati_owner_lock_leave(&worker->suspended_lock);
}

/* Under the lock. */
static void set_unsearched(ati_worker *worker, ati_waiter *waiter) {
    atomic_store_explicit(&worker->unsearched, waiter, memory_order_relaxed);
}

/* Under the lock. */
static ati_waiter *read_unsearched(ati_worker *worker) {
    return atomic_load_explicit(&worker->unsearched, memory_order_relaxed);
}

static void enter_list(ati_worker *worker, ati_waiter *waiter) {
    ati_owner_lock_acquire(&worker->suspended_lock);
    waiter->newer = NULL;
    waiter->older = worker->suspended;
    if (worker->suspended)
        worker->suspended->newer = waiter;
    else
        worker->oldest = waiter;
    worker->suspended = waiter;
    if (waiter->is_provable && !read_unsearched(worker))
        set_unsearched(worker, waiter);
    ati_owner_lock_release(&worker->suspended_lock);
    ati_counter_add(&worker->suspended_count, 1);
    uint64_t count = ati_counter_read(&worker->suspended_count);
    uint64_t most = ati_counter_read(&worker->counts.max_suspended);
    if (count > most)
        ati_counter_add(&worker->counts.max_suspended, count - most);
}

static void leave_list(ati_worker *worker, ati_waiter *waiter) {
    ati_owner_lock_acquire(&worker->suspended_lock);
    if (read_unsearched(worker) == waiter)
        set_unsearched(worker, waiter->newer);
    if (waiter->newer)
        waiter->newer->older = waiter->older;
    else
        worker->suspended = waiter->older;
    if (waiter->older)
        waiter->older->newer = waiter->newer;
    else
        worker->oldest = waiter->newer;
    ati_owner_lock_release(&worker->suspended_lock);
    ati_counter_add(&worker->suspended_count, (uint64_t)-1);
    ati_counter_add(&worker->counts.resumed, 1);
}

/* What goes on when this task waits: the next one that is ready, if `ready` (which is taken off
 * its list), or the loop on another stack. NULL: no memory. */
static ati_fiber *choose_next(ati_worker *worker, ati_waiter **ready) {
    /* Now and then the loop has a look, so that tasks that wake each other starve nobody. */
    ati_worker_count_pick(worker);
    if (worker->owes == 0 && !ati_worker_is_crowded(worker)) {
        *ready = take_ready(worker);
        if (*ready)
            return (*ready)->fiber;
    }
    ati_fiber *fiber = pop_free(worker);
    if (!fiber)
        fiber = create_fiber(worker);
    if (!fiber) {
        *ready = take_ready(worker); /* better out of turn than not at all */
        fiber = *ready ? (*ready)->fiber : NULL;
    }
    return fiber;
}

static void put_back(ati_worker *worker, ati_fiber *fiber, ati_waiter *ready) {
    if (!ready) {
        push_free(worker, fiber);
        return;
    }
    ready->next = worker->ready.first;
    worker->ready.first = ready;
    if (!worker->ready.last)
        worker->ready.last = ready;
}

/* Leaves the running task for `fiber`, and goes on with it when it is resumed. */
static void leave_task(ati_worker *worker, ati_waiter *waiter, ati_fiber *fiber) {
    const char *site = atomic_load_explicit(&worker->site, memory_order_relaxed);
    const ati_frame *named = worker->named;
    if (worker->timed_from != 0)
        ati_sample_end_turn(worker);
    if (named)
        ati_view_show_named(worker, NULL);
    uint64_t operation_id = atomic_load_explicit(&worker->operation_id, memory_order_relaxed);
    ati_worker_show_operation(worker, 0);
    worker->site_before = site;
    atomic_store_explicit(&worker->site, NULL, memory_order_relaxed);
    ati_frame *frame = ati_frame_exchange(NULL);
    waiter->depth = worker->depth;
    waiter->lane = worker->lane;
    const ati_lane *nested_lane = worker->nested_lane;
    ati_fork_stack forks;
    ati_fork_leave_stack(worker, &forks);
    worker->depth = 0;
    worker->nested_lane = NULL;
    ati_worker_end_quiet(worker);
    if (waiter->lane == ATI_LANE_LOW)
        ati_lane_leave_low(worker->pool);
    switch_to(worker, fiber);
    if (waiter->lane == ATI_LANE_LOW)
        ati_lane_return_to_low(worker->pool);
    ati_frame_exchange(frame);
    worker->depth = waiter->depth;
    worker->lane = waiter->lane;
    atomic_store_explicit(&worker->forks.is_low, waiter->lane == ATI_LANE_LOW,
                          memory_order_relaxed);
    worker->nested_lane = nested_lane;
    ati_fork_enter_stack(worker, &forks);
    ati_worker_begin_task_turn(worker);
    atomic_store_explicit(&worker->site, site, memory_order_relaxed);
    ati_worker_show_operation(worker, operation_id);
    if (named)
        ati_view_show_named(worker, named);
}

/* Looks how long the task has waited for its turn, once its wait was over. */
static void note_delay(ati_worker *worker, const ati_waiter *waiter) {
    int64_t now = atomic_load_explicit(&worker->clock, memory_order_relaxed);
    if (waiter->is_measured) {
        now = ati_monotonic_ns();
        ati_sample_resume(worker, now - waiter->woken_at);
    }
    /* What the same task has held up is told once. */
    if (now - waiter->woken_at > slow_resume && waiter->woken_at >= worker->slow_reported) {
        worker->slow_reported = now;
        ati_report_resume_slow(worker, waiter, now - waiter->woken_at);
    }
}

/* Whether this wait, which is about to begin, is one of those that are measured. */
static bool is_due(const ati_worker *worker) {
    uint64_t number =
        ati_counter_read(&worker->counts.resumed) + ati_counter_read(&worker->suspended_count);
    return number % ATI_SAMPLE_WAITS == 0;
}

static void check_may_suspend(const ati_waiter *waiter) {
    ATI_CALLER_CHECK(!urcu_bp_read_ongoing(), waiter->what,
                     "a task may not wait inside rcu_read_lock; leave the section first");
}

/* If it is the next one, nobody need be woken to keep the time: the worker looks at the timers
 * itself before it runs a work or sleeps, and the task goes on on this very worker. */
static void set_timer(ati_worker *worker, ati_waiter *waiter, at_deadline deadline) {
    waiter->timer = (ati_pool_timer){.fire = ati_waiter_time_out};
    if (ati_timers_add(&worker->pool->timers, &waiter->timer, deadline))
        worker->kept_time = true;
}

bool ati_worker_suspend(ati_worker *worker, ati_waiter *waiter, at_deadline deadline) {
    check_may_suspend(waiter);
    ati_waiter *ready = NULL;
    ati_fiber *next = choose_next(worker, &ready);
    if (!next)
        return false;
    waiter->worker = worker;
    waiter->fiber = worker->fiber;
    waiter->frame = ati_frame_current();
    waiter->since = ati_coarse_ns();
    waiter->is_measured = is_due(worker);
    ati_worker_note_clock(worker, waiter->since);
    if (!ati_waiter_begin(waiter, ATI_WAITER_SUSPENDED)) {
        put_back(worker, next, ready);
        return true;
    }
    enter_list(worker, waiter);
    if (waiter->is_provable)
        ati_search_plan(worker);
    if (deadline != AT_FOREVER)
        set_timer(worker, waiter, deadline);
    if (ready)
        ati_worker_hand_time_over(worker); /* the loop, which would, has no turn */
    leave_task(worker, waiter, next);
    note_delay(worker, waiter);
    leave_list(worker, waiter);
    if (deadline != AT_FOREVER)
        (void)ati_timers_remove(&worker->pool->timers, &waiter->timer);
    return true;
}

/* -- Giving the turn to others -- */

/* The task is in a section that blocks its thread, or the library has something to finish below it.
 */
static bool keeps_thread(const ati_worker *worker) {
    const ati_frame *frame = ati_frame_current();
    return worker->blocking_depth > 0 || frame->keeps_thread || frame->may_not_wait;
}

void ati_worker_yield(ati_worker *worker) {
    ati_waiter waiter;
    ati_waiter_init(&waiter, "at_yield", NULL);
    waiter.fiber = worker->fiber;
    check_may_suspend(&waiter);
    if (keeps_thread(worker)) {
        sched_yield();
        return;
    }
    (void)ati_worker_fire_timers(worker, true);
    bool others_are_ready = ati_worker_has_ready(worker);
    if (!others_are_ready && !ati_pool_has_work(worker->pool))
        return;
    ati_waiter *ready = NULL;
    ati_fiber *next = choose_next(worker, &ready);
    if (!next)
        return;
    ati_worker_note_clock(worker, ati_coarse_ns());
    append(others_are_ready ? &worker->ready : &worker->yielded, &waiter);
    if (ready)
        ati_worker_hand_time_over(worker);
    leave_task(worker, &waiter, next);
}
