/* SPDX-License-Identifier: MIT */
/* A task moves from `accepted` through the injector or a deque to `running` and to its outcome. The
 * audit reads these places in the opposite order, each in all workers before the next: a task that
 * moves on meanwhile is missed, never counted twice. One exception: on its way from the injector to
 * a deque a work is seen in both (see idle.c, invariant 2), so `pending` is at most what is left.
 */
#include "base/check.h"
#include "pool/pool.h"

typedef uint64_t read_fn(const ati_worker *worker);

static uint64_t read_succeeded(const ati_worker *worker) {
    return ati_counter_read_after(&worker->counts.succeeded);
}

static uint64_t read_failed(const ati_worker *worker) {
    return ati_counter_read_after(&worker->counts.failed);
}

static uint64_t read_cancelled(const ati_worker *worker) {
    return ati_counter_read_after(&worker->counts.cancelled);
}

static uint64_t read_begun(const ati_worker *worker) {
    return ati_counter_read_after(&worker->counts.begun);
}

static uint64_t read_tombstones(const ati_worker *worker) {
    return ati_counter_read_after(&worker->counts.tombstones);
}

static uint64_t read_queued(const ati_worker *worker) {
    return ati_deque_size(&worker->deque);
}

static uint64_t read_claimed(const ati_worker *worker) {
    return ati_counter_read(&worker->counts.claimed);
}

static uint64_t read_accepted(const ati_worker *worker) {
    return ati_counter_read(&worker->counts.accepted);
}

static uint64_t read_claimed_unqueued(at_pool *pool) {
    return atomic_load_explicit(&pool->claimed_unqueued, memory_order_relaxed);
}

static uint64_t sum(at_pool *pool, read_fn *read) {
    uint32_t count = ati_pool_worker_count(pool);
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += read(pool->workers[i]);
    return total;
}

static uint64_t count_cancelled_outside(at_pool *pool) {
    /* ORDER pool.cancelled_outside: acquire. Who sees the change sees what was done before it.
     * Pairs with: release in ati_pool_count_cancelled(). If relaxed: a task is counted twice. */
    return atomic_load_explicit(&pool->cancelled_outside, memory_order_acquire);
}

/* What is queued, less the works of tasks that a wait has claimed: those have run, or are running,
 * while their works still lie in a queue. */
static uint64_t count_pending(at_pool *pool, uint64_t tombstones) {
    uint64_t queued = sum(pool, read_queued);
    queued += ati_injector_size(&pool->injector) + ati_overflow_size(pool);
    queued += ati_injector_size(&pool->high.injector) + ati_injector_size(&pool->low.injector);
    uint64_t claimed = sum(pool, read_claimed) + count_cancelled_outside(pool) - tombstones;
    return queued > claimed ? queued - claimed : 0;
}

void ati_pool_count_cancelled(at_pool *pool) {
    /* ORDER pool.cancelled_outside: release. Comes after the task was taken.
     * Pairs with: acquire in count_cancelled_outside(). If relaxed: a task is counted twice. */
    atomic_fetch_add_explicit(&pool->cancelled_outside, 1, memory_order_release);
}

void ati_pool_count_claimed_unqueued(at_pool *pool) {
    atomic_fetch_add_explicit(&pool->claimed_unqueued, 1, memory_order_relaxed);
}

void at_pool_audit(at_pool *pool, at_pool_audit_result *result) {
    ATI_CALLER_CHECK(pool && result, "at_pool_audit", "`pool` or `result` is NULL");
    *result = (at_pool_audit_result){0};
    result->succeeded = sum(pool, read_succeeded);
    result->failed = sum(pool, read_failed);
    result->cancelled = sum(pool, read_cancelled) + count_cancelled_outside(pool);
    uint64_t begun = sum(pool, read_begun) + count_cancelled_outside(pool);
    result->running = begun - result->succeeded - result->failed - result->cancelled;
    uint64_t tombstones = sum(pool, read_tombstones) + read_claimed_unqueued(pool);
    result->pending = count_pending(pool, tombstones);
    result->accepted = sum(pool, read_accepted) + ati_injector_pushed(&pool->injector) +
                       ati_injector_pushed(&pool->high.injector) +
                       ati_injector_pushed(&pool->low.injector) +
                       atomic_load_explicit(&pool->overflow.pushed, memory_order_relaxed) +
                       read_claimed_unqueued(pool);
    result->balanced = result->accepted == begun + result->pending;
    if (result->pending > result->accepted - begun)
        result->pending = result->accepted - begun;
}
