/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "operation/tracker.h"

#include <string.h>

/* A snapshot: this, its events, and behind them their members as text. */
typedef struct snapshot {
    at_tracker_events events;
    at_tracker *tracker; /* keeps the names */
    size_t size;
    at_tracker_event list[];
} snapshot;

enum { braces = 2 * 8 }; /* room for the end of an object, in whole words */

at_status ati_tracker_check_filter(const char *call, const at_tracker_filter *filter) {
    if (!filter)
        return AT_OK;
    const char *wrong = NULL;
    if (!ati_all_zero(filter->reserved, sizeof filter->reserved))
        wrong = "reserved";
    else if (filter->outcomes >> AT_OPERATION_OUTCOME_COUNT != 0)
        wrong = "outcomes";
    else if (filter->at_least < 0)
        wrong = "at_least";
    else if (filter->limit < 0)
        wrong = "limit";
    return wrong ? ati_fail(AT_ERROR_INVALID, "%s: `%s` is out of range", call, wrong) : AT_OK;
}

/* The filter as events are compared with it. */
typedef struct selection {
    const ati_tracker_name *name; /* NULL: all */
    uint32_t outcomes;
    int64_t at_least;
    int64_t since;
    uint64_t limit;
} selection;

static selection select_all(const at_tracker *tracker) {
    return (selection){
        .outcomes = UINT32_MAX, .since = INT64_MIN, .limit = tracker->rings.kept_count};
}

static selection select_by(at_tracker *tracker, const at_tracker_filter *filter) {
    selection selected = select_all(tracker);
    if (!filter)
        return selected;
    if (filter->name) {
        selected.name = ati_tracker_names_find(&tracker->names, filter->name);
        if (!selected.name)
            selected.limit = 0; /* no event has it */
    }
    if (filter->outcomes != 0)
        selected.outcomes = filter->outcomes;
    selected.at_least = filter->at_least;
    if (filter->since != 0)
        selected.since = filter->since;
    if (filter->limit != 0 && (uint64_t)filter->limit < selected.limit)
        selected.limit = (uint64_t)filter->limit;
    return selected;
}

static bool is_selected(const selection *selected, const ati_ring_event *event) {
    return (!selected->name || selected->name == event->name) &&
           selected->outcomes >> event->outcome & 1 && event->duration >= selected->at_least &&
           ati_time_after(event->started_at, event->duration) >= selected->since;
}

/* Makes an object of members, of which the first begins with a comma; gives its length. */
static size_t put_braces(char *members, size_t length) {
    if (length == 0)
        length = 1;
    members[0] = '{';
    members[length] = '}';
    members[length + 1] = '\0';
    return length + 1;
}

static at_tracker_event make_event(const ati_ring_event *event, char *members) {
    const ati_tracker_name *name = event->name;
    return (at_tracker_event){
        .name = name->text,
        .outcome = (at_operation_outcome)event->outcome,
        .status = (at_status)event->status,
        .started_at = event->started_at,
        .duration = event->duration,
        .id = event->id,
        .trace_id = {event->trace_id[0], event->trace_id[1]},
        .parent_id = event->parent_id,
        .thread = event->thread,
        .members_cut = event->members_cut,
        .members = members,
        .members_length = put_braces(members, event->members_length),
    };
}

/* `text` has room for the members of all. */
static void fill(snapshot *made, const selection *selected, char *text) {
    ati_ring_walk walk;
    ati_ring_event event;
    size_t count = 0;
    ati_ring_walk_begin(&walk, &made->tracker->rings);
    while (count < selected->limit && ati_ring_walk_next(&walk, &event, text)) {
        if (!is_selected(selected, &event))
            continue;
        made->list[count] = make_event(&event, text);
        text += made->list[count].members_length + 1;
        count++;
    }
    made->events = (at_tracker_events){made->list, count};
}

at_status at_tracker_get_events(at_tracker *tracker, const at_tracker_filter *filter,
                                at_tracker_events **events) {
    ATI_CALLER_CHECK(tracker, "at_tracker_get_events", "`tracker` is NULL");
    ATI_CALLER_CHECK(events, "at_tracker_get_events", "`events` is NULL");
    at_status status = ati_tracker_check_filter("at_tracker_get_events", filter);
    if (status != AT_OK)
        return status;
    selection selected = select_by(tracker, filter);
    size_t list_size = selected.limit * sizeof(at_tracker_event);
    size_t size =
        sizeof(snapshot) + list_size + (selected.limit + 1) * (tracker->member_bytes + braces);
    snapshot *made = ati_allocate(size);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_tracker_get_events: out of memory");
    made->tracker = at_tracker_retain(tracker);
    made->size = size;
    fill(made, &selected, (char *)made->list + list_size);
    *events = &made->events;
    return AT_OK;
}

void at_tracker_events_release(at_tracker_events *events) {
    if (!events)
        return;
    snapshot *made = (snapshot *)events;
    at_tracker_release(made->tracker);
    ati_release(made, made->size);
}
