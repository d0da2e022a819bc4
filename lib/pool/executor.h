/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_EXECUTOR_H
#define ASYNCTOOLS_POOL_EXECUTOR_H

/* Where code runs, as a small interface: a pool is one, lib/future has the inline one. */
#include "queue/work.h"

#include <asynctools/executor.h>
#include <asynctools/status.h>

#include <stdbool.h>
#include <stddef.h>

/* A work with room for a link, in the storage of what it runs. */
typedef struct ati_task_node {
    struct ati_task_node *next;
    ati_work work;
} ati_task_node;

struct at_executor {
    /* Starts the works of a list of `count` nodes, in its order, and needs no memory for it. Other
     * than AT_OK: none of them will ever run. */
    at_status (*start)(at_executor *executor, ati_task_node *nodes, size_t count);
    void (*retain)(at_executor *executor);
    void (*release)(at_executor *executor);
    at_pool *pool; /* whose workers run it in the end; NULL: it runs on other threads too */
};

#endif
