/* SPDX-License-Identifier: MIT */
#include "group.h"
#include "library.h"

#include <asynctools/task_pool.h>

#include <stdlib.h>

/* The library's task pool, with each of the things that it can do when its queue is full. */
struct library_queue {
    at_pool *pool;
    at_task_pool *workers;
};

static void *create(int workers) {
    struct library_queue *queue = calloc(1, sizeof(*queue));
    if (queue)
        queue->pool = library_create_pool(workers);
    return queue;
}

static void destroy(void *pool) {
    struct library_queue *queue = pool;
    at_pool_destroy(queue->pool);
    free(queue);
}

static void open_queue(struct library_queue *queue, const struct group_bounds *bounds,
                       at_task_pool_policy when_full, int64_t kept_outcomes) {
    library_expect(at_task_pool_create(&queue->workers, queue->pool,
                                       &(at_task_pool_options){.pool_size = bounds->running,
                                                               .queue_size = bounds->queued,
                                                               .when_full = when_full,
                                                               .kept_outcomes = kept_outcomes}));
}

static void open_waiting(void *pool, const struct group_bounds *bounds) {
    open_queue(pool, bounds, AT_TASK_POOL_WAIT, AT_NONE);
}

static void open_gathered(void *pool, const struct group_bounds *bounds) {
    open_queue(pool, bounds, AT_TASK_POOL_WAIT, AT_UNLIMITED);
}

static void open_running(void *pool, const struct group_bounds *bounds) {
    open_queue(pool, bounds, AT_TASK_POOL_RUN_IN_CALLER, AT_NONE);
}

static void open_refusing(void *pool, const struct group_bounds *bounds) {
    open_queue(pool, bounds, AT_TASK_POOL_REFUSE, AT_NONE);
}

static void open_dropping_newest(void *pool, const struct group_bounds *bounds) {
    open_queue(pool, bounds, AT_TASK_POOL_DROP_NEWEST, AT_NONE);
}

static void open_dropping_oldest(void *pool, const struct group_bounds *bounds) {
    open_queue(pool, bounds, AT_TASK_POOL_DROP_OLDEST, AT_NONE);
}

static void submit(void *pool, peer_run_fn run, void *argument) {
    struct library_queue *queue = pool;
    library_expect(at_task_pool_submit(queue->workers, run, argument));
}

static void submit_or_leave(void *pool, peer_run_fn run, void *argument) {
    struct library_queue *queue = pool;
    at_status status = at_task_pool_submit(queue->workers, run, argument);
    if (status != AT_ERROR_FULL)
        library_expect(status);
}

static void join(void *pool) {
    struct library_queue *queue = pool;
    library_expect(at_task_pool_join(queue->workers, AT_FOREVER));
}

static void gather(void *pool) {
    struct library_queue *queue = pool;
    at_outcome *outcomes;
    size_t count;
    library_expect(at_task_pool_gather_results(queue->workers, &outcomes, &count));
    at_task_pool_results_release(outcomes, count);
}

static void close_queue(void *pool) {
    at_task_pool_destroy(((struct library_queue *)pool)->workers);
}

#define QUEUE(symbol, title, open_function, submit_function, join_function, refuses)               \
    const struct group_peer symbol = {                                                             \
        .name = (title),                                                                           \
        .is_library = true,                                                                        \
        .may_refuse = (refuses),                                                                   \
        .create = create,                                                                          \
        .open = (open_function),                                                                   \
        .submit = (submit_function),                                                               \
        .join = (join_function),                                                                   \
        .close = close_queue,                                                                      \
        .destroy = destroy,                                                                        \
    }

QUEUE(queue_library_wait, "task pool, waits", open_waiting, submit, join, false);
QUEUE(queue_library_gather, "task pool, waits, outcomes", open_gathered, submit, gather, false);
QUEUE(queue_library_run, "task pool, runs in the caller", open_running, submit, join, false);
QUEUE(queue_library_refuse, "task pool, refuses", open_refusing, submit_or_leave, join, true);
QUEUE(queue_library_drop_newest, "task pool, drops the newest", open_dropping_newest, submit, join,
      true);
QUEUE(queue_library_drop_oldest, "task pool, drops the oldest", open_dropping_oldest, submit, join,
      true);
