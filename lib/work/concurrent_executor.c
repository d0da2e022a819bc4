/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "pool/cancel.h"
#include "pool/pool.h"
#include "work/map.h"
#include "work/outcomes.h"

enum { worker_limit = 1000000 };

static const uint64_t item_limit = UINT64_C(1) << 40;

struct at_concurrent_executor {
    at_pool *pool;
    uint64_t max_workers;
    uint64_t process_fork_count; /* of the process that it was created in */
    ati_lock lock;               /* guards what follows */
    uint64_t map_count;          /* in progress */
    ati_waiter *joining;         /* at_concurrent_executor_destroy, or NULL */
};

static at_status check_options(const at_concurrent_executor_options *options) {
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_concurrent_executor_create: `reserved` is not zero");
    if (options->max_workers < 0 || options->max_workers > worker_limit)
        return ati_fail(AT_ERROR_INVALID,
                        "at_concurrent_executor_create: max_workers: %lld is not 1 to %d",
                        (long long)options->max_workers, worker_limit);
    return AT_OK;
}

at_status at_concurrent_executor_create(at_concurrent_executor **executor, at_pool *pool,
                                        const at_concurrent_executor_options *options) {
    static const at_concurrent_executor_options defaults = {0};
    ATI_CALLER_CHECK(executor, "at_concurrent_executor_create", "`executor` is NULL");
    ATI_CALLER_CHECK(pool, "at_concurrent_executor_create", "`pool` is NULL");
    if (!options)
        options = &defaults;
    at_status status = check_options(options);
    if (status != AT_OK)
        return status;
    at_concurrent_executor *made = ati_allocate_zeroed(sizeof *made);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_concurrent_executor_create: out of memory");
    made->pool = pool;
    made->process_fork_count = ati_process_fork_count();
    made->max_workers =
        (uint64_t)(options->max_workers > 0 ? options->max_workers : at_pool_thread_count(pool));
    *executor = made;
    return AT_OK;
}

static void begin_map(at_concurrent_executor *executor) {
    ati_lock_acquire(&executor->lock);
    executor->map_count++;
    ati_lock_release(&executor->lock);
}

static void end_map(at_concurrent_executor *executor) {
    ati_lock_acquire(&executor->lock);
    ati_waiter *joining = --executor->map_count == 0 ? executor->joining : NULL;
    ati_lock_release(&executor->lock);
    if (joining)
        ati_waiter_wake(joining);
}

static void await_maps(at_concurrent_executor *executor) {
    ati_waiter waiter;
    ati_waiter_init(&waiter, "at_concurrent_executor_destroy", NULL);
    ati_lock_acquire(&executor->lock);
    bool must_wait = executor->map_count > 0;
    executor->joining = &waiter;
    ati_lock_release(&executor->lock);
    if (must_wait)
        (void)ati_waiter_wait(&waiter, AT_FOREVER);
}

void at_concurrent_executor_destroy(at_concurrent_executor *executor) {
    if (!executor)
        return;
    if (executor->process_fork_count == ati_process_fork_count())
        await_maps(executor);
    ati_release(executor, sizeof *executor);
}

static at_status check_items(at_items items, const at_map_options *options) {
    const char *call = "at_concurrent_executor_map";
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "%s: `reserved` is not zero", call);
    if (items.count == 0)
        return AT_OK;
    if (!items.data || items.size == 0)
        return ati_fail(AT_ERROR_INVALID, "%s: items.%s is %s", call, items.data ? "size" : "data",
                        items.data ? "0" : "NULL");
    if (items.count > item_limit || items.count > PTRDIFF_MAX / items.size)
        return ati_fail(AT_ERROR_INVALID, "%s: items.count: %zu is too many", call, items.count);
    if (ati_frame_current()->may_not_wait)
        return ati_fail(AT_ERROR_DEADLOCK, "%s: an inline continuation may not wait", call);
    return ati_cancel_check(call);
}

/* No item was begun: all have the outcome of the map, whose error is in the slot. So many as cannot
 * be are not there. */
static void fill(at_outcome *outcomes, size_t count, at_status status) {
    for (size_t i = 0; count <= item_limit && i < count; i++)
        outcomes[i] = (at_outcome){.status = status, .error = at_error_retain(at_error_last())};
}

static void tell_of_nothing(const at_map_options *options, size_t total) {
    ati_map_progress progress = {0};
    ati_map_progress_init(&progress, options, total);
    ati_map_progress_end(&progress);
}

at_status at_concurrent_executor_map_at(const char *site, at_concurrent_executor *executor,
                                        at_run_fn run, at_items items, at_outcome *outcomes,
                                        const at_map_options *options) {
    static const at_map_options defaults = {0};
    ATI_CALLER_CHECK(executor, "at_concurrent_executor_map", "`executor` is NULL");
    ATI_CALLER_CHECK(run, "at_concurrent_executor_map", "`run` is NULL");
    ATI_CALLER_CHECK(outcomes || items.count == 0, "at_concurrent_executor_map",
                     "`outcomes` is NULL");
    if (!options)
        options = &defaults;
    at_status status = check_items(items, options);
    bool ran = false;
    if (status == AT_OK && items.count > 0) {
        begin_map(executor);
        status = ati_map_run(&(ati_map_call){.site = site,
                                             .pool = executor->pool,
                                             .run = run,
                                             .items = items,
                                             .outcomes = outcomes,
                                             .max_workers = executor->max_workers,
                                             .options = options},
                             &ran);
        end_map(executor);
    }
    if (!ran) {
        if (status != AT_OK)
            fill(outcomes, items.count, status);
        tell_of_nothing(options, items.count);
    }
    return status;
}
