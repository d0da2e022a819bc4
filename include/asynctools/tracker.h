/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_TRACKER_H
#define ASYNCTOOLS_TRACKER_H

#include <asynctools/attributes.h>
#include <asynctools/clock.h>
#include <asynctools/field.h>
#include <asynctools/operation_outcome.h>
#include <asynctools/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* Remembers what has happened: the last events whole, and of each name of an event how often it
 * occurred, with which outcomes, and how long it took. Any number of threads record at once, and
 * none of them ever waits for another.
 *
 * Threads that record at the same time write into rings of their own; there are at most 16. The
 * memory is taken as it is needed, and is bounded:
 *
 *     rings     at most 16, and 4 if threads hardly meet: each less than
 *               3 * event_count * (member_bytes + 112) bytes; 0.7 MiB with the defaults
 *     names     at most name_count + 1, of 11 KiB for each of up to 4 groups of threads: 22 MiB if
 *               512 names occur on many threads, 0.7 MiB if 20 do on three
 *
 * Without memory for it an event goes into a ring that is there, and a name to those of `_other_`;
 * nothing fails. */
typedef struct at_tracker at_tracker;

/* Zero is the default for each member; NULL options are all defaults. */
typedef struct at_tracker_options {
    const char *name;     /* copied; the label `tracker` of the metrics; default: no label */
    int64_t event_count;  /* how many of the last events are kept; default: 1,024; at most
                             1,048,576 */
    int64_t name_count;   /* how many names are told apart; events with further names count as
                             `_other_`; default: 512; at most 65,536 */
    int64_t member_bytes; /* of the members (metadata) of an event; those that do not fit are left
                             out; AT_NONE: none are kept; default: 256; at most 8,192 */
    uint64_t reserved[4];
} at_tracker_options;

/** Creates a tracker, with one reference.
 *  Threads:   any.      Blocks: never for long.
 *  Ownership: returns owned; at_tracker_release gives it back. Copies `options`.
 *  Errors:    AT_ERROR_INVALID (names the member), AT_ERROR_NO_MEMORY: `*tracker` is untouched. */
AT_API AT_NODISCARD at_status at_tracker_create(at_tracker **tracker,
                                                const at_tracker_options *options);

/** Takes one more reference.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns owned, the same tracker. NULL gives NULL. */
AT_API at_tracker *at_tracker_retain(at_tracker *tracker);

/** Gives a reference back; the last one frees the tracker.
 *  Threads:   any.      Blocks: never for long.
 *  Ownership: takes a reference of `tracker`; NULL is allowed. */
AT_API void at_tracker_release(at_tracker *tracker);

/* What has happened, for at_tracker_record. */
typedef struct at_tracker_measurement {
    const char *name; /* of the kind of event, from the program's text; more than 100 bytes are cut,
                         control characters and what is not UTF-8 replaced */
    at_operation_outcome outcome;
    at_status status;       /* of an error; AT_OK without one */
    int64_t started_at;     /* nanoseconds since 1970; default: `duration` ago */
    at_duration duration;   /* negative counts as 0 */
    const at_field *fields; /* `field_count` of them: the members */
    size_t field_count;
    uint64_t reserved[4];
} at_tracker_measurement;

/** Records an event that was measured elsewhere. Operations that have a tracker record themselves
 *  when they end.
 *  Threads:   any.
 *  Blocks:    never; once in the life of a tracker, when it has no room for a further name, as long
 *             as a line of the log (`tracker.names_full`) may.
 *  Ownership: borrows `measurement` for the call.
 *  Ordering:  a snapshot taken after the call has the event, unless it was lost. */
AT_API void at_tracker_record(at_tracker *tracker, const at_tracker_measurement *measurement);

/* An event as it was recorded. */
typedef struct at_tracker_event {
    const char *name;
    at_operation_outcome outcome;
    at_status status;   /* of its error */
    int64_t started_at; /* nanoseconds since 1970 */
    at_duration duration;
    uint64_t id;          /* of the operation; 0: there was none */
    uint64_t trace_id[2]; /* the first is that of the higher digits; 0, 0: there was none */
    uint64_t parent_id;   /* of the operation around it; 0: there was none */
    int32_t thread;       /* on which it ended, as the system numbers them */
    bool members_cut;     /* some had no room, here or in the operation, or were cut */
    const char *members;  /* one JSON object, "{}" without any */
    size_t members_length;
} at_tracker_event;

/* The last events, the newest first. */
typedef struct at_tracker_events {
    const at_tracker_event *events;
    size_t count;
} at_tracker_events;

/* Which of the last events to give; zero is the default for each member, and NULL is all. */
typedef struct at_tracker_filter {
    const char *name;     /* only of this name; default: of all */
    uint32_t outcomes;    /* only with these, a bit each: 1 << AT_OPERATION_ERROR; default: all */
    at_duration at_least; /* only those that took so long */
    int64_t since;        /* only those that ended then or later, nanoseconds since 1970 */
    int64_t limit;        /* the newest so many of these; default: all */
    uint64_t reserved[4];
} at_tracker_filter;

/** Gives the last events, the newest first. Each is whole. None is missing between two others,
 *  however many threads go on recording; what these overwrite meanwhile is missing at the old end.
 *  Threads:   any.      Blocks: never.
 *  Ownership: `*events` is returned owned; at_tracker_events_release ends it.
 *  Ordering:  what was recorded before the call is there: also what happened on other threads
 *             before something that is there.
 *  Errors:    AT_ERROR_INVALID (names the member), AT_ERROR_NO_MEMORY: `*events` is untouched. */
AT_API AT_NODISCARD at_status at_tracker_get_events(at_tracker *tracker,
                                                    const at_tracker_filter *filter,
                                                    at_tracker_events **events);

/** Frees what at_tracker_get_events gave, which may outlive the caller's reference of the tracker.
 *  Threads:   any.      Blocks: never for long.
 *  Ownership: takes `events`; NULL is allowed. */
AT_API void at_tracker_events_release(at_tracker_events *events);

/* All events of one name. The percentiles are off by 1/64 at most, up to 39 hours. */
typedef struct at_tracker_summary {
    const char *name;
    uint64_t count;
    uint64_t outcomes[AT_OPERATION_OUTCOME_COUNT]; /* of these, by at_operation_outcome */
    at_duration mean;
    at_duration median;
    at_duration p90;
    at_duration p99;
    at_duration p999;
    at_duration max;
} at_tracker_summary;

typedef struct at_tracker_summaries {
    const at_tracker_summary *summaries; /* the name that came last first */
    size_t count;
    uint64_t recorded; /* events of all names */
    uint64_t lost;     /* of these: not kept as events, because 16 others were being recorded */
} at_tracker_summaries;

/** Sums up what was recorded of each name. Exact of what was recorded before the call.
 *  Threads:   any.      Blocks: never.
 *  Ownership: `*summaries` is returned owned; at_tracker_summaries_release ends it.
 *  Errors:    AT_ERROR_NO_MEMORY: `*summaries` is untouched. */
AT_API AT_NODISCARD at_status at_tracker_get_summaries(at_tracker *tracker,
                                                       at_tracker_summaries **summaries);

/** Frees what at_tracker_get_summaries gave, which may outlive the caller's reference.
 *  Threads:   any.      Blocks: never for long.
 *  Ownership: takes `summaries`; NULL is allowed. */
AT_API void at_tracker_summaries_release(at_tracker_summaries *summaries);

struct json_t; /* of jansson */

/** Gives summaries and events as one object of jansson, for a log line or an answer. Durations are
 *  in milliseconds, ids in hexadecimal digits.
 *  Threads:   any.      Blocks: never.
 *  Ownership: `*json` is returned owned; json_decref ends it.
 *  Errors:    AT_ERROR_INVALID (names the member), AT_ERROR_NO_MEMORY: `*json` is untouched. */
AT_API AT_NODISCARD at_status at_tracker_json(at_tracker *tracker, const at_tracker_filter *filter,
                                              struct json_t **json);

/** Writes the summaries in the text format that Prometheus reads (version 0.0.4): a histogram
 *  asynctools_operation_duration_seconds and a counter asynctools_operations_total, by operation.
 *  Threads:   any.      Blocks: never.
 *  Ownership: `*text` is returned owned, a NUL-terminated text; at_text_release ends it.
 *  Errors:    AT_ERROR_NO_MEMORY: `*text` is untouched. */
AT_API AT_NODISCARD at_status at_tracker_prometheus(at_tracker *tracker, char **text);

/** Forgets all events and counts; the names keep their places. What is recorded meanwhile may be
 *  forgotten in part.
 *  Threads:   any.      Blocks: never. */
AT_API void at_tracker_reset(at_tracker *tracker);

AT_DECLARATIONS_END

#endif
