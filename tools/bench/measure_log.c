/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "clock.h"
#include "log_run.h"
#include "messages.h"
#include "tasks.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum {
    RUN_MS = 1000,
    FULL_RUN_MS = 5000,
    QUICK_RUN_MS = 20,
    PACED_LINES = 200000, /* a second, of all threads together */
    SKIPPED_CALLS = 20000000,
    SKIPPED_OPERATIONS = 2000000, /* of each thread */
    QUICK_SHARE = 50,
    MAX_THREADS = 64,
    MAX_ATTEMPTS = 10,
};

static const char memory_folder[] = "/dev/shm";
static const char disk_folder[] = "/var/tmp";

static size_t list_some(struct subject *subjects, const struct log_peer *const *from,
                        bool with_levels) {
    size_t count = 0;
    for (size_t i = 0; from[i]; i++) {
        const struct log_peer *peer = from[i];
        if (with_levels && !peer->skip)
            continue;
        subjects[count++] =
            (struct subject){.name = peer->name,
                             .role = peer->is_library ? SUBJECT_LIBRARY : SUBJECT_PEER,
                             .data = peer};
    }
    return count;
}

static size_t list_log(const struct benchmark_settings *settings, struct subject *subjects) {
    (void)settings;
    return list_some(subjects, log_peers, false);
}

static size_t list_with_levels(const struct benchmark_settings *settings,
                               struct subject *subjects) {
    (void)settings;
    return list_some(subjects, log_peers, true);
}

static size_t list_operations(const struct benchmark_settings *settings, struct subject *subjects) {
    (void)settings;
    return list_some(subjects, operation_peers, false);
}

static size_t list_operations_with_levels(const struct benchmark_settings *settings,
                                          struct subject *subjects) {
    (void)settings;
    return list_some(subjects, operation_peers, true);
}

/* Lines are dropped where other programs leave too little of the machine to write them in time.
 * Such a measurement does not count, and is taken again. */
static bool run_case(const struct subject *subject, const struct benchmark_settings *settings,
                     long lines_per_second, struct log_run *run) {
    bool well = false;
    *run = (struct log_run){.peer = subject->data,
                            .folder = settings->benchmark->data,
                            .threads = (int)settings->parameter,
                            .milliseconds = settings->quick  ? QUICK_RUN_MS
                                            : settings->full ? FULL_RUN_MS
                                                             : RUN_MS,
                            .lines_per_second = lines_per_second};
    for (int i = 0; i < MAX_ATTEMPTS && !well; i++)
        well = log_run(run);
    return well;
}

static bool measure_log(const struct subject *subject, const struct benchmark_settings *settings,
                        struct benchmark_sample *sample) {
    struct log_run run;
    bool well = run_case(subject, settings, 0, &run);
    sample->values[0] = run.ns_a_call;
    for (int i = 0; i < 3; i++)
        sample->values[i + 1] = run.call_ns[i];
    sample->cpu_ns = run.cpu_ns;
    sample->iterations = run.lines;
    return well;
}

static bool measure_log_call(const struct subject *subject,
                             const struct benchmark_settings *settings,
                             struct benchmark_sample *sample) {
    struct log_run run;
    bool well = run_case(subject, settings, PACED_LINES, &run);
    for (int i = 0; i < 3; i++)
        sample->values[i] = run.call_ns[i];
    sample->values[3] = run.clock_ns;
    sample->cpu_ns = run.cpu_ns;
    sample->iterations = run.lines;
    return well;
}

static bool measure_log_off(const struct subject *subject,
                            const struct benchmark_settings *settings,
                            struct benchmark_sample *sample) {
    const struct log_peer *peer = subject->data;
    long calls = settings->quick ? SKIPPED_CALLS / QUICK_SHARE : SKIPPED_CALLS;
    if (!peer->open("/dev/null")) {
        fprintf(stderr, "at-bench: cannot measure %s\n", peer->name);
        return false;
    }
    uint64_t cpu = tasks_cpu_ns(), start = now_ns();
    peer->skip(calls);
    sample->values[0] = (double)(now_ns() - start) / (double)calls;
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)calls;
    sample->iterations = (uint64_t)calls;
    return peer->close();
}

/* -- Operations below level -- */

/* One thread that begins and ends them; all start together. */
struct skip_thread {
    pthread_t thread;
    pthread_barrier_t *gate;
    const struct log_peer *peer;
    long calls;
    double time; /* of a call */
};

static void *run_skip_thread(void *argument) {
    struct skip_thread *self = argument;
    self->peer->skip(self->calls / QUICK_SHARE); /* what a thread's first calls make */
    pthread_barrier_wait(self->gate);
    uint64_t start = now_ns();
    self->peer->skip(self->calls);
    self->time = (double)(now_ns() - start) / (double)self->calls;
    return NULL;
}

/* Gives the time of a call, the mean of all threads. */
static double skip_in_threads(const struct log_peer *peer, int threads, long calls) {
    struct skip_thread all[MAX_THREADS];
    pthread_barrier_t gate;
    double times = 0;
    pthread_barrier_init(&gate, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        all[i] = (struct skip_thread){.gate = &gate, .peer = peer, .calls = calls};
        if (pthread_create(&all[i].thread, NULL, run_skip_thread, &all[i]) != 0)
            give_up("cannot start a thread");
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(all[i].thread, NULL);
        times += all[i].time;
    }
    pthread_barrier_destroy(&gate);
    return times / threads;
}

static bool measure_operation_off(const struct subject *subject,
                                  const struct benchmark_settings *settings,
                                  struct benchmark_sample *sample) {
    const struct log_peer *peer = subject->data;
    int threads = (int)settings->parameter;
    long calls = settings->quick ? SKIPPED_OPERATIONS / QUICK_SHARE : SKIPPED_OPERATIONS;
    if (threads > MAX_THREADS || !peer->open("/dev/null")) {
        fprintf(stderr, "at-bench: cannot measure %s\n", peer->name);
        return false;
    }
    uint64_t cpu = tasks_cpu_ns();
    sample->values[0] = skip_in_threads(peer, threads, calls);
    sample->iterations = (uint64_t)calls * (uint64_t)threads;
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)sample->iterations;
    return peer->close();
}

const struct benchmark benchmark_log = {
    .name = "log",
    .help = "lines of five fields to a file in memory, flat out, until it is flushed; a call",
    .parameter = "threads",
    .parameters = {.values = {1, 2, 4}, .count = 3},
    .metrics = {{"a line", "ns"}, {"call p50", "ns"}, {"call p99", "ns"}, {"call p99.9", "ns"}},
    .shows_rate = true,
    .data = memory_folder,
    .list_subjects = list_log,
    .measure = measure_log,
};

const struct benchmark benchmark_log_disk = {
    .name = "log_disk",
    .help = "the same to a file on a disk",
    .parameter = "threads",
    .parameters = {.values = {1, 2, 4}, .count = 3},
    .metrics = {{"a line", "ns"}, {"call p50", "ns"}, {"call p99", "ns"}, {"call p99.9", "ns"}},
    .shows_rate = true,
    .data = disk_folder,
    .list_subjects = list_log,
    .measure = measure_log,
};

const struct benchmark benchmark_log_call = {
    .name = "log_call",
    .help = "a call that logs five fields, 200,000 lines a second in all",
    .parameter = "threads",
    .parameters = {.values = {1, 2, 4}, .count = 3},
    .metrics = {{"p50", "ns"}, {"p99", "ns"}, {"p99.9", "ns"}, {"clock, not in them", "ns"}},
    .data = memory_folder,
    .list_subjects = list_log,
    .measure = measure_log_call,
};

const struct benchmark benchmark_log_off = {
    .name = "log_off",
    .help = "a call that would log five fields, but its level is off",
    .metrics = {{"time", "ns"}},
    .list_subjects = list_with_levels,
    .measure = measure_log_off,
};

const struct benchmark benchmark_operation = {
    .name = "operation",
    .help = "operations with two lines and three fields to a file in memory, flat out; a call",
    .parameter = "threads",
    .parameters = {.values = {1, 2}, .count = 2},
    .metrics = {{"an operation", "ns"},
                {"call p50", "ns"},
                {"call p99", "ns"},
                {"call p99.9", "ns"}},
    .shows_rate = true,
    .data = memory_folder,
    .list_subjects = list_operations,
    .measure = measure_log,
};

const struct benchmark benchmark_operation_off = {
    .name = "operation_off",
    .help = "an operation with three fields whose lines are below level, of each of the threads",
    .parameter = "threads",
    .parameters = {.values = {1, 2}, .count = 2},
    .metrics = {{"time", "ns"}},
    .list_subjects = list_operations_with_levels,
    .measure = measure_operation_off,
};
