/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include "arguments.h"
#include "index_options.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_WRONG_ARGUMENT = 2, EXIT_INTERRUPTED = 130 };

/* Set by Ctrl-C; looked at before each file and between two blocks of a large one. */
static atomic_bool stop_asked;

static void ask_to_stop(int signal_number) {
    (void)signal_number;
    atomic_store_explicit(&stop_asked, true, memory_order_relaxed);
}

static const char *const program_names[INDEX_PROGRAMS] = {
    [INDEX_SEQUENTIAL] = "sequential",
    [INDEX_PLAIN] = "plain",
    [INDEX_LIBRARY] = "library",
};

int index_run_program(const struct index_options *options, struct index_result *result) {
    switch (options->program) {
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

static enum arguments_result read_arguments(int argument_count, char **arguments,
                                            struct index_options *options) {
    const struct option_spec specs[] = {
        {"--threads", "N", OPTION_COUNT, &options->threads, 1, 256,
         "threads of the pool; default: the CPUs this process may use"},
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
        {"--program", "NAME", OPTION_TEXT, &options->program_name, 0, 0,
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
    return arguments_parse(&command, argument_count, arguments, &options->directory);
}

static bool find_program(struct index_options *options) {
    for (int i = 0; i < INDEX_PROGRAMS; i++)
        if (strcmp(options->program_name, program_names[i]) == 0) {
            options->program = (enum index_program)i;
            return true;
        }
    fprintf(stderr, "at-bench index: --program takes sequential, plain or library, not '%s'\n",
            options->program_name);
    return false;
}

static void catch_interrupt(void) {
    /* The second Ctrl-C ends the process as usual. */
    struct sigaction action = {.sa_handler = ask_to_stop, .sa_flags = SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int run_once(const struct index_options *options, struct event_log *log,
                    struct index_result *result) {
    int error = index_run_init(&result->run, options->directory, log, &stop_asked);
    if (error != 0) {
        fprintf(stderr, "at-bench index: cannot open %s: %s\n", options->directory,
                strerror(error));
        return error;
    }
    event_log_message(log, "index.started", options->directory);
    struct index_progress *progress = index_progress_start(&result->run, isatty(STDERR_FILENO));
    error = index_run_program(options, result);
    index_progress_stop(progress);
    event_log_message(log, "index.ended", error == 0 ? "" : strerror(error));
    if (error != 0) {
        fprintf(stderr, "at-bench index: %s\n",
                result->message[0] ? result->message : strerror(error));
        index_result_deinit(result);
    }
    return error;
}

/* Prints what a run has found, after the comparison and the check that were asked for. */
static int report(const struct index_options *options, const struct index_result *result) {
    struct index_comparison comparison = {0};
    if (!options->no_compare && !atomic_load_explicit(&stop_asked, memory_order_relaxed)) {
        int error = index_compare(options, &stop_asked, &comparison);
        if (error != 0 && error != ECANCELED)
            fprintf(stderr, "at-bench index: the comparison failed: %s\n", strerror(error));
    }
    int verified = options->verify ? index_verify(result, &stop_asked) : 0;
    if (options->json)
        index_print_json(options, result, &comparison);
    else
        index_print_text(options, result, &comparison);
    if (atomic_load_explicit(&stop_asked, memory_order_relaxed)) {
        fprintf(stderr, "at-bench index: interrupted, this is what was done until then\n");
        return EXIT_INTERRUPTED;
    }
    if (options->verify && verified == 0)
        fprintf(stderr, "at-bench index: verified, the sequential program finds the same\n");
    return verified == 0 ? 0 : 1;
}

int index_command(int argument_count, char **arguments) {
    struct index_options options = {
        .program_name = "library",
        .threads = command_cpu_count(),
        .group_count = 5,
        .repeat = 3,
    };
    enum arguments_result parsed = read_arguments(argument_count, arguments, &options);
    if (parsed != ARGUMENTS_OK)
        return parsed == ARGUMENTS_HELP ? 0 : EXIT_WRONG_ARGUMENT;
    if (!find_program(&options))
        return EXIT_WRONG_ARGUMENT;
    if (options.program == INDEX_SEQUENTIAL)
        options.threads = 1;
    catch_interrupt();
    if (options.pass)
        return index_pass(&options, &stop_asked);
    struct event_log *log = NULL;
    if (options.log_path && !(log = event_log_open(options.log_path))) {
        fprintf(stderr, "at-bench index: --log: cannot open %s: %s\n", options.log_path,
                strerror(errno));
        return EXIT_WRONG_ARGUMENT;
    }
    struct index_result result;
    memset(&result, 0, sizeof(result));
    int status = run_once(&options, log, &result) == 0 ? 0 : 1;
    if (status == 0) {
        status = report(&options, &result);
        index_result_deinit(&result);
    }
    event_log_close(log);
    return status;
}
