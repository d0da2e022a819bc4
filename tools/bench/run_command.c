/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include "arguments.h"
#include "benchmark.h"
#include "messages.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RESULTS = 256 };

struct run_options {
    const char *pattern;
    const char *json_path;
    struct count_list threads;
    struct count_list workers;
    long repeat;
    bool quick;
    bool full;
};

struct run_results {
    struct benchmark_result *results[MAX_RESULTS];
    size_t count;
};

int list_command(int argument_count, char **arguments) {
    const char *none[1];
    const struct command_spec command = {
        .name = "list", .usage = "", .help = "Lists the benchmarks and who takes part in them."};
    int status;
    if (!arguments_parse(&command, argument_count, arguments, none, &status))
        return status;
    for (size_t i = 0; benchmarks[i]; i++) {
        struct subject subjects[BENCHMARK_MAX_SUBJECTS];
        struct benchmark_settings settings = {.benchmark = benchmarks[i],
                                              .workers = {.values = {1}, .count = 1},
                                              .most_workers = 1,
                                              .parameter = 1};
        size_t count = benchmarks[i]->list_subjects(&settings, subjects);
        printf("%-18s %s\n%-18s   ", benchmarks[i]->name, benchmarks[i]->help, "");
        for (size_t k = 0; k < count; k++)
            printf("%s%s", k > 0 ? ", " : "", subjects[k].name);
        printf("\n");
    }
    return 0;
}

static bool read_arguments(int argument_count, char **arguments, struct run_options *options,
                           int *status) {
    const struct option_spec specs[] = {
        {"--threads", "LIST", OPTION_COUNTS, &options->threads, 1, 256,
         "outside threads that submit or log, such as 1,2,4 (the default)"},
        {"--workers", "LIST", OPTION_COUNTS, &options->workers, 1, 256,
         "workers of each pool; default: 1,2; where one count is measured, the largest"},
        {"--repeat", "N", OPTION_COUNT, &options->repeat, 1, BENCHMARK_MAX_REPEAT,
         "rounds, in which all subjects take turns; default: 5"},
        {"--json", "FILE", OPTION_TEXT, &options->json_path, 0, 0,
         "write the results to FILE as Google Benchmark does"},
        {"--quick", NULL, OPTION_FLAG, &options->quick, 0, 0,
         "a fiftieth of the work: for a look, not for a figure"},
        {"--full", NULL, OPTION_FLAG, &options->full, 0, 0,
         "slow peers do as much work as the others, and logs go on for 5 s: takes minutes"},
    };
    const struct command_spec command = {
        .name = "run",
        .usage = "[PATTERN]",
        .help = "Runs the benchmarks whose name matches PATTERN (a shell pattern, or a part).",
        .options = specs,
        .option_count = sizeof(specs) / sizeof(specs[0]),
        .max_positional = 1,
    };
    return arguments_parse(&command, argument_count, arguments, &options->pattern, status);
}

static bool is_wanted(const struct benchmark *benchmark, const char *pattern) {
    return !pattern || strstr(benchmark->name, pattern) ||
           fnmatch(pattern, benchmark->name, 0) == 0;
}

static long find_largest(const struct count_list *list) {
    long largest = 0;
    for (int i = 0; i < list->count; i++)
        if (list->values[i] > largest)
            largest = list->values[i];
    return largest;
}

static bool run_parameters(const struct benchmark *benchmark, const struct run_options *options,
                           struct run_results *results) {
    struct count_list parameters = benchmark->parameters;
    if (!benchmark->parameter)
        parameters = (struct count_list){.values = {0}, .count = 1};
    else if (options->threads.count > 0)
        parameters = options->threads;
    for (int i = 0; i < parameters.count && results->count < MAX_RESULTS; i++) {
        struct benchmark_settings settings = {.benchmark = benchmark,
                                              .workers = options->workers,
                                              .most_workers = (int)find_largest(&options->workers),
                                              .parameter = parameters.values[i],
                                              .quick = options->quick,
                                              .full = options->full};
        struct benchmark_result *result =
            benchmark_measure(benchmark, &settings, (size_t)options->repeat);
        if (!result)
            return false;
        results->results[results->count++] = result;
        benchmark_print(result);
    }
    return true;
}

static int finish(const struct run_options *options, const struct run_results *results) {
    if (results->count == 0) {
        fprintf(stderr, "at-bench run: no benchmark matches '%s' (at-bench list names them)\n",
                options->pattern);
        return EXIT_WRONG_ARGUMENT;
    }
    if (options->json_path &&
        !benchmark_write_json(options->json_path, results->results, results->count)) {
        fprintf(stderr, "at-bench run: --json: cannot write %s: %s\n", options->json_path,
                describe_errno(errno));
        return 1;
    }
    return 0;
}

int run_command(int argument_count, char **arguments) {
    struct run_options options = {.workers = {.values = {1, 2}, .count = 2}, .repeat = 5};
    struct run_results results = {.count = 0};
    int status;
    if (!read_arguments(argument_count, arguments, &options, &status))
        return status;
    bool well = true;
    for (size_t i = 0; benchmarks[i] && well; i++)
        if (is_wanted(benchmarks[i], options.pattern))
            well = run_parameters(benchmarks[i], &options, &results);
    status = well ? finish(&options, &results) : 1;
    for (size_t i = 0; i < results.count; i++)
        free(results.results[i]);
    return status;
}
