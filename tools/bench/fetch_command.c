/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include "child.h"
#include "fetch_server.h"
#include "messages.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum { OTHER_DESCRIPTORS = 64 }; /* of both processes, beside the sockets */

static const char *const spread_names[] = {
    [FETCH_FIXED] = "fixed",
    [FETCH_UNIFORM] = "uniform",
    [FETCH_EXPONENTIAL] = "exponential",
    NULL,
};

/* Readable once Ctrl-C has been pressed. */
static int interrupt_descriptor;

static void note_interrupt(int signal_number) {
    (void)signal_number;
    fetch_ask_to_stop(interrupt_descriptor);
}

static bool read_arguments(int argument_count, char **arguments, struct fetch_options *options,
                           int *status) {
    const char *none[1];
    const struct option_spec specs[] = {
        {"--requests", "N", OPTION_COUNT, &options->requests, 1, 10000000,
         "how many; default: 10000"},
        {"--concurrency", "N", OPTION_COUNT, &options->concurrency, 1, 1000000,
         "at most so many at once; default: 2000"},
        {"--timeout", "MS", OPTION_COUNT, &options->timeout_ms, 0, 86400000,
         "of each request, 0 for none; default: 5000"},
        {"--delay", "MS", OPTION_COUNT, &options->delay_ms, 0, 3600000,
         "what the server takes for an answer, on average; default: 100"},
        {"--spread", "NAME", OPTION_CHOICE, &options->spread, 0, 0,
         "of that: fixed, uniform (from 0 to twice as long, the default) or exponential"},
        {"--fail", "PERCENT", OPTION_COUNT, &options->fail_percent, 0, 100,
         "so many answers say that it failed; default: 0"},
        {"--fail-fast", NULL, OPTION_FLAG, &options->fail_fast, 0, 0,
         "the first such answer cancels the rest; 1 is returned then"},
        command_threads_option(&options->threads),
        {"--plain", NULL, OPTION_FLAG, &options->plain, 0, 0,
         "compare with a program that has a thread for each request"},
        {"--json", "FILE", OPTION_TEXT, &options->json_path, 0, 0, "write the result to FILE"},
    };
    const struct command_spec command = {
        .name = "fetch",
        .usage = "",
        .help = "Sends many requests at once to a slow server on this machine, which it starts.",
        .options = specs,
        .option_count = sizeof(specs) / sizeof(specs[0]),
    };
    return arguments_parse(&command, argument_count, arguments, none, status);
}

/* A socket for each request at once, on both sides. */
static bool allow_descriptors(const struct fetch_options *options) {
    struct rlimit limit;
    long concurrent =
        options->concurrency < options->requests ? options->concurrency : options->requests;
    rlim_t needed = (rlim_t)concurrent + OTHER_DESCRIPTORS;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= needed)
        return true;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = needed;
    if (needed <= limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) == 0) {
        fprintf(stderr, "at-bench fetch: raised the limit of open files from %llu to %llu\n",
                (unsigned long long)before, (unsigned long long)needed);
        return true;
    }
    fprintf(stderr,
            "at-bench fetch: --concurrency %ld needs %llu open files, and this process may have "
            "%llu (ulimit -Hn)\n",
            concurrent, (unsigned long long)needed, (unsigned long long)limit.rlim_max);
    return false;
}

static bool catch_interrupt(void) {
    interrupt_descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (interrupt_descriptor < 0)
        return false;
    command_on_interrupt(note_interrupt, true);
    return true;
}

static bool is_interrupted(void) {
    struct pollfd interrupt = {.fd = interrupt_descriptor, .events = POLLIN};
    return poll(&interrupt, 1, 0) > 0;
}

/* What a program runs with. */
struct fetch_case {
    const struct fetch_options *options;
    int port;
    bool (*program)(struct fetch_run *run, struct fetch_figures *figures);
};

/* Gives false without memory for it; what else went wrong is in the figures. */
static bool run_program(const void *argument, void *measured) {
    const struct fetch_case *what = argument;
    struct fetch_figures *figures = measured;
    struct fetch_run run = {
        .options = what->options, .port = what->port, .stop_descriptor = interrupt_descriptor};
    memset(figures, 0, sizeof(*figures));
    run.requests = calloc((size_t)what->options->requests, sizeof(*run.requests));
    if (!run.requests)
        return false;
    for (long i = 0; i < what->options->requests; i++)
        run.requests[i].run = &run;
    figures->is_whole = what->program(&run, figures);
    figures->interrupted = is_interrupted();
    free(run.requests);
    return true;
}

static bool complain(const char *what, const char *why) {
    fprintf(stderr, "at-bench fetch: %s%s\n", what, why);
    return false;
}

static int fail(const char *what, const char *why) {
    complain(what, why);
    return 1;
}

/* Runs the programs; the plain one first, in a process of its own, while this one has no threads.
 */
static bool run_programs(const struct fetch_options *options, int port,
                         struct fetch_figures *figures, struct fetch_figures *plain) {
    struct fetch_case what = {.options = options, .port = port, .program = fetch_with_threads};
    if (options->plain) {
        if (!child_measure(run_program, &what, plain, sizeof(*plain)))
            return complain("the program with threads could not be run", "");
        if (!plain->is_whole)
            return complain("a thread for each request: ", plain->message);
    }
    what.program = fetch_on_library;
    if (!run_program(&what, figures))
        return complain("there is no memory for so many requests", "");
    return figures->is_whole || complain("", figures->message);
}

static int report(const struct fetch_options *options, const struct fetch_figures *figures,
                  const struct fetch_figures *plain) {
    fetch_print(options, figures, plain);
    if (options->json_path && !fetch_write_json(options, figures, plain)) {
        fprintf(stderr, "at-bench fetch: --json: cannot write %s: %s\n", options->json_path,
                describe_errno(errno));
        return 1;
    }
    if (figures->interrupted) {
        fprintf(stderr, "at-bench fetch: interrupted, this is what was done until then\n");
        return EXIT_INTERRUPTED;
    }
    if (figures->counts[FETCH_BROKEN] > 0)
        return fail("", figures->message);
    if (options->fail_fast && figures->counts[FETCH_FAILED] > 0)
        return fail("a request has failed, the others were cancelled", "");
    return 0;
}

int fetch_command(int argument_count, char **arguments) {
    struct fetch_server server;
    struct fetch_figures figures, plain;
    struct fetch_options options = {
        .requests = 10000,
        .concurrency = 2000,
        .timeout_ms = 5000,
        .delay_ms = 100,
        .spread = {spread_names, FETCH_UNIFORM},
        .threads = command_cpu_count(),
    };
    int status;
    if (!read_arguments(argument_count, arguments, &options, &status))
        return status;
    if (!allow_descriptors(&options))
        return 1;
    int error = fetch_server_start(&server, &options);
    if (error == 0 && !catch_interrupt()) {
        error = errno;
        fetch_server_stop(&server);
    }
    if (error != 0)
        return fail("cannot start the server: ", describe_errno(error));
    status = 1;
    if (run_programs(&options, server.port, &figures, &plain))
        status = report(&options, &figures, options.plain ? &plain : NULL);
    fetch_server_stop(&server);
    close(interrupt_descriptor);
    return status;
}
