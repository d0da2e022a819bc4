/* SPDX-License-Identifier: MIT */
/* Events that are measured by blocks, and then summed up in a log line. */
#include <asynctools/asynctools.h>

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static at_logger *logger;

/* Prints the log, which then has to have this. */
static void expect_lines(const char *const *wanted) {
    char *lines;
    expect(at_logger_flush(logger, at_after(AT_SECONDS(30))) == AT_OK, "all lines written");
    expect(at_logger_memory_lines(logger, &lines) == AT_OK, "the lines");
    fputs(lines, stdout);
    for (; *wanted; wanted++)
        expect(strstr(lines, *wanted) != NULL, *wanted);
    at_logger_memory_release(lines);
}

static size_t download_large_file(void) {
    return 123456;
}

static void log_summary(at_tracker *tracker) {
    json_t *events;
    expect(at_tracker_json(tracker, &(at_tracker_filter){.limit = 10}, &events) == AT_OK, "JSON");
    at_log_info(logger, "event_summary", at_kv("events", events));
    json_decref(events);
}

int main(void) {
    at_tracker *tracker;
    expect(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 65536}) == AT_OK,
           "a logger");
    expect(at_tracker_create(&tracker, NULL) == AT_OK, "a tracker");

    AT_TRACK(event, tracker, "data_download") {
        size_t size = download_large_file();
        at_operation_add(event, at_kv("size_bytes", size));
    }

    at_tracker_events *events;
    expect(at_tracker_get_events(tracker, NULL, &events) == AT_OK, "the events");
    expect(events->count == 1, "one of them");
    printf("%s took %lld ns: %s\n", events->events[0].name, (long long)events->events[0].duration,
           events->events[0].members);
    at_tracker_events_release(events);

    log_summary(tracker);
    at_tracker_release(tracker);
    expect_lines((const char *const[]){
        "\"event\":\"event_summary\",\"events\":{\"recorded\":1",
        "\"name\":\"data_download\",\"outcome\":\"ok\"",
        "\"members\":{\"size_bytes\":123456}",
        NULL,
    });
    at_logger_destroy(logger);
    return 0;
}
