/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include <string.h>

/* What the logger says about itself, in its own log. */

enum { report_level_count = AT_LOG_OFF - AT_LOG_TRACE };

uint64_t ati_log_dropped(at_logger *logger, at_log_level level) {
    uint64_t sum = atomic_load_explicit(&logger->dropped[level], memory_order_relaxed);
    for (ati_log_ring *ring = atomic_load_explicit(&logger->rings, memory_order_relaxed); ring;
         ring = ring->next_of_logger)
        sum += ati_counter_read(&ring->dropped[level]);
    return sum;
}

/* Encodes a line of the logger itself and gives it to all sinks but one (NULL: all). */
static void say(at_logger *logger, const ati_log_sink *but, const at_log_line *line) {
    char bytes[ATI_LINE_MAX];
    ati_line_head head = ati_log_head(logger, &logger->backend_line, ati_stamp_now());
    size_t size = ati_line_encode(bytes, &head, line);
    ati_lock_acquire(&logger->write_lock);
    ati_log_give_to_sinks(logger, but, bytes, size);
    ati_lock_release(&logger->write_lock);
}

static void report_drops(at_logger *logger) {
    uint64_t now[AT_LOG_OFF] = {0};
    ati_lock_acquire(&ati_log_registry_lock);
    for (int level = AT_LOG_TRACE; level < AT_LOG_OFF; level++)
        now[level] = ati_log_dropped(logger, level);
    ati_lock_release(&ati_log_registry_lock);
    at_field fields[report_level_count + 1];
    size_t count = 1;
    uint64_t sum = 0;
    for (int level = AT_LOG_TRACE; level < AT_LOG_OFF; level++) {
        uint64_t fresh = now[level] - logger->reported_dropped[level];
        logger->reported_dropped[level] = now[level];
        sum += fresh;
        if (fresh > 0)
            fields[count++] = at_kv_unsigned(ati_level_name(level), fresh);
    }
    if (sum == 0)
        return;
    fields[0] = at_kv_unsigned("dropped", sum);
    const at_log_line line = {
        .level = AT_LOG_WARN, .event = "log.dropped", .fields = fields, .field_count = count};
    say(logger, NULL, &line);
}

/* A sink fails: the others say so, or stderr if there is no other. When it works again, all say so,
 * also if it failed for less than a second. */
static void report_sink(at_logger *logger, uint32_t number) {
    ati_log_sink *sink = logger->sinks[number];
    uint64_t errors = ati_counter_read(&sink->errors);
    bool failing = sink->kept > 0 && sink->error_number != 0;
    bool recovered = sink->kept == 0 && errors != logger->reported_errors[number];
    if (failing ? logger->reported_failure[number] : !recovered)
        return;
    logger->reported_failure[number] = failing;
    if (recovered)
        logger->reported_errors[number] = errors;
    const at_field fields[] = {
        at_kv_string("sink", sink->kind->name),
        at_kv_unsigned("write_errors", errors),
        at_kv_unsigned("lost", ati_counter_read(&sink->lost)),
        at_kv_string("reason", failing ? strerrordesc_np(sink->error_number) : NULL),
    };
    const at_log_line line = {
        .level = failing ? AT_LOG_ERROR : AT_LOG_WARN,
        .event = failing ? "log.write_failed" : "log.write_recovered",
        .fields = fields,
        .field_count = failing ? 4 : 3,
    };
    if (failing && logger->sink_count == 1)
        ati_log_write_stderr(&logger->backend_line, &line);
    else
        say(logger, failing ? sink : NULL, &line);
}

void ati_log_report(at_logger *logger) {
    report_drops(logger);
    for (uint32_t i = 0; i < logger->sink_count; i++)
        report_sink(logger, i);
}
