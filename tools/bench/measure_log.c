/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "clock.h"
#include "log_run.h"
#include "tasks.h"

#include <stdio.h>
#include <unistd.h>

enum {
    RUN_MS = 1000,
    FULL_RUN_MS = 5000,
    QUICK_RUN_MS = 20,
    PACED_LINES = 200000, /* a second, of all threads together */
    SKIPPED_CALLS = 20000000,
    QUICK_SHARE = 50,
    MAX_ATTEMPTS = 10,
};

static const char memory_folder[] = "/dev/shm";
static const char disk_folder[] = "/var/tmp";

static size_t list_some(struct subject *subjects, bool with_levels) {
    size_t count = 0;
    for (size_t i = 0; log_peers[i]; i++) {
        const struct log_peer *peer = log_peers[i];
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
    return list_some(subjects, false);
}

static size_t list_with_levels(const struct benchmark_settings *settings,
                               struct subject *subjects) {
    (void)settings;
    return list_some(subjects, true);
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
    sample->values[0] = run.ns_a_line;
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
