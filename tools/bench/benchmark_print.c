/* SPDX-License-Identifier: MIT */
#include "benchmark.h"

#include "statistics.h"

#include <stdio.h>
#include <string.h>

/* What a row is compared with, all of the same run. 0: there is no such subject. */
struct comparison {
    double sequential;
    double best_peer;  /* with as many workers */
    double one_worker; /* of the same subject */
    double copies;     /* with as many workers */
    double reference;
};

static struct comparison compare(const struct benchmark_result *result, const struct subject *own,
                                 int metric) {
    struct comparison found = {0};
    for (size_t i = 0; i < result->subject_count; i++) {
        const struct subject *subject = &result->series[i].subject;
        double median = benchmark_median(result, i, metric);
        const char *reference = result->benchmark->reference.subject;
        if (reference && strcmp(subject->name, reference) == 0)
            found.reference = median;
        if (subject->role == SUBJECT_SEQUENTIAL)
            found.sequential = median;
        if (subject->data == own->data && subject->role == own->role && subject->workers == 1)
            found.one_worker = median;
        if (subject->workers != own->workers)
            continue;
        if (subject->role == SUBJECT_COPIES)
            found.copies = median;
        if (subject->role == SUBJECT_PEER && (found.best_peer == 0 || median < found.best_peer))
            found.best_peer = median;
    }
    return found;
}

static void print_ratio(double value, double to) {
    if (to > 0)
        printf(" %9.2f", value / to);
    else
        printf(" %9s", "");
}

/* How many times as fast as with one worker, and which part that is of what copies of the
 * sequential program gain side by side. */
static void print_speed_up(const struct comparison *with, enum subject_role role, double median) {
    double copies_gain = with->copies > 0 ? with->sequential / with->copies : 0;
    double from = role == SUBJECT_COPIES ? with->sequential : with->one_worker;
    if (role == SUBJECT_SEQUENTIAL)
        from = 0;
    print_ratio(from, from > 0 ? median : 0);
    print_ratio(from / median, from > 0 ? copies_gain : 0);
}

static void print_row(const struct benchmark_result *result, size_t row, int metric) {
    const struct benchmark *benchmark = result->benchmark;
    const struct benchmark_series *series = &result->series[row];
    double values[BENCHMARK_MAX_REPEAT], cpu[BENCHMARK_MAX_REPEAT];
    for (size_t i = 0; i < result->repeat; i++) {
        values[i] = series->samples[i].values[metric];
        cpu[i] = series->samples[i].cpu_ns;
    }
    double median = median_of(values, result->repeat); /* sorts them, too */
    struct comparison with = compare(result, &series->subject, metric);
    printf("  %-30s", series->subject.name);
    if (benchmark->by_workers)
        printf(" %7d", series->subject.workers);
    printf(" %9.2f %9.2f %9.2f", median, values[0], values[result->repeat - 1]);
    if (metric == 0)
        printf(" %9.1f", median_of(cpu, result->repeat));
    else
        printf(" %9s", "");
    if (benchmark->shows_rate && metric == 0)
        printf(" %9.2f", 1e3 / median);
    else if (benchmark->shows_rate)
        printf(" %9s", "");
    if (benchmark->by_workers) {
        print_ratio(median, with.sequential);
        print_speed_up(&with, series->subject.role, median);
    }
    if (benchmark->reference.subject)
        print_ratio(median, with.reference);
    print_ratio(median, with.best_peer);
    if (series->subject.role == SUBJECT_BESIDE)
        printf("  beside");
    if (series->subject.note)
        printf("  %s", series->subject.note);
    printf("\n");
}

static void print_title(const struct benchmark *benchmark, int metric) {
    char title[64];
    snprintf(title, sizeof(title), "%s, %s", benchmark->metrics[metric].name,
             benchmark->metrics[metric].unit);
    printf("  %-30s", title);
    if (benchmark->by_workers)
        printf(" %7s", "workers");
    printf(" %9s %9s %9s %9s", "median", "min", "max", metric == 0 ? "CPU ns" : "");
    if (benchmark->shows_rate)
        printf(" %9s", metric == 0 ? "M/s" : "");
    if (benchmark->by_workers)
        printf(" %9s %9s %9s", "to seq.", "speed-up", "of copies");
    if (benchmark->reference.subject)
        printf(" %9s", benchmark->reference.title);
    printf(" %9s\n", "to best");
}

void benchmark_print(const struct benchmark_result *result) {
    const struct benchmark *benchmark = result->benchmark;
    printf("%s", benchmark->name);
    if (benchmark->parameter)
        printf(", %s: %ld", benchmark->parameter, result->parameter);
    printf(" (%zu rounds, others used %.2f CPUs)\n", result->repeat, result->others);
    for (int metric = 0; metric < BENCHMARK_METRICS && benchmark->metrics[metric].name; metric++) {
        print_title(benchmark, metric);
        for (size_t row = 0; row < result->subject_count; row++)
            print_row(result, row, metric);
    }
    printf("\n");
    fflush(stdout);
}
