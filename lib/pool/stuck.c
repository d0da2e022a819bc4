/* SPDX-License-Identifier: MIT */
/* What a shutdown says that has reached its deadline. */
#include "base/error.h"
#include "log/default_logger.h"
#include "pool/pool.h"
#include "pool/report.h"
#include "pool/view.h"

#include <asynctools/log.h>

#include <stdarg.h>
#include <stdio.h>

enum {
    shown_limit = 3,   /* tasks in the error */
    logged_limit = 16, /* tasks in the log */
    text_size = 512,
};

/* The tasks that are looked at: first those that run, because others may wait for them. A forked
 * call that another worker makes is looked at like a task, and not counted as one. */
typedef struct stuck_tasks {
    size_t count;
    ati_task_view views[logged_limit];
} stuck_tasks;

static void find_tasks(at_pool *pool, stuck_tasks *stuck) {
    uint32_t count = ati_pool_worker_count(pool);
    for (uint32_t i = 0; i < count && stuck->count < logged_limit; i++)
        stuck->count += ati_view_running(pool->workers[i], &stuck->views[stuck->count]);
    for (uint32_t i = 0; i < count && stuck->count < logged_limit; i++)
        stuck->count += ati_view_suspended(pool->workers[i], &stuck->views[stuck->count],
                                           logged_limit - stuck->count);
}

static const char *place_of(const ati_task_view *view) {
    const char *site = view->tasks[0].site;
    return site ? ati_site_place(site) : "?";
}

static const char *state_of(const ati_task_view *view) {
    return !view->what ? "running" : view->is_ready ? "ready" : "waiting";
}

static void log_task(const at_pool *pool, const ati_task_view *view) {
    const ati_task_name *task = &view->tasks[0];
    char id[ATI_VIEW_ID];
    const char *operation = task->operation[0] ? task->operation : NULL;
    const char *operation_id = task->operation_id != 0 ? ati_view_id(task, id) : NULL;
    at_logger *logger = ati_default_logger_take();
    at_log_warn(logger, "pool.stuck", at_kv("pool", pool->name), at_kv("task", view->tasks[0].name),
                at_kv("started_at", place_of(view)), at_kv("worker", view->worker),
                at_kv("forked_call", view->is_forked_call), at_kv("state", state_of(view)),
                at_kv("wait", view->what), at_kv("age_ms", view->age / AT_MILLISECONDS(1)),
                at_kv("task_operation", operation), at_kv("task_operation_id", operation_id));
    ati_default_logger_give_back(logger);
}

/* Appends as much as there is room for. */
static void append(char *text, size_t *length, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(text + *length, text_size - *length, format, arguments);
    va_end(arguments);
    if (written > 0)
        *length += (size_t)written;
    if (*length >= text_size)
        *length = text_size - 1;
}

static void append_task(char *text, size_t *length, const ati_task_view *view) {
    double seconds = (double)view->age / (double)AT_SECONDS(1);
    append(text, length, "%s%s (worker %u, ", view->is_forked_call ? "a forked call of " : "",
           view->tasks[0].name, view->worker);
    if (view->what)
        append(text, length, "in %s for %.1f s", view->what, seconds);
    else
        append(text, length, "running for at most %.1f s", seconds);
    append(text, length, ", from %s", place_of(view));
    if (view->tasks[0].operation[0])
        append(text, length, ", operation %s", view->tasks[0].operation);
    append(text, length, ")");
}

at_status ati_report_stuck(at_pool *pool) {
    stuck_tasks stuck;
    stuck.count = 0;
    find_tasks(pool, &stuck);
    for (size_t i = 0; i < stuck.count; i++)
        log_task(pool, &stuck.views[i]);
    at_pool_audit_result audit;
    at_pool_audit(pool, &audit);
    char text[text_size] = "";
    size_t length = 0;
    uint64_t left = audit.running + audit.pending;
    uint64_t named = 0;
    size_t shown = stuck.count < shown_limit ? stuck.count : shown_limit;
    for (size_t i = 0; i < shown; i++) {
        append(text, &length, "%s", i > 0 ? ", " : ": ");
        append_task(text, &length, &stuck.views[i]);
        named += !stuck.views[i].is_forked_call;
    }
    if (left > named)
        append(text, &length, "%s%llu more", shown > 0 ? " and " : ": ",
               (unsigned long long)(left - named));
    return ati_fail(AT_ERROR_TIMED_OUT, "at_pool_shutdown: pool \"%s\" still has tasks%s",
                    pool->name, text);
}
