/* SPDX-License-Identifier: MIT */
/* A task that owns its argument and has a name: at_pool_start_with. */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "pool/cancel.h"
#include "pool/exception.h"
#include "pool/pool.h"
#include "pool/report.h"

#include <string.h>

typedef struct owned_task {
    ati_task_node node;
    at_run_fn run;
    void *argument;
    at_drop_fn drop;      /* of the argument, if `run` never runs; or NULL */
    ati_context *context; /* owned, or NULL */
    const char *site;
    size_t size; /* of this allocation */
    char name[];
} owned_task;

static void *run_owned_task(void *argument) {
    owned_task *task = argument;
    ati_worker *worker = ati_worker_current;
    ati_task_run run;
    ati_task_begin(worker, &run, task->context, task->site, task->name);
    bool is_cancelled = ati_is_cancelled(task->context);
    ATI_STOP_EXCEPTIONS;
    at_error *error = NULL;
    at_status status = AT_ERROR_CANCELLED;
    if (!is_cancelled) {
        void *returned = task->run(task->argument);
        if (returned == AT_FAILED && run.frame.error && *task->name)
            ati_error_set_task(run.frame.error, task->name, true, task->site);
        status = ati_task_outcome(&run.frame, returned, task->site, &error);
        if (status == AT_OK)
            ati_frame_drop_returned(&run.frame, returned);
    } else if (task->drop) {
        task->drop(task->argument);
    }
    ati_task_end(worker, &run, status);
    if (error)
        ati_report_dropped_error(error);
    ati_context_stock_put(task->context, 1);
    ati_release(task, task->size);
    return NULL;
}

at_status at_pool_start_with_at(const char *site, at_pool *pool, const at_task_options *options) {
    ATI_CALLER_CHECK(pool, "at_pool_start_with", "`pool` is NULL");
    ATI_CALLER_CHECK(options && options->run, "at_pool_start_with", "`run` is NULL");
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_pool_start_with: `reserved` is not zero");
    if (!ati_priority_is_valid(options->priority))
        return ati_fail(AT_ERROR_INVALID, "at_pool_start_with: priority: %d is none",
                        (int)options->priority);
    void *lane = ati_context_in_lane(NULL, ati_lane_of(options->priority));
    const char *name = options->name ? options->name : "";
    size_t name_size = strlen(name) + 1;
    ati_context *context;
    if (!ati_context_share(ati_context_to_share(), options->is_detached, &context))
        return ati_fail(AT_ERROR_NO_MEMORY, "at_pool_start_with: out of memory");
    owned_task *task = ati_allocate(sizeof *task + name_size);
    if (!task) {
        ati_context_stock_put(context, 1);
        return ati_fail(AT_ERROR_NO_MEMORY, "at_pool_start_with: out of memory");
    }
    *task = (owned_task){.node.work = {.run = run_owned_task, .argument = task, .context = lane},
                         .run = options->run,
                         .argument = options->argument,
                         .drop = options->drop,
                         .context = context,
                         .site = site,
                         .size = sizeof *task + name_size};
    memcpy(task->name, name, name_size);
    at_status status = ati_pool_start_nodes(pool, &task->node, 1, false);
    if (status != AT_OK) {
        ati_context_stock_put(task->context, 1);
        ati_release(task, task->size);
    }
    return status;
}
