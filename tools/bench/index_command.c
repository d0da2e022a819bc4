/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include "index_options.h"
#include "messages.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Set by Ctrl-C; looked at before each file and between two blocks of a large one. */
static atomic_bool stop_asked;

static void ask_to_stop(int signal_number) {
    (void)signal_number;
    atomic_store_explicit(&stop_asked, true, memory_order_relaxed);
}

static const char *const program_names[] = {
    [INDEX_SEQUENTIAL] = "sequential",
    [INDEX_PLAIN] = "plain",
    [INDEX_LIBRARY] = "library",
    NULL,
};

int index_run_program(const struct index_options *options, struct index_result *result) {
    switch (options->program.chosen) {
    case INDEX_SEQUENTIAL:
        return index_sequential(result);
    case INDEX_PLAIN:
        return index_on_plain_pool(result, (int)options->threads);
    case INDEX_LIBRARY:
        return index_on_library(result, (int)options->threads);
    default:
        return EINVAL;
    }
}

static bool read_arguments(int argument_count, char **arguments, struct index_options *options,
                           int *status) {
    const struct option_spec specs[] = {
        command_threads_option(&options->threads),
        {"--log", "FILE", OPTION_TEXT, &options->log_path, 0, 0,
         "append progress and problems to FILE, one JSON object a line"},
        {"--json", NULL, OPTION_FLAG, &options->json, 0, 0, "print the result as JSON"},
        {"--groups", "N", OPTION_COUNT, &options->group_count, 0, 1000000,
         "print the N largest groups of duplicates; default: 5"},
        {"--no-compare", NULL, OPTION_FLAG, &options->no_compare, 0, 0,
         "do not measure the speed-up against the sequential program"},
        {"--limits", NULL, OPTION_FLAG, &options->limits, 0, 0,
         "compare with N copies of the sequential program side by side, too"},
        {"--repeat", "N", OPTION_COUNT, &options->repeat, 1, 99,
         "passes of each program in the comparison; default: 3"},
        {"--verify", NULL, OPTION_FLAG, &options->verify, 0, 0,
         "recompute everything sequentially and compare; 1 is returned if it differs"},
        {"--timeout", "SECONDS", OPTION_COUNT, &options->timeout_s, 0, 86400,
         "read so long at most, 0 for no limit (the default); 1 is returned if that was too short"},
        {"--fail-fast", NULL, OPTION_FLAG, &options->fail_fast, 0, 0,
         "stop at the first file that is lost; 1 is returned then"},
        {"--program", "NAME", OPTION_CHOICE, &options->program, 0, 0,
         "who does the work: sequential, plain (a mutex pool) or library (the default)"},
        {"--pass", NULL, OPTION_FLAG, &options->pass, 0, 0,
         "used by the comparison: run once when standard input closes, write the time"},
    };
    const struct command_spec command = {
        .name = "index",
        .usage = "DIR",
        .help = "Reads every file under DIR: counts bytes, lines and words, finds duplicates.",
        .options = specs,
        .option_count = sizeof(specs) / sizeof(specs[0]),
        .min_positional = 1,
        .max_positional = 1,
    };
    return arguments_parse(&command, argument_count, arguments, &options->directory, status);
}

/* The others have no scopes. */
static bool can_cancel(const struct index_options *options) {
    if (options->program.chosen == INDEX_LIBRARY ||
        (options->timeout_s == 0 && !options->fail_fast))
        return true;
    fprintf(stderr, "at-bench index: %s needs --program library, not %s\n",
            options->timeout_s > 0 ? "--timeout" : "--fail-fast",
            named_choice_name(&options->program));
    return false;
}

static int run_once(const struct index_options *options, at_logger *log,
                    struct index_result *result) {
    int error = index_run_init(&result->run, options->directory, log, &stop_asked);
    if (error != 0) {
        fprintf(stderr, "at-bench index: cannot open %s: %s\n", options->directory,
                describe_errno(error));
        return error;
    }
    result->run.timeout = options->timeout_s * AT_SECONDS(1);
    result->run.is_fail_fast = options->fail_fast;
    at_log_info(log, "index.started", at_kv("directory", options->directory),
                at_kv("threads", options->threads));
    struct index_progress *progress = index_progress_start(&result->run, isatty(STDERR_FILENO));
    error = index_run_program(options, result);
    result->complete = !atomic_load_explicit(&stop_asked, memory_order_relaxed) &&
                       result->reason == AT_CANCEL_NONE;
    index_progress_stop(progress);
    at_log_info(log, "index.ended", at_kv("files", result->totals.files),
                at_kv("bytes", result->totals.bytes), at_kv("ns", result->total_ns),
                at_kv("reason", at_cancel_reason_name(result->reason)),
                at_kv("error", error == 0 ? NULL : describe_errno(error)));
    if (error != 0) {
        fprintf(stderr, "at-bench index: %s\n",
                result->message[0] ? result->message : describe_errno(error));
        index_result_deinit(result);
    }
    return error;
}

static int report_reason(const struct index_options *options, const struct index_result *result) {
    if (result->reason == AT_CANCEL_DEADLINE)
        fprintf(stderr, "at-bench index: %ld s have passed, this is what was done until then\n",
                options->timeout_s);
    else
        fprintf(stderr, "at-bench index: stopped at the first file that was lost, %s\n",
                result->message);
    return 1;
}

/* Prints what a run has found, after the comparison and the check that were asked for. */
static int report(const struct index_options *options, const struct index_result *result) {
    struct index_comparison comparison = {0};
    if (!options->no_compare && result->complete &&
        !atomic_load_explicit(&stop_asked, memory_order_relaxed)) {
        int error = index_compare(options, &stop_asked, &comparison);
        if (error != 0 && error != ECANCELED)
            fprintf(stderr, "at-bench index: the comparison failed: %s\n", describe_errno(error));
    }
    int verified = options->verify && result->complete ? index_verify(result, &stop_asked) : 0;
    if (options->json)
        index_print_json(options, result, &comparison);
    else
        index_print_text(options, result, &comparison);
    if (atomic_load_explicit(&stop_asked, memory_order_relaxed)) {
        fprintf(stderr, "at-bench index: interrupted, %s\n",
                result->complete ? "without the comparison" : "this is what was done until then");
        return EXIT_INTERRUPTED;
    }
    if (result->reason != AT_CANCEL_NONE)
        return report_reason(options, result);
    if (options->verify && verified == 0)
        fprintf(stderr, "at-bench index: verified, the sequential program finds the same\n");
    return verified == 0 ? 0 : 1;
}

/* The library writes its own lines there, too. */
static at_logger *open_log(const char *path) {
    at_logger *log;
    if (at_logger_create(&log, &(at_logger_options){.name = "at-bench", .path = path}) != AT_OK) {
        fprintf(stderr, "at-bench index: --log: %s\n", at_error_message(at_error_last()));
        return NULL;
    }
    at_logger_set_default(log);
    return log;
}

int index_command(int argument_count, char **arguments) {
    struct index_options options = {
        .program = {program_names, INDEX_LIBRARY},
        .threads = command_cpu_count(),
        .group_count = 5,
        .repeat = 3,
    };
    int status;
    if (!read_arguments(argument_count, arguments, &options, &status))
        return status;
    if (!can_cancel(&options))
        return EXIT_WRONG_ARGUMENT;
    if (options.program.chosen == INDEX_SEQUENTIAL)
        options.threads = 1;
    command_on_interrupt(ask_to_stop, false);
    if (options.pass)
        return index_pass(&options, &stop_asked);
    at_logger *log = NULL;
    if (options.log_path && !(log = open_log(options.log_path)))
        return EXIT_WRONG_ARGUMENT;
    struct index_result result;
    memset(&result, 0, sizeof(result));
    status = run_once(&options, log, &result) == 0 ? 0 : 1;
    if (status == 0) {
        status = report(&options, &result);
        index_result_deinit(&result);
    }
    at_logger_destroy(log);
    return status;
}
