/* SPDX-License-Identifier: MIT */
#include "operation/tracker.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "log/members.h"
#include "log/stamp.h"

#include <string.h>
#include <unistd.h>

enum {
    default_event_count = 1024,
    default_name_count = 512,
    default_member_bytes = 256,
    max_event_count = 1 << 20,
    max_name_count = 1 << 16,
    max_member_bytes = ATI_MEMBERS_MAX,
    first_rings = 4, /* where threads begin; they go on to others when they meet */
};

/* -- Create and release -- */

static at_status refuse_option(const char *member, int64_t value) {
    return ati_fail(AT_ERROR_INVALID, "at_tracker_create: `%s` is %lld", member, (long long)value);
}

static at_status check_options(const at_tracker_options *options) {
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_tracker_create: `reserved` is not zero");
    if (options->event_count < 0 || options->event_count > max_event_count)
        return refuse_option("event_count", options->event_count);
    if (options->name_count < 0 || options->name_count > max_name_count)
        return refuse_option("name_count", options->name_count);
    if (options->member_bytes < AT_NONE || options->member_bytes > max_member_bytes)
        return refuse_option("member_bytes", options->member_bytes);
    return AT_OK;
}

/* Zero is the default, AT_NONE is none. */
static uint64_t complete(int64_t given, int64_t otherwise) {
    if (given == AT_NONE)
        return 0;
    return (uint64_t)(given != 0 ? given : otherwise);
}

static void write_tracker(ati_registry_entry *entry, ati_json *json) {
    at_tracker *tracker =
        (at_tracker *)(void *)((char *)entry - offsetof(struct at_tracker, entry));
    ati_json_begin_object(json, NULL);
    ati_json_text(json, "name", tracker->name[0] ? tracker->name : NULL);
    ati_tracker_write_summaries(tracker, json);
    ati_json_end_object(json);
}

/* False: no memory. */
static bool init_parts(at_tracker *tracker, const at_tracker_options *options) {
    uint64_t events = complete(options->event_count, default_event_count);
    tracker->member_bytes =
        (size_t)(complete(options->member_bytes, default_member_bytes) + 7) / 8 * 8;
    if (!ati_tracker_names_init(&tracker->names, complete(options->name_count, default_name_count)))
        return false;
    if (ati_tracker_rings_init(&tracker->rings, events, tracker->member_bytes, ATI_TRACKER_RINGS))
        return true;
    ati_tracker_names_deinit(&tracker->names);
    return false;
}

/* NULL: no memory. */
static at_tracker *create(const at_tracker_options *options) {
    at_tracker *made = ati_allocate_aligned(sizeof *made, _Alignof(at_tracker));
    if (!made)
        return NULL;
    *made = (at_tracker){.entry = {.section = "trackers", .write = write_tracker}};
    ati_references_init(&made->references);
    if (options->name)
        ati_tracker_clean(made->name, options->name);
    if (init_parts(made, options))
        return made;
    ati_release(made, sizeof *made);
    return NULL;
}

at_status at_tracker_create(at_tracker **tracker, const at_tracker_options *options) {
    static const at_tracker_options defaults = {0};
    ATI_CALLER_CHECK(tracker, "at_tracker_create", "`tracker` is NULL");
    if (!options)
        options = &defaults;
    at_status status = check_options(options);
    if (status != AT_OK)
        return status;
    at_tracker *made = create(options);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_tracker_create: out of memory");
    ati_registry_add(&made->entry);
    *tracker = made;
    return AT_OK;
}

static void destroy(at_tracker *tracker) {
    ati_registry_remove(&tracker->entry);
    ati_tracker_rings_deinit(&tracker->rings);
    ati_tracker_names_deinit(&tracker->names);
    ati_release(tracker, sizeof *tracker);
}

at_tracker *at_tracker_retain(at_tracker *tracker) {
    if (tracker)
        ati_references_retain(&tracker->references);
    return tracker;
}

void at_tracker_release(at_tracker *tracker) {
    if (tracker && ati_references_release(&tracker->references, "at_tracker_release"))
        destroy(tracker);
}

void at_tracker_reset(at_tracker *tracker) {
    ATI_CALLER_CHECK(tracker, "at_tracker_reset", "`tracker` is NULL");
    ati_tracker_rings_clear(&tracker->rings);
    for (ati_tracker_name *name = ati_tracker_names_last(&tracker->names); name; name = name->next)
        ati_tracker_name_clear(name);
}

/* -- Threads -- */

/* The ring that the thread had last, in whichever tracker. */
static uint32_t *home_ring(void) {
    static _Atomic uint32_t thread_count;
    static _Thread_local uint32_t home;
    static _Thread_local bool is_chosen;
    if (__builtin_expect(!is_chosen, 0)) {
        is_chosen = true;
        home = atomic_fetch_add_explicit(&thread_count, 1, memory_order_relaxed) % first_rings;
    }
    return &home;
}

void ati_tracker_begin_use(at_tracker *tracker) {
    if (tracker)
        ati_references_begin_use(&tracker->references, *home_ring() % ATI_REFERENCE_CELLS);
}

void ati_tracker_end_use(at_tracker *tracker) {
    if (tracker && ati_references_end_use(&tracker->references, *home_ring() % ATI_REFERENCE_CELLS))
        destroy(tracker);
}

/* -- Record -- */

/* Gives the length of the first members that have room. */
static size_t cut_members(const char *members, size_t length, size_t room) {
    const char *from = members;
    ati_encoded_member member;
    size_t kept = 0;
    while (ati_keys_next_member(&from, members + length, &member)) {
        size_t end = (size_t)(member.start - members) + member.length;
        if (end > room)
            break;
        kept = end;
    }
    return kept;
}

void ati_tracker_record(at_tracker *tracker, const ati_tracked *tracked) {
    int64_t duration = tracked->duration > 0 ? tracked->duration : 0;
    at_operation_outcome outcome = (unsigned)tracked->outcome < AT_OPERATION_OUTCOME_COUNT
                                       ? tracked->outcome
                                       : AT_OPERATION_ERROR;
    uint32_t *home = home_ring();
    ati_tracker_name *name = ati_tracker_names_get(&tracker->names, tracked->name);
    size_t length = tracked->members_length;
    if (__builtin_expect(length > tracker->member_bytes, 0))
        length = cut_members(tracked->members, length, tracker->member_bytes);
    ati_ring_event event = {
        .name = name,
        .started_at = tracked->started_at,
        .duration = duration,
        .id = tracked->id,
        .trace_id = {tracked->trace_id[0], tracked->trace_id[1]},
        .parent_id = tracked->parent_id,
        .thread = tracked->thread,
        .status = tracked->status,
        .outcome = outcome,
        .members_length = (uint32_t)length,
        .members_cut = tracked->members_cut || length < tracked->members_length,
    };
    ati_tracker_rings_write(&tracker->rings, home, &event, tracked->members);
    ati_tracker_name_count(name, *home % ATI_TRACKER_CELLS, outcome, duration);
}

static int32_t thread_id(void) {
    static _Thread_local int32_t id;
    static _Thread_local uint64_t forks; /* one more than when it was read */
    if (forks != ati_process_fork_count() + 1) {
        id = (int32_t)gettid();
        forks = ati_process_fork_count() + 1;
    }
    return id;
}

void at_tracker_record(at_tracker *tracker, const at_tracker_measurement *measurement) {
    ATI_CALLER_CHECK(tracker, "at_tracker_record", "`tracker` is NULL");
    ATI_CALLER_CHECK(measurement, "at_tracker_record", "`measurement` is NULL");
    ATI_CALLER_CHECK(measurement->name, "at_tracker_record", "`name` is NULL");
    ati_tracked tracked = {
        .name = measurement->name,
        .outcome = measurement->outcome,
        .status = measurement->status,
        .started_at = measurement->started_at,
        .duration = measurement->duration > 0 ? measurement->duration : 0,
        .thread = thread_id(),
    };
    if (tracked.started_at == 0)
        tracked.started_at = ati_stamp_now() - tracked.duration;
    char members[ATI_MEMBERS_MAX];
    tracked.members_cut = measurement->field_count > 0;
    if (tracked.members_cut && tracker->member_bytes > 0) {
        tracked.members = members;
        tracked.members_length = ati_members_encode(members, sizeof members, measurement->fields,
                                                    measurement->field_count, &tracked.members_cut);
    }
    ati_tracker_record(tracker, &tracked);
}
