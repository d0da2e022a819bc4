/* SPDX-License-Identifier: MIT
 *
 * Random trees of structured work: managers, gathers, maps, task pools, keyed executors, strands,
 * loops, futures with combinators, scopes, timeouts, tokens and cancellations in each other. Each
 * argument is owned by the task that runs with it, and so is each value by its future. */
#ifndef TEST_SUPPORT_RANDOM_WORK_H
#define TEST_SUPPORT_RANDOM_WORK_H

#include <asynctools/keyed_executor.h>
#include <asynctools/pool.h>

#include <stdatomic.h>
#include <stdint.h>

/* What all trees share. */
extern struct random_work {
    at_pool *pool;
    at_keyed_executor *keyed;
    _Atomic int nodes_left; /* from 0 on trees do not grow any more */
    _Atomic int live_nodes; /* arguments that were neither run nor dropped yet */
    _Atomic int live_values;
    _Atomic int wrong; /* what was seen that must not be */
} random_work;

/* Grows one tree, here or in a task, and waits for most of it. `seed` moves on. In any thread but a
 * task. */
void random_work_run(uint64_t *seed);

/* When all trees have ended: lets go what they have left to each other. */
void random_work_end(void);

#endif
