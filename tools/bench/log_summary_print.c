/* SPDX-License-Identifier: MIT */
#include "log_print.h"
#include "log_summary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PRINTED_EVENTS = 30 };

static uint64_t lines_of(const struct log_event_count *event) {
    uint64_t sum = 0;
    for (int level = 0; level < LOG_LEVELS; level++)
        sum += event->lines[level];
    return sum;
}

static int compare_events(const void *left, const void *right) {
    const struct log_event_count *a = left, *b = right;
    uint64_t of_a = lines_of(a), of_b = lines_of(b);
    return of_a != of_b ? (of_a < of_b ? 1 : -1) : strcmp(a->name, b->name);
}

/* Afterwards nothing can be added. */
static void sort_events(struct log_summary *summary) {
    qsort(summary->events, (size_t)summary->event_count, sizeof(summary->events[0]),
          compare_events);
}

static void print_name(const char *name) {
    log_print_text(stdout, name, strlen(name));
}

static void print_event(const struct log_event_count *event, const char *name) {
    printf("%12" PRIu64 "  ", lines_of(event));
    print_name(name);
    const char *comma = " (";
    for (int level = 0; level < LOG_LEVELS; level++)
        if (event->lines[level] > 0) {
            printf("%s%s %" PRIu64, comma, log_level_names[level], event->lines[level]);
            comma = ", ";
        }
    printf("%s\n", *comma == ',' ? ")" : "");
}

static void print_events(const struct log_summary *summary) {
    printf("\nEvents:\n");
    for (int i = 0; i < summary->event_count && i < PRINTED_EVENTS; i++)
        print_event(&summary->events[i], summary->events[i].name);
    if (summary->event_count > PRINTED_EVENTS)
        printf("%12s  and %d other names\n", "", summary->event_count - PRINTED_EVENTS);
    if (lines_of(&summary->other_events) > 0)
        print_event(&summary->other_events, "of still other names");
}

static void print_operations(const struct log_summary *summary) {
    if (summary->ended == 0)
        return;
    printf("\n%" PRIu64 " operations ended:", summary->ended);
    for (int i = 0; i < summary->outcome_count; i++) {
        printf("%s ", i > 0 ? "," : "");
        print_name(summary->outcomes[i].name);
        printf(" %" PRIu64, summary->outcomes[i].count);
    }
    printf("\n\nSlowest:\n");
    for (int i = 0; i < summary->slowest_count; i++) {
        const struct log_ended *ended = &summary->slowest[i];
        printf("%12.3f ms  ", ended->duration_ms);
        print_name(ended->event);
        printf(" %s of %s, ", ended->operation_id, ended->trace_id);
        print_name(*ended->outcome ? ended->outcome : "unknown");
        printf(", %s\n", ended->ts);
    }
}

void log_summary_print(struct log_summary *summary, uint64_t invalid) {
    sort_events(summary);
    printf("%" PRIu64 " lines, %" PRIu64 " bytes, %" PRIu64 " invalid lines\n", summary->lines,
           summary->bytes, invalid);
    if (summary->lines > 0)
        printf("from %s to %s\n", summary->first, summary->last);
    for (int level = 0; level < LOG_LEVELS; level++)
        if (summary->levels[level] > 0)
            printf("  %-6s %12" PRIu64 "\n", log_level_names[level], summary->levels[level]);
    if (summary->event_count > 0)
        print_events(summary);
    print_operations(summary);
    if (summary->dropped + summary->sampled + summary->write_failures + summary->lost > 0)
        printf("\nNot in the log: %" PRIu64 " lines dropped, %" PRIu64
               " left out by sampling; %" PRIu64 " failures of a sink, at least %" PRIu64
               " lines lost by it\n",
               summary->dropped, summary->sampled, summary->write_failures, summary->lost);
}

/* -- JSON -- */

static json_t *number(uint64_t value) {
    return json_integer((json_int_t)value);
}

static json_t *describe_levels(const uint64_t lines[LOG_LEVELS]) {
    json_t *levels = json_object();
    for (int level = 0; level < LOG_LEVELS; level++)
        if (lines[level] > 0)
            json_object_set_new(levels, log_level_names[level], number(lines[level]));
    return levels;
}

static json_t *describe_events(const struct log_summary *summary) {
    json_t *events = json_object();
    for (int i = 0; i < summary->event_count; i++)
        json_object_set_new(events, summary->events[i].name,
                            describe_levels(summary->events[i].lines));
    return events;
}

static json_t *describe_outcomes(const struct log_summary *summary) {
    json_t *outcomes = json_object();
    for (int i = 0; i < summary->outcome_count; i++)
        json_object_set_new(outcomes, summary->outcomes[i].name,
                            number(summary->outcomes[i].count));
    return outcomes;
}

static json_t *describe_slowest(const struct log_summary *summary) {
    json_t *slowest = json_array();
    for (int i = 0; i < summary->slowest_count; i++) {
        const struct log_ended *ended = &summary->slowest[i];
        json_array_append_new(slowest,
                              json_pack("{s:s, s:f, s:s, s:s, s:s, s:s}", "event", ended->event,
                                        "duration_ms", ended->duration_ms, "outcome",
                                        ended->outcome, "operation_id", ended->operation_id,
                                        "trace_id", ended->trace_id, "ts", ended->ts));
    }
    return slowest;
}

bool log_summary_print_json(struct log_summary *summary, uint64_t invalid) {
    sort_events(summary);
    json_t *root = json_object();
    json_object_set_new(root, "lines", number(summary->lines));
    json_object_set_new(root, "bytes", number(summary->bytes));
    json_object_set_new(root, "invalid", number(invalid));
    json_object_set_new(root, "first", json_string(summary->first));
    json_object_set_new(root, "last", json_string(summary->last));
    json_object_set_new(root, "levels", describe_levels(summary->levels));
    json_object_set_new(root, "events", describe_events(summary));
    json_object_set_new(root, "other_events", describe_levels(summary->other_events.lines));
    json_object_set_new(root, "operations", number(summary->ended));
    json_object_set_new(root, "outcomes", describe_outcomes(summary));
    json_object_set_new(root, "slowest", describe_slowest(summary));
    json_object_set_new(root, "dropped", number(summary->dropped));
    json_object_set_new(root, "sampled", number(summary->sampled));
    json_object_set_new(root, "write_failed", number(summary->write_failures));
    json_object_set_new(root, "lost", number(summary->lost));
    bool well = root && json_dumpf(root, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
    json_decref(root);
    return well;
}
