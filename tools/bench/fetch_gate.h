/* SPDX-License-Identifier: MIT */
#ifndef BENCH_FETCH_GATE_H
#define BENCH_FETCH_GATE_H

#include <asynctools/pool.h>
#include <asynctools/promise.h>

#include <stdatomic.h>

/* Runs one task for each of many items, but at most so many at once: who ends starts the next. The
 * tasks belong to the scope in which the gate was opened; once that is cancelled, no further one
 * begins. */
struct fetch_gate {
    at_pool *pool;
    at_run_fn run; /* what it gives is not looked at */
    at_items items;
    atomic_size_t next;   /* item to be started */
    atomic_size_t places; /* that are taken */
    atomic_int failure;   /* the first status of a task that could not be started */
    at_promise *ended;
};

/* What each item begins with. */
struct fetch_turn {
    struct fetch_gate *gate;
};

/* Starts the first `limit` tasks. Borrows `gate` and the items until fetch_gate_join, which must
 * follow AT_OK. */
at_status fetch_gate_open(struct fetch_gate *gate, at_pool *pool, at_run_fn run, at_items items,
                          size_t limit);

/* Waits until all tasks have ended; call it outside the scope, or it ends with that. Gives the
 * status of a task that could not be started: then the items after it may not have run. */
at_status fetch_gate_join(struct fetch_gate *gate);

#endif
