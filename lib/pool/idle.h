/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_IDLE_H
#define ASYNCTOOLS_POOL_IDLE_H

/* Who looks for work, who sleeps, and who is woken. See idle.c for the argument. */
#include "base/atomic.h"
#include "base/lock.h"

#include <stdbool.h>

struct ati_worker;
struct at_pool;

/* Three counts in one word. */
#define ATI_IDLE_SEARCHING ((uint64_t)1)
#define ATI_IDLE_SLEEPING ((uint64_t)1 << 21)
#define ATI_IDLE_AWAKE ((uint64_t)1 << 42)
#define ATI_IDLE_MASK (((uint64_t)1 << 21) - 1)

typedef struct ati_idle {
    /* awake, sleeping, searching. A worker that searches is awake too; one that blocks in a task
     * is awake; a parked spare is neither awake nor sleeping. */
    _Alignas(ATI_CACHE_LINE) _Atomic uint64_t counts;
    uint32_t searching_limit;
    ati_lock lock; /* guards what follows and the links of the sleepers; inbox_lock and a virtual
                      clock's jump_lock are outside, its `lock` inside */
    struct ati_worker *top;    /* the sleeper to be woken next: the one that fell asleep last */
    struct ati_worker *bottom; /* the one that gets up first by itself, if any does */
    uint32_t sound_spares;     /* spare workers among them that sleep without a limit */
    _Atomic int64_t kept;      /* when it will; AT_FOREVER: nobody keeps time */
} ati_idle;

static inline uint64_t ati_idle_searching(uint64_t counts) {
    return counts & ATI_IDLE_MASK;
}

static inline uint64_t ati_idle_sleeping(uint64_t counts) {
    return (counts >> 21) & ATI_IDLE_MASK;
}

static inline uint64_t ati_idle_awake(uint64_t counts) {
    return counts >> 42;
}

void ati_idle_wake_one(struct at_pool *pool);

/* To be called after work was published where there was none. Wakes a sleeper unless somebody is
 * looking for work already. */
static inline void ati_idle_notify(struct at_pool *pool, ati_idle *idle) {
    /* ORDER idle.counts: seq_cst. Comes after the store that published the work.
     * Pairs with: seq_cst in ati_idle_sleep() and ati_idle_stop_searching(). If acquire: the worker
     * overlooks the work and this call the sleeper. */
    uint64_t counts = atomic_load_explicit(&idle->counts, memory_order_seq_cst);
    if (ati_idle_sleeping(counts) != 0 && ati_idle_searching(counts) == 0)
        ati_idle_wake_one(pool);
}

/* Announces that this worker looks for work. False: enough others do. */
bool ati_idle_start_searching(ati_idle *idle);

/* It has found some; if it was the last to look and there is more, it wakes the next. */
void ati_idle_stop_searching(struct at_pool *pool);

/* Sleeps until woken, or until a timer is due that nobody else keeps, `searching` or not. True: it
 * is to search, and announced to do so. False: the pool stops. */
bool ati_idle_sleep(struct ati_worker *worker, bool searching);

/* To be called after something was put into this worker's inbox: gets it up if it sleeps. True: the
 * caller has to wake the futex of its signal. */
bool ati_idle_get_up(struct ati_worker *worker);

/* A timer was set that is due before all others. If everybody who could look at it may be asleep or
 * busy for long, a sleeper gets up to keep the new time; if nobody sleeps, the running tasks look
 * at it. */
void ati_idle_keep_time(struct at_pool *pool);

/* The virtual clock of the pool, which has come to a timer, gets a sleeper up. False: nobody
 * sleeps; the running tasks look. */
bool ati_idle_wake_for_time(struct at_pool *pool);

/* Nothing is queued, nobody is awake, no task is suspended and no timer of a task is set. Exact: it
 * cannot change but by a start from outside. */
bool ati_idle_is_at_rest(struct at_pool *pool);

/* There is one more thread than wanted: a spare worker that sleeps without a limit gets up, to
 * sleep with one. */
void ati_idle_note_surplus(struct at_pool *pool);

/* The pool has stopped: wakes all. */
void ati_idle_wake_all(struct at_pool *pool);

#endif
