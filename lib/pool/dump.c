/* SPDX-License-Identifier: MIT */
/* What at_dump says of one pool (rule Z3). Locks are held only while something is copied. */
#include "base/clock.h"
#include "base/error.h"
#include "pool/pool.h"
#include "pool/statistics.h"
#include "pool/view.h"

#include <stdio.h>

enum {
    worker_limit = 128,    /* workers that are written */
    suspended_limit = 256, /* waiting tasks that are written, of all of them */
    worker_share = 32,     /* waiting tasks of one worker */
};

/* What is left to be written of what is bounded. */
typedef struct pool_dump {
    at_pool *pool;
    ati_json *json;
    size_t suspended_left;
    uint64_t suspended_written;
    uint64_t suspended;       /* tasks that wait */
    uint64_t behind_blocking; /* of those: on a worker that is blocked */
} pool_dump;

/* -- Tasks -- */

static void write_task(ati_json *json, const ati_task_name *task) {
    ati_json_text(json, "task", task->name);
    ati_json_text(json, "started_at", task->site ? ati_site_place(task->site) : NULL);
    if (task->operation_id == 0)
        return;
    char id[ATI_VIEW_ID];
    if (task->operation[0])
        ati_json_text(json, "operation", task->operation);
    ati_json_text(json, "operation_id", ati_view_id(task, id));
}

/* A future's address: equal to `waits_for` where another task waits for it. */
static void write_identity(ati_json *json, const char *key, const void *identity) {
    char digits[24];
    if (!identity)
        return;
    snprintf(digits, sizeof digits, "%p", identity);
    ati_json_text(json, key, digits);
}

static void write_suspended(ati_json *json, const ati_task_view *view) {
    ati_json_begin_object(json, NULL);
    write_task(json, &view->tasks[0]);
    write_identity(json, "future", view->tasks[0].identity);
    ati_json_text(json, "state", view->is_ready ? "ready" : "waiting");
    ati_json_text(json, "wait", view->what);
    write_identity(json, "waits_for", view->target);
    ati_json_integer(json, "waiting_ms", view->age / AT_MILLISECONDS(1));
    uint32_t count = view->task_count < ATI_VIEW_CHAIN ? view->task_count : ATI_VIEW_CHAIN;
    if (count > 1) {
        ati_json_begin_array(json, "on_top_of");
        for (uint32_t i = 1; i < count; i++) {
            ati_json_begin_object(json, NULL);
            write_task(json, &view->tasks[i]);
            write_identity(json, "future", view->tasks[i].identity);
            ati_json_end_object(json);
        }
        ati_json_end_array(json);
        ati_json_unsigned(json, "on_top_of_count", view->task_count - 1);
    }
    ati_json_end_object(json);
}

static void write_waiting(pool_dump *dump, ati_worker *worker) {
    ati_task_view views[worker_share];
    size_t limit = dump->suspended_left < worker_share ? dump->suspended_left : worker_share;
    size_t count = ati_view_suspended(worker, views, limit);
    dump->suspended_left -= count;
    dump->suspended_written += count;
    ati_json_begin_array(dump->json, "waiting");
    for (size_t i = 0; i < count; i++)
        write_suspended(dump->json, &views[i]);
    ati_json_end_array(dump->json);
}

/* -- Workers -- */

static const char *name_state(ati_worker_state state) {
    static const char *const names[] = {
        [ATI_WORKER_RUNNING] = "running",     [ATI_WORKER_BLOCKED] = "blocked",
        [ATI_WORKER_SEARCHING] = "searching", [ATI_WORKER_ASLEEP] = "asleep",
        [ATI_WORKER_PARKED] = "parked",       [ATI_WORKER_ENDED] = "ended",
    };
    return names[state];
}

static ati_worker_state read_state(at_pool *pool, const ati_worker *worker) {
    ati_lock_acquire(&pool->spares_lock);
    ati_worker_state state = ati_view_state(worker);
    ati_lock_release(&pool->spares_lock);
    return state;
}

static void write_worker(pool_dump *dump, ati_worker *worker, ati_worker_state state) {
    ati_json *json = dump->json;
    ati_task_view view;
    ati_json_begin_object(json, NULL);
    ati_json_unsigned(json, "index", worker->index);
    ati_json_bool(json, "spare", worker->is_spare);
    ati_json_text(json, "state", name_state(state));
    if (ati_view_running(worker, &view)) {
        write_task(json, &view.tasks[0]);
        ati_json_integer(json, "running_at_most_ms", view.age / AT_MILLISECONDS(1));
    }
    ati_json_unsigned(json, "queued", ati_deque_size(&worker->deque));
    ati_json_unsigned(json, "suspended", ati_counter_read(&worker->suspended_count));
    if (ati_counter_read(&worker->suspended_count) > 0)
        write_waiting(dump, worker);
    ati_json_end_object(json);
}

static void write_workers(pool_dump *dump) {
    uint32_t count = ati_pool_worker_count(dump->pool);
    uint32_t written = 0;
    ati_json_begin_array(dump->json, "workers");
    for (uint32_t i = 0; i < count; i++) {
        ati_worker *worker = dump->pool->workers[i];
        ati_worker_state state = read_state(dump->pool, worker);
        uint64_t suspended = ati_counter_read(&worker->suspended_count);
        dump->suspended += suspended;
        dump->behind_blocking += state == ATI_WORKER_BLOCKED ? suspended : 0;
        if (written == worker_limit)
            continue;
        write_worker(dump, worker, state);
        written++;
    }
    ati_json_end_array(dump->json);
    ati_json_unsigned(dump->json, "workers_not_shown", count - written);
}

/* -- The rest -- */

static void write_options(const at_pool *pool, ati_json *json) {
    const at_pool_options *options = &pool->options;
    ati_json_begin_object(json, "options");
    ati_json_integer(json, "thread_count", options->thread_count);
    ati_json_integer(json, "stack_bytes", options->stack_bytes);
    if (options->queue_bound == AT_UNLIMITED)
        ati_json_null(json, "queue_bound");
    else
        ati_json_integer(json, "queue_bound", options->queue_bound);
    ati_json_integer(json, "max_spares", options->max_spares);
    ati_json_bool(json, "pins_threads", options->pins_threads);
    ati_json_bool(json, "virtual_clock", ati_clock_is_virtual(options->clock));
    ati_json_end_object(json);
}

static void write_tasks(pool_dump *dump) {
    at_pool_audit_result audit;
    ati_json *json = dump->json;
    at_pool_audit(dump->pool, &audit);
    ati_json_begin_object(json, "tasks");
    ati_json_unsigned(json, "accepted", audit.accepted);
    ati_json_unsigned(json, "succeeded", audit.succeeded);
    ati_json_unsigned(json, "failed", audit.failed);
    ati_json_unsigned(json, "cancelled", audit.cancelled);
    ati_json_unsigned(json, "pending", audit.pending);
    ati_json_unsigned(json, "running", audit.running);
    ati_json_unsigned(json, "suspended", dump->suspended);
    uint64_t written = dump->suspended_written;
    ati_json_unsigned(json, "suspended_not_shown",
                      dump->suspended > written ? dump->suspended - written : 0);
    ati_json_unsigned(json, "behind_blocking", dump->behind_blocking);
    ati_json_end_object(json);
}

static void write_queues(at_pool *pool, ati_json *json) {
    const ati_injector *injector = &pool->injector;
    ati_json_begin_object(json, "queues");
    ati_json_begin_array(json, "shards");
    for (uint32_t i = 0; i <= injector->shard_count; i++)
        ati_json_unsigned(json, NULL, ati_injector_shard_size(&injector->shards[i]));
    ati_json_end_array(json);
    ati_json_unsigned(json, "high", ati_injector_size(&pool->high.injector));
    ati_json_unsigned(json, "low", ati_injector_size(&pool->low.injector));
    ati_json_unsigned(json, "overflow", ati_overflow_size(pool));
    ati_json_end_object(json);
}

static void write_timers(at_pool *pool, ati_json *json) {
    ati_timers *timers = &pool->timers;
    ati_lock_acquire(&timers->lock);
    uint64_t count = ati_timers_count(timers);
    int64_t next = ati_timer_wheel_next(&timers->wheel);
    ati_lock_release(&timers->lock);
    ati_json_begin_object(json, "timers");
    ati_json_unsigned(json, "count", count);
    /* The wheel may want to be looked at earlier than anything expires. */
    if (next == AT_FOREVER)
        ati_json_null(json, "next_look_ms");
    else
        ati_json_integer(json, "next_look_ms",
                         (next - at_clock_now(pool->options.clock)) / AT_MILLISECONDS(1));
    ati_json_end_object(json);
}

static const char *name_pool_state(at_pool *pool) {
    switch (atomic_load_explicit(&pool->state, memory_order_relaxed)) {
    case ATI_POOL_RUNNING:
        return "running";
    case ATI_POOL_CLOSING:
        return "closing";
    default:
        return "stopped";
    }
}

/* In the child of a fork, what the parent's threads were in the middle of is left alone. */
void ati_pool_write_dump(ati_registry_entry *entry, ati_json *json) {
    at_pool *pool = (at_pool *)((char *)entry - offsetof(at_pool, registry_entry));
    bool is_forked = ati_pool_is_forked(pool);
    ati_json_begin_object(json, NULL);
    ati_json_text(json, "name", pool->name);
    ati_json_text(json, "state", is_forked ? "forked" : name_pool_state(pool));
    write_options(pool, json);
    if (!is_forked) {
        pool_dump dump = {.pool = pool, .json = json, .suspended_left = suspended_limit};
        write_workers(&dump);
        write_tasks(&dump);
        write_queues(pool, json);
        write_timers(pool, json);
        ati_parts_write(pool, json);
        ati_json_begin_object(json, "statistics");
        ati_statistics_write(pool, json, false);
        ati_json_end_object(json);
    }
    ati_json_end_object(json);
}
