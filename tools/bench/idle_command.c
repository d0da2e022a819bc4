/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include "arguments.h"
#include "child.h"
#include "peers/peer.h"
#include "tasks.h"

#include <asynctools/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { WARM_UP_TASKS = 1000, SETTLE_NS = 200000000 };

struct idle_case {
    const struct peer *peer;
    int workers;
    long seconds;
    bool with_log;
};

struct idle_figures {
    double resident_kib; /* with the pool, beyond the same process before it */
    double rest_ms;      /* user + system time while nothing happens */
    long switches;       /* context switches meanwhile */
};

static void sleep_ns(long long ns) {
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000),
                            .tv_nsec = (long)(ns % 1000000000)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static double add_times(const struct rusage *usage) {
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1e3 +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e3;
}

/* A logger that has written a line, and so has its thread and a ring. */
static at_logger *start_log(void) {
    at_logger *log;
    if (at_logger_create(&log, &(at_logger_options){.path = "/dev/null"}) != AT_OK)
        return NULL;
    at_log_info(log, "idle.started", at_kv("process", (int)getpid()));
    return log;
}

static bool measure_idle(const void *argument, void *result) {
    const struct idle_case *what = argument;
    struct idle_figures *figures = result;
    const struct peer *peer = what->peer;
    struct rusage before, after;
    at_logger *log = NULL;
    tasks_reset();
    tasks_count();
    (void)child_resident_bytes(); /* the first look brings code of its own in */
    double resident = child_resident_bytes();
    if (what->with_log && !(log = start_log()))
        return false;
    void *pool = peer->create(what->workers);
    if (!pool)
        return false;
    struct tasks_burst burst = {.peer = peer,
                                .pool = pool,
                                .producers = 1,
                                .tasks = WARM_UP_TASKS,
                                .total = WARM_UP_TASKS,
                                .run = tasks_run_empty};
    tasks_run_burst(&burst);
    sleep_ns(SETTLE_NS);
    figures->resident_kib = (child_resident_bytes() - resident) / 1024;
    getrusage(RUSAGE_SELF, &before);
    sleep_ns((long long)what->seconds * 1000000000);
    getrusage(RUSAGE_SELF, &after);
    figures->rest_ms = add_times(&after) - add_times(&before);
    figures->switches = after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw - 1;
    peer->destroy(pool);
    at_logger_destroy(log);
    return true;
}

static bool print_case(const struct idle_case *what) {
    struct idle_figures figures;
    if (!child_measure(measure_idle, what, &figures, sizeof(figures))) {
        fprintf(stderr, "at-bench idle: %s cannot be measured\n", what->peer->name);
        return false;
    }
    char name[64];
    snprintf(name, sizeof(name), "%s%s", what->peer->name, what->with_log ? ", with log" : "");
    printf("%-30s %14.3f %12ld %14.0f\n", name, figures.rest_ms, figures.switches,
           figures.resident_kib);
    return true;
}

int idle_command(int argument_count, char **arguments) {
    long seconds = 10, workers = 2;
    bool library_only = false;
    const char *none[1];
    const struct option_spec specs[] = {
        {"--seconds", "N", OPTION_COUNT, &seconds, 1, 3600, "time of rest; default: 10"},
        {"--workers", "N", OPTION_COUNT, &workers, 1, 256, "workers of each pool; default: 2"},
        {"--library", NULL, OPTION_FLAG, &library_only, 0, 0, "leave the peers out"},
    };
    const struct command_spec command = {
        .name = "idle",
        .usage = "",
        .help = "Measures what an idle pool costs: CPU time, and memory beyond an empty program.",
        .options = specs,
        .option_count = sizeof(specs) / sizeof(specs[0])};
    int status;
    if (!arguments_parse(&command, argument_count, arguments, none, &status))
        return status;
    struct idle_case what = {.workers = (int)workers, .seconds = seconds};
    printf("%-30s %14s %12s %14s\n", "", "CPU ms", "switches", "resident KiB");
    for (size_t i = 0; peers[i]; i++) {
        what.peer = peers[i];
        if (library_only && !what.peer->is_library)
            continue;
        what.with_log = false;
        if (!print_case(&what))
            return 1;
        what.with_log = what.peer->is_library;
        if (what.with_log && !print_case(&what))
            return 1;
    }
    return 0;
}
