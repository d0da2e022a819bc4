/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/error.h"
#include "pool/cancel.h"
#include "work/items.h"
#include "work/task_manager.h"

#include <asynctools/gather.h>

#include <inttypes.h>

static at_status check_arguments(at_items items, const at_gather_options *options) {
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_gather: `reserved` is not zero");
    if (options->limit < 0)
        return ati_fail(AT_ERROR_INVALID, "at_gather: limit: %" PRId64 " is negative",
                        options->limit);
    if ((unsigned)options->policy > AT_TASK_MANAGER_COLLECT)
        return ati_fail(AT_ERROR_INVALID, "at_gather: policy: %d is none", (int)options->policy);
    return ati_items_check(items, "at_gather");
}

static size_t start_all(const char *site, at_task_manager *manager, at_run_fn run, at_items items) {
    at_task_options options = {.run = run};
    for (size_t i = 0; i < items.count; i++) {
        options.argument = (char *)items.data + i * items.size;
        if (at_task_manager_start_with_at(site, manager, &options) != AT_OK)
            return i;
    }
    return items.count;
}

/* Not all were started: the error of that counts, unless an item has failed before. */
static at_status settle(at_status status, at_error *refusal) {
    if (!refusal)
        return status;
    if (status != AT_OK && status != AT_ERROR_CANCELLED) {
        at_error_release(refusal);
        return status;
    }
    status = at_error_status(refusal);
    ati_error_slot_put(refusal, false);
    return status;
}

at_status at_gather_at(const char *site, at_pool *pool, at_run_fn run, at_items items,
                       at_outcome *outcomes, const at_gather_options *given) {
    ATI_CALLER_CHECK(pool, "at_gather", "`pool` is NULL");
    ATI_CALLER_CHECK(run, "at_gather", "`run` is NULL");
    at_gather_options options = given ? *given : (at_gather_options){0};
    at_task_manager_options manager_options = {.max_concurrent = options.limit,
                                               .name = options.name ? options.name : "gather",
                                               .policy = options.policy,
                                               .no_outcomes = !outcomes};
    at_task_manager *manager;
    at_status status = check_arguments(items, &options);
    if (status == AT_OK && ati_frame_current()->may_not_wait)
        status = ati_fail(AT_ERROR_DEADLOCK, "at_gather: an inline continuation may not wait");
    if (status == AT_OK && items.count > 0)
        status = at_task_manager_create(&manager, pool, &manager_options);
    if (status != AT_OK || items.count == 0) {
        ati_items_fill(items, outcomes, 0, at_error_last());
        return status;
    }
    size_t count = start_all(site, manager, run, items);
    at_error *refusal = NULL;
    if (count < items.count) {
        refusal = at_error_take();
        ati_items_fill(items, outcomes, count, refusal);
        (void)ati_cancel(manager->context, AT_CANCEL_SIBLING);
    }
    status = outcomes ? at_task_manager_gather(manager, outcomes, count)
                      : at_task_manager_join(manager, AT_FOREVER);
    at_task_manager_destroy(manager);
    return settle(status, refusal);
}
