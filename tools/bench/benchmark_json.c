/* SPDX-License-Identifier: MIT */
#include "benchmark.h"
#include "commands.h"
#include "statistics.h"

#include <asynctools/version.h>

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Google Benchmark's own tools (compare.py among them) read what is written here. */

static json_t *make_context(void) {
    char date[64], host[128] = "";
    time_t now = time(NULL);
    struct tm parts;
    double load[3] = {0};
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S%z", localtime_r(&now, &parts));
    gethostname(host, sizeof(host) - 1);
    if (getloadavg(load, 3) < 0)
        memset(load, 0, sizeof(load));
    return json_pack("{ss ss ss si sb s[] s[fff] ss ss}", "date", date, "host_name", host,
                     "executable", "at-bench", "num_cpus", (int)command_cpu_count(),
                     "cpu_scaling_enabled", 0, "caches", "load_avg", load[0], load[1], load[2],
#ifdef NDEBUG
                     "library_build_type", "release",
#else
                     "library_build_type", "debug",
#endif
                     "asynctools_version", at_version());
}

static void make_name(const struct benchmark_result *result, size_t subject, int metric,
                      char name[], size_t size) {
    const struct benchmark *benchmark = result->benchmark;
    int length =
        snprintf(name, size, "%s/%s", benchmark->name, result->series[subject].subject.name);
    if (benchmark->metrics[1].name && length > 0 && (size_t)length < size)
        length +=
            snprintf(name + length, size - (size_t)length, "/%s", benchmark->metrics[metric].name);
    if (benchmark->by_workers && length > 0 && (size_t)length < size)
        length += snprintf(name + length, size - (size_t)length, "/workers:%d",
                           result->series[subject].subject.workers);
    if (benchmark->parameter && length > 0 && (size_t)length < size)
        snprintf(name + length, size - (size_t)length, "/%s:%ld", benchmark->parameter,
                 result->parameter);
}

/* Members that every entry has. */
static json_t *make_entry(const struct benchmark_result *result, const char *run_name, int metric,
                          size_t family, double real_time, double cpu_time) {
    return json_pack("{sI sI ss si si sf sf ss}", "family_index", (json_int_t)family,
                     "per_family_instance_index", (json_int_t)0, "run_name", run_name,
                     "repetitions", (int)result->repeat, "threads",
                     result->benchmark->parameter ? (int)result->parameter : 1, "real_time",
                     real_time, "cpu_time", cpu_time, "time_unit",
                     result->benchmark->metrics[metric].unit);
}

static double count_cpu(const struct benchmark_result *result, int metric, double cpu_ns) {
    const char *unit = result->benchmark->metrics[metric].unit;
    return strcmp(unit, "us") == 0 ? cpu_ns / 1e3 : strcmp(unit, "ms") == 0 ? cpu_ns / 1e6 : cpu_ns;
}

static void add_rounds(const struct benchmark_result *result, size_t subject, int metric,
                       size_t family, json_t *list) {
    char name[256];
    make_name(result, subject, metric, name, sizeof(name));
    for (size_t i = 0; i < result->repeat; i++) {
        const struct benchmark_sample *sample = &result->series[subject].samples[i];
        json_t *entry = make_entry(result, name, metric, family, sample->values[metric],
                                   count_cpu(result, metric, sample->cpu_ns));
        json_object_set_new(entry, "name", json_string(name));
        json_object_set_new(entry, "run_type", json_string("iteration"));
        json_object_set_new(entry, "repetition_index", json_integer((json_int_t)i));
        json_object_set_new(entry, "iterations", json_integer((json_int_t)sample->iterations));
        json_array_append_new(list, entry);
    }
}

static double find_deviation(const double *values, size_t count, double mean) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (values[i] - mean) * (values[i] - mean);
    return count > 1 ? sqrt(sum / (double)(count - 1)) : 0;
}

static void add_aggregates(const struct benchmark_result *result, size_t subject, int metric,
                           size_t family, json_t *list) {
    static const char *const kinds[] = {"mean", "median", "stddev", "min", "max"};
    char run_name[256], name[272];
    double values[2][BENCHMARK_MAX_REPEAT];
    double sums[2] = {0};
    size_t count = result->repeat;
    make_name(result, subject, metric, run_name, sizeof(run_name));
    for (size_t i = 0; i < count; i++) {
        const struct benchmark_sample *sample = &result->series[subject].samples[i];
        values[0][i] = sample->values[metric];
        values[1][i] = count_cpu(result, metric, sample->cpu_ns);
        sums[0] += values[0][i];
        sums[1] += values[1][i];
    }
    double figures[2][5];
    for (int i = 0; i < 2; i++) {
        figures[i][0] = sums[i] / (double)count;
        figures[i][1] = median_of(values[i], count);
        figures[i][2] = find_deviation(values[i], count, figures[i][0]);
        figures[i][3] = values[i][0];
        figures[i][4] = values[i][count - 1];
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        json_t *entry = make_entry(result, run_name, metric, family, figures[0][i], figures[1][i]);
        snprintf(name, sizeof(name), "%s_%s", run_name, kinds[i]);
        json_object_set_new(entry, "name", json_string(name));
        json_object_set_new(entry, "run_type", json_string("aggregate"));
        json_object_set_new(entry, "aggregate_name", json_string(kinds[i]));
        json_object_set_new(entry, "aggregate_unit", json_string("time"));
        json_object_set_new(entry, "iterations", json_integer((json_int_t)count));
        json_array_append_new(list, entry);
    }
}

bool benchmark_write_json(const char *path, struct benchmark_result *const *results, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        for (size_t subject = 0; subject < results[i]->subject_count; subject++)
            for (int metric = 0;
                 metric < BENCHMARK_METRICS && results[i]->benchmark->metrics[metric].name;
                 metric++) {
                add_rounds(results[i], subject, metric, i, list);
                add_aggregates(results[i], subject, metric, i, list);
            }
    json_t *root = json_pack("{so so}", "context", make_context(), "benchmarks", list);
    bool written = root && json_dump_file(root, path, JSON_INDENT(2)) == 0;
    json_decref(root);
    return written;
}
