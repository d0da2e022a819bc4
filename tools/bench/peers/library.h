/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_LIBRARY_H
#define BENCH_PEERS_LIBRARY_H

#include "messages.h"

#include <asynctools/error.h>
#include <asynctools/pool.h>

/* What the library refuses ends the process. */
static inline void library_expect(at_status status) {
    if (status != AT_OK)
        give_up("%s", at_error_message(at_error_last()));
}

static inline at_pool *library_create_pool(int workers) {
    at_pool *pool;
    library_expect(at_pool_create(&pool, &(at_pool_options){.thread_count = workers}));
    return pool;
}

#endif
