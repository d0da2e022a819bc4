/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "clock.h"
#include "messages.h"
#include "statistics.h"
#include "tasks.h"

#include <asynctools/operation.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EVENTS = 2000000, /* of each thread */
    TURNS = 20,       /* in which they are recorded, and left out, alternately */
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
    void (*leave_out)(long number); /* the same without the event, or NULL: nothing is left */
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

/* An operation that says nothing to the log, and what it tells the tracker at its end. */
static void run_operation(long number) {
    AT_OPERATION(operation, names[number % NAMES], .start_level = AT_LOG_OFF,
                 .end_level = AT_LOG_OFF) {
    }
}

static void track_operation(long number) {
    AT_TRACK(event, tracker, names[number % NAMES]) {
    }
}

static void run_with_fields(long number) {
    AT_OPERATION(operation, names[number % NAMES], .start_level = AT_LOG_OFF,
                 .end_level = AT_LOG_OFF) {
        at_operation_add(operation, at_kv("rows", number), at_kv("table", "customers"),
                         at_kv("ratio", 0.25));
    }
}

static void track_with_fields(long number) {
    AT_TRACK(event, tracker, names[number % NAMES]) {
        at_operation_add(event, at_kv("rows", number), at_kv("table", "customers"),
                         at_kv("ratio", 0.25));
    }
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

static const struct tracker_program of_operations = {open_tracker, track_operation, run_operation,
                                                     close_tracker};
static const struct tracker_program with_fields = {open_tracker, track_with_fields, run_with_fields,
                                                   close_tracker};
static const struct tracker_program measurements = {open_tracker, record_event, NULL,
                                                    close_tracker};
static const struct tracker_program by_hand = {open_plain, record_plain, NULL, close_plain};

static size_t list_trackers(const struct benchmark_settings *settings, struct subject *subjects) {
    (void)settings;
    subjects[0] = (struct subject){
        .name = "asynctools tracker, operations", .role = SUBJECT_LIBRARY, .data = &of_operations};
    subjects[1] = (struct subject){
        .name = "with 3 fields to encode", .role = SUBJECT_BESIDE, .data = &with_fields};
    subjects[2] = (struct subject){
        .name = "at_tracker_record", .role = SUBJECT_BESIDE, .data = &measurements};
    subjects[3] = (struct subject){
        .name = "mutex and sums, no percentiles", .role = SUBJECT_BESIDE, .data = &by_hand};
    return 4;
}

/* One thread that records; all start together. */
struct tracker_thread {
    pthread_t thread;
    pthread_barrier_t *gate;
    const struct tracker_program *program;
    _Atomic bool *stop; /* it records until then; or NULL: in turns */
    long count;         /* of events, in all turns */
    double time;        /* of an event */
};

/* Gives the nanoseconds of one turn, in which all threads do the same. */
static double run_turn(const struct tracker_thread *self, void (*run)(long number)) {
    long count = self->count / TURNS;
    pthread_barrier_wait(self->gate);
    uint64_t start = now_ns();
    for (long i = 0; i < count; i++)
        run(i);
    return (double)(now_ns() - start) / (double)count;
}

/* The time with events less the time without. */
static void run_in_turns(struct tracker_thread *self) {
    const struct tracker_program *program = self->program;
    double times = 0;
    for (int i = 0; i < TURNS; i++) {
        times += run_turn(self, program->record);
        if (program->leave_out)
            times -= run_turn(self, program->leave_out);
    }
    self->time = times / TURNS;
}

static void *run_tracker_thread(void *argument) {
    struct tracker_thread *self = argument;
    for (long i = 0; i < WARM_UP_EVENTS; i++)
        self->program->record(i);
    if (!self->stop) {
        run_in_turns(self);
        return NULL;
    }
    pthread_barrier_wait(self->gate);
    for (long i = 0; !atomic_load_explicit(self->stop, memory_order_relaxed); i++)
        self->program->record(i);
    return NULL;
}

/* Starts them; `others` wait at the gate with them. */
static void start_threads(struct tracker_thread *all, int threads, int others,
                          struct tracker_thread form) {
    pthread_barrier_init(form.gate, NULL, (unsigned)(threads + others));
    for (int i = 0; i < threads; i++) {
        all[i] = form;
        if (pthread_create(&all[i].thread, NULL, run_tracker_thread, &all[i]) != 0)
            give_up("cannot start a thread");
    }
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
    start_threads(all, threads, 0,
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
    subjects[0] = (struct subject){
        .name = "asynctools tracker", .role = SUBJECT_LIBRARY, .data = &measurements};
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
    if (threads > MAX_THREADS || !times || !measurements.open()) {
        fprintf(stderr, "at-bench: cannot measure %s\n", subject->name);
        free(times);
        return false;
    }
    start_threads(all, threads, 1,
                  (struct tracker_thread){.gate = &gate, .program = &measurements, .stop = &stop});
    pthread_barrier_wait(&gate);
    double count = 0;
    for (size_t i = 0; i < total; i++)
        times[i] = take_snapshot(&count);
    atomic_store_explicit(&stop, true, memory_order_relaxed);
    join_threads(all, threads, &gate);
    measurements.close();
    sample->values[0] = quantile_of(times, total, 0.5);
    sample->values[1] = quantile_of(times, total, 0.99);
    sample->values[2] = 100 * count / (double)total / KEPT_EVENTS;
    sample->iterations = total;
    free(times);
    return true;
}

const struct benchmark benchmark_tracker = {
    .name = "tracker",
    .help = "what an event adds to an operation of each of several threads at once",
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
