/* SPDX-License-Identifier: MIT */
/* Children with a future: each is asked to stop when that is cancelled. */
#include "base/check.h"
#include "base/error.h"
#include "future/future.h"
#include "pool/pool.h"
#include "work/task_manager.h"

static void release_extra(ati_stop *stop) {
    ati_child_extra_release((ati_child_extra *)stop);
}

/* False: out of memory; the future is as it was. */
static bool create_extra(const at_task_manager *manager, const at_task_options *options,
                         at_future *future, ati_child_extra **extra) {
    if (!ati_child_extra_create(manager, options->name, true, extra))
        return false;
    ati_child_extra *made = *extra;
    made->future = future;
    ati_future_retain_inside(future);
    atomic_init(&made->references, 2);
    ati_stop_begin(&made->stop, future, manager->pool, release_extra);
    return true;
}

static at_future *refuse(at_future *future, const at_task_options *options, at_error *error) {
    ati_call_drop(options->drop, options->argument);
    ati_error_set_task(error, ati_future_task_name(future), true, future->site);
    ati_completions list = {0};
    (void)ati_future_try_complete(future, &(ati_result){.error = error}, &list);
    ati_completions_run(&list);
    return future;
}

static at_future *submit(const char *site, at_task_manager *manager, const at_task_options *options,
                         const char *call) {
    at_future *future =
        ati_future_create(ATI_FUTURE_PLAIN, &manager->pool->executor, site, options->name);
    if (!future) {
        ati_call_drop(options->drop, options->argument);
        return ati_future_no_memory();
    }
    ati_child child = ati_child_of(site, options);
    if (!create_extra(manager, options, future, &child.extra))
        return refuse(future, options, ati_error_static(AT_ERROR_NO_MEMORY));
    ati_frame_slot slot = ati_frame_put_slot_aside();
    at_error *error = ati_child_start(manager, &child, call) == AT_OK ? NULL : at_error_take();
    ati_frame_put_slot_back(slot);
    return error ? refuse(future, options, error) : future;
}

at_future *at_task_manager_submit_at(const char *site, at_task_manager *manager, at_run_fn run,
                                     void *argument) {
    ATI_CALLER_CHECK(manager, "at_task_manager_submit", "`manager` is NULL");
    ATI_CALLER_CHECK(run, "at_task_manager_submit", "`run` is NULL");
    at_task_options options = {.run = run, .argument = argument};
    return submit(site, manager, &options, "at_task_manager_submit");
}

at_future *at_task_manager_submit_with_at(const char *site, at_task_manager *manager,
                                          const at_task_options *options) {
    static const char call[] = "at_task_manager_submit_with";
    ATI_CALLER_CHECK(manager, call, "`manager` is NULL");
    ATI_CALLER_CHECK(options && options->run, call, "`run` is NULL");
    const char *wrong = NULL;
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        wrong = "reserved: is not zero";
    else if (options->is_detached)
        wrong = "is_detached: a child belongs to its manager";
    else if (!ati_priority_is_valid(options->priority))
        wrong = "priority: is none";
    if (!wrong)
        return submit(site, manager, options, call);
    ati_call_drop(options->drop, options->argument);
    return ati_future_failed(&manager->pool->executor,
                             ati_error_create(site, NULL, AT_ERROR_INVALID, "%s: %s", call, wrong));
}
