/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_PLAIN_POOL_H
#define BENCH_PEERS_PLAIN_POOL_H

#include "plain_ring.h"

/* The thread pool that people write themselves: one mutex, one ring of (function, argument), one
 * condition variable. at-bench compares the library with it. */
struct plain_pool;

/* Gives NULL without memory or when a thread cannot be started. */
struct plain_pool *plain_pool_create(int thread_count);

/* Queues `run(argument)`; any thread, tasks too. Gives 0, or -1 without memory. */
int plain_pool_submit(struct plain_pool *pool, plain_run_fn run, void *argument);

/* Waits until nothing is queued and nothing runs. Not from a task. */
void plain_pool_wait(struct plain_pool *pool);

/* Waits for all tasks, joins the threads, frees the pool. NULL is allowed. */
void plain_pool_destroy(struct plain_pool *pool);

#endif
