/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include "base/clock.h"
#include "log/verbose.h"

#include <string.h>

/* What the logger says about itself, in its own log. */

enum { report_level_count = AT_LOG_OFF - AT_LOG_TRACE };

uint64_t ati_log_dropped(ati_log_core *core, at_log_level level) {
    uint64_t sum = atomic_load_explicit(&core->dropped[level], memory_order_relaxed);
    for (ati_log_ring *ring = atomic_load_explicit(&core->rings, memory_order_relaxed); ring;
         ring = ring->next_of_core)
        sum += ati_counter_read(&ring->dropped[level]);
    return sum;
}

/* Encodes a line of the logger itself and gives it to all sinks but one (NULL: all). */
static void say(ati_log_core *core, const ati_log_sink *but, const at_log_line *line) {
    char bytes[ATI_LINE_MAX];
    ati_line_head head = ati_log_head(core->root, &core->backend_line, ati_stamp_now());
    size_t size = ati_line_encode(bytes, &head, line);
    ati_lock_acquire(&core->write_lock);
    ati_log_give_to_sinks(core, but, bytes, size);
    ati_lock_release(&core->write_lock);
}

static void report_drops(ati_log_core *core) {
    uint64_t now[AT_LOG_OFF] = {0};
    ati_lock_acquire(&ati_log_registry_lock);
    for (int level = AT_LOG_TRACE; level < AT_LOG_OFF; level++)
        now[level] = ati_log_dropped(core, level);
    ati_lock_release(&ati_log_registry_lock);
    at_field fields[report_level_count + 1];
    size_t count = 1;
    uint64_t sum = 0;
    for (int level = AT_LOG_TRACE; level < AT_LOG_OFF; level++) {
        uint64_t fresh = now[level] - core->reported_dropped[level];
        core->reported_dropped[level] = now[level];
        sum += fresh;
        if (fresh > 0)
            fields[count++] = at_kv_unsigned(ati_level_name(level), fresh);
    }
    if (sum == 0)
        return;
    fields[0] = at_kv_unsigned("dropped", sum);
    const at_log_line line = {
        .level = AT_LOG_WARN, .event = "log.dropped", .fields = fields, .field_count = count};
    say(core, NULL, &line);
}

/* A sink fails: the others say so, or stderr if there is no other. When it works again, all say so,
 * also if it failed for less than a second. */
static void report_sink(ati_log_core *core, uint32_t number) {
    ati_log_sink *sink = core->sinks[number];
    uint64_t errors = ati_counter_read(&sink->errors);
    bool failing = sink->kept > 0 && sink->error_number != 0;
    bool recovered = sink->kept == 0 && errors != core->reported_errors[number];
    if (failing ? core->reported_failure[number] : !recovered)
        return;
    core->reported_failure[number] = failing;
    if (recovered)
        core->reported_errors[number] = errors;
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
    if (failing && core->sink_count == 1)
        ati_log_write_stderr(NULL, &core->backend_line, &line);
    else
        say(core, failing ? sink : NULL, &line);
}

/* A file cannot be rotated or opened anew: the old one goes on, and has the line too. */
static void report_move(ati_log_core *core, uint32_t number) {
    ati_log_sink *sink = core->sinks[number];
    bool failing = sink->move_error_number != 0;
    if (failing == core->reported_move_failure[number])
        return;
    core->reported_move_failure[number] = failing;
    const at_field fields[] = {
        at_kv_string("sink", sink->kind->name),
        at_kv_unsigned("rotations", ati_counter_read(&sink->rotations)),
        at_kv_unsigned("rotate_errors", ati_counter_read(&sink->move_errors)),
        at_kv_string("reason", failing ? strerrordesc_np(sink->move_error_number) : NULL),
    };
    const at_log_line line = {
        .level = failing ? AT_LOG_ERROR : AT_LOG_WARN,
        .event = failing ? "log.rotate_failed" : "log.rotate_recovered",
        .fields = fields,
        .field_count = failing ? 4 : 3,
    };
    say(core, NULL, &line);
}

void ati_log_report(ati_log_core *core) {
    ati_log_verbose_settle(ati_monotonic_ns());
    report_drops(core);
    for (uint32_t i = 0; i < core->sink_count; i++) {
        report_sink(core, i);
        report_move(core, i);
    }
}
