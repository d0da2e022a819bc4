/* SPDX-License-Identifier: MIT */
/* What the log says of tasks that wait for each other, in as many lines as it takes. */
#include "future/wait.h"

#include "log/default_logger.h"

#include <asynctools/log.h>

#include <inttypes.h>
#include <stdio.h>

enum { name_room = 300 }; /* for the name of a task and its operation */

static void end_line(ati_naming *named) {
    at_logger *logger = ati_default_logger_take();
    at_log_error(logger, "task.deadlock", at_kv("tasks", named->total),
                 at_kv("first", named->first), at_kv("waits", named->line));
    ati_default_logger_give_back(logger);
    named->first = named->next;
    named->length = 0;
}

void ati_naming_set_operation(ati_naming *named, const ati_frame *inner, const at_future *task) {
    while (inner && inner->identity != task)
        inner = inner->outer;
    const ati_context *operation = inner && inner->context ? inner->context->operation : NULL;
    if (operation)
        (void)snprintf(named->operation, sizeof named->operation, " (%.*s %016" PRIx64 ")",
                       (int)sizeof named->operation - 24, operation->name, operation->id);
}

void ati_naming_add(ati_naming *named, const at_future *task) {
    const char *name = ati_future_task_name(task);
    if (!*name)
        name = task->kind == ATI_FUTURE_COMBINED ? "at_future_all" : "unnamed";
    int length = snprintf(named->line + named->length, name_room, "%s%.*s%s",
                          named->next > named->first ? " -> " : "",
                          name_room - (int)sizeof named->operation - 8, name, named->operation);
    *named->operation = '\0';
    named->length += (size_t)(length < name_room ? length : name_room - 1);
    named->next++;
    if (named->next == named->total || named->length + name_room > ATI_NAMING_ROOM)
        end_line(named);
}

static uint32_t count_tasks(const ati_frame *inner, const ati_frame *outer) {
    uint32_t count = outer->identity != NULL;
    for (; inner != outer; inner = inner->outer)
        count += inner->identity != NULL;
    return count;
}

/* From the outer one inwards: each waits in place for the next. */
static void name_tasks(ati_naming *named, const ati_frame *inner, const ati_frame *outer) {
    if (inner != outer)
        name_tasks(named, inner->outer, outer);
    if (!inner->identity)
        return;
    ati_naming_set_operation(named, inner, inner->identity);
    ati_naming_add(named, inner->identity);
}

void ati_deadlock_report_own(const at_future *target, const ati_frame *outer) {
    const ati_frame *inner = ati_frame_current();
    bool is_apart = target != outer->identity;
    ati_naming named = {.total = count_tasks(inner, outer) + is_apart};
    if (is_apart)
        ati_naming_add(&named, target);
    name_tasks(&named, inner, outer);
}
