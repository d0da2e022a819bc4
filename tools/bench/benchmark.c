/* SPDX-License-Identifier: MIT */
#include "benchmark.h"

#include "machine_load.h"
#include "statistics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool measure_round(struct benchmark_result *result,
                          const struct benchmark_settings *settings, size_t round, size_t sample) {
    for (size_t i = 0; i < result->subject_count; i++) {
        /* Each round starts with another subject, so that none always follows the same one. */
        size_t turn = (i + round) % result->subject_count;
        struct benchmark_series *series = &result->series[turn];
        if (!result->benchmark->measure(&series->subject, settings, &series->samples[sample]))
            return false;
    }
    return true;
}

struct benchmark_result *benchmark_measure(const struct benchmark *benchmark,
                                           const struct benchmark_settings *settings,
                                           size_t repeat) {
    struct subject subjects[BENCHMARK_MAX_SUBJECTS];
    struct benchmark_result *result = calloc(1, sizeof(*result));
    if (!result)
        return NULL;
    result->benchmark = benchmark;
    result->parameter = settings->parameter;
    result->repeat = repeat;
    result->subject_count = benchmark->list_subjects(settings, subjects);
    for (size_t i = 0; i < result->subject_count; i++)
        result->series[i].subject = subjects[i];

    /* The warm-up is a round whose samples the first counted round writes over. */
    struct benchmark_settings warm_up = *settings;
    warm_up.quick = true;
    bool well = measure_round(result, &warm_up, 0, 0);
    struct machine_load load;
    machine_load_start(&load);
    for (size_t round = 0; well && round < repeat; round++)
        well = measure_round(result, settings, round, round);
    result->others = machine_load_others(&load);
    if (well)
        return result;
    free(result);
    return NULL;
}

static size_t collect_values(const struct benchmark_result *result, size_t subject, int metric,
                             double *values) {
    for (size_t i = 0; i < result->repeat; i++)
        values[i] = result->series[subject].samples[i].values[metric];
    return result->repeat;
}

double benchmark_median(const struct benchmark_result *result, size_t subject, int metric) {
    double values[BENCHMARK_MAX_REPEAT];
    return median_of(values, collect_values(result, subject, metric, values));
}

/* Gives the lowest median of all peers, or 0 where there is none. */
static double find_best_peer(const struct benchmark_result *result, int metric) {
    double best = 0;
    for (size_t i = 0; i < result->subject_count; i++) {
        if (result->series[i].subject.role != SUBJECT_PEER)
            continue;
        double median = benchmark_median(result, i, metric);
        if (best == 0 || median < best)
            best = median;
    }
    return best;
}

static void print_row(const struct benchmark_result *result, size_t subject, int metric,
                      double best) {
    const struct benchmark_series *series = &result->series[subject];
    double values[BENCHMARK_MAX_REPEAT], cpu[BENCHMARK_MAX_REPEAT];
    size_t count = collect_values(result, subject, metric, values);
    for (size_t i = 0; i < count; i++)
        cpu[i] = series->samples[i].cpu_ns;
    double median = median_of(values, count);
    printf("  %-30s %9.2f %9.2f %9.2f", series->subject.name, median, values[0], values[count - 1]);
    if (metric == 0)
        printf(" %9.0f", median_of(cpu, count));
    else
        printf(" %9s", "");
    if (result->benchmark->shows_rate)
        printf(" %8.2f", 1e3 / median);
    if (best > 0)
        printf(" %8.2f%s", median / best, series->subject.role == SUBJECT_BESIDE ? "  beside" : "");
    printf("\n");
}

void benchmark_print(const struct benchmark_result *result) {
    const struct benchmark *benchmark = result->benchmark;
    printf("%s", benchmark->name);
    if (benchmark->parameter)
        printf(", %s: %ld", benchmark->parameter, result->parameter);
    printf(" (%zu rounds, others used %.2f CPUs)\n", result->repeat, result->others);
    for (int metric = 0; metric < BENCHMARK_METRICS && benchmark->metrics[metric]; metric++) {
        char title[64];
        snprintf(title, sizeof(title), "%s, %s", benchmark->metrics[metric], benchmark->unit);
        printf("  %-30s %9s %9s %9s", title, "median", "min", "max");
        printf(" %9s", metric == 0 ? "CPU ns" : "");
        if (benchmark->shows_rate)
            printf(" %8s", "M/s");
        double best = find_best_peer(result, metric);
        printf("%s\n", best > 0 ? "  to best" : "");
        for (size_t i = 0; i < result->subject_count; i++)
            print_row(result, i, metric, best);
    }
    printf("\n");
    fflush(stdout);
}
