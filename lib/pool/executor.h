/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_EXECUTOR_H
#define ASYNCTOOLS_POOL_EXECUTOR_H

/* Where code runs, as a small interface: a pool is one, lib/future has the others. */
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
    /* Starts the works of a list of `count` nodes, in its order, and needs no memory for it.
     * Continuations pass bounds and closing pools. Other than AT_OK: none of them will ever run. */
    at_status (*start)(at_executor *executor, ati_task_node *nodes, size_t count,
                       bool is_continuation);
    void (*retain)(at_executor *executor);
    void (*release)(at_executor *executor);
    at_pool *pool; /* whose workers run it in the end; NULL: it runs on other threads too */
    const char *serial_name; /* of one that runs one work at a time; NULL: it may run several */
    /* Of such a one: calls visit(work, context) for the works that come after the one that runs, as
     * long as it says true. The caller keeps that one from ending meanwhile. */
    void (*visit_queued)(at_executor *executor, bool (*visit)(const ati_work *work, void *context),
                         void *context);
};

#endif
