/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <asynctools/pool.h>

#include <stdio.h>
#include <stdlib.h>

static void *create(int workers) {
    at_pool *pool;
    if (at_pool_create(&pool, &(at_pool_options){.thread_count = workers}) != AT_OK) {
        fprintf(stderr, "at-bench: %s\n", at_error_message(at_error_last()));
        return NULL;
    }
    return pool;
}

static void end_refused(void) {
    fprintf(stderr, "at-bench: %s\n", at_error_message(at_error_last()));
    exit(1);
}

static void submit(void *pool, peer_run_fn run, void *argument) {
    if (at_pool_start(pool, run, argument) != AT_OK)
        end_refused();
}

static void destroy(void *pool) {
    at_pool_destroy(pool);
}

const struct peer peer_library = {
    .name = "asynctools start",
    .is_library = true,
    .create = create,
    .submit = submit,
    .destroy = destroy,
};
