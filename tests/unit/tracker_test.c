/* SPDX-License-Identifier: MIT
 *
 * What a tracker remembers (rule E1): the last events, and of each name counts, outcomes and
 * durations. */
#include "support/fault.h"
#include "support/test.h"

#include "operation/tracker.h"

#include <asynctools/dump.h>
#include <asynctools/log.h>
#include <asynctools/memory.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>

FAULT_INSTALL;

static at_tracker *tracker;
static struct fault_usage usage;

static void begin(void) {
    usage = fault_usage();
    cr_assert_eq(at_tracker_create(&tracker, NULL), AT_OK);
}

static void end(void) {
    at_tracker_release(tracker);
    fault_check_leaks(usage);
}

TestSuite(tracker, .init = begin, .fini = end, .timeout = 200);

/* Another tracker for the rest of the test. */
static void change(const at_tracker_options *options) {
    at_tracker_release(tracker);
    cr_assert_eq(at_tracker_create(&tracker, options), AT_OK);
}

static void record(const char *name, at_operation_outcome outcome, at_duration duration) {
    at_tracker_record(
        tracker, &(at_tracker_measurement){
                     .name = name, .outcome = outcome, .started_at = 1000, .duration = duration});
}

static at_tracker_events *get(const at_tracker_filter *filter) {
    at_tracker_events *events = NULL;
    cr_assert_eq(at_tracker_get_events(tracker, filter, &events), AT_OK);
    return events;
}

static size_t count_of(const at_tracker_filter *filter) {
    at_tracker_events *events = get(filter);
    size_t count = events->count;
    at_tracker_events_release(events);
    return count;
}

/* -- Create -- */

static void expect_refused(at_tracker_options options, const char *member) {
    at_tracker *other = NULL;
    cr_expect_eq(at_tracker_create(&other, &options), AT_ERROR_INVALID);
    cr_expect_null(other);
    cr_expect_not_null(strstr(at_error_message(at_error_last()), member), "names %s", member);
}

Test(tracker, options_are_checked) {
    expect_refused((at_tracker_options){.event_count = -1}, "event_count");
    expect_refused((at_tracker_options){.event_count = 1048577}, "event_count");
    expect_refused((at_tracker_options){.name_count = -1}, "name_count");
    expect_refused((at_tracker_options){.name_count = 65537}, "name_count");
    expect_refused((at_tracker_options){.member_bytes = -2}, "member_bytes");
    expect_refused((at_tracker_options){.member_bytes = 8193}, "member_bytes");
    expect_refused((at_tracker_options){.reserved = {1}}, "reserved");
}

Test(tracker, references) {
    cr_expect_eq(at_tracker_retain(tracker), tracker);
    at_tracker_release(tracker);
    record("kept", AT_OPERATION_OK, 1);
    cr_expect_eq(count_of(NULL), 1);
    cr_expect_null(at_tracker_retain(NULL));
    at_tracker_release(NULL);
    at_tracker_events_release(NULL);
    at_tracker_summaries_release(NULL);
}

Test(tracker, outcomes_have_names) {
    cr_expect_str_eq(at_operation_outcome_name(AT_OPERATION_OK), "ok");
    cr_expect_str_eq(at_operation_outcome_name(AT_OPERATION_ERROR), "error");
    cr_expect_str_eq(at_operation_outcome_name(AT_OPERATION_TIMEOUT), "timeout");
    cr_expect_str_eq(at_operation_outcome_name(AT_OPERATION_CANCELLED), "cancelled");
    cr_expect_str_eq(at_operation_outcome_name(AT_OPERATION_DEGRADED), "degraded");
    cr_expect_str_eq(at_operation_outcome_name(AT_OPERATION_REJECTED), "rejected");
    cr_expect_str_eq(at_operation_outcome_name((at_operation_outcome)6), "unknown");
    cr_expect_str_eq(at_operation_outcome_name((at_operation_outcome)-1), "unknown");
}

/* -- Events -- */

/* E1: everything that an operation has is in its event. */
Test(tracker, an_event_is_given_back_whole) {
    static const char members[] = ",\"rows\":17,\"table\":\"users\"";
    const ati_tracked tracked = {
        .name = "database_query",
        .outcome = AT_OPERATION_ERROR,
        .started_at = 1234567890123456789,
        .duration = 5000,
        .id = 0x1234,
        .trace_id = {0x5678, 0x9abc},
        .parent_id = 0xdef0,
        .thread = 42,
        .status = AT_ERROR_IO,
        .members = members,
        .members_length = sizeof members - 1,
    };
    ati_tracker_record(tracker, &tracked);
    at_tracker_events *events = get(NULL);
    cr_assert_eq(events->count, 1);
    const at_tracker_event *event = &events->events[0];
    cr_expect_str_eq(event->name, "database_query");
    cr_expect_eq(event->outcome, AT_OPERATION_ERROR);
    cr_expect_eq(event->status, AT_ERROR_IO);
    cr_expect_eq(event->started_at, 1234567890123456789);
    cr_expect_eq(event->duration, 5000);
    cr_expect_eq(event->id, 0x1234);
    cr_expect_eq(event->trace_id[0], 0x5678);
    cr_expect_eq(event->trace_id[1], 0x9abc);
    cr_expect_eq(event->parent_id, 0xdef0);
    cr_expect_eq(event->thread, 42);
    cr_expect_not(event->members_cut);
    cr_expect_str_eq(event->members, "{\"rows\":17,\"table\":\"users\"}");
    cr_expect_eq(event->members_length, strlen(event->members));
    at_tracker_events_release(events);
}

/* E1: the last n, the newest first. */
Test(tracker, the_last_events_are_kept) {
    change(&(at_tracker_options){.event_count = 10});
    for (int i = 1; i <= 1000; i++) {
        record("step", AT_OPERATION_OK, i);
        at_tracker_events *events = get(NULL);
        cr_assert_eq(events->count, (size_t)(i < 10 ? i : 10));
        for (size_t j = 0; j < events->count; j++)
            cr_assert_eq(events->events[j].duration, i - (int)j);
        at_tracker_events_release(events);
    }
}

Test(tracker, one_event_is_kept) {
    change(&(at_tracker_options){.event_count = 1});
    record("first", AT_OPERATION_OK, 1);
    record("second", AT_OPERATION_OK, 2);
    at_tracker_events *events = get(NULL);
    cr_assert_eq(events->count, 1);
    cr_expect_str_eq(events->events[0].name, "second");
    at_tracker_events_release(events);
}

/* E1: filters. */
Test(tracker, events_are_filtered) {
    record("load", AT_OPERATION_OK, 10);
    record("load", AT_OPERATION_ERROR, 20);
    record("save", AT_OPERATION_TIMEOUT, 30);
    record("save", AT_OPERATION_OK, 40);
    cr_expect_eq(count_of(&(at_tracker_filter){0}), 4);
    cr_expect_eq(count_of(&(at_tracker_filter){.name = "load"}), 2);
    cr_expect_eq(count_of(&(at_tracker_filter){.name = "never"}), 0);
    cr_expect_eq(count_of(&(at_tracker_filter){.outcomes = 1 << AT_OPERATION_OK}), 2);
    cr_expect_eq(count_of(&(at_tracker_filter){.outcomes = 1 << AT_OPERATION_ERROR |
                                                           1 << AT_OPERATION_TIMEOUT}),
                 2);
    cr_expect_eq(count_of(&(at_tracker_filter){.at_least = 20}), 3);
    cr_expect_eq(count_of(&(at_tracker_filter){.since = 1030}), 2, "they began at 1000");
    cr_expect_eq(count_of(&(at_tracker_filter){.name = "save", .at_least = 31}), 1);
    at_tracker_events *events = get(&(at_tracker_filter){.name = "load", .limit = 1});
    cr_assert_eq(events->count, 1);
    cr_expect_eq(events->events[0].duration, 20);
    at_tracker_events_release(events);
}

/* Moments that make no sense do not come round to the other end of time. */
Test(tracker, times_are_added_as_far_as_they_go) {
    at_tracker_record(tracker, &(at_tracker_measurement){.name = "late",
                                                         .started_at = INT64_MAX - 5,
                                                         .duration = AT_SECONDS(1)});
    at_tracker_record(tracker, &(at_tracker_measurement){.name = "long", .duration = AT_FOREVER});
    cr_expect_eq(count_of(&(at_tracker_filter){.since = 1}), 2);
}

Test(tracker, filters_are_checked) {
    at_tracker_events *events = NULL;
    json_t *json = NULL;
    const at_tracker_filter wrong[] = {
        {.outcomes = 64}, {.at_least = -1}, {.limit = -1}, {.reserved = {0, 0, 0, 1}}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_expect_eq(at_tracker_get_events(tracker, &wrong[i], &events), AT_ERROR_INVALID);
        cr_expect_eq(at_tracker_json(tracker, &wrong[i], &json), AT_ERROR_INVALID);
    }
    cr_expect_null(events);
    cr_expect_null(json);
}

Test(tracker, events_outlive_the_tracker) {
    record("late", AT_OPERATION_OK, 7);
    at_tracker_events *events = get(NULL);
    at_tracker_summaries *summaries;
    cr_assert_eq(at_tracker_get_summaries(tracker, &summaries), AT_OK);
    at_tracker_release(tracker);
    tracker = NULL;
    cr_expect_str_eq(events->events[0].name, "late");
    cr_expect_str_eq(summaries->summaries[0].name, "late");
    at_tracker_events_release(events);
    at_tracker_summaries_release(summaries);
}

Test(tracker, a_measurement_has_fields_and_a_start) {
    const at_field fields[] = {at_kv("rows", 17), at_kv("note", "a \"quoted\" word")};
    at_tracker_record(tracker,
                      &(at_tracker_measurement){
                          .name = "measured", .duration = -5, .fields = fields, .field_count = 2});
    at_tracker_events *events = get(NULL);
    cr_assert_eq(events->count, 1);
    cr_expect_str_eq(events->events[0].members, "{\"rows\":17,\"note\":\"a \\\"quoted\\\" word\"}");
    cr_expect_eq(events->events[0].duration, 0);
    cr_expect_gt(events->events[0].started_at, 1600000000000000000, "now");
    cr_expect_gt(events->events[0].thread, 0);
    at_tracker_events_release(events);
}

/* Members are kept or left out whole, so what there is is an object of JSON. */
Test(tracker, members_are_cut_between_members) {
    char members[400];
    for (int room = 8; room <= 256; room += 8) {
        change(&(at_tracker_options){.member_bytes = room});
        for (size_t length = 0; length < 300; length++) {
            /* "first" fills up, "second" is what has no room in the end. */
            int made = snprintf(members, sizeof members, ",\"first\":\"%0*d\",\"second\":\"a,b}\"",
                                (int)length, 0);
            ati_tracked tracked = {
                .name = "cut", .members = members, .members_length = (size_t)made};
            ati_tracker_record(tracker, &tracked);
            at_tracker_events *events = get(&(at_tracker_filter){.limit = 1});
            const at_tracker_event *event = &events->events[0];
            json_t *object = json_loads(event->members, 0, NULL);
            cr_assert_not_null(object, "%s", event->members);
            cr_assert_leq(event->members_length, (size_t)room + 1);
            cr_assert_eq(event->members_cut, json_object_size(object) < 2);
            json_decref(object);
            at_tracker_events_release(events);
        }
    }
}

Test(tracker, members_may_be_switched_off) {
    change(&(at_tracker_options){.member_bytes = AT_NONE});
    const at_field fields[] = {at_kv("rows", 17)};
    at_tracker_record(
        tracker, &(at_tracker_measurement){.name = "bare", .fields = fields, .field_count = 1});
    at_tracker_events *events = get(NULL);
    cr_expect_str_eq(events->events[0].members, "{}");
    cr_expect(events->events[0].members_cut);
    at_tracker_events_release(events);
}

/* -- Names and summaries -- */

static at_tracker_summary summary_of(const char *name) {
    at_tracker_summary found = {0};
    at_tracker_summaries *summaries;
    cr_assert_eq(at_tracker_get_summaries(tracker, &summaries), AT_OK);
    for (size_t i = 0; i < summaries->count; i++)
        if (strcmp(summaries->summaries[i].name, name) == 0)
            found = summaries->summaries[i];
    found.name = NULL; /* not valid any more */
    at_tracker_summaries_release(summaries);
    return found;
}

static void expect_near(at_duration found, at_duration wanted) {
    at_duration error = found > wanted ? found - wanted : wanted - found;
    cr_expect_leq(error * 50, wanted, "%lld is said to be %lld", (long long)wanted,
                  (long long)found);
}

/* E1: counts by outcome, and percentiles with an error of 2 % at most. */
Test(tracker, summaries_count_and_measure) {
    for (int i = 1; i <= 10000; i++)
        record("load", i % 10 == 0 ? AT_OPERATION_ERROR : AT_OPERATION_OK, i * 1000003LL);
    record("save", AT_OPERATION_CANCELLED, AT_HOURS(30));
    at_tracker_summary load = summary_of("load");
    cr_expect_eq(load.count, 10000);
    cr_expect_eq(load.outcomes[AT_OPERATION_OK], 9000);
    cr_expect_eq(load.outcomes[AT_OPERATION_ERROR], 1000);
    expect_near(load.median, 5000 * 1000003LL);
    expect_near(load.p90, 9000 * 1000003LL);
    expect_near(load.p99, 9900 * 1000003LL);
    expect_near(load.p999, 9990 * 1000003LL);
    cr_expect_eq(load.max, 10000 * 1000003LL);
    cr_expect_eq(load.mean, 1000003LL * 10001 / 2);
    at_tracker_summary save = summary_of("save");
    cr_expect_eq(save.count, 1);
    cr_expect_eq(save.outcomes[AT_OPERATION_CANCELLED], 1);
    expect_near(save.median, AT_HOURS(30));
}

/* E1: one that is being recorded does not count as any outcome until its own is counted. */
Test(tracker, half_an_event_has_not_gone_well) {
    record("load", AT_OPERATION_ERROR, 5);
    ati_tracker_name *name = ati_tracker_names_find(&tracker->names, "load");
    ati_tracker_cell *cell = atomic_load_explicit(&name->cells[0], memory_order_relaxed);
    ati_histogram_record_shared(&cell->durations, 5); /* and no further */
    at_tracker_summary load = summary_of("load");
    cr_expect_eq(load.count, 1);
    cr_expect_eq(load.outcomes[AT_OPERATION_OK], 0);
    cr_expect_eq(load.outcomes[AT_OPERATION_ERROR], 1);
}

Test(tracker, what_is_no_outcome_is_an_error) {
    record("odd", (at_operation_outcome)77, 1);
    cr_expect_eq(summary_of("odd").outcomes[AT_OPERATION_ERROR], 1);
}

/* E1: at most 512 names, then _other_. */
Test(tracker, further_names_are_counted_together) {
    char name[32];
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof name, "operation_%d", i);
        record(name, AT_OPERATION_OK, 1);
    }
    cr_expect_eq(summary_of("operation_0").count, 1);
    cr_expect_eq(summary_of("operation_511").count, 1);
    cr_expect_eq(summary_of("operation_512").count, 0);
    cr_expect_eq(summary_of("_other_").count, 88);
    cr_expect_eq(count_of(&(at_tracker_filter){.name = "_other_"}), 88);
    cr_expect_eq(count_of(&(at_tracker_filter){.name = "operation_7"}), 1);
    at_tracker_summaries *summaries;
    cr_assert_eq(at_tracker_get_summaries(tracker, &summaries), AT_OK);
    cr_expect_eq(summaries->count, 513);
    cr_expect_eq(summaries->recorded, 600);
    cr_expect_eq(summaries->lost, 0);
    at_tracker_summaries_release(summaries);
}

/* Names are found by what they say, wherever that stands. */
Test(tracker, names_are_compared_by_content) {
    char name[] = "same";
    record("same", AT_OPERATION_OK, 1);
    record(name, AT_OPERATION_OK, 1);
    strcpy(name, "diff");
    record(name, AT_OPERATION_OK, 1);
    cr_expect_eq(summary_of("same").count, 2);
    cr_expect_eq(summary_of("diff").count, 1);
}

/* Every byte in a name: what is kept is UTF-8 without control characters. */
Test(tracker, names_are_made_presentable) {
    change(&(at_tracker_options){.name_count = 1000});
    for (int byte = 1; byte < 256; byte++) {
        const char name[] = {'a', (char)byte, 'b', '\0'};
        record(name, AT_OPERATION_OK, 1);
        at_tracker_events *events = get(&(at_tracker_filter){.limit = 1});
        json_t *text = json_string(events->events[0].name);
        cr_assert_not_null(text, "byte %d", byte);
        json_decref(text);
        for (const char *at = events->events[0].name; *at; at++)
            cr_assert_geq((unsigned char)*at, 0x20, "byte %d", byte);
        at_tracker_events_release(events);
        cr_assert_eq(count_of(&(at_tracker_filter){.name = name, .limit = 1}), 1);
    }
    cr_expect_eq(summary_of("a\"b").count, 1);
    cr_expect_eq(summary_of("a\\b").count, 1);
    record("", AT_OPERATION_OK, 1);
    cr_expect_eq(summary_of("").count, 1);
}

Test(tracker, long_names_are_cut) {
    char name[300];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    record(name, AT_OPERATION_OK, 1);
    name[200] = 'y';
    record(name, AT_OPERATION_OK, 1);
    at_tracker_events *events = get(NULL);
    cr_assert_eq(events->count, 2);
    cr_expect_eq(strlen(events->events[0].name), 100);
    cr_expect_eq(events->events[0].name, events->events[1].name);
    at_tracker_events_release(events);
}

Test(tracker, reset_forgets) {
    record("before", AT_OPERATION_ERROR, 100);
    at_tracker_reset(tracker);
    cr_expect_eq(count_of(NULL), 0);
    cr_expect_eq(summary_of("before").count, 0);
    record("after", AT_OPERATION_OK, 5);
    record("before", AT_OPERATION_OK, 5);
    cr_expect_eq(count_of(NULL), 2);
    at_tracker_summary again = summary_of("before");
    cr_expect_eq(again.count, 1);
    cr_expect_eq(again.outcomes[AT_OPERATION_ERROR], 0);
    cr_expect_eq(again.max, 5);
    at_tracker_reset(tracker);
    cr_expect_eq(count_of(NULL), 0);
}

/* -- As text -- */

Test(tracker, json_has_everything) {
    change(&(at_tracker_options){.name = "main"});
    static const char members[] = ",\"big\":18446744073709551615,\"text\":\"a\\u0000b\"";
    const ati_tracked tracked = {.name = "load",
                                 .outcome = AT_OPERATION_TIMEOUT,
                                 .status = AT_ERROR_TIMED_OUT,
                                 .duration = 1500000,
                                 .id = 255,
                                 .trace_id = {1, 2},
                                 .members = members,
                                 .members_length = sizeof members - 1};
    ati_tracker_record(tracker, &tracked);
    record("save", AT_OPERATION_OK, 1);
    json_t *json;
    cr_assert_eq(at_tracker_json(tracker, &(at_tracker_filter){.name = "load"}, &json), AT_OK);
    cr_expect_str_eq(json_string_value(json_object_get(json, "tracker")), "main");
    cr_expect_eq(json_integer_value(json_object_get(json, "recorded")), 2);
    cr_expect_eq(json_array_size(json_object_get(json, "summaries")), 2);
    cr_assert_eq(json_array_size(json_object_get(json, "events")), 1);
    json_t *event = json_array_get(json_object_get(json, "events"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(event, "outcome")), "timeout");
    cr_expect_str_eq(json_string_value(json_object_get(event, "status")), "AT_ERROR_TIMED_OUT");
    cr_expect_str_eq(json_string_value(json_object_get(event, "operation_id")), "00000000000000ff");
    cr_expect_str_eq(json_string_value(json_object_get(event, "trace_id")),
                     "00000000000000010000000000000002");
    cr_expect_float_eq(json_real_value(json_object_get(event, "duration_ms")), 1.5, 1e-9);
    json_t *kept = json_object_get(event, "members");
    cr_expect_float_eq(json_number_value(json_object_get(kept, "big")), 18446744073709551615.0,
                       1e5);
    cr_expect_eq(json_string_length(json_object_get(kept, "text")), 3);
    json_decref(json);
}

static void expect_line(const char *text, const char *line) {
    cr_expect_not_null(strstr(text, line), "%s in %s", line, text);
}

/* The text format: HELP and TYPE once, escaped labels, cumulative buckets, seconds. */
Test(tracker, prometheus_reads_the_text) {
    change(&(at_tracker_options){.name = "a\"b\\c"});
    record("load \"x\"", AT_OPERATION_OK, AT_MILLISECONDS(2));
    record("load \"x\"", AT_OPERATION_ERROR, AT_SECONDS(3));
    record("load \"x\"", AT_OPERATION_OK, AT_HOURS(1));
    char *text;
    cr_assert_eq(at_tracker_prometheus(tracker, &text), AT_OK);
#define LABELS "tracker=\"a\\\"b\\\\c\",operation=\"load \\\"x\\\"\""
#define DURATION "asynctools_operation_duration_seconds"
    expect_line(text, "# TYPE " DURATION " histogram\n");
    expect_line(text, "# HELP " DURATION " ");
    expect_line(text, DURATION "_bucket{" LABELS ",le=\"0.001048575\"} 0\n");
    expect_line(text, DURATION "_bucket{" LABELS ",le=\"0.002097151\"} 1\n");
    expect_line(text, DURATION "_bucket{" LABELS ",le=\"4.294967295\"} 2\n");
    expect_line(text, DURATION "_bucket{" LABELS ",le=\"+Inf\"} 3\n");
    expect_line(text, DURATION "_sum{" LABELS "} 3603.002000000\n");
    expect_line(text, DURATION "_count{" LABELS "} 3\n");
    expect_line(text, "# TYPE asynctools_operations_total counter\n");
    expect_line(text, "asynctools_operations_total{" LABELS ",outcome=\"ok\"} 2\n");
    expect_line(text, "asynctools_operations_total{" LABELS ",outcome=\"error\"} 1\n");
    expect_line(text, "asynctools_operations_total{" LABELS ",outcome=\"timeout\"} 0\n");
    expect_line(text, "asynctools_events_lost_total{tracker=\"a\\\"b\\\\c\"} 0\n");
    char *first = strstr(text, "# HELP " DURATION);
    cr_expect_null(strstr(first + 1, "# HELP " DURATION));
    cr_expect_eq(text[strlen(text) - 1], '\n');
    at_text_release(text);
}

Test(tracker, the_dump_shows_trackers) {
    change(&(at_tracker_options){.name = "shown"});
    char name[32];
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "operation_%d", i);
        for (int j = 0; j <= i; j++)
            record(name, AT_OPERATION_OK, 1);
    }
    char *text;
    cr_assert_eq(at_dump(&text), AT_OK);
    json_t *dump = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(dump);
    json_t *shown = json_array_get(json_object_get(dump, "trackers"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(shown, "name")), "shown");
    cr_expect_eq(json_integer_value(json_object_get(shown, "recorded")), 465);
    cr_expect_eq(json_integer_value(json_object_get(shown, "names_not_shown")), 10);
    json_t *names = json_object_get(shown, "names");
    cr_assert_eq(json_array_size(names), 20);
    cr_expect_str_eq(json_string_value(json_object_get(json_array_get(names, 0), "name")),
                     "operation_29");
    cr_expect_eq(json_integer_value(json_object_get(json_array_get(names, 0), "count")), 30);
    json_decref(dump);
    at_text_release(text);
}

/* -- The log; a thread that logs keeps a ring, so nothing is said about leaks -- */

Test(tracker_log, a_full_table_is_reported_once) {
    at_logger *logger;
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 65536}), AT_OK);
    at_logger_set_default(logger);
    cr_assert_eq(at_tracker_create(&tracker, &(at_tracker_options){.name_count = 1}), AT_OK);
    record("first", AT_OPERATION_OK, 1);
    record("second", AT_OPERATION_OK, 1);
    record("third", AT_OPERATION_OK, 1);
    char *lines;
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(20))), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_expect_not_null(strstr(lines, "\"tracker.names_full\""));
    cr_expect_not_null(strstr(lines, "\"refused\":\"second\""));
    cr_expect_null(strstr(lines, "third"));
    at_logger_memory_release(lines);
    at_tracker_release(tracker);
    at_logger_destroy(logger);
}
