/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/error.h"
#include "future/future.h"
#include "pool/pool.h"

enum { chunk_limit = 64 }; /* futures started at once: the first run while the next are made */

/* False: no memory. */
static bool detach(at_future *future) {
    ati_context *outer = future->context;
    ati_context *detached;
    if (!ati_context_share(outer, true, &detached))
        return false;
    future->context = detached;
    ati_context_stock_put(outer, 1);
    return true;
}

at_future *ati_future_create_task(const char *site, at_executor *executor,
                                  const at_task_options *options) {
    at_future *future = ati_future_create_kept(ATI_FUTURE_TASK, executor, site, options->name);
    if (!future) {
        ati_call_drop(options->drop, options->argument);
        return NULL;
    }
    future->run.task = options->run;
    future->argument = options->argument;
    future->argument_drop = options->drop;
    if (options->is_detached && !detach(future)) {
        at_future_release(future); /* drops the argument */
        return NULL;
    }
    if (options->priority != AT_PRIORITY_INHERITED)
        future->lane = (uint8_t)ati_lane_of(options->priority);
    /* Nobody else has it yet: one reference for the queue and the phase need no atomic step. */
    atomic_init(&future->references, 1 + ATI_REFERENCE_INSIDE);
    atomic_init(&future->state, ATI_PHASE_QUEUED);
    return future;
}

static at_future *create(const char *site, at_executor *executor, const at_task_options *options) {
    executor->retain(executor);
    return ati_future_create_task(site, executor, options);
}

at_future *ati_future_submit(const char *site, at_executor *executor,
                             const at_task_options *options) {
    at_future *future = create(site, executor, options);
    if (!future)
        return ati_future_no_memory();
    ati_future_start_tasks(&future, 1);
    return future;
}

/* NULL: they are as they should be. */
static const char *find_wrong(const at_task_options *options) {
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return "reserved: is not zero";
    return ati_priority_is_valid(options->priority) ? NULL : "priority: is none";
}

at_status ati_future_check_options(const char *call, const at_task_options *options) {
    const char *wrong = find_wrong(options);
    return wrong ? ati_fail(AT_ERROR_INVALID, "%s: %s", call, wrong) : AT_OK;
}

at_future *ati_future_submit_with(const char *call, const char *site, at_executor *executor,
                                  const at_task_options *options) {
    const char *wrong = find_wrong(options);
    if (!wrong)
        return ati_future_submit(site, executor, options);
    ati_call_drop(options->drop, options->argument);
    return ati_future_failed(executor,
                             ati_error_create(site, NULL, AT_ERROR_INVALID, "%s: %s", call, wrong));
}

at_future *at_pool_submit_at(const char *site, at_pool *pool, at_run_fn run, void *argument) {
    ATI_CALLER_CHECK(pool, "at_pool_submit", "`pool` is NULL");
    ATI_CALLER_CHECK(run, "at_pool_submit", "`run` is NULL");
    at_task_options options = {.run = run, .argument = argument};
    return ati_future_submit(site, &pool->executor, &options);
}

at_future *at_pool_submit_with_at(const char *site, at_pool *pool, const at_task_options *options) {
    ATI_CALLER_CHECK(pool, "at_pool_submit_with", "`pool` is NULL");
    ATI_CALLER_CHECK(options && options->run, "at_pool_submit_with", "`run` is NULL");
    return ati_future_submit_with("at_pool_submit_with", site, &pool->executor, options);
}

at_future *at_executor_submit_at(const char *site, at_executor *executor, at_run_fn run,
                                 void *argument) {
    ATI_CALLER_CHECK(executor, "at_executor_submit", "`executor` is NULL");
    ATI_CALLER_CHECK(run, "at_executor_submit", "`run` is NULL");
    at_task_options options = {.run = run, .argument = argument};
    return ati_future_submit(site, executor, &options);
}

at_future *at_executor_submit_with_at(const char *site, at_executor *executor,
                                      const at_task_options *options) {
    ATI_CALLER_CHECK(executor, "at_executor_submit_with", "`executor` is NULL");
    ATI_CALLER_CHECK(options && options->run, "at_executor_submit_with", "`run` is NULL");
    return ati_future_submit_with("at_executor_submit_with", site, executor, options);
}

static void refuse_items(const char *site, at_pool *pool, at_items items, at_future **futures) {
    for (size_t i = 0; i < items.count; i++)
        futures[i] = ati_future_failed(at_pool_executor(pool),
                                       ati_error_create(site, NULL, AT_ERROR_INVALID,
                                                        "at_pool_submit_many: items.%s is missing",
                                                        items.data ? "size" : "data"));
}

void at_pool_submit_many_at(const char *site, at_pool *pool, at_run_fn run, at_items items,
                            at_future **futures) {
    ATI_CALLER_CHECK(pool, "at_pool_submit_many", "`pool` is NULL");
    ATI_CALLER_CHECK(run, "at_pool_submit_many", "`run` is NULL");
    ATI_CALLER_CHECK(items.count == 0 || futures, "at_pool_submit_many", "`futures` is NULL");
    if (items.count > 0 && (!items.data || items.size == 0)) {
        refuse_items(site, pool, items, futures);
        return;
    }
    for (size_t done = 0; done < items.count;) {
        at_future *made[chunk_limit];
        size_t count = 0;
        for (; done < items.count && count < chunk_limit; done++) {
            at_task_options options = {.run = run,
                                       .argument = (char *)items.data + done * items.size};
            at_future *future = create(site, &pool->executor, &options);
            futures[done] = future ? future : ati_future_no_memory();
            if (future)
                made[count++] = future;
        }
        if (count > 0)
            ati_future_start_tasks(made, count);
    }
}
