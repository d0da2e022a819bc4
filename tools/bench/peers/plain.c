/* SPDX-License-Identifier: MIT */
#include "messages.h"
#include "peer.h"
#include "plain_pool.h"

#include <stdio.h>
#include <stdlib.h>

static void *create(int workers) {
    return plain_pool_create(workers);
}

static void submit(void *pool, peer_run_fn run, void *argument) {
    if (plain_pool_submit(pool, run, argument) != 0) {
        give_up("the plain pool is out of memory");
    }
}

static void destroy(void *pool) {
    plain_pool_destroy(pool);
}

const struct peer peer_plain = {
    .name = "plain mutex pool",
    .is_plain = true,
    .create = create,
    .submit = submit,
    .destroy = destroy,
};
