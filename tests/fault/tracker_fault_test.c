/* SPDX-License-Identifier: MIT
 *
 * A tracker without memory (rule E1): calls that give something have their status and leave nothing
 * behind; recording never fails, and what is recorded is counted. */
#include "support/fault.h"
#include "support/test.h"

#include "operation/tracker.h"

#include <asynctools/memory.h>

#include <jansson.h>
#include <pthread.h>

FAULT_INSTALL;

TestSuite(tracker_fault, .timeout = 200);

static at_tracker *tracker;

static void record(const char *name) {
    const at_field fields[] = {at_kv("rows", 1)};
    at_tracker_record(tracker,
                      &(at_tracker_measurement){.name = name, .fields = fields, .field_count = 1});
}

static void create_and_release(void *unused) {
    (void)unused;
    tracker = NULL;
    at_status status = at_tracker_create(&tracker, &(at_tracker_options){.name = "test"});
    cr_assert_eq(status, fault_count() == 0 ? AT_OK : AT_ERROR_NO_MEMORY);
    cr_assert_eq(tracker != NULL, status == AT_OK);
    at_tracker_release(tracker);
    at_error_clear();
}

Test(tracker_fault, create) {
    cr_expect_geq(fault_each(fault_memory, create_and_release, NULL), 5);
}

static void *record_in_a_thread(void *unused) {
    (void)unused;
    record("first");
    record("second");
    return NULL;
}

static uint64_t recorded(void) {
    at_tracker_summaries *summaries;
    cr_assert_eq(at_tracker_get_summaries(tracker, &summaries), AT_OK);
    uint64_t count = summaries->recorded;
    cr_expect_eq(summaries->lost, 0);
    at_tracker_summaries_release(summaries);
    return count;
}

/* Names, cells and rings are made by the first event that needs them. */
static void record_on_two_threads(int64_t fault) {
    struct fault_usage before = fault_usage();
    cr_assert_eq(at_tracker_create(&tracker, NULL), AT_OK);
    fault_arm(fault_memory, fault);
    (void)record_in_a_thread(NULL);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, record_in_a_thread, NULL), 0);
    pthread_join(thread, NULL);
    fault_disarm();
    cr_assert_eq(recorded(), 4);
    at_tracker_events *events;
    cr_assert_eq(at_tracker_get_events(tracker, NULL, &events), AT_OK);
    cr_expect_eq(events->count, 4);
    at_tracker_events_release(events);
    at_tracker_release(tracker);
    fault_check_leaks(before);
}

Test(tracker_fault, recording_does_not_fail) {
    int64_t fault = 1;
    do
        record_on_two_threads(fault++);
    while (fault_count() > 0);
    cr_expect_geq(fault, 6);
}

static void read_all(void *unused) {
    (void)unused;
    at_tracker_events *events = NULL;
    at_tracker_summaries *summaries = NULL;
    json_t *json = NULL;
    char *text = NULL;
    int failures = 0;
    failures += at_tracker_get_events(tracker, NULL, &events) == AT_ERROR_NO_MEMORY;
    failures += at_tracker_get_summaries(tracker, &summaries) == AT_ERROR_NO_MEMORY;
    failures += at_tracker_json(tracker, NULL, &json) == AT_ERROR_NO_MEMORY;
    failures += at_tracker_prometheus(tracker, &text) == AT_ERROR_NO_MEMORY;
    cr_assert_eq(failures, fault_count());
    cr_assert_eq((events != NULL) + (summaries != NULL) + (json != NULL) + (text != NULL),
                 4 - failures);
    at_tracker_events_release(events);
    at_tracker_summaries_release(summaries);
    json_decref(json);
    at_text_release(text);
    at_error_clear();
}

Test(tracker_fault, readers) {
    cr_assert_eq(at_tracker_create(&tracker, NULL), AT_OK);
    record("read");
    cr_expect_geq(fault_each(fault_memory, read_all, NULL), 8);
    at_tracker_release(tracker);
}

/* Without memory for a name its events count as `_other_`. */
Test(tracker_fault, a_name_without_memory_is_another) {
    cr_assert_eq(at_tracker_create(&tracker, NULL), AT_OK);
    fault_arm_from(fault_memory, 1);
    record("nowhere");
    fault_disarm();
    at_tracker_summaries *summaries;
    cr_assert_eq(at_tracker_get_summaries(tracker, &summaries), AT_OK);
    cr_assert_eq(summaries->count, 1);
    cr_expect_str_eq(summaries->summaries[0].name, "_other_");
    at_tracker_summaries_release(summaries);
    record("nowhere");
    cr_expect_eq(recorded(), 2);
    at_tracker_release(tracker);
}
