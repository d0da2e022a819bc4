/* SPDX-License-Identifier: MIT */
#include <asynctools/asynctools.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

/* Events that were measured elsewhere. */
static void record_queries(at_tracker *tracker) {
    for (int i = 1; i <= 1000; i++) {
        const at_field fields[] = {at_kv("rows", i), at_kv("table", "orders")};
        const at_tracker_measurement query = {
            .name = "database_query",
            .outcome = i % 100 == 0 ? AT_OPERATION_TIMEOUT : AT_OPERATION_OK,
            .status = i % 100 == 0 ? AT_ERROR_TIMED_OUT : AT_OK,
            .duration = AT_MICROSECONDS(i),
            .fields = fields,
            .field_count = 2,
        };
        at_tracker_record(tracker, &query);
    }
}

/* What went wrong last, and what took long. */
static void print_events(at_tracker *tracker) {
    const at_tracker_filter late = {.name = "database_query",
                                    .outcomes = 1 << AT_OPERATION_TIMEOUT,
                                    .at_least = AT_MICROSECONDS(500),
                                    .limit = 3};
    at_tracker_events *events;
    expect(at_tracker_get_events(tracker, &late, &events) == AT_OK, "events");
    for (size_t i = 0; i < events->count; i++) {
        const at_tracker_event *event = &events->events[i];
        printf("%s %s after %lld us: %s\n", event->name, at_operation_outcome_name(event->outcome),
               (long long)event->duration / 1000, event->members);
    }
    expect(events->count == 3, "the newest three");
    expect(strcmp(events->events[0].members, "{\"rows\":1000,\"table\":\"orders\"}") == 0,
           "the newest first");
    at_tracker_events_release(events);
}

/* All that was recorded, by name. */
static void print_summaries(at_tracker *tracker) {
    at_tracker_summaries *summaries;
    expect(at_tracker_get_summaries(tracker, &summaries) == AT_OK, "summaries");
    for (size_t i = 0; i < summaries->count; i++) {
        const at_tracker_summary *summary = &summaries->summaries[i];
        printf("%s: %d, %d timed out, median %lld us, p99 %lld us\n", summary->name,
               (int)summary->count, (int)summary->outcomes[AT_OPERATION_TIMEOUT],
               (long long)summary->median / 1000, (long long)summary->p99 / 1000);
    }
    expect(summaries->recorded == 1000 && summaries->lost == 0, "every event counted");
    at_tracker_summaries_release(summaries);
}

/* The same as JSON, and as the text that Prometheus fetches. */
static void print_texts(at_tracker *tracker) {
    json_t *json;
    expect(at_tracker_json(tracker, &(at_tracker_filter){.limit = 1}, &json) == AT_OK, "JSON");
    json_dumpf(json, stdout, JSON_INDENT(2));
    json_decref(json);

    char *text;
    expect(at_tracker_prometheus(tracker, &text) == AT_OK, "a text");
    printf("\n%s", text);
    at_text_release(text);
}

int main(void) {
    at_tracker *tracker;
    const at_tracker_options options = {.name = "shop", .event_count = 500};
    expect(at_tracker_create(&tracker, &options) == AT_OK, "a tracker");
    at_tracker *other_part = at_tracker_retain(tracker); /* each part has a reference */

    record_queries(other_part);
    print_events(tracker);
    print_summaries(tracker);
    print_texts(tracker);

    at_tracker_reset(tracker);
    at_tracker_events *none;
    expect(at_tracker_get_events(tracker, NULL, &none) == AT_OK && none->count == 0, "no event");
    at_tracker_events_release(none);

    at_tracker_release(other_part);
    at_tracker_release(tracker);
    return 0;
}
