/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OPERATION_TRACKER_H
#define ASYNCTOOLS_OPERATION_TRACKER_H

#include "base/json_text.h"
#include "base/references.h"
#include "base/registry.h"
#include "operation/tracker_names.h"
#include "operation/tracker_ring.h"

#include <asynctools/tracker.h>

struct at_tracker {
    ati_references references;         /* operations are users */
    char name[ATI_TRACKER_CLEAN_SIZE]; /* "": it has none */
    size_t member_bytes;               /* a multiple of 8 */
    ati_registry_entry entry;
    ati_tracker_names names;
    _Alignas(ATI_CACHE_LINE) ati_tracker_rings rings;
};

/* An operation that has ended. */
typedef struct ati_tracked {
    const char *name;
    at_operation_outcome outcome;
    int64_t started_at; /* nanoseconds since 1970 */
    at_duration duration;
    uint64_t id;
    uint64_t trace_id[2];
    uint64_t parent_id;
    int32_t thread;
    at_status status;
    const char *members; /* encoded, ,"key":value behind each other */
    size_t members_length;
    bool members_cut; /* some are left out already */
} ati_tracked;

/* A reference of something that begins and ends often, in whichever threads; NULL is allowed. The
 * caller of the first has a reference. */
void ati_tracker_begin_use(at_tracker *tracker);
void ati_tracker_end_use(at_tracker *tracker);

/* Records it, in any thread; nothing waits. Borrows what it is given. The caller has a reference of
 * the tracker. */
void ati_tracker_record(at_tracker *tracker, const ati_tracked *tracked);

/* Refuses a filter for `call`. */
at_status ati_tracker_check_filter(const char *call, const at_tracker_filter *filter);

/* Writes the counts of a tracker and the summaries of those names that occurred most often, as
 * members of an object. Takes no reference. */
void ati_tracker_write_summaries(at_tracker *tracker, ati_json *json);

#endif
