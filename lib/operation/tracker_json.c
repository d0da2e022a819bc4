/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/error.h"
#include "operation/tracker.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

/* Memory is looked for at the end: once there is none, something is NULL, and what it was to be put
 * into is not whole. */
typedef struct document {
    bool is_exhausted;
} document;

static void put(document *made, json_t *object, const char *key, json_t *value) {
    if (json_object_set_new(object, key, value) != 0)
        made->is_exhausted = true;
}

static void append(document *made, json_t *array, json_t *value) {
    if (json_array_append_new(array, value) != 0)
        made->is_exhausted = true;
}

static void put_ms(document *made, json_t *object, const char *key, at_duration duration) {
    put(made, object, key, json_real((double)duration / 1e6));
}

static void put_id(document *made, json_t *object, const char *key, const uint64_t *words,
                   int count) {
    char digits[33] = "";
    uint64_t any = 0;
    for (int i = 0; i < count; i++) {
        any |= words[i];
        snprintf(digits + (size_t)i * 16, sizeof digits - (size_t)i * 16, "%016" PRIx64, words[i]);
    }
    if (any != 0)
        put(made, object, key, json_string(digits));
}

/* The members as an object. Numbers that an integer of jansson cannot hold become real. */
static json_t *load_members(const at_tracker_event *event) {
    json_t *members = json_loadb(event->members, event->members_length, JSON_ALLOW_NUL, NULL);
    if (!members)
        members = json_loadb(event->members, event->members_length,
                             JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    return members;
}

static json_t *make_event(document *made, const at_tracker_event *event) {
    json_t *object = json_object();
    put(made, object, "name", json_string(event->name));
    put(made, object, "outcome", json_string(at_operation_outcome_name(event->outcome)));
    if (event->status != AT_OK)
        put(made, object, "status", json_string(at_status_name(event->status)));
    put(made, object, "started_at_ns", json_integer(event->started_at));
    put_ms(made, object, "duration_ms", event->duration);
    put_id(made, object, "operation_id", &event->id, 1);
    put_id(made, object, "trace_id", event->trace_id, 2);
    put_id(made, object, "parent_id", &event->parent_id, 1);
    put(made, object, "thread", json_integer(event->thread));
    put(made, object, "members", load_members(event));
    if (event->members_cut)
        put(made, object, "members_cut", json_true());
    return object;
}

static json_t *make_summary(document *made, const at_tracker_summary *summary) {
    json_t *object = json_object();
    json_t *outcomes = json_object();
    put(made, object, "name", json_string(summary->name));
    put(made, object, "count", json_integer((json_int_t)summary->count));
    for (int i = 0; i < AT_OPERATION_OUTCOME_COUNT; i++)
        if (summary->outcomes[i] > 0)
            put(made, outcomes, at_operation_outcome_name((at_operation_outcome)i),
                json_integer((json_int_t)summary->outcomes[i]));
    put(made, object, "outcomes", outcomes);
    put_ms(made, object, "mean_ms", summary->mean);
    put_ms(made, object, "p50_ms", summary->median);
    put_ms(made, object, "p90_ms", summary->p90);
    put_ms(made, object, "p99_ms", summary->p99);
    put_ms(made, object, "p999_ms", summary->p999);
    put_ms(made, object, "max_ms", summary->max);
    return object;
}

static json_t *make_document(document *made, const at_tracker *tracker,
                             const at_tracker_summaries *summaries,
                             const at_tracker_events *events) {
    json_t *object = json_object();
    json_t *names = json_array();
    json_t *list = json_array();
    if (tracker->name[0])
        put(made, object, "tracker", json_string(tracker->name));
    put(made, object, "recorded", json_integer((json_int_t)summaries->recorded));
    put(made, object, "lost", json_integer((json_int_t)summaries->lost));
    for (size_t i = 0; i < summaries->count; i++)
        append(made, names, make_summary(made, &summaries->summaries[i]));
    put(made, object, "summaries", names);
    for (size_t i = 0; i < events->count; i++)
        append(made, list, make_event(made, &events->events[i]));
    put(made, object, "events", list);
    return object;
}

at_status at_tracker_json(at_tracker *tracker, const at_tracker_filter *filter,
                          struct json_t **json) {
    ATI_CALLER_CHECK(tracker, "at_tracker_json", "`tracker` is NULL");
    ATI_CALLER_CHECK(json, "at_tracker_json", "`json` is NULL");
    at_tracker_summaries *summaries;
    at_tracker_events *events;
    at_status status = ati_tracker_check_filter("at_tracker_json", filter);
    if (status == AT_OK)
        status = at_tracker_get_summaries(tracker, &summaries);
    if (status != AT_OK)
        return status;
    status = at_tracker_get_events(tracker, filter, &events);
    if (status == AT_OK) {
        document made = {0};
        json_t *object = make_document(&made, tracker, summaries, events);
        if (made.is_exhausted) {
            json_decref(object);
            status = ati_fail(AT_ERROR_NO_MEMORY, "at_tracker_json: out of memory");
        } else {
            *json = object;
        }
        at_tracker_events_release(events);
    }
    at_tracker_summaries_release(summaries);
    return status;
}
