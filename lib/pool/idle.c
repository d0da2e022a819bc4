/* SPDX-License-Identifier: MIT */
/* Purpose: no worker sleeps while work waits, and nobody is woken for nothing. Waking costs some
 * 20 microseconds, so a producer wakes at most one worker, only when it made an empty queue
 * non-empty, and only when nobody is looking for work already; whoever was woken and has found work
 * wakes the next while more remains. Sleepers form a stack: the one woken is the one whose caches
 * are warmest. Whoever falls asleep while nobody keeps the next timer sleeps until it is due, at
 * the bottom of the stack: there it is woken for work only when all others are awake, who look at
 * the timers themselves. So the moments of the sleepers are ordered, the next one at the bottom.
 *
 * Each worker is in one of these states:
 *
 *   running -start_searching-> searching -stop_searching-> running
 *   running, searching -sleep-> sleeping -wake_one, get_up, time-> searching
 *
 * Invariants
 *   1. A producer publishes (seq_cst), then reads `counts`. A worker changes `counts` (seq_cst),
 *      then looks at every queue: in ati_idle_sleep and, as the last searcher, in
 *      ati_idle_stop_searching. So either the producer sees the worker no longer searching and
 *      wakes a sleeper, or the worker sees the work and wakes one.
 *   2. Whoever takes work out of one queue to put it into another makes it visible in the second
 *      before it is gone from the first.
 *   3. A queue that has been non-empty since it was last empty was seen by a searcher since: the
 *      one that its first work woke or found. So only the first work needs a look at `counts`.
 *   4. Who wakes a suspended task puts it into its worker's inbox (seq_cst), then reads `asleep`;
 *      the worker sets `asleep` (seq_cst), then looks at its inbox. So one of the two sees the
 *      other.
 *   5. Who sets the earliest timer publishes it (seq_cst), then reads `kept`; a worker that falls
 *      asleep sets `kept` (seq_cst), then reads the earliest timer again. So no timer is earlier
 *      than what is kept, unless an awake worker looks at the timers before it runs a task.
 *
 * Source: the counts and the hand-over follow the idea of Go's and tokio's schedulers (D. Vyukov,
 * "Scalable Go Scheduler Design", 2012).
 *
 * Checked by: tests/model/pool_model.c, tests/stress/pool_start_test.c,
 * tests/stress/pool_suspend_test.c, tests/plain/pool_idle_test.c. */
#include "pool/idle.h"

#include "base/clock.h"
#include "pool/pool.h"
#include "pool/suspend.h"

static const at_duration retirement = AT_SECONDS(1);

/* What ati_coarse_ns() may be behind. */
static const at_duration coarse_step = AT_MILLISECONDS(10);

/* -- The stack of sleepers; all under the lock -- */

static void push_top(ati_idle *idle, ati_worker *worker) {
    worker->above = NULL;
    worker->below = idle->top;
    if (idle->top)
        idle->top->above = worker;
    else
        idle->bottom = worker;
    idle->top = worker;
}

/* Tasks wait on this worker: below all those that have none, because whoever is woken for new work
 * may be kept from them. */
static void push_below_free(ati_idle *idle, ati_worker *worker) {
    ati_worker *below = idle->top;
    while (below && below->sleeps_until == AT_FOREVER &&
           ati_counter_read(&below->suspended_count) == 0)
        below = below->below;
    worker->below = below;
    worker->above = below ? below->above : idle->bottom;
    if (worker->above)
        worker->above->below = worker;
    else
        idle->top = worker;
    if (below)
        below->above = worker;
    else
        idle->bottom = worker;
}

static void push_bottom(ati_idle *idle, ati_worker *worker) {
    worker->below = NULL;
    worker->above = idle->bottom;
    if (idle->bottom)
        idle->bottom->below = worker;
    else
        idle->top = worker;
    idle->bottom = worker;
}

static void update_kept(ati_idle *idle) {
    /* ORDER idle.kept: seq_cst. Comes before the second look at the earliest timer.
     * Pairs with: seq_cst in ati_idle_keep_time(). If release: as invariant 5. */
    atomic_store_explicit(&idle->kept, idle->bottom ? idle->bottom->sleeps_until : AT_FOREVER,
                          memory_order_seq_cst);
}

/* Takes a sleeper off the stack and counts it as searching. */
static void get_up(ati_idle *idle, ati_worker *worker) {
    idle->sound_spares -= worker->sleeps_soundly;
    worker->sleeps_soundly = false;
    if (worker->above)
        worker->above->below = worker->below;
    else
        idle->top = worker->below;
    if (worker->below)
        worker->below->above = worker->above;
    else
        idle->bottom = worker->above;
    worker->kept_time = worker->sleeps_until < AT_FOREVER;
    if (worker->kept_time)
        update_kept(idle);
    atomic_store_explicit(&worker->asleep, false, memory_order_relaxed);
    ati_pool_enter_clock(worker->pool);
    /* ORDER idle.counts: seq_cst. Announces the searcher before producers pass it by.
     * Pairs with: seq_cst in ati_idle_notify(). If relaxed: as invariant 1. */
    atomic_fetch_add_explicit(&idle->counts,
                              ATI_IDLE_AWAKE - ATI_IDLE_SLEEPING + ATI_IDLE_SEARCHING,
                              memory_order_seq_cst);
}

/* -- Waking -- */

void ati_idle_wake_one(at_pool *pool) {
    ati_idle *idle = &pool->idle;
    ati_lock_acquire(&idle->lock);
    ati_worker *worker = idle->top;
    uint64_t counts = atomic_load_explicit(&idle->counts, memory_order_relaxed);
    if (worker && ati_idle_searching(counts) == 0)
        get_up(idle, worker);
    else
        worker = NULL;
    ati_lock_release(&idle->lock);
    if (worker)
        ati_worker_wake(worker);
}

/* Gets this very sleeper up. False: it was not asleep any more. */
static bool get_up_alone(ati_worker *worker) {
    ati_idle *idle = &worker->pool->idle;
    ati_lock_acquire(&idle->lock);
    bool slept = atomic_load_explicit(&worker->asleep, memory_order_relaxed);
    if (slept)
        get_up(idle, worker);
    ati_lock_release(&idle->lock);
    return slept;
}

bool ati_idle_get_up(ati_worker *worker) {
    /* ORDER idle.asleep: seq_cst. Comes after the push into the inbox.
     * Pairs with: seq_cst in enter_sleep(). If acquire: as invariant 4. */
    if (!atomic_load_explicit(&worker->asleep, memory_order_seq_cst) || !get_up_alone(worker))
        return false;
    ati_worker_signal(worker);
    return true;
}

void ati_pool_ask_to_look(at_pool *pool) {
    /* ORDER pool.workers: acquire. Sees the workers below the count.
     * Pairs with: release in add_worker(). If relaxed: reads an unwritten pointer. */
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++)
        ati_worker_ask_to_look(pool->workers[i]);
}

bool ati_idle_wake_for_time(at_pool *pool) {
    ati_idle *idle = &pool->idle;
    ati_lock_acquire(&idle->lock);
    ati_worker *worker = idle->bottom; /* who keeps the time now, if anybody does */
    if (worker)
        get_up(idle, worker);
    ati_lock_release(&idle->lock);
    if (worker)
        ati_worker_wake(worker);
    else
        ati_pool_ask_to_look(pool);
    return worker;
}

void ati_idle_keep_time(at_pool *pool) {
    if (ati_clock_is_virtual(pool->options.clock)) {
        ati_pool_ask_to_look(
            pool); /* it looks itself, when the last has left it: who is busy has not */
        return;
    }
    int64_t next = ati_timers_next(&pool->timers);
    /* ORDER idle.kept: seq_cst. Comes after the store of the earliest timer.
     * Pairs with: seq_cst in update_kept(). If acquire: as invariant 5. */
    if (next < atomic_load_explicit(&pool->idle.kept, memory_order_seq_cst))
        (void)ati_idle_wake_for_time(pool);
}

void ati_idle_wake_all(at_pool *pool) {
    ati_idle *idle = &pool->idle;
    ati_lock_acquire(&idle->lock);
    /* Inside the lock: the time of a sleeper may be over at this very moment. */
    while (idle->top) {
        ati_worker *worker = idle->top;
        get_up(idle, worker);
        ati_worker_wake(worker);
    }
    ati_lock_release(&idle->lock);
}

/* -- Searching -- */

bool ati_idle_start_searching(ati_idle *idle) {
    uint64_t counts = atomic_load_explicit(&idle->counts, memory_order_relaxed);
    while (ati_idle_searching(counts) < idle->searching_limit)
        /* ORDER idle.counts: seq_cst. Pairs with: seq_cst in ati_idle_notify(): from here on
         * producers pass this worker by. If relaxed: no harm, but one rule for one word. */
        if (atomic_compare_exchange_weak_explicit(&idle->counts, &counts,
                                                  counts + ATI_IDLE_SEARCHING, memory_order_seq_cst,
                                                  memory_order_relaxed))
            return true;
    return false;
}

void ati_idle_stop_searching(at_pool *pool) {
    /* ORDER idle.counts: seq_cst. Comes before the look at the queues.
     * Pairs with: seq_cst in ati_idle_notify(). If relaxed: as invariant 1. */
    uint64_t before =
        atomic_fetch_sub_explicit(&pool->idle.counts, ATI_IDLE_SEARCHING, memory_order_seq_cst);
    if (ati_idle_searching(before) == 1 && ati_idle_sleeping(before) != 0 &&
        (ati_pool_has_work(pool) || ati_fork_needs_watch(pool)))
        ati_idle_wake_one(pool);
}

/* -- Sleeping -- */

/* A spare worker sleeps for a time only while there are more threads than wanted: then it parks.
 * One that has tasks of its own to go on with stays. */
static void set_retirement(ati_worker *worker) {
    at_pool *pool = worker->pool;
    bool may_retire = worker->is_spare && ati_counter_read(&worker->suspended_count) == 0;
    bool retires = atomic_load_explicit(&pool->surplus, memory_order_relaxed) > 0;
    worker->retires_at = may_retire && retires ? ati_monotonic_ns() + retirement : AT_FOREVER;
    worker->sleeps_soundly = may_retire && !retires;
    pool->idle.sound_spares += worker->sleeps_soundly;
}

void ati_idle_note_surplus(at_pool *pool) {
    ati_idle *idle = &pool->idle;
    ati_lock_acquire(&idle->lock);
    ati_worker *worker = idle->sound_spares > 0 ? idle->top : NULL;
    while (worker && !worker->sleeps_soundly)
        worker = worker->below;
    if (worker)
        get_up(idle, worker);
    ati_lock_release(&idle->lock);
    if (worker)
        ati_worker_wake(worker);
}

/* Falls asleep, as the keeper of time if that is needed. */
static void enter_sleep(ati_worker *worker, bool searching) {
    at_pool *pool = worker->pool;
    ati_idle *idle = &pool->idle;
    ati_lock_acquire(&idle->lock);
    int64_t next = ati_timers_next(&pool->timers);
    bool keeps = next < atomic_load_explicit(&idle->kept, memory_order_relaxed);
    worker->sleeps_until = keeps ? next : AT_FOREVER;
    if (keeps)
        push_bottom(idle, worker);
    else if (ati_counter_read(&worker->suspended_count) > 0)
        push_below_free(idle, worker);
    else
        push_top(idle, worker);
    update_kept(idle);
    set_retirement(worker);
    /* ORDER idle.asleep: seq_cst. Comes before the look at the inbox.
     * Pairs with: seq_cst in ati_idle_get_up(). If release: as invariant 4. */
    atomic_store_explicit(&worker->asleep, true, memory_order_seq_cst);
    uint64_t change = ATI_IDLE_SLEEPING - ATI_IDLE_AWAKE - (searching ? ATI_IDLE_SEARCHING : 0);
    /* ORDER idle.counts: seq_cst. Comes before the last look at the queues.
     * Pairs with: seq_cst in ati_idle_notify(). If relaxed: as invariant 1. */
    uint64_t counts =
        atomic_fetch_add_explicit(&idle->counts, change, memory_order_seq_cst) + change;
    ati_lock_release(&idle->lock);
    if (ati_idle_awake(counts) == 0)
        ati_pool_come_to_rest(pool);
}

/* Whether there is something to do that this worker may have overlooked when it fell asleep. */
static bool is_needed(ati_worker *worker) {
    at_pool *pool = worker->pool;
    return !ati_inbox_is_empty(worker) ||
           ati_timers_next(&pool->timers) <
               atomic_load_explicit(&pool->idle.kept, memory_order_relaxed);
}

/* Until woken, or until the moment that it keeps, or until `nap`. A virtual clock wakes when it
 * gets there. */
static void wait_for_signal(ati_worker *worker, int64_t nap) {
    bool is_real = !ati_clock_is_virtual(worker->pool->options.clock);
    bool keeps = is_real && worker->sleeps_until < nap;
    int64_t until = keeps ? worker->sleeps_until : nap;
    /* Another fires what is due. To fall asleep would only cost the time to get up. */
    bool is_over = keeps && until <= ati_monotonic_ns();
    /* ORDER worker.signal: acquire. Pairs with: release in ati_worker_wake(). If relaxed: it goes
     * on with stale state. */
    ati_counter_add(&worker->counts.sleeps, 1);
    while (atomic_load_explicit(&worker->signal, memory_order_acquire) == 0) {
        if (!is_over && ati_futex_wait(&worker->signal, 0, until))
            continue;
        if (get_up_alone(worker))
            return;
        is_over = false;
        until = AT_FOREVER; /* the signal is on its way */
    }
    ati_counter_add(&worker->counts.wakes, 1);
    atomic_store_explicit(&worker->signal, 0, memory_order_relaxed);
}

/* The last look, behind the announcement of its sleep. True: it has got up again. */
static bool look_once_more(ati_worker *worker, int64_t *nap) {
    at_pool *pool = worker->pool;
    if (is_needed(worker) && get_up_alone(worker))
        return true;
    *nap = ati_fork_watch(worker);
    if (ati_pool_has_work(pool))
        ati_idle_wake_one(pool); /* itself, as like as not */
    return false;
}

/* One of those that sleep gets up in time to return the memory of stacks (see stacks.c). True: it
 * is this one. */
static bool begin_stack_watch(at_pool *pool, int64_t *nap) {
    ati_stacks *stacks = &pool->stacks;
    int64_t return_at = ati_stacks_return_at(stacks);
    if (return_at == AT_FOREVER ||
        atomic_exchange_explicit(&stacks->is_watched, true, memory_order_relaxed))
        return false;
    if (return_at + coarse_step < *nap)
        *nap = return_at + coarse_step;
    return true;
}

bool ati_idle_sleep(ati_worker *worker, bool searching) {
    at_pool *pool = worker->pool;
    int64_t nap;
    ati_context_stock_return(); /* a pool at rest keeps no operation */
    enter_sleep(worker, searching);
    bool is_up = look_once_more(worker, &nap);
    ati_pool_leave_clock(pool); /* whoever has got up has entered anew */
    if (is_up)
        return true;
    /* Set before ati_idle_wake_all took the lock: seen by whoever came later. */
    if (atomic_load_explicit(&pool->ending, memory_order_relaxed)) {
        (void)get_up_alone(worker);
        return false;
    }
    bool returns_stacks = begin_stack_watch(pool, &nap);
    wait_for_signal(worker, worker->retires_at < nap ? worker->retires_at : nap);
    if (returns_stacks)
        atomic_store_explicit(&pool->stacks.is_watched, false, memory_order_relaxed);
    ati_fork_end_watch(worker);
    return !atomic_load_explicit(&pool->ending, memory_order_relaxed);
}

/* -- Rest -- */

bool ati_idle_is_at_rest(at_pool *pool) {
    ati_idle *idle = &pool->idle;
    ati_lock_acquire(&idle->lock);
    /* Who is asleep gets up under the lock: while nobody is awake, nobody takes work, resumes a
     * task or fires a timer. */
    uint64_t counts = atomic_load_explicit(&idle->counts, memory_order_relaxed);
    bool rests = ati_idle_awake(counts) == 0 && !ati_pool_has_work(pool) &&
                 !ati_pool_has_suspended(pool) && !ati_timers_has_tasks(&pool->timers);
    if (rests && atomic_load_explicit(&pool->state, memory_order_relaxed) != ATI_POOL_RUNNING)
        atomic_store_explicit(&pool->has_rested, true, memory_order_relaxed);
    ati_lock_release(&idle->lock);
    return rests;
}
