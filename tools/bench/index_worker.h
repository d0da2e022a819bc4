/* SPDX-License-Identifier: MIT */
#ifndef BENCH_INDEX_WORKER_H
#define BENCH_INDEX_WORKER_H

#include "index.h"

enum {
    INDEX_ENTRIES_BYTES = 32 * 1024,
};

/* Gives memory that lives as long as the run, or NULL. */
void *index_allocate(struct index_worker *worker, size_t bytes);

#endif
