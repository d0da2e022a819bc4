/* SPDX-License-Identifier: MIT */
/* Purpose: a pool's storage lives as long as its owner and all that was made for its executor, and
 * to count that costs next to nothing. Workers count their changes for themselves; the others take
 * references in stock. While the workers live a bias keeps the shared count far from zero. */
#include "base/thread_end.h"
#include "pool/pool.h"

enum { stock_size = 64 };

static const int64_t bias = (int64_t)1 << 62;

void ati_pool_init_references(at_pool *pool) {
    atomic_init(&pool->references, 1 + bias);
}

static void change_references(at_pool *pool, int64_t change) {
    /* ORDER pool.references: acq_rel. All uses by others happen before the free.
     * Pairs with: itself in change_references(). If relaxed: freed while another still looks. */
    if (atomic_fetch_add_explicit(&pool->references, change, memory_order_acq_rel) + change == 0)
        ati_pool_free(pool);
}

/* References to one pool that this thread has in stock, for what it makes next: a thread that is no
 * worker then touches the shared count once for many of them. */
static _Thread_local struct {
    at_pool *pool;
    int64_t count;
} stock;

static void return_stock(void) {
    int64_t count = stock.count;
    stock.count = 0;
    if (count > 0)
        change_references(stock.pool, -count);
}

static void take_stock(at_pool *pool) {
    static _Thread_local ati_thread_end end = {.end = return_stock};
    int64_t count = ati_thread_end_add(&end) ? stock_size : 1;
    return_stock();
    atomic_fetch_add_explicit(&pool->references, count, memory_order_relaxed);
    stock.pool = pool;
    stock.count = count;
}

void ati_pool_retain(at_pool *pool) {
    ati_worker *worker = ati_worker_current;
    if (worker && worker->pool == pool) {
        worker->reference_change++;
        return;
    }
    if (stock.pool != pool || stock.count == 0)
        take_stock(pool);
    stock.count--;
}

void ati_pool_release(at_pool *pool) {
    ati_worker *worker = ati_worker_current;
    if (worker && worker->pool == pool) {
        worker->reference_change--;
        return;
    }
    bool keeps = stock.pool == pool && stock.count < (int64_t)2 * stock_size &&
                 atomic_load_explicit(&pool->state, memory_order_relaxed) == ATI_POOL_RUNNING;
    if (keeps) {
        stock.count++;
    } else {
        if (stock.pool == pool)
            return_stock();
        change_references(pool, -1);
    }
}

void ati_pool_release_owner(at_pool *pool, int64_t worker_changes) {
    if (stock.pool == pool)
        return_stock();
    change_references(pool, worker_changes - 1 - bias);
}
