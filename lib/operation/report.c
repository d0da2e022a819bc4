/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "log/default_logger.h"
#include "log/logger.h"
#include "log/number.h"
#include "log/stamp.h"
#include "operation/live.h"
#include "operation/operation.h"
#include "operation/tracker.h"

#include <string.h>

/* What an operation says of itself: its beginning and its end in the log, also that it goes on for
 * too long, its end to a tracker. */

enum {
    event_room = 256,                     /* of NAME.completed; a longer name is cut */
    field_room = ATI_METADATA_FIELDS + 8, /* the metadata, and what is written here */
};

static const int64_t epoch_max_age = AT_MILLISECONDS(10);

/* Fields in the order in which they are written. */
typedef struct field_list {
    size_t count;
    at_field fields[field_room];
    char parent_id[17];
} field_list;

static void add(field_list *list, at_field field) {
    list->fields[list->count++] = field;
}

static void add_parent(field_list *list, const ati_context *context) {
    if (context->parent_id == 0)
        return;
    *ati_number_hex(list->parent_id, context->parent_id) = '\0';
    add(list, at_kv_text("parent_operation_id", list->parent_id, 16));
}

static void write_to(at_logger *logger, const at_operation *operation, at_log_level level,
                     const char *suffix, const field_list *list) {
    char event[event_room];
    const char *name = at_operation_name(operation);
    size_t length = strnlen(name, event_room - 16);
    memcpy(event, name, length);
    strcpy(event + length, suffix);
    const at_log_line line = {
        .level = level, .event = event, .fields = list->fields, .field_count = list->count};
    ati_log_write_in(logger, ati_operation_context(operation), &line, (ati_member_text){0});
}

static void write(const at_operation *operation, at_log_level level, const char *suffix,
                  const field_list *list) {
    write_to(at_operation_logger(operation), operation, level, suffix, list);
}

void ati_operation_log_start(at_operation *operation) {
    if (operation->start_level == AT_LOG_OFF ||
        !at_log_enabled(at_operation_logger(operation), operation->start_level))
        return;
    field_list list;
    list.count = 0;
    add_parent(&list, ati_operation_context(operation));
    write(operation, operation->start_level, ".started", &list);
}

/* The level of the line at the end. */
static at_log_level level_of(const at_operation *operation, const ati_operation_result *result) {
    switch (result->outcome) {
    case AT_OPERATION_OK:
        break;
    case AT_OPERATION_DEGRADED:
    case AT_OPERATION_REJECTED:
        return AT_LOG_WARN;
    case AT_OPERATION_CANCELLED:
        return AT_LOG_INFO;
    default:
        return AT_LOG_ERROR;
    }
    bool is_slow = result->duration >= operation->slow;
    return is_slow && operation->end_level < AT_LOG_WARN ? AT_LOG_WARN : operation->end_level;
}

static double milliseconds(at_duration duration) {
    return (double)duration / 1e6;
}

void ati_operation_log_end(at_operation *operation, const ati_operation_result *result) {
    at_log_level level = level_of(operation, result);
    if (operation->end_level == AT_LOG_OFF ||
        !at_log_enabled(at_operation_logger(operation), level))
        return;
    const ati_context *context = ati_operation_context(operation);
    field_list list;
    list.count = 0;
    add(&list, at_kv_double("duration_ms", milliseconds(result->duration)));
    add(&list, at_kv_string("outcome", at_operation_outcome_name(result->outcome)));
    if (result->duration >= operation->slow)
        add(&list, at_kv_bool("slow", true));
    at_duration late = operation->started_at + result->duration - context->deadline;
    if (late > 0)
        add(&list, at_kv_double("overdue_ms", milliseconds(late)));
    add_parent(&list, context);
    list.count += ati_metadata_get(&operation->metadata, list.fields + list.count);
    if (operation->metadata.dropped > 0)
        add(&list, at_kv_unsigned("fields_dropped", operation->metadata.dropped));
    if (result->error)
        add(&list, at_kv_error(result->error));
    bool is_done = result->outcome == AT_OPERATION_OK || result->outcome == AT_OPERATION_DEGRADED;
    write(operation, level, is_done ? ".completed" : ".failed", &list);
}

uint32_t ati_operation_late(const at_operation *operation, int64_t now) {
    uint32_t late = 0;
    if (now - operation->started_at >= operation->slow)
        late |= ATI_LATE_SLOW;
    if (now > ati_operation_context(operation)->deadline)
        late |= ATI_LATE_OVERDUE;
    return late;
}

/* -- It goes on for too long -- */

static void log_slow(const at_operation *operation, at_logger *logger, int64_t now) {
    field_list list;
    list.count = 0;
    add(&list, at_kv_double("age_ms", milliseconds(now - operation->started_at)));
    add(&list, at_kv_double("slow_ms", milliseconds(operation->slow)));
    add(&list, at_kv_integer("begun_by", operation->thread));
    add_parent(&list, ati_operation_context(operation));
    write_to(logger, operation, AT_LOG_WARN, ".slow", &list);
}

static void log_overdue(const at_operation *operation, at_logger *logger, int64_t now) {
    const ati_context *context = ati_operation_context(operation);
    field_list list;
    list.count = 0;
    add(&list, at_kv_double("age_ms", milliseconds(now - operation->started_at)));
    add(&list, at_kv_double("overdue_ms", milliseconds(now - context->deadline)));
    add(&list, at_kv_bool("cancelled", ati_context_reason(context) != AT_CANCEL_NONE));
    add(&list, at_kv_integer("begun_by", operation->thread));
    add_parent(&list, context);
    write_to(logger, operation, AT_LOG_WARN, ".overdue", &list);
}

void ati_operation_log_late(const at_operation *operation, uint32_t late, at_logger *logger) {
    if (!logger)
        logger = operation->logger;
    at_logger *taken = logger ? NULL : ati_default_logger_take();
    if (!logger)
        logger = taken;
    if (at_log_enabled(logger, AT_LOG_WARN)) {
        int64_t now = at_clock_now(operation->clock);
        if (late & ATI_LATE_SLOW)
            log_slow(operation, logger, now);
        if (late & ATI_LATE_OVERDUE)
            log_overdue(operation, logger, now);
    }
    ati_default_logger_give_back(taken);
}

/* -- A tracker is told -- */

/* When it began, in nanoseconds since 1970. Between the real clock and that time lies what changes
 * only when somebody sets the time, or the machine has slept: it is asked for now and then. */
static int64_t begun_at(const at_operation *operation, at_duration duration) {
    static _Thread_local struct {
        bool is_known;
        int64_t asked_at; /* of the real clock */
        int64_t offset;
    } epoch;
    if (ati_clock_is_virtual(operation->clock))
        return ati_stamp_now() - duration;
    int64_t since = operation->started_at + duration - epoch.asked_at;
    if (!epoch.is_known || since > epoch_max_age) {
        epoch.is_known = true;
        epoch.asked_at = ati_monotonic_ns();
        epoch.offset = ati_stamp_now() - epoch.asked_at;
    }
    return operation->started_at + epoch.offset;
}

void ati_operation_track(at_operation *operation, const ati_operation_result *result) {
    const ati_context *context = ati_operation_context(operation);
    at_field fields[ATI_METADATA_FIELDS];
    char bytes[ATI_MEMBERS_MAX]; /* escapes take more room than what they stand for */
    ati_members members;
    members.at = bytes;
    members.cut_count = 0;
    size_t count = ati_metadata_get(&operation->metadata, fields);
    if (count > 0) {
        ati_members_init(&members, bytes, sizeof bytes,
                         ati_logger_redaction(at_operation_logger(operation)));
        ati_members_keep_room(&members, fields, count);
        ati_members_add(&members, fields, count);
    }
    const ati_tracked tracked = {
        .name = context->name,
        .outcome = result->outcome,
        .started_at = begun_at(operation, result->duration),
        .duration = result->duration,
        .id = context->id,
        .trace_id = {context->trace_id[0], context->trace_id[1]},
        .parent_id = context->parent_id,
        .thread = ati_live_thread_id(),
        .status = result->error ? at_error_status(result->error) : AT_OK,
        .members = bytes,
        .members_length = (size_t)(members.at - bytes),
        .members_cut = members.cut_count > 0 || operation->metadata.dropped > 0,
    };
    ati_tracker_record(operation->tracker, &tracked);
}
