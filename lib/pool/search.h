/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_SEARCH_H
#define ASYNCTOOLS_POOL_SEARCH_H

/* When the waits of tasks are searched for cycles: each once, when its worker has nothing else to
 * do, or when it has lasted 100 ms. How is the matter of who waits (future/deadlock.c). */
#include "pool/timers.h"
#include "pool/worker.h"

/* Of one pool; zeroed but for `timer.fire`. */
typedef struct ati_search {
    ati_pool_timer timer;
    _Atomic bool is_planned; /* the timer is set, or about to be, or its search is to begin */
} ati_search;

/* Searches the waits of one worker that were begun up to `moment` and not searched yet, some of
 * them at most. Any thread. False: there was no memory for it; all are to be searched later. */
typedef bool ati_search_fn(ati_worker *worker, int64_t moment);

/* Says how waits are searched that are marked as `is_provable`. Any number of times. */
void ati_search_install(ati_search_fn *search);

/* For who suspends such a wait: it is to be searched if it lasts. */
void ati_search_plan(ati_worker *worker);

/* What the timer calls. */
void ati_search_expire(ati_pool_timer *timer);

/* For a worker that has nothing else to do. False: there was nothing to search, or no memory. */
bool ati_search_own(ati_worker *worker);

/* Calls visit(waiter, context) for the oldest of the waits that ati_search_fn speaks of, and counts
 * it as searched. The waiter stays where it is meanwhile. False: there is none. */
bool ati_search_take(ati_worker *worker, int64_t moment,
                     void (*visit)(ati_waiter *waiter, void *context), void *context);

#endif
