/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "pool/pool.h"

typedef struct audit_sums {
    uint64_t accepted;
    uint64_t running;
    uint64_t claimed;
    uint64_t tombstones;
    uint64_t queued;
} audit_sums;

static void add_outcomes(const ati_worker *worker, at_pool_audit_result *result) {
    result->succeeded += ati_counter_read(&worker->counts.succeeded);
    result->failed += ati_counter_read(&worker->counts.failed);
    result->cancelled += ati_counter_read(&worker->counts.cancelled);
}

static void add_work(const ati_worker *worker, audit_sums *sums) {
    sums->running += ati_counter_read(&worker->counts.running);
    sums->tombstones += ati_counter_read(&worker->counts.tombstones);
    sums->claimed += ati_counter_read(&worker->counts.claimed);
    sums->queued += ati_deque_size(&worker->deque);
    sums->accepted += ati_counter_read(&worker->counts.accepted);
}

static uint64_t read_overflow_queued(at_pool *pool) {
    return atomic_load_explicit(&pool->overflow.pushed, memory_order_relaxed) -
           atomic_load_explicit(&pool->overflow.taken, memory_order_relaxed);
}

/* Outcomes first, then what runs, then what is queued, then what was accepted: a task that moves on
 * meanwhile is missed, never counted twice. */
void at_pool_audit(at_pool *pool, at_pool_audit_result *result) {
    ATI_CALLER_CHECK(pool && result, "at_pool_audit", "`pool` or `result` is NULL");
    *result = (at_pool_audit_result){0};
    /* ORDER pool.workers: acquire. Sees the workers below the count.
     * Pairs with: release in add_worker(). If relaxed: reads an unwritten pointer. */
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++)
        add_outcomes(pool->workers[i], result);
    audit_sums sums = {0};
    for (uint32_t i = 0; i < count; i++)
        add_work(pool->workers[i], &sums);
    sums.queued += ati_injector_size(&pool->injector) + read_overflow_queued(pool);
    sums.accepted += ati_injector_pushed(&pool->injector) +
                     atomic_load_explicit(&pool->overflow.pushed, memory_order_relaxed);
    /* A claimed task was run by its waiter while its work still lies in a queue. */
    uint64_t claimed_and_queued = sums.claimed - sums.tombstones;
    result->accepted = sums.accepted;
    result->running = sums.running;
    result->pending = sums.queued > claimed_and_queued ? sums.queued - claimed_and_queued : 0;
    result->balanced = result->accepted == result->succeeded + result->failed + result->cancelled +
                                               result->pending + result->running;
}
