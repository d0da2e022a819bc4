/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "pool/cancel.h"
#include "pool/parts.h"
#include "pool/pool.h"
#include "work/items.h"
#include "work/map.h"

enum {
    worker_limit = 1000000,
    shown_maps = 4, /* in a dump */
};

/* A map in progress, on the stack of its caller. */
typedef struct current_map {
    ati_map_call *call;
    const ati_frame *caller;
    ati_context *context; /* the operation of its items, owned */
    ati_item_map *items;  /* owned */
    struct current_map *next;
} current_map;

struct at_concurrent_executor {
    at_pool *pool;
    uint64_t max_workers;
    uint64_t process_fork_count; /* of the process that it was created in */
    ati_part part;
    ati_lock lock;       /* guards what follows */
    current_map *maps;   /* those in progress */
    ati_waiter *joining; /* at_concurrent_executor_destroy, or NULL */
};

/* -- The dump -- */

typedef struct map_view {
    const char *site;
    uint64_t items;
    uint64_t given_out;
    bool is_cancelled;
} map_view;

/* Gives how many it has written, of all maps in progress. */
static size_t view_maps(at_concurrent_executor *executor, map_view *views, uint64_t *total) {
    size_t count = 0;
    *total = 0;
    ati_lock_acquire(&executor->lock);
    for (const current_map *map = executor->maps; map; map = map->next, ++*total)
        if (count < shown_maps)
            views[count++] =
                (map_view){.site = map->call->site,
                           .items = map->call->items.count,
                           .given_out = ati_map_given_out(map->items),
                           .is_cancelled = ati_context_reason(map->context) != AT_CANCEL_NONE};
    ati_lock_release(&executor->lock);
    return count;
}

static bool write_executor(const void *it, ati_json *json) {
    at_concurrent_executor *executor = (at_concurrent_executor *)it;
    map_view views[shown_maps];
    uint64_t total;
    size_t count = view_maps(executor, views, &total);
    ati_json_begin_object(json, NULL);
    ati_json_unsigned(json, "max_workers", executor->max_workers);
    ati_json_begin_array(json, "maps");
    for (size_t i = 0; i < count; i++) {
        ati_json_begin_object(json, NULL);
        ati_json_text(json, "function", ati_site_name(views[i].site));
        ati_json_text(json, "started_at", ati_site_place(views[i].site));
        ati_json_unsigned(json, "items", views[i].items);
        ati_json_unsigned(json, "given_out", views[i].given_out);
        ati_json_bool(json, "cancelled", views[i].is_cancelled);
        ati_json_end_object(json);
    }
    ati_json_end_array(json);
    ati_json_unsigned(json, "maps_not_shown", total - count);
    ati_json_end_object(json);
    return true;
}

static const ati_part_section section = {.name = "concurrent_executors", .write = write_executor};

/* -- Life -- */

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
    ati_part_add(pool, &made->part, &section, made);
    *executor = made;
    return AT_OK;
}

/* False: no memory. */
static bool begin_map(at_concurrent_executor *executor, current_map *map, ati_map_call *call) {
    ati_context *outer = ati_context_own();
    *map = (current_map){.call = call, .caller = ati_frame_current()};
    map->context = ati_context_create(outer, ati_site_name(call->site), AT_FOREVER, NULL, 0);
    if (!map->context)
        return false;
    call->context = map->context;
    map->items = ati_map_create(call);
    if (!map->items) {
        ati_context_release(map->context);
        return false;
    }
    ati_lock_acquire(&executor->lock);
    map->next = executor->maps;
    executor->maps = map;
    ati_lock_release(&executor->lock);
    return true;
}

static void end_map(at_concurrent_executor *executor, current_map *map) {
    ati_lock_acquire(&executor->lock);
    current_map **place = &executor->maps;
    while (*place != map)
        place = &(*place)->next;
    *place = map->next;
    ati_waiter *joining = executor->maps ? NULL : executor->joining;
    ati_lock_release(&executor->lock);
    ati_map_release(map->items);
    ati_context_release(map->context);
    if (joining)
        ati_waiter_wake(joining);
}

/* Whether the running code is an item of this map, or was started by one, or is called by the map
 * itself, which is at its end then. */
static bool is_part_of(const current_map *map) {
    for (const ati_context *context = ati_context_current(); context; context = context->parent)
        if (context == map->context)
            return true;
    for (const ati_frame *frame = ati_frame_current(); frame; frame = frame->outer)
        if (frame == map->caller)
            return true;
    return false;
}

/* Under the lock. */
static bool is_inside(const at_concurrent_executor *executor) {
    const current_map *map = executor->maps;
    while (map && !is_part_of(map))
        map = map->next;
    return map;
}

static void await_maps(at_concurrent_executor *executor) {
    ati_waiter waiter;
    ati_waiter_init(&waiter, "at_concurrent_executor_destroy", NULL);
    ati_lock_acquire(&executor->lock);
    bool must_wait = executor->maps;
    ATI_CALLER_CHECK(!is_inside(executor), "at_concurrent_executor_destroy",
                     "called by an item of this executor, or by on_progress, which would wait for "
                     "itself; destroy it where it was created");
    ATI_CALLER_CHECK(!must_wait || !ati_frame_current()->may_not_wait,
                     "at_concurrent_executor_destroy",
                     "maps are in progress, and an inline continuation may not wait for them");
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
    ati_part_remove(&executor->part);
    ati_release(executor, sizeof *executor);
}

static at_status check_call(const at_concurrent_executor *executor, at_items items,
                            const at_map_options *options) {
    const char *call = "at_concurrent_executor_map";
    if (executor->process_fork_count != ati_process_fork_count())
        return ati_fail(AT_ERROR_FORKED, "%s: belongs to the parent of this forked process", call);
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "%s: `reserved` is not zero", call);
    if (items.count == 0)
        return AT_OK;
    at_status status = ati_items_check(items, call);
    if (status != AT_OK)
        return status;
    if (ati_frame_current()->may_not_wait)
        return ati_fail(AT_ERROR_DEADLOCK, "%s: an inline continuation may not wait", call);
    return ati_cancel_check(call);
}

static at_status run_map(at_concurrent_executor *executor, ati_map_call *call, bool *ran) {
    current_map map;
    if (!begin_map(executor, &map, call))
        return ati_fail(AT_ERROR_NO_MEMORY, "at_concurrent_executor_map: out of memory");
    at_status status = ati_map_run(map.items, ran);
    end_map(executor, &map);
    return status;
}

/* Else it is over before an item was begun: there were none, or the caller's operation has ended.
 */
static bool is_refused(at_status status) {
    return status != AT_OK && status != AT_ERROR_CANCELLED && status != AT_ERROR_TIMED_OUT;
}

static void tell_of_nothing(const at_map_options *options, size_t total) {
    ati_map_progress progress = {0};
    ati_map_progress_init(&progress, options, ati_context_current(), total);
    ati_map_progress_end(&progress, total);
}

at_status at_concurrent_executor_map_at(const char *site, at_concurrent_executor *executor,
                                        at_run_fn run, at_items items, at_outcome *outcomes,
                                        const at_map_options *options) {
    static const at_map_options defaults = {0};
    ATI_CALLER_CHECK(executor, "at_concurrent_executor_map", "`executor` is NULL");
    ATI_CALLER_CHECK(run, "at_concurrent_executor_map", "`run` is NULL");
    if (!options)
        options = &defaults;
    at_status status = check_call(executor, items, options);
    bool ran = false;
    if (status == AT_OK && items.count > 0) {
        ati_map_call call = {.site = site,
                             .pool = executor->pool,
                             .run = run,
                             .items = items,
                             .outcomes = outcomes,
                             .max_workers = executor->max_workers,
                             .options = options};
        status = run_map(executor, &call, &ran);
    }
    if (!ran && status != AT_OK)
        ati_items_fill(items, outcomes, 0, at_error_last());
    if (!ran && !is_refused(status))
        tell_of_nothing(options, items.count);
    return status;
}
