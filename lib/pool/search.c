/* SPDX-License-Identifier: MIT
 *
 * A cycle of waits is closed by the last of them to begin, and that one is searched after it has
 * begun, on whichever worker. So it is enough to search each wait once.
 *
 * The worker that has suspended it searches it before it sleeps: in a pool that comes to rest every
 * wait is searched, and no clock is needed. The timer is for pools that do not come to rest, and
 * is set only while there is a wait to be searched. On a virtual clock there is none: that would
 * drive the clock, and a wait that lasts while tasks compute lasts no time there. */
#include "pool/search.h"

#include "base/clock.h"
#include "pool/pool.h"
#include "pool/suspend.h"

static const at_duration lasting = AT_MILLISECONDS(100);

static _Atomic(ati_search_fn *) installed;

void ati_search_install(ati_search_fn *search) {
    if (atomic_load_explicit(&installed, memory_order_relaxed) != search)
        atomic_store_explicit(&installed, search, memory_order_relaxed);
}

static bool has_unsearched(const ati_worker *worker) {
    return atomic_load_explicit(&((ati_worker *)worker)->unsearched, memory_order_relaxed);
}

/* All waits are to be searched anew. */
static void restart(ati_worker *worker) {
    ati_waiter *oldest = NULL;
    ati_worker_lock_suspended(worker);
    for (ati_waiter *waiter = worker->suspended; waiter; waiter = waiter->older)
        if (waiter->is_provable)
            oldest = waiter;
    atomic_store_explicit(&worker->unsearched, oldest, memory_order_relaxed);
    ati_worker_unlock_suspended(worker);
}

static bool search(ati_worker *worker, int64_t moment) {
    ati_search_fn *function = atomic_load_explicit(&installed, memory_order_relaxed);
    bool well = function(worker, moment); /* whoever has marked a wait has installed it */
    if (!well)
        restart(worker);
    return well;
}

bool ati_search_own(ati_worker *worker) {
    if (!has_unsearched(worker))
        return false;
    bool well = search(worker, INT64_MAX);
    if (!well)
        ati_search_plan(worker);
    return well;
}

void ati_search_plan(ati_worker *worker) {
    at_pool *pool = worker->pool;
    ati_search *planned = &pool->search;
    if (atomic_load_explicit(&planned->is_planned, memory_order_relaxed) ||
        ati_clock_is_virtual(pool->options.clock) ||
        atomic_exchange_explicit(&planned->is_planned, true, memory_order_relaxed))
        return;
    int64_t moment = at_clock_now(pool->options.clock) + lasting;
    if (ati_timers_add(&pool->timers, &planned->timer, moment))
        worker->kept_time = true;
}

static void search_lasting(at_pool *pool) {
    atomic_store_explicit(&pool->search.is_planned, false, memory_order_relaxed);
    int64_t moment = ati_coarse_ns() - lasting;
    /* ORDER pool.workers: acquire. Sees the workers below the count.
     * Pairs with: release in add_worker(). If relaxed: reads an unwritten pointer. */
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_acquire);
    bool remain = false;
    for (uint32_t i = 0; i < count; i++) {
        if (has_unsearched(pool->workers[i]))
            (void)search(pool->workers[i], moment);
        remain |= has_unsearched(pool->workers[i]);
    }
    if (remain) {
        ati_search_plan(ati_worker_current);
        ati_worker_hand_time_over(ati_worker_current);
    }
}

void ati_search_expire(ati_pool_timer *timer) {
    ati_pool_start_chore((at_pool *)((char *)timer - offsetof(at_pool, search.timer)),
                         search_lasting);
}

bool ati_search_take(ati_worker *worker, int64_t moment,
                     void (*visit)(ati_waiter *waiter, void *context), void *context) {
    ati_worker_lock_suspended(worker);
    ati_waiter *waiter = atomic_load_explicit(&worker->unsearched, memory_order_relaxed);
    bool taken = waiter && waiter->since <= moment;
    if (taken) {
        if (waiter->is_provable)
            visit(waiter, context);
        do
            waiter = waiter->newer;
        while (waiter && !waiter->is_provable);
        atomic_store_explicit(&worker->unsearched, waiter, memory_order_relaxed);
    }
    ati_worker_unlock_suspended(worker);
    return taken;
}
