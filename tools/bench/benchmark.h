/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCHMARK_H
#define BENCH_BENCHMARK_H

#include "arguments.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A benchmark measures the same thing with several subjects: the library and its peers. In one run
 * they take turns, round after round, so that a machine which drifts drifts for all of them; what
 * counts is the ratio of their medians. */

enum {
    BENCHMARK_METRICS = 4,
    BENCHMARK_MAX_SUBJECTS = 48,
    BENCHMARK_MAX_REPEAT = 101,
};

enum subject_role {
    SUBJECT_LIBRARY,
    SUBJECT_PEER,       /* counts when the best peer is looked for */
    SUBJECT_BESIDE,     /* shown, but it is something else: a bare queue, a form with less in it */
    SUBJECT_SEQUENTIAL, /* the same work in a plain loop or recursion on one thread */
    SUBJECT_COPIES,     /* as many of those side by side as there would be workers */
};

struct subject {
    const char *name;
    enum subject_role role;
    const void *data; /* for the benchmark */
    int workers;      /* where each count of workers is a subject of its own */
    const char *note; /* printed behind the figures, or NULL */
};

struct benchmark;

/* What one measurement is made with. */
struct benchmark_settings {
    const struct benchmark *benchmark;
    struct count_list workers; /* for benchmarks that compare counts of workers */
    int most_workers;          /* for the others: the largest of them */
    long parameter;
    bool quick; /* a fiftieth of the work: for a look, and for tests */
    bool full;  /* slow peers do as much work as the library; logs are written for longer */
};

struct benchmark_sample {
    double values[BENCHMARK_METRICS];
    double cpu_ns; /* of the process, for each iteration */
    uint64_t iterations;
};

struct benchmark_metric {
    const char *name;
    const char *unit; /* "ns", "us", "ms", "B" or "%" */
};

/* What else each subject is compared with. */
struct benchmark_reference {
    const char *subject; /* its name, or NULL: nothing */
    const char *title;   /* of the column */
};

struct benchmark {
    const char *name;
    const char *help;
    const char *parameter; /* what --threads means here, or NULL */
    struct count_list parameters;
    struct benchmark_metric metrics[BENCHMARK_METRICS]; /* without a name after the last */
    struct benchmark_reference reference;
    bool shows_rate;  /* millions a second beside the first metric */
    const void *data; /* for the functions below */
    bool by_workers;  /* subjects differ in their workers, too, and are compared with each other */
    size_t (*list_subjects)(const struct benchmark_settings *settings, struct subject *subjects);
    /* Gives false, after a message, when it cannot be measured. */
    bool (*measure)(const struct subject *subject, const struct benchmark_settings *settings,
                    struct benchmark_sample *sample);
};

/* What a subject did in all rounds of one benchmark and parameter. */
struct benchmark_series {
    struct subject subject;
    struct benchmark_sample samples[BENCHMARK_MAX_REPEAT];
};

struct benchmark_result {
    const struct benchmark *benchmark;
    long parameter;
    size_t repeat;
    size_t subject_count;
    double others; /* CPUs that other programs used meanwhile */
    struct benchmark_series series[BENCHMARK_MAX_SUBJECTS];
};

extern const struct benchmark *const benchmarks[]; /* ends with NULL */

/* Measures one benchmark with one parameter; gives NULL without memory or after a message. */
struct benchmark_result *benchmark_measure(const struct benchmark *benchmark,
                                           const struct benchmark_settings *settings,
                                           size_t repeat);
void benchmark_print(const struct benchmark_result *result);

/* Gives the median of a metric over all rounds of a series. */
double benchmark_median(const struct benchmark_result *result, size_t subject, int metric);

/* Writes all results in the format of Google Benchmark; false with errno. */
bool benchmark_write_json(const char *path, struct benchmark_result *const *results, size_t count);

#endif
