/* SPDX-License-Identifier: MIT */
/* Purpose: no worker sleeps while work waits, and nobody is woken for nothing. Waking costs some
 * 20 microseconds, so a producer wakes at most one worker, only when it made an empty queue
 * non-empty, and only when nobody is looking for work already; whoever was woken and has found work
 * wakes the next while more remains. Sleepers form a stack: the one woken is the one whose caches
 * are warmest.
 *
 * Each worker is in one of these states:
 *
 *   running -start_searching-> searching -stop_searching-> running
 *   running, searching -sleep-> sleeping -wake_one-> searching
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
 *
 * Source: the counts and the hand-over follow the idea of Go's and tokio's schedulers (D. Vyukov,
 * "Scalable Go Scheduler Design", 2012).
 *
 * Checked by: tests/model/pool_model.c, tests/stress/pool_start_test.c,
 * tests/plain/pool_idle_test.c. */
#include "pool/idle.h"

#include "pool/pool.h"

/* Pops the top sleeper and counts it as searching; NULL if none sleeps or another one searches. */
static ati_worker *pop_sleeper(ati_idle *idle) {
    ati_lock_acquire(&idle->lock);
    ati_worker *worker = idle->top;
    uint64_t counts = atomic_load_explicit(&idle->counts, memory_order_relaxed);
    if (worker && ati_idle_searching(counts) == 0) {
        idle->top = worker->below;
        /* ORDER idle.counts: seq_cst. Announces the searcher before producers pass it by.
         * Pairs with: seq_cst in ati_idle_notify(). If relaxed: as invariant 1. */
        atomic_fetch_add_explicit(&idle->counts,
                                  ATI_IDLE_AWAKE - ATI_IDLE_SLEEPING + ATI_IDLE_SEARCHING,
                                  memory_order_seq_cst);
    } else {
        worker = NULL;
    }
    ati_lock_release(&idle->lock);
    return worker;
}

void ati_idle_wake_one(at_pool *pool) {
    ati_worker *worker = pop_sleeper(&pool->idle);
    if (worker)
        ati_worker_wake(worker);
}

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
        ati_pool_has_work(pool))
        ati_idle_wake_one(pool);
}

bool ati_idle_sleep(ati_worker *worker, bool searching) {
    at_pool *pool = worker->pool;
    ati_idle *idle = &pool->idle;
    ati_lock_acquire(&idle->lock);
    worker->below = idle->top;
    idle->top = worker;
    uint64_t change = ATI_IDLE_SLEEPING - ATI_IDLE_AWAKE - (searching ? ATI_IDLE_SEARCHING : 0);
    /* ORDER idle.counts: seq_cst. Comes before the last look at the queues and at the state.
     * Pairs with: seq_cst in ati_idle_notify() and is_at_rest(). If relaxed: as
     * invariant 1, and a shutdown that waits for ever. */
    uint64_t counts =
        atomic_fetch_add_explicit(&idle->counts, change, memory_order_seq_cst) + change;
    ati_lock_release(&idle->lock);
    if (ati_idle_awake(counts) == 0)
        ati_pool_come_to_rest(pool);
    if (atomic_load_explicit(&pool->fork_market.is_open, memory_order_relaxed) &&
        !atomic_load_explicit(&pool->fork_market.is_asked, memory_order_relaxed))
        ati_fork_ask_all(pool);
    if (ati_pool_has_work(pool) || ati_pool_has_forks(pool))
        ati_idle_wake_one(pool); /* itself, as like as not */
    if (atomic_load_explicit(&pool->ending, memory_order_relaxed))
        return false; /* set before ati_idle_wake_all took the lock: seen by whoever came later */
    /* ORDER worker.signal: acquire. Pairs with: release in ati_worker_wake(). If relaxed: it goes
     * on with stale state. */
    while (atomic_load_explicit(&worker->signal, memory_order_acquire) == 0)
        ati_futex_wait(&worker->signal, 0, AT_FOREVER);
    atomic_store_explicit(&worker->signal, 0, memory_order_relaxed);
    return !atomic_load_explicit(&pool->ending, memory_order_relaxed);
}

void ati_idle_wake_all(at_pool *pool) {
    ati_idle *idle = &pool->idle;
    ati_lock_acquire(&idle->lock);
    ati_worker *worker = idle->top;
    idle->top = NULL;
    ati_lock_release(&idle->lock);
    while (worker) {
        ati_worker *next = worker->below;
        ati_worker_wake(worker);
        worker = next;
    }
}
