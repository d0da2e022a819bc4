/* SPDX-License-Identifier: MIT */
/* Purpose: a task that blocks its thread does not take a worker away from the pool. While it
 * blocks, a spare worker with a thread and a deque of its own takes its place; when it goes on,
 * there is one thread too many, and the next spare worker without work parks.
 *
 * surplus = threads at work (not blocked, not parked) - thread_count, never below 0. It and the
 * lists are guarded by spares_lock; each thread at work counts as awake or asleep in idle.counts,
 * a blocked one as awake.
 *
 * A spare worker that sleeps when there comes to be a surplus gets up once, and sleeps for a second
 * only: short sections cost no wakes, and it parks if it is not needed by then. While it is needed
 * it sleeps without a limit.
 *
 * States of a spare worker:
 *   none -create-> at work -park-> parked -unpark-> at work
 *   parked -one second without need-> ended -revive-> at work */
#include "base/clock.h"
#include "base/error.h"
#include "pool/pool.h"

static const at_duration parked_time = AT_SECONDS(1);

/* All under spares_lock. */

static uint32_t read_surplus(at_pool *pool) {
    return atomic_load_explicit(&pool->surplus, memory_order_relaxed);
}

static void add_surplus(at_pool *pool, int change) {
    atomic_store_explicit(&pool->surplus, read_surplus(pool) + (uint32_t)change,
                          memory_order_relaxed);
}

static void count_awake(at_pool *pool) {
    atomic_fetch_add_explicit(&pool->idle.counts, ATI_IDLE_AWAKE, memory_order_relaxed);
}

static void count_parked(at_pool *pool) {
    /* ORDER idle.counts: seq_cst. Comes before the look at the state.
     * Pairs with: seq_cst in set_state(). If relaxed: a shutdown that waits for ever. */
    uint64_t before =
        atomic_fetch_sub_explicit(&pool->idle.counts, ATI_IDLE_AWAKE, memory_order_seq_cst);
    if (ati_idle_awake(before) == 1)
        ati_pool_come_to_rest(pool);
}

/* Takes a parked spare off the list; the caller wakes it outside the lock. */
static ati_worker *unpark(at_pool *pool) {
    ati_worker *worker = pool->spares;
    if (!worker)
        return NULL;
    pool->spares = worker->below;
    worker->is_parked = false;
    ati_pool_enter_clock(pool);
    count_awake(pool);
    return worker;
}

static void remove_parked(at_pool *pool, ati_worker *worker) {
    ati_worker **link = &pool->spares;
    while (*link != worker)
        link = &(*link)->below;
    *link = worker->below;
    worker->is_parked = false;
}

static ati_worker *add_worker(at_pool *pool) {
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_relaxed);
    if (count == pool->worker_limit)
        return NULL;
    ati_worker *worker = ati_worker_create(pool, count, true);
    if (!worker)
        return NULL;
    pool->workers[count] = worker;
    /* ORDER pool.workers: release. Publishes the worker.
     * Pairs with: acquire in steal() and ati_pool_has_work(). If relaxed: a thief reads an
     * unwritten pointer. */
    atomic_store_explicit(&pool->worker_count, count + 1, memory_order_release);
    return worker;
}

/* Finds a spare worker that a thread may be started on: one whose thread has ended, or a new one.
 */
static ati_worker *reserve_spare(at_pool *pool) {
    if (pool->spare_count == (uint32_t)pool->options.max_spares)
        return NULL;
    ati_worker *worker = pool->ended;
    if (worker)
        pool->ended = worker->below;
    else
        worker = add_worker(pool);
    if (worker) {
        worker->has_ended = false;
        if (++pool->spare_count > pool->max_spare_count)
            pool->max_spare_count = pool->spare_count;
    }
    return worker;
}

/* Has no thread from now on, or soon. */
static void end_spare(at_pool *pool, ati_worker *worker) {
    pool->spare_count--;
    worker->has_ended = true;
    worker->below = pool->ended;
    pool->ended = worker;
}

/* Outside the lock: the thread that ends may still be in the user's hook. */
static bool start_spare(at_pool *pool, ati_worker *worker) {
    if (worker->has_thread)
        pthread_join(worker->thread, NULL);
    count_awake(pool);
    worker->has_thread = ati_pool_start_thread(pool, worker);
    if (worker->has_thread)
        return true;
    atomic_fetch_sub_explicit(&pool->idle.counts, ATI_IDLE_AWAKE, memory_order_relaxed);
    ati_lock_acquire(&pool->spares_lock);
    end_spare(pool, worker);
    ati_lock_release(&pool->spares_lock);
    return false;
}

bool ati_pool_block_begin(ati_worker *worker) {
    at_pool *pool = worker->pool;
    ati_worker *unparked = NULL;
    ati_worker *reserved = NULL;
    ati_lock_acquire(&pool->spares_lock);
    bool replaced = read_surplus(pool) > 0;
    if (replaced)
        add_surplus(pool, -1);
    else if (!(unparked = unpark(pool)))
        reserved = reserve_spare(pool);
    ati_lock_release(&pool->spares_lock);
    if (unparked)
        ati_worker_wake(unparked);
    return replaced || unparked || (reserved && start_spare(pool, reserved));
}

void ati_pool_block_end(ati_worker *worker) {
    at_pool *pool = worker->pool;
    ati_lock_acquire(&pool->spares_lock);
    add_surplus(pool, 1);
    ati_lock_release(&pool->spares_lock);
    ati_idle_note_surplus(pool);
}

/* False: there is no surplus any more. */
static bool enter_park(at_pool *pool, ati_worker *worker) {
    ati_lock_acquire(&pool->spares_lock);
    bool parks = read_surplus(pool) > 0;
    if (parks) {
        add_surplus(pool, -1);
        worker->below = pool->spares;
        pool->spares = worker;
        worker->is_parked = true;
        count_parked(pool);
    }
    ati_lock_release(&pool->spares_lock);
    return parks;
}

/* The time is up. False: it was unparked in the meantime. */
static bool end_parked(at_pool *pool, ati_worker *worker) {
    ati_lock_acquire(&pool->spares_lock);
    bool ends = worker->is_parked;
    if (ends) {
        remove_parked(pool, worker);
        end_spare(pool, worker);
        ati_pool_enter_clock(pool);
    }
    ati_lock_release(&pool->spares_lock);
    return ends;
}

bool ati_spare_park(ati_worker *worker) {
    at_pool *pool = worker->pool;
    ati_context_stock_return();
    if (!enter_park(pool, worker))
        return true;
    /* It may have been the one that was woken for work that still lies there. */
    if (ati_pool_has_work(pool))
        ati_idle_notify(pool, &pool->idle);
    ati_pool_leave_clock(pool);
    at_deadline until = ati_monotonic_ns() + parked_time;
    /* ORDER worker.signal: acquire. Pairs with: release in ati_worker_wake(). If relaxed: it goes
     * on with stale state. */
    while (atomic_load_explicit(&worker->signal, memory_order_acquire) == 0) {
        if (ati_futex_wait(&worker->signal, 0, until))
            continue;
        if (end_parked(pool, worker))
            return false;
        until = AT_FOREVER; /* the signal is on its way */
    }
    atomic_store_explicit(&worker->signal, 0, memory_order_relaxed);
    return true;
}

void ati_spare_wake_all(at_pool *pool) {
    for (;;) {
        ati_lock_acquire(&pool->spares_lock);
        ati_worker *worker = unpark(pool);
        ati_lock_release(&pool->spares_lock);
        if (!worker)
            return;
        ati_worker_wake(worker);
    }
}
