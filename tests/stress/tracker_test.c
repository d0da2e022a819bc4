/* SPDX-License-Identifier: MIT
 *
 * Many threads record while others read (rule E1): no event is torn, none is missing between two
 * others, and in the end all are counted. */
#include "support/test.h"

#include "operation/tracker.h"

#include <asynctools/memory.h>

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
enum { event_count = 20000 };
#else
enum { event_count = 100000 };
#endif

enum { writer_count = 8, reader_count = 2, kept_count = 256 };

TestSuite(tracker_stress, .timeout = 200);

static const char *const names[] = {"load", "save", "database_query", "a name of other length"};

static at_tracker *tracker;
static _Atomic int writers_left;

typedef struct writer {
    pthread_t thread;
    uint64_t number; /* from 1 */
} writer;

/* All words of an event say the same, so that a torn one shows. */
static void fill(ati_tracked *tracked, char *members, size_t size, uint64_t word) {
    int length =
        snprintf(members, size, ",\"a\":%llu,\"b\":\"%0*llu\",\"c\":%llu", (unsigned long long)word,
                 (int)(word % 100), (unsigned long long)word, (unsigned long long)word);
    *tracked = (ati_tracked){
        .name = names[word % 4],
        .outcome = (at_operation_outcome)(word % AT_OPERATION_OUTCOME_COUNT),
        .started_at = (int64_t)word,
        .duration = (at_duration)word,
        .id = word,
        .trace_id = {word, ~word},
        .parent_id = word,
        .thread = (int32_t)word,
        .members = members,
        .members_length = (size_t)length,
    };
}

static bool is_whole(const at_tracker_event *event) {
    char members[300];
    char wanted[302];
    ati_tracked tracked;
    uint64_t word = event->id;
    fill(&tracked, members, sizeof members, word);
    snprintf(wanted, sizeof wanted, "{%s}", members + 1);
    return strcmp(event->name, names[word % 4]) == 0 && event->outcome == tracked.outcome &&
           event->started_at == tracked.started_at && event->duration == tracked.duration &&
           event->trace_id[0] == word && event->trace_id[1] == ~word && event->parent_id == word &&
           event->thread == (int32_t)word && strcmp(event->members, wanted) == 0 &&
           event->members_length == strlen(wanted);
}

static void *write_events(void *argument) {
    const writer *self = argument;
    char members[300];
    ati_tracked tracked;
    for (uint64_t i = 1; i <= event_count; i++) {
        fill(&tracked, members, sizeof members, self->number << 32 | i);
        ati_tracker_record(tracker, &tracked);
    }
    atomic_fetch_sub_explicit(&writers_left, 1, memory_order_relaxed);
    return NULL;
}

typedef struct reader {
    pthread_t thread;
    uint64_t torn;
    uint64_t disorder; /* an event of a writer that is not the one before the next */
    uint64_t snapshots;
    uint64_t events;
} reader;

static void check(reader *self, const at_tracker_events *events) {
    uint64_t next[writer_count + 1] = {0};
    for (size_t i = 0; i < events->count; i++) {
        const at_tracker_event *event = &events->events[i];
        uint64_t number = event->id >> 32;
        uint64_t count = event->id & UINT32_MAX;
        if (!is_whole(event) || number == 0 || number > writer_count) {
            self->torn++;
            continue;
        }
        if (next[number] != 0 && count != next[number] - 1)
            self->disorder++;
        next[number] = count;
    }
    self->snapshots++;
    self->events += events->count;
}

static void *read_events(void *argument) {
    reader *self = argument;
    while (atomic_load_explicit(&writers_left, memory_order_relaxed) > 0) {
        at_tracker_events *events;
        if (at_tracker_get_events(tracker, NULL, &events) != AT_OK)
            continue;
        at_tracker_summaries *summaries;
        if (at_tracker_get_summaries(tracker, &summaries) != AT_OK)
            continue;
        check(self, events);
        for (size_t i = 0; i < summaries->count; i++) {
            uint64_t sum = 0;
            for (int j = 0; j < AT_OPERATION_OUTCOME_COUNT; j++)
                sum += summaries->summaries[i].outcomes[j];
            self->disorder += sum != summaries->summaries[i].count;
        }
        at_tracker_summaries_release(summaries);
        at_tracker_events_release(events);
    }
    return NULL;
}

/* How many of the numbers that the writers had have an outcome and a name. */
static void check_counts(void) {
    at_tracker_summaries *summaries;
    cr_assert_eq(at_tracker_get_summaries(tracker, &summaries), AT_OK);
    cr_expect_eq(summaries->recorded, (uint64_t)writer_count * event_count);
    cr_expect_eq(summaries->count, 4);
    cr_expect_eq(summaries->lost, 0, "there are more rings than writers");
    uint64_t outcomes[AT_OPERATION_OUTCOME_COUNT] = {0};
    uint64_t wanted[AT_OPERATION_OUTCOME_COUNT] = {0};
    for (size_t i = 0; i < summaries->count; i++)
        for (int j = 0; j < AT_OPERATION_OUTCOME_COUNT; j++)
            outcomes[j] += summaries->summaries[i].outcomes[j];
    for (uint64_t number = 1; number <= writer_count; number++)
        for (uint64_t i = 1; i <= event_count; i++)
            wanted[(number << 32 | i) % AT_OPERATION_OUTCOME_COUNT]++;
    cr_expect_arr_eq(outcomes, wanted, sizeof wanted);
    at_tracker_summaries_release(summaries);
}

Test(tracker_stress, writers_and_readers) {
    writer writers[writer_count];
    reader readers[reader_count] = {0};
    cr_assert_eq(at_tracker_create(&tracker, &(at_tracker_options){.event_count = kept_count}),
                 AT_OK);
    writers_left = writer_count;
    for (int i = 0; i < reader_count; i++)
        cr_assert_eq(pthread_create(&readers[i].thread, NULL, read_events, &readers[i]), 0);
    for (int i = 0; i < writer_count; i++) {
        writers[i].number = (uint64_t)i + 1;
        cr_assert_eq(pthread_create(&writers[i].thread, NULL, write_events, &writers[i]), 0);
    }
    for (int i = 0; i < writer_count; i++)
        pthread_join(writers[i].thread, NULL);
    for (int i = 0; i < reader_count; i++) {
        pthread_join(readers[i].thread, NULL);
        cr_expect_eq(readers[i].torn, 0);
        cr_expect_eq(readers[i].disorder, 0);
    }
    check_counts();
    reader last = {0};
    at_tracker_events *events;
    cr_assert_eq(at_tracker_get_events(tracker, NULL, &events), AT_OK);
    cr_expect_eq(events->count, kept_count);
    check(&last, events);
    cr_expect_eq(last.torn, 0);
    cr_expect_eq(last.disorder, 0);
    at_tracker_events_release(events);
    at_tracker_release(tracker);
}

/* Names come from all threads at once: each is there once, and there are not too many. */
static void *add_names(void *unused) {
    (void)unused;
    char name[32];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "name_%d", i);
        at_tracker_record(tracker, &(at_tracker_measurement){.name = name, .started_at = 1});
    }
    return NULL;
}

Test(tracker_stress, names_are_added_once) {
    for (int round = 0; round < 20; round++) {
        pthread_t threads[writer_count];
        cr_assert_eq(at_tracker_create(&tracker, &(at_tracker_options){.name_count = 201}), AT_OK);
        for (int i = 0; i < writer_count; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, add_names, NULL), 0);
        for (int i = 0; i < writer_count; i++)
            pthread_join(threads[i], NULL);
        at_tracker_summaries *summaries;
        cr_assert_eq(at_tracker_get_summaries(tracker, &summaries), AT_OK);
        cr_expect_eq(summaries->recorded, 200 * writer_count);
        cr_expect_leq(summaries->count, 201);
        for (size_t i = 0; i < summaries->count; i++)
            for (size_t j = i + 1; j < summaries->count; j++)
                cr_expect_str_neq(summaries->summaries[i].name, summaries->summaries[j].name);
        at_tracker_summaries_release(summaries);
        at_tracker_release(tracker);
    }
}

/* The texts and a reset, while others record. */
Test(tracker_stress, everything_at_once) {
    writer writers[4];
    cr_assert_eq(at_tracker_create(&tracker, NULL), AT_OK);
    writers_left = 4;
    for (int i = 0; i < 4; i++) {
        writers[i].number = (uint64_t)i + 1;
        cr_assert_eq(pthread_create(&writers[i].thread, NULL, write_events, &writers[i]), 0);
    }
    do {
        json_t *json;
        char *text;
        cr_assert_eq(at_tracker_json(tracker, &(at_tracker_filter){.limit = 10}, &json), AT_OK);
        json_decref(json);
        cr_assert_eq(at_tracker_prometheus(tracker, &text), AT_OK);
        at_text_release(text);
        at_tracker_reset(tracker);
    } while (atomic_load_explicit(&writers_left, memory_order_relaxed) > 0);
    for (int i = 0; i < 4; i++)
        pthread_join(writers[i].thread, NULL);
    at_tracker_release(tracker);
}
