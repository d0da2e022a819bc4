/* SPDX-License-Identifier: MIT */
#include "messages.h"
#include "peer.h"

#include <asynctools/future.h>
#include <asynctools/pool.h>

#include <stdio.h>
#include <stdlib.h>

/* The library itself, in its two forms: fire and forget, and with a future for each task. */

static void *create(int workers) {
    at_pool *pool;
    if (at_pool_create(&pool, &(at_pool_options){.thread_count = workers}) != AT_OK) {
        give_up("%s", at_error_message(at_error_last()));
        return NULL;
    }
    return pool;
}

static void submit(void *pool, peer_run_fn run, void *argument) {
    if (at_pool_start(pool, run, argument) != AT_OK) {
        fprintf(stderr, "at-bench: %s\n", at_error_message(at_error_last()));
    }
}

static void submit_future(void *pool, peer_run_fn run, void *argument) {
    at_future_release(at_pool_submit(pool, run, argument));
}

static void submit_many(void *pool, peer_run_fn run, char *items, size_t count) {
    if (at_pool_start_many(pool, run, AT_ITEMS(items, count)) != AT_OK) {
        give_up("%s", at_error_message(at_error_last()));
    }
}

static void submit_many_futures(void *pool, peer_run_fn run, char *items, size_t count) {
    at_future *futures[PEER_MANY];
    at_pool_submit_many(pool, run, AT_ITEMS(items, count), futures);
    for (size_t i = 0; i < count; i++)
        at_future_release(futures[i]);
}

static void round_trip(void *pool, peer_run_fn run, void *argument) {
    at_future *future = at_pool_submit(pool, run, argument);
    if (at_future_wait(future, AT_FOREVER, NULL) != AT_OK) {
        give_up("%s", at_error_message(at_future_error(future)));
    }
    at_future_release(future);
}

static void destroy(void *pool) {
    at_pool_destroy(pool);
}

const struct peer peer_library = {
    .name = "asynctools start",
    .is_library = true,
    .create = create,
    .submit = submit,
    .submit_many = submit_many,
    .destroy = destroy,
};

const struct peer peer_library_future = {
    .name = "asynctools future",
    .is_library = true,
    .create = create,
    .submit = submit_future,
    .submit_many = submit_many_futures,
    .round_trip = round_trip,
    .destroy = destroy,
};
