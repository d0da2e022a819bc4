/* SPDX-License-Identifier: MIT */
/* Purpose: while a worker sleeps, a call that is forked is found within some 100 microseconds; a
 * pool at rest uses no time; and a busy worker that forks small calls is not held up by those who
 * sleep and get up for nothing.
 *
 * A worker that is asked for a call (fork.c) hands one out at its next fork and wakes a sleeper,
 * which costs it some 20 microseconds, and forgets that it was asked. So sleepers ask rarely:
 *
 *   - While all workers are asked, everybody may sleep without a limit.
 *   - Once one has answered, a worker that falls asleep watches: it takes short naps and looks at
 *     the forks of the others in between, which costs those nearly nothing. After a millisecond
 *     without work it asks all again, and sleeps if it sees no call that was forked before. That
 *     time doubles each time that it was woken for nothing.
 *   - One watches at a time. The others sleep without a limit: the watcher does for all.
 *
 * Invariants
 *   1. While a worker sleeps, all are asked, or one searches, or one watches. Who answers sets
 *      has_answer (seq_cst) and then reads the counts: it wakes a sleeper unless one searches. Who
 *      stops searching or watching changes the counts (seq_cst) and then reads has_answer and
 *      is_watched: it wakes a sleeper, or, to sleep itself, watches or asks all.
 *   2. Whoever asks all has announced its sleep before, and looks at all forks afterwards: what was
 *      forked before is seen, and taken in the end by force; what is forked later is handed out and
 *      wakes.
 *
 * Checked by: tests/model/pool_model.c, tests/plain/fork_idle_test.c, tests/unit/fork_test.c. */
#include "base/clock.h"
#include "pool/pool.h"

static const at_duration nap_time = AT_MICROSECONDS(50);
static const at_duration watch_time = AT_MILLISECONDS(1); /* then doubled */
static const uint32_t watch_doublings = 3;

/* Whether some worker may not be asked. */
static bool has_answer(ati_fork_market *market) {
    /* ORDER fork.has_answer: seq_cst. Comes after the change of the counts.
     * Pairs with: seq_cst in answer(). If relaxed: as invariant 1. */
    return atomic_load_explicit(&market->has_answer, memory_order_seq_cst);
}

bool ati_fork_needs_watch(at_pool *pool) {
    ati_fork_market *market = &pool->fork_market;
    return has_answer(market) && !atomic_load_explicit(&market->is_watched, memory_order_relaxed);
}

/* True: this worker is the one that watches. */
static bool begin_watch(ati_worker *worker) {
    ati_fork_market *market = &worker->pool->fork_market;
    worker->forks.is_watching =
        !atomic_exchange_explicit(&market->is_watched, true, memory_order_relaxed);
    return worker->forks.is_watching;
}

void ati_fork_end_watch(ati_worker *worker) {
    if (!worker->forks.is_watching)
        return;
    worker->forks.is_watching = false;
    atomic_store_explicit(&worker->pool->fork_market.is_watched, false, memory_order_relaxed);
}

void ati_fork_found_work(ati_worker *worker) {
    worker->forks.watch_began = 0;
    worker->forks.vain_count = 0;
}

/* Whether the watch goes on; with nobody awake there is nothing to watch. */
static bool may_nap(ati_worker *worker, int64_t now) {
    ati_forks *forks = &worker->forks;
    uint64_t counts = atomic_load_explicit(&worker->pool->idle.counts, memory_order_relaxed);
    uint32_t doublings = forks->vain_count < watch_doublings ? forks->vain_count : watch_doublings;
    if (forks->watch_began == 0)
        forks->watch_began = now;
    return ati_idle_awake(counts) > 0 && now - forks->watch_began < watch_time << doublings;
}

/* Asks all workers, so that everybody may sleep. False: there is a call that was forked before. */
static bool ask_all(at_pool *pool) {
    ati_fork_ask_all(pool);
    if (!ati_pool_has_forks(pool))
        return true;
    atomic_store_explicit(&pool->fork_market.has_answer, true, memory_order_relaxed);
    return false;
}

int64_t ati_fork_watch(ati_worker *worker) {
    ati_forks *forks = &worker->forks;
    ati_fork_market *market = &worker->pool->fork_market;
    if (!has_answer(market) || !begin_watch(worker))
        return AT_FOREVER;
    int64_t now = ati_monotonic_ns();
    if (may_nap(worker, now) || !ask_all(worker->pool))
        return now + nap_time;
    forks->watch_began = 0;
    forks->vain_count++;
    ati_fork_end_watch(worker);
    return AT_FOREVER;
}
