/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/error.h"
#include "future/future.h"
#include "pool/pool.h"

static at_future *submit(const char *site, at_pool *pool, const at_task_options *options) {
    at_future *future =
        ati_future_create(ATI_FUTURE_TASK, at_pool_executor(pool), site, options->name);
    if (!future) {
        ati_call_drop(options->drop, options->argument);
        return ati_future_no_memory();
    }
    future->run.task = options->run;
    future->argument = options->argument;
    future->argument_drop = options->drop;
    /* Nobody else has it yet: one reference for the queue and the phase need no atomic step. */
    atomic_init(&future->references, 1 + ATI_REFERENCE_INSIDE);
    atomic_init(&future->state, ATI_PHASE_QUEUED);
    ati_future_start_task(future);
    return future;
}

at_future *at_pool_submit_at(const char *site, at_pool *pool, at_run_fn run, void *argument) {
    ATI_CALLER_CHECK(pool, "at_pool_submit", "`pool` is NULL");
    ATI_CALLER_CHECK(run, "at_pool_submit", "`run` is NULL");
    at_task_options options = {.run = run, .argument = argument};
    return submit(site, pool, &options);
}

at_future *at_pool_submit_with_at(const char *site, at_pool *pool, const at_task_options *options) {
    ATI_CALLER_CHECK(pool, "at_pool_submit_with", "`pool` is NULL");
    ATI_CALLER_CHECK(options && options->run, "at_pool_submit_with", "`run` is NULL");
    if (ati_all_zero(options->reserved, sizeof options->reserved))
        return submit(site, pool, options);
    ati_call_drop(options->drop, options->argument);
    return ati_future_failed(at_pool_executor(pool),
                             ati_error_create(site, NULL, AT_ERROR_INVALID,
                                              "at_pool_submit_with: `reserved` is not zero"));
}

void at_pool_submit_many_at(const char *site, at_pool *pool, at_run_fn run, at_items items,
                            at_future **futures) {
    ATI_CALLER_CHECK(pool, "at_pool_submit_many", "`pool` is NULL");
    ATI_CALLER_CHECK(run, "at_pool_submit_many", "`run` is NULL");
    ATI_CALLER_CHECK(items.count == 0 || futures, "at_pool_submit_many", "`futures` is NULL");
    bool valid = items.data && items.size > 0;
    for (size_t i = 0; i < items.count; i++)
        futures[i] =
            valid ? at_pool_submit_at(site, pool, run, (char *)items.data + i * items.size)
                  : ati_future_failed(at_pool_executor(pool),
                                      ati_error_create(site, NULL, AT_ERROR_INVALID,
                                                       "at_pool_submit_many: items.%s is missing",
                                                       items.data ? "size" : "data"));
}
