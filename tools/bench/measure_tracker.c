/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "clock.h"
#include "messages.h"
#include "statistics.h"
#include "tasks.h"

#include <asynctools/tracker.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EVENTS = 2000000, /* of each thread */
    WARM_UP_EVENTS = 20000,
    SNAPSHOTS = 2000,
    QUICK_SHARE = 50,
    MAX_THREADS = 64,
    KEPT_EVENTS = 1024,
    NAMES = 4,
};

static const char *const names[NAMES] = {"request.handle", "database_query", "cache.load",
                                         "file_read"};

/* A way to remember events. */
struct tracker_program {
    bool (*open)(void);
    void (*record)(long number);
    void (*close)(void);
};

/* What is being measured. One measurement at a time. */
static at_tracker *tracker;

static bool open_tracker(void) {
    return at_tracker_create(&tracker, NULL) == AT_OK;
}

static at_duration duration_of(long number) {
    return AT_MICROSECONDS(1) + number * 7919 % AT_MILLISECONDS(1);
}

static void record_event(long number) {
    const at_tracker_measurement event = {
        .name = names[number % NAMES],
        .outcome = number % 100 == 0 ? AT_OPERATION_ERROR : AT_OPERATION_OK,
        .started_at = number + 1,
        .duration = duration_of(number),
    };
    at_tracker_record(tracker, &event);
}

static void record_fields(long number) {
    const at_field fields[] = {at_kv("rows", number), at_kv("table", "customers"),
                               at_kv("ratio", 0.25)};
    const at_tracker_measurement event = {
        .name = names[number % NAMES],
        .outcome = number % 100 == 0 ? AT_OPERATION_ERROR : AT_OPERATION_OK,
        .started_at = number + 1,
        .duration = duration_of(number),
        .fields = fields,
        .field_count = 3,
    };
    at_tracker_record(tracker, &event);
}

static void close_tracker(void) {
    at_tracker_release(tracker);
}

/* What people write themselves: a lock around a ring and a few sums. */
struct plain_event {
    const char *name;
    int64_t started_at;
    int64_t duration;
    int outcome;
};

static struct {
    pthread_mutex_t lock; /* guards what follows */
    uint64_t count;
    struct plain_event last[KEPT_EVENTS];
    uint64_t counts[NAMES];
    uint64_t errors[NAMES];
    int64_t sums[NAMES];
    int64_t max[NAMES];
} plain = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool open_plain(void) {
    return true;
}

static void record_plain(long number) {
    const struct plain_event event = {.name = names[number % NAMES],
                                      .started_at = number + 1,
                                      .duration = duration_of(number),
                                      .outcome = number % 100 == 0};
    pthread_mutex_lock(&plain.lock);
    plain.last[plain.count++ % KEPT_EVENTS] = event;
    for (int i = 0; i < NAMES; i++) {
        if (strcmp(names[i], event.name) != 0)
            continue;
        plain.counts[i]++;
        plain.errors[i] += event.outcome != 0;
        plain.sums[i] += event.duration;
        if (event.duration > plain.max[i])
            plain.max[i] = event.duration;
    }
    pthread_mutex_unlock(&plain.lock);
}

static void close_plain(void) {
}

static const struct tracker_program library = {open_tracker, record_event, close_tracker};
static const struct tracker_program with_fields = {open_tracker, record_fields, close_tracker};
static const struct tracker_program by_hand = {open_plain, record_plain, close_plain};

static size_t list_trackers(const struct benchmark_settings *settings, struct subject *subjects) {
    (void)settings;
    subjects[0] =
        (struct subject){.name = "asynctools tracker", .role = SUBJECT_LIBRARY, .data = &library};
    subjects[1] = (struct subject){
        .name = "with 3 fields to encode", .role = SUBJECT_BESIDE, .data = &with_fields};
    subjects[2] = (struct subject){
        .name = "mutex and sums, no percentiles", .role = SUBJECT_BESIDE, .data = &by_hand};
    return 3;
}

/* One thread that records; all start together. */
struct tracker_thread {
    pthread_t thread;
    pthread_barrier_t *gate;
    const struct tracker_program *program;
    long count;
    _Atomic bool *stop; /* or NULL: after `count` events */
    double time;        /* of an event */
};

static void *run_tracker_thread(void *argument) {
    struct tracker_thread *self = argument;
    for (long i = 0; i < WARM_UP_EVENTS; i++)
        self->program->record(i);
    pthread_barrier_wait(self->gate);
    uint64_t start = now_ns();
    long done = 0;
    while (self->stop ? !atomic_load_explicit(self->stop, memory_order_relaxed)
                      : done < self->count)
        self->program->record(done++);
    self->time = done > 0 ? (double)(now_ns() - start) / (double)done : 0;
    return NULL;
}

/* Starts them behind `gate`. */
static void start_threads(struct tracker_thread *all, int threads, struct tracker_thread form) {
    pthread_barrier_init(form.gate, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++) {
        all[i] = form;
        if (pthread_create(&all[i].thread, NULL, run_tracker_thread, &all[i]) != 0)
            give_up("cannot start a thread");
    }
    pthread_barrier_wait(form.gate);
}

static void join_threads(struct tracker_thread *all, int threads, pthread_barrier_t *gate) {
    for (int i = 0; i < threads; i++)
        pthread_join(all[i].thread, NULL);
    pthread_barrier_destroy(gate);
}

static bool measure_tracker(const struct subject *subject,
                            const struct benchmark_settings *settings,
                            struct benchmark_sample *sample) {
    const struct tracker_program *program = subject->data;
    struct tracker_thread all[MAX_THREADS];
    pthread_barrier_t gate;
    int threads = (int)settings->parameter;
    long count = settings->quick ? EVENTS / QUICK_SHARE : EVENTS;
    if (threads > MAX_THREADS || !program->open()) {
        fprintf(stderr, "at-bench: cannot measure %s\n", subject->name);
        return false;
    }
    uint64_t cpu = tasks_cpu_ns();
    start_threads(all, threads,
                  (struct tracker_thread){.gate = &gate, .program = program, .count = count});
    join_threads(all, threads, &gate);
    program->close();
    double times = 0;
    for (int i = 0; i < threads; i++)
        times += all[i].time;
    sample->values[0] = times / threads;
    sample->iterations = (uint64_t)count * (uint64_t)threads;
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)sample->iterations;
    return true;
}

/* -- Snapshots -- */

static size_t list_snapshots(const struct benchmark_settings *settings, struct subject *subjects) {
    (void)settings;
    subjects[0] =
        (struct subject){.name = "asynctools tracker", .role = SUBJECT_LIBRARY, .data = &library};
    return 1;
}

/* Each of the words that record_event writes follows from another one. */
static void check_events(const at_tracker_events *events) {
    for (size_t i = 0; i < events->count; i++) {
        const at_tracker_event *event = &events->events[i];
        long number = (long)event->started_at - 1;
        if (strcmp(event->name, names[number % NAMES]) != 0 ||
            event->duration != duration_of(number))
            give_up("event %zu of a snapshot is torn", i);
    }
}

/* Gives the microseconds of one snapshot; the events that are in it are added to `*events`. */
static double take_snapshot(double *count) {
    at_tracker_events *events;
    uint64_t start = now_ns();
    if (at_tracker_get_events(tracker, NULL, &events) != AT_OK)
        give_up("no memory for a snapshot");
    double time = (double)(now_ns() - start) / 1000;
    check_events(events);
    *count += (double)events->count;
    at_tracker_events_release(events);
    return time;
}

static bool measure_snapshot(const struct subject *subject,
                             const struct benchmark_settings *settings,
                             struct benchmark_sample *sample) {
    struct tracker_thread all[MAX_THREADS];
    pthread_barrier_t gate;
    _Atomic bool stop = false;
    int threads = (int)settings->parameter;
    size_t total = settings->quick ? SNAPSHOTS / QUICK_SHARE : SNAPSHOTS;
    double *times = malloc(total * sizeof(*times));
    if (threads > MAX_THREADS || !times || !library.open()) {
        fprintf(stderr, "at-bench: cannot measure %s\n", subject->name);
        free(times);
        return false;
    }
    start_threads(all, threads,
                  (struct tracker_thread){.gate = &gate, .program = &library, .stop = &stop});
    double count = 0;
    for (size_t i = 0; i < total; i++)
        times[i] = take_snapshot(&count);
    atomic_store_explicit(&stop, true, memory_order_relaxed);
    join_threads(all, threads, &gate);
    library.close();
    sample->values[0] = quantile_of(times, total, 0.5);
    sample->values[1] = quantile_of(times, total, 0.99);
    sample->values[2] = 100 * count / (double)total / KEPT_EVENTS;
    sample->iterations = total;
    free(times);
    return true;
}

const struct benchmark benchmark_tracker = {
    .name = "tracker",
    .help = "an event recorded by each of several threads at once, an event and thread",
    .parameter = "threads",
    .parameters = {.values = {1, 2}, .count = 2},
    .metrics = {{"time", "ns"}},
    .list_subjects = list_trackers,
    .measure = measure_tracker,
};

const struct benchmark benchmark_tracker_snapshot = {
    .name = "tracker_snapshot",
    .help = "a snapshot of 1,024 events while threads record flat out, and how full it is",
    .parameter = "threads",
    .parameters = {.values = {1, 2}, .count = 2},
    .metrics = {{"p50", "us"}, {"p99", "us"}, {"full", "%"}},
    .list_subjects = list_snapshots,
    .measure = measure_snapshot,
};
