/* SPDX-License-Identifier: MIT */
#include "benchmark.h"

#include "machine_load.h"
#include "statistics.h"

#include <stdlib.h>
#include <time.h>

enum { REST_NS = 5000000 };

/* The threads of a pool that has ended its work look for more of it for a while. */
static void let_rest(void) {
    nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
}

static bool measure_round(struct benchmark_result *result,
                          const struct benchmark_settings *settings, size_t round, size_t sample) {
    for (size_t i = 0; i < result->subject_count; i++) {
        /* Each round starts with another subject, so that none always follows the same one. */
        size_t turn = (i + round) % result->subject_count;
        struct benchmark_series *series = &result->series[turn];
        let_rest();
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

double benchmark_median(const struct benchmark_result *result, size_t subject, int metric) {
    double values[BENCHMARK_MAX_REPEAT];
    for (size_t i = 0; i < result->repeat; i++)
        values[i] = result->series[subject].samples[i].values[metric];
    return median_of(values, result->repeat);
}
