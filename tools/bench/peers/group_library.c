/* SPDX-License-Identifier: MIT */
#include "group.h"
#include "library.h"

#include <asynctools/future.h>
#include <asynctools/task_manager.h>

#include <stdlib.h>
#include <string.h>

/* The library: tasks without a group, which have no limit, and the forms of the task manager. */
struct library_group {
    at_pool *pool;
    at_task_manager *manager;
    at_future **futures; /* of submitted children */
    long future_count;
};

static void *create(int workers) {
    struct library_group *group = calloc(1, sizeof(*group));
    if (group)
        group->pool = library_create_pool(workers);
    return group;
}

static void destroy(void *pool) {
    struct library_group *group = pool;
    at_pool_destroy(group->pool);
    free(group);
}

static void start(void *pool, peer_run_fn run, void *argument) {
    struct library_group *group = pool;
    library_expect(at_pool_start(group->pool, run, argument));
}

static void open_manager(void *pool, const struct group_bounds *bounds) {
    struct library_group *group = pool;
    library_expect(at_task_manager_create(
        &group->manager, group->pool,
        &(at_task_manager_options){.max_concurrent = bounds->running, .no_outcomes = true}));
}

static void open_with_outcomes(void *pool, const struct group_bounds *bounds) {
    struct library_group *group = pool;
    library_expect(
        at_task_manager_create(&group->manager, group->pool,
                               &(at_task_manager_options){.max_concurrent = bounds->running}));
}

static void start_child(void *pool, peer_run_fn run, void *argument) {
    struct library_group *group = pool;
    library_expect(at_task_manager_start(group->manager, run, argument));
}

static void join(void *pool) {
    struct library_group *group = pool;
    library_expect(at_task_manager_join(group->manager, AT_FOREVER));
}

static void close_manager(void *pool) {
    struct library_group *group = pool;
    at_task_manager_destroy(group->manager);
}

static void open_with_futures(void *pool, const struct group_bounds *bounds) {
    struct library_group *group = pool;
    size_t bytes = (size_t)bounds->tasks * sizeof(at_future *);
    open_manager(pool, bounds);
    group->future_count = 0;
    group->futures = malloc(bytes);
    if (!group->futures)
        give_up("there is no memory for %ld futures", bounds->tasks);
    memset(group->futures, 0, bytes);
}

static void submit_child(void *pool, peer_run_fn run, void *argument) {
    struct library_group *group = pool;
    group->futures[group->future_count++] = at_task_manager_submit(group->manager, run, argument);
}

static void join_futures(void *pool) {
    struct library_group *group = pool;
    join(pool);
    for (long i = 0; i < group->future_count; i++)
        at_future_release(group->futures[i]);
}

static void close_futures(void *pool) {
    close_manager(pool);
    free(((struct library_group *)pool)->futures);
}

const struct group_peer group_library_start = {
    .name = "asynctools start, no limit",
    .is_library = true,
    .create = create,
    .submit = start,
    .destroy = destroy,
};

const struct group_peer group_library_manager = {
    .name = "task manager, no outcomes",
    .is_library = true,
    .create = create,
    .open = open_manager,
    .submit = start_child,
    .join = join,
    .close = close_manager,
    .destroy = destroy,
};

const struct group_peer group_library_outcomes = {
    .name = "task manager, outcomes kept",
    .is_library = true,
    .create = create,
    .open = open_with_outcomes,
    .submit = start_child,
    .join = join,
    .close = close_manager,
    .destroy = destroy,
};

const struct group_peer group_library_futures = {
    .name = "task manager, futures",
    .is_library = true,
    .create = create,
    .open = open_with_futures,
    .submit = submit_child,
    .join = join_futures,
    .close = close_futures,
    .destroy = destroy,
};
