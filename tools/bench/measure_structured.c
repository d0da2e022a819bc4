/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "clock.h"
#include "messages.h"
#include "peers/library.h"
#include "tasks.h"

#include <asynctools/cancel.h>
#include <asynctools/future.h>
#include <asynctools/log.h>
#include <asynctools/pool.h>
#include <asynctools/pool_statistics.h>
#include <asynctools/promise.h>
#include <asynctools/sleep.h>

#include <stdlib.h>
#include <unistd.h>

enum {
    SUSPENDED_TASKS = 100000,
    SCOPES = 2000000,
    SUBMITS = 1000000,
    QUICK_SHARE = 50,
    WARM_UP_TASKS = 20000,
    LOOK_EVERY_US = 1000,
};

/* -- A scope with many tasks that wait -- */

/* What the tasks wait for. */
struct wait_case {
    bool sleeps; /* for a time that does not come; else for promises */
    bool shares; /* all for one */
};

static const struct wait_case in_sleep = {.sleeps = true};
static const struct wait_case at_own_promise = {.shares = false};
static const struct wait_case at_one_promise = {.shares = true};

static size_t list_waits(const struct benchmark_settings *settings, struct subject *subjects) {
    (void)settings;
    subjects[0] = (struct subject){
        .name = "each at its own promise", .role = SUBJECT_LIBRARY, .data = &at_own_promise};
    subjects[1] = (struct subject){
        .name = "all at one promise", .role = SUBJECT_LIBRARY, .data = &at_one_promise};
    subjects[2] =
        (struct subject){.name = "in at_sleep", .role = SUBJECT_LIBRARY, .data = &in_sleep};
    return 3;
}

static void *sleep_long(void *argument) {
    if (at_sleep(AT_SECONDS(100000)) != AT_ERROR_CANCELLED)
        give_up("a sleep has ended without being cancelled");
    return argument;
}

static void *wait_long(void *argument) {
    if (at_future_wait(argument, AT_FOREVER, NULL) != AT_ERROR_CANCELLED)
        give_up("a wait has ended without being cancelled");
    return NULL;
}

static void wait_until_suspended(at_pool *pool, long count) {
    at_pool_statistics statistics;
    do {
        usleep(LOOK_EVERY_US);
        at_pool_get_statistics(pool, &statistics);
    } while (statistics.suspended < (uint64_t)count);
}

/* Lets `count` tasks wait under `token`. */
static void suspend_tasks(at_pool *pool, at_token *token, const struct wait_case *what, long count,
                          at_future **futures) {
    at_scope scope;
    at_scope_begin(&scope, &(at_scope_options){.token = token});
    for (long i = 0; i < count; i++)
        library_expect(what->sleeps
                           ? at_pool_start(pool, sleep_long, NULL)
                           : at_pool_start(pool, wait_long, futures[what->shares ? 0 : i]));
    if (at_scope_end(&scope) != AT_OK)
        give_up("there is no memory for a scope");
    wait_until_suspended(pool, count);
}

/* Cancels `count` tasks that wait and ends the pool's work. */
static void time_cancel(at_pool *pool, at_token *token, long count,
                        struct benchmark_sample *sample) {
    uint64_t cpu = tasks_cpu_ns(), start = now_ns();
    (void)at_token_cancel(token);
    uint64_t told = now_ns();
    library_expect(at_pool_shutdown(pool, AT_FOREVER));
    sample->values[0] = (double)(now_ns() - start) / 1e3;
    sample->values[1] = (double)(told - start) / 1e3;
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)count;
    sample->iterations = (uint64_t)count;
}

static bool measure_cancel(const struct subject *subject, const struct benchmark_settings *settings,
                           struct benchmark_sample *sample) {
    const struct wait_case *what = subject->data;
    long count = settings->quick ? SUSPENDED_TASKS / QUICK_SHARE : SUSPENDED_TASKS;
    long promise_count = what->sleeps ? 0 : what->shares ? 1 : count;
    at_pool *pool = library_create_pool(settings->most_workers);
    at_token *token;
    at_promise **promises = malloc((size_t)count * sizeof(at_promise *));
    at_future **futures = malloc((size_t)count * sizeof(at_future *));
    if (!promises || !futures)
        give_up("there is no memory for %ld promises", count);
    for (long i = 0; i < promise_count; i++) {
        library_expect(at_promise_create(&promises[i], at_pool_executor(pool)));
        futures[i] = at_promise_future(promises[i]);
    }
    library_expect(at_token_create(&token, NULL));
    /* So many tasks at once are late, and the pool would say so. */
    at_logger *quiet, *before = at_logger_default();
    library_expect(at_logger_create(&quiet, &(at_logger_options){.path = "/dev/null"}));
    at_logger_set_default(quiet);
    suspend_tasks(pool, token, what, count, futures);
    time_cancel(pool, token, count, sample);
    for (long i = 0; i < promise_count; i++) {
        at_future_release(futures[i]);
        at_promise_destroy(promises[i]);
    }
    free(futures);
    free(promises);
    at_token_release(token);
    at_pool_destroy(pool);
    at_logger_set_default(before);
    at_logger_destroy(quiet);
    return true;
}

/* -- Entering and leaving a scope -- */

struct scope_run {
    long count;
    double bare_ns;
    double timeout_ns;
    double shield_ns;
};

static size_t list_library(const struct benchmark_settings *settings, struct subject *subjects) {
    (void)settings;
    subjects[0] = (struct subject){.name = "asynctools", .role = SUBJECT_LIBRARY};
    return 1;
}

static double run_scopes(long count, const at_scope_options *options) {
    uint64_t start = now_ns();
    for (long i = 0; i < count; i++) {
        at_scope scope;
        at_scope_begin(&scope, options);
        if (at_scope_end(&scope) != AT_OK)
            give_up("there is no memory for a scope");
    }
    return (double)(now_ns() - start) / (double)count;
}

static void *enter_scopes(void *argument) {
    struct scope_run *run = argument;
    run->bare_ns = run_scopes(run->count, NULL);
    run->timeout_ns = run_scopes(run->count, &(at_scope_options){.timeout = AT_SECONDS(30)});
    run->shield_ns = run_scopes(run->count, &(at_scope_options){.is_shielded = true});
    return NULL;
}

static bool measure_scope(const struct subject *subject, const struct benchmark_settings *settings,
                          struct benchmark_sample *sample) {
    (void)subject;
    struct scope_run run = {.count = settings->quick ? SCOPES / QUICK_SHARE : SCOPES};
    at_pool *pool = library_create_pool(1);
    uint64_t cpu = tasks_cpu_ns();
    at_future *future = at_pool_submit(pool, enter_scopes, &run);
    library_expect(at_future_wait(future, AT_FOREVER, NULL));
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)(3 * run.count);
    sample->values[0] = run.bare_ns;
    sample->values[1] = run.timeout_ns;
    sample->values[2] = run.shield_ns;
    sample->iterations = (uint64_t)run.count;
    at_future_release(future);
    at_pool_destroy(pool);
    return true;
}

/* -- Submitting in a scope -- */

static double run_submits(at_pool *pool, long count) {
    tasks_reset();
    uint64_t start = now_ns();
    for (long i = 0; i < count; i++)
        library_expect(at_pool_start(pool, tasks_run_empty, NULL));
    return (double)(tasks_wait((uint64_t)count) - start) / (double)count;
}

static bool measure_submit_in_scope(const struct subject *subject,
                                    const struct benchmark_settings *settings,
                                    struct benchmark_sample *sample) {
    (void)subject;
    long count = settings->quick ? SUBMITS / QUICK_SHARE : SUBMITS;
    at_pool *pool = library_create_pool(settings->most_workers);
    (void)run_submits(pool, WARM_UP_TASKS);
    uint64_t cpu = tasks_cpu_ns();
    sample->values[1] = run_submits(pool, count);
    AT_TIMEOUT(scope, AT_SECONDS(1000)) {
        sample->values[0] = run_submits(pool, count);
    }
    sample->values[2] = sample->values[0] - sample->values[1];
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)(2 * count);
    sample->iterations = (uint64_t)count;
    at_pool_destroy(pool);
    return true;
}

const struct benchmark benchmark_cancel_suspended = {
    .name = "cancel_suspended",
    .help = "100,000 tasks wait in a scope that is cancelled: until all have ended, and the call",
    .metrics = {{"all ended", "us"}, {"at_token_cancel", "us"}},
    .list_subjects = list_waits,
    .measure = measure_cancel,
};

const struct benchmark benchmark_scope = {
    .name = "scope",
    .help = "a task enters and leaves a scope, a scope",
    .metrics = {{"plain", "ns"}, {"with a timeout", "ns"}, {"shielded", "ns"}},
    .list_subjects = list_library,
    .measure = measure_scope,
};

const struct benchmark benchmark_submit_in_scope = {
    .name = "submit_in_scope",
    .help = "empty tasks from one outside thread that is in a scope, first submit to last end",
    .metrics = {{"in a scope", "ns"}, {"outside", "ns"}, {"difference", "ns"}},
    .list_subjects = list_library,
    .measure = measure_submit_in_scope,
};
