/* SPDX-License-Identifier: MIT */
/* Purpose: what has high or low priority. Each has a queue for the whole pool, beside the deques
 * and the injector for the rest, so that tasks of normal priority pay one look at a word that is
 * hardly ever written.
 *
 * Works of low priority run on all workers but one, so that a flood of long ones leaves a worker
 * for the others. A worker takes its place (low_count) before it takes such a work. Forks of such
 * tasks are in the deques; whoever meets one there and finds no place puts it into the queue.
 *
 * Invariants
 *   1. `queued` is raised before a work can be taken and lowered after it was: a worker that finds
 *      0 after it has announced its sleep overlooks none.
 *   2. A worker that finds all places taken may fall asleep on works of low priority. Who leaves a
 *      place wakes one if works are left: it lowers low_count (seq_cst) before it looks at `queued`
 *      and at the sleepers, who look at low_count (seq_cst) after they have announced themselves.
 *   3. Who has found no place, puts a work into the queue (seq_cst) and looks at low_count again
 *      (seq_cst): either it sees the place that was left, or who has left it sees the work.
 *   4. A worker falls asleep on the private forks of a low task too, and a task that forks when all
 *      are asked gives none away, if all places are taken. Both look at low_count (seq_cst) after
 *      the fork can be seen; who leaves the only place lowers low_count (seq_cst) and then looks at
 *      the forks: it wakes one if there are any.
 *
 * So a call that a low task forks is taken as soon as a low task may run on one more worker; with
 * one or two workers, which have one place, its own task makes it.
 *
 * Checked by: tests/unit/pool_priority_test.c, tests/stress/pool_priority_test.c. */
#include "pool/pool.h"

enum { lane_shards = 4 };

ati_lane ati_lane_of(at_priority priority) {
    switch (priority) {
    case AT_PRIORITY_HIGH:
        return ATI_LANE_HIGH;
    case AT_PRIORITY_LOW:
        return ATI_LANE_LOW;
    case AT_PRIORITY_NORMAL:
        return ATI_LANE_NORMAL;
    default:
        return ati_lane_inherited();
    }
}

bool ati_lane_init(ati_priority_lane *lane) {
    return ati_injector_init(&lane->injector, lane_shards);
}

void ati_lane_deinit(ati_priority_lane *lane) {
    if (lane->injector.shards)
        ati_injector_deinit(&lane->injector);
}

static bool is_queued(ati_priority_lane *lane) {
    /* ORDER lane.queued: seq_cst. Comes after the announcement of a sleep, or after a place was
     * left. Pairs with: seq_cst in push_shard(). If relaxed: a worker sleeps on work. */
    return atomic_load_explicit(&lane->queued, memory_order_seq_cst) != 0;
}

bool ati_lane_has_work(at_pool *pool) {
    if (is_queued(&pool->high))
        return true;
    /* ORDER lane.low_count: seq_cst. Comes after the announcement of a sleep.
     * Pairs with: seq_cst in ati_lane_leave_low(). If relaxed: as invariant 2. */
    return is_queued(&pool->low) &&
           atomic_load_explicit(&pool->low_count, memory_order_seq_cst) < pool->low_limit;
}

bool ati_lane_enter_low(at_pool *pool) {
    uint32_t count = atomic_load_explicit(&pool->low_count, memory_order_relaxed);
    while (count < pool->low_limit)
        if (atomic_compare_exchange_weak_explicit(&pool->low_count, &count, count + 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

/* It was not started again: the injector counts it once more. False: no memory. */
static bool put_back(ati_worker *worker, const ati_work *work) {
    at_pool *pool = worker->pool;
    ati_injector *injector = &pool->low.injector;
    ati_injector_shard *shard = ati_injector_open(injector);
    bool reserved = ati_injector_reserve(shard, 1);
    if (reserved) {
        ati_counter_add(&worker->counts.accepted, (uint64_t)-1);
        if (pool->options.queue_bound != AT_UNLIMITED)
            atomic_fetch_add_explicit(&pool->bounded_count, 1, memory_order_relaxed);
        /* ORDER lane.queued: seq_cst. Comes before the look at low_count.
         * Pairs with: seq_cst in is_queued(). If relaxed: as invariant 3. */
        atomic_fetch_add_explicit(&pool->low.queued, 1, memory_order_seq_cst);
        ati_injector_write(shard, work);
        (void)ati_injector_publish(shard, 1);
    }
    ati_injector_close(injector, shard);
    return reserved;
}

bool ati_lane_admit_low(ati_worker *worker, const ati_work *work) {
    at_pool *pool = worker->pool;
    if (ati_lane_enter_low(pool))
        return true;
    if (!put_back(worker, work)) {
        ati_lane_return_to_low(pool); /* rather one too many than none */
        return true;
    }
    if (ati_lane_has_work(pool))
        ati_idle_notify(pool, &pool->idle);
    return false;
}

void ati_lane_leave_low(at_pool *pool) {
    /* ORDER lane.low_count: seq_cst. Comes before the look at the queue and the sleepers.
     * Pairs with: seq_cst in ati_lane_has_work() and ati_lane_has_place(). If relaxed: as
     * invariants 2 and 4. */
    uint32_t before = atomic_fetch_sub_explicit(&pool->low_count, 1, memory_order_seq_cst);
    if (is_queued(&pool->low) || (before == pool->low_limit && ati_pool_has_forks(pool)))
        ati_idle_notify(pool, &pool->idle);
}
