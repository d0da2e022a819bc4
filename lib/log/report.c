/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include "base/clock.h"
#include "log/verbose.h"

#include <string.h>

/* What the logger says about itself, in its own log. All of it under write_lock: in a forked child
 * the callers report, and after exit() they write while the backend reports. */

enum {
    report_level_count = AT_LOG_OFF - AT_LOG_TRACE,
    report_every_ms = 1000,
};

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
    ati_line_head head = ati_log_head(core->root, NULL, &core->backend_line, ati_stamp_now());
    size_t size = ati_line_encode(bytes, &head, line);
    ati_log_give_to_sinks(core, but, bytes, size);
}

/* Says how many lines did not come into the log since the last report, in all and by level. */
static void report_counts(ati_log_core *core, const at_log_line *like, const uint64_t *now,
                          uint64_t *reported) {
    at_field fields[report_level_count + 1];
    size_t count = 1;
    uint64_t sum = 0;
    for (int level = AT_LOG_TRACE; level < AT_LOG_OFF; level++) {
        uint64_t fresh = now[level] - reported[level];
        reported[level] = now[level];
        sum += fresh;
        if (fresh > 0)
            fields[count++] = at_kv_unsigned(ati_level_name(level), fresh);
    }
    if (sum == 0)
        return;
    fields[0] = at_kv_unsigned(like->event + sizeof "log." - 1, sum);
    const at_log_line line = {
        .level = like->level, .event = like->event, .fields = fields, .field_count = count};
    say(core, NULL, &line);
}

/* Under the registry's lock. */
static void count_dropped(ati_log_core *core, uint64_t counts[AT_LOG_OFF]) {
    for (int level = AT_LOG_TRACE; level < AT_LOG_OFF; level++)
        counts[level] = ati_log_dropped(core, level);
}

static void count_sampled(ati_log_core *core, uint64_t counts[AT_LOG_OFF]) {
    for (int level = AT_LOG_TRACE; level < AT_LOG_OFF; level++)
        counts[level] = atomic_load_explicit(&core->sampled[level], memory_order_relaxed);
}

static void report_drops(ati_log_core *core) {
    static const at_log_line line = {.level = AT_LOG_WARN, .event = "log.dropped"};
    uint64_t now[AT_LOG_OFF] = {0};
    ati_lock_acquire(&ati_log_registry_lock);
    count_dropped(core, now);
    ati_lock_release(&ati_log_registry_lock);
    report_counts(core, &line, now, core->reported_dropped);
}

static void report_sampled(ati_log_core *core) {
    static const at_log_line line = {.level = AT_LOG_INFO, .event = "log.sampled"};
    uint64_t now[AT_LOG_OFF] = {0};
    count_sampled(core, now);
    report_counts(core, &line, now, core->reported_sampled);
}

/* Whether another sink takes lines. */
static bool has_other(const ati_log_core *core, const ati_log_sink *sink) {
    for (uint32_t i = 0; i < ati_log_sink_count(core); i++)
        if (core->sinks[i] != sink && !ati_log_sink_end(core->sinks[i]))
            return true;
    return false;
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
    if (failing && !has_other(core, sink))
        ati_log_write_stderr(NULL, NULL, &core->backend_line, &line);
    else
        say(core, failing ? sink : NULL, &line);
}

/* A sink without errors is too slow, or takes no lines any more, which is said once: the others say
 * so, or stderr if there is no other. */
static void report_lost(ati_log_core *core, uint32_t number) {
    ati_log_sink *sink = core->sinks[number];
    const char *end = ati_log_sink_end(sink);
    uint64_t lost = ati_counter_read(&sink->lost);
    uint64_t fresh = lost - core->reported_lost[number];
    core->reported_lost[number] = lost;
    bool is_known = end && core->reported_end[number];
    if (fresh == 0 || is_known || ati_counter_read(&sink->errors) > 0)
        return;
    core->reported_end[number] = end;
    const at_field fields[] = {at_kv_string("sink", sink->kind->name),
                               at_kv_unsigned("lost", fresh), at_kv_string("reason", end)};
    const at_log_line line = {.level = AT_LOG_WARN,
                              .event = "log.lines_lost",
                              .fields = fields,
                              .field_count = end ? 3 : 2};
    if (!has_other(core, sink))
        ati_log_write_stderr(NULL, NULL, &core->backend_line, &line);
    else
        say(core, sink, &line);
}

/* Says of a file that something fails, or succeeds again, if that is new. */
static void report_file(ati_log_core *core, ati_log_sink *sink, int error_number, bool *reported,
                        const at_log_line kinds[2]) {
    bool failing = error_number != 0;
    if (failing == *reported)
        return;
    *reported = failing;
    const at_field fields[] = {
        at_kv_string("sink", sink->kind->name),
        at_kv_unsigned("rotations", ati_counter_read(&sink->rotations)),
        at_kv_unsigned("rotate_errors", ati_counter_read(&sink->move_errors)),
        at_kv_string("reason", failing ? strerrordesc_np(error_number) : NULL),
    };
    at_log_line line = kinds[failing];
    line.fields = fields;
    line.field_count = failing ? 4 : 3;
    say(core, NULL, &line);
}

/* Cannot be rotated or opened anew: the old one goes on, and has the line too. */
static void report_move(ati_log_core *core, uint32_t number) {
    static const at_log_line kinds[] = {
        {.level = AT_LOG_WARN, .event = "log.rotate_recovered"},
        {.level = AT_LOG_ERROR, .event = "log.rotate_failed"},
    };
    ati_log_sink *sink = core->sinks[number];
    report_file(core, sink, sink->move_error_number, &core->reported_move_failure[number], kinds);
}

/* Old ones cannot be removed. */
static void report_remove(ati_log_core *core, uint32_t number) {
    static const at_log_line kinds[] = {
        {.level = AT_LOG_WARN, .event = "log.remove_recovered"},
        {.level = AT_LOG_ERROR, .event = "log.remove_failed"},
    };
    ati_log_sink *sink = core->sinks[number];
    report_file(core, sink, sink->remove_error_number, &core->reported_remove_failure[number],
                kinds);
}

bool ati_log_report(ati_log_core *core, bool wanted) {
    int64_t now = ati_monotonic_ns();
    if (!wanted && now < core->next_report)
        return false;
    core->next_report = now + AT_MILLISECONDS(report_every_ms);
    ati_log_verbose_settle(now);
    report_drops(core);
    report_sampled(core);
    for (uint32_t i = 0; i < ati_log_sink_count(core); i++) {
        report_sink(core, i);
        report_lost(core, i);
        report_move(core, i);
        report_remove(core, i);
    }
    return true;
}

void ati_log_report_after_fork(ati_log_core *core) {
    core->backend_line = (ati_line_thread){0};
    ati_line_thread_init(&core->backend_line);
    count_dropped(core, core->reported_dropped);
    count_sampled(core, core->reported_sampled);
    for (uint32_t i = 0; i < ati_log_sink_count(core); i++) {
        core->reported_failure[i] = false;
        core->reported_errors[i] = ati_counter_read(&core->sinks[i]->errors);
        core->reported_lost[i] = ati_counter_read(&core->sinks[i]->lost);
    }
}

void ati_log_say_lost(ati_log_core *core, const ati_log_sink *sink, int reason) {
    const at_field fields[] = {
        at_kv_string("sink", sink->kind->name),
        at_kv_unsigned("write_errors", ati_counter_read(&sink->errors)),
        at_kv_unsigned("lost", ati_counter_read(&sink->lost)),
        at_kv_string("reason", reason ? strerrordesc_np(reason) : NULL),
        at_kv_unsigned("waiting_bytes", sink->kept),
    };
    const at_log_line line = {.level = AT_LOG_ERROR,
                              .event = "log.lines_lost",
                              .fields = fields,
                              .field_count = sink->kept > 0 ? 5 : 4};
    ati_log_write_stderr(NULL, NULL, &core->backend_line, &line);
}
