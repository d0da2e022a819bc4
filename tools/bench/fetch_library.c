/* SPDX-License-Identifier: MIT */
#include "child.h"
#include "clock.h"
#include "fetch_loop.h"
#include "messages.h"
#include "tasks.h"

#include <asynctools/cancel.h>
#include <asynctools/error.h>
#include <asynctools/pool_statistics.h>
#include <asynctools/task_manager.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>

/* The job on the library. Each request is a child of a task manager, which lets so many begin as
 * may be at once. It waits for its socket by a promise, in a scope with the request's timeout.
 * Ctrl-C cancels the manager; so does, with --fail-fast, the first child that fails. */
struct library_run {
    struct fetch_run *run;
    at_pool *pool;
    at_task_manager *requests;
    struct fetch_loop *loop;
};

static enum fetch_outcome exchange(struct fetch_request *request) {
    const struct library_run *library = request->run->program;
    enum fetch_outcome outcome = FETCH_BROKEN;
    AT_TIMEOUT(scope, request->run->options->timeout_ms * AT_MILLISECONDS(1)) {
        struct fetch_socket *socket = fetch_socket_open(library->loop, library->pool);
        if (socket) {
            outcome =
                fetch_exchange(request, fetch_socket_descriptor(socket), fetch_socket_wait, socket);
            fetch_socket_close(socket);
        } else {
            fetch_note_error(request->run, errno);
        }
    }
    return outcome;
}

static void *fetch_one(void *argument) {
    struct fetch_request *request = argument;
    fetch_begin(request);
    enum fetch_outcome outcome = exchange(request);
    fetch_end(request, outcome);
    if (outcome == FETCH_FAILED && request->run->options->fail_fast)
        return at_fail(AT_ERROR_FAILED, "request %td has failed", request - request->run->requests);
    return NULL;
}

/* Somebody has asked for an end. */
static void cancel_requests(void *manager) {
    (void)at_task_manager_cancel(manager);
}

static bool complain(struct fetch_figures *figures, const char *message) {
    snprintf(figures->message, sizeof(figures->message), "%s", message);
    return false;
}

/* It is well if the requests were cancelled, or if one was to be the end of the others. */
static bool fetch_all(const struct library_run *library, struct fetch_figures *figures) {
    struct fetch_run *run = library->run;
    at_status status = AT_OK;
    for (long i = 0; i < run->options->requests && status == AT_OK; i++)
        status = at_task_manager_start(library->requests, fetch_one, &run->requests[i]);
    if (status != AT_OK) {
        complain(figures, at_error_message(at_error_last()));
        (void)at_task_manager_cancel(library->requests);
    }
    at_status ended = at_task_manager_join(library->requests, AT_FOREVER);
    if (status != AT_OK || ended == AT_OK || ended == AT_ERROR_CANCELLED ||
        ended == AT_ERROR_FAILED)
        return status == AT_OK;
    return complain(figures, at_error_message(at_error_last()));
}

static bool run_requests(const struct library_run *library, struct fetch_figures *figures) {
    at_pool_statistics statistics;
    uint64_t cpu = tasks_cpu_ns(), start = now_ns();
    bool well = fetch_all(library, figures);
    figures->time_ns = (int64_t)(now_ns() - start);
    figures->cpu_ns = (int64_t)(tasks_cpu_ns() - cpu);
    at_pool_get_statistics(library->pool, &statistics);
    figures->max_suspended = (int64_t)statistics.max_suspended;
    figures->threads = library->run->options->threads + 1 + (int64_t)statistics.max_spares;
    return well;
}

static bool run_with_loop(struct library_run *library, struct fetch_figures *figures) {
    int error = fetch_loop_create(&library->loop, library->run->stop_descriptor, cancel_requests,
                                  library->requests);
    if (error != 0)
        return complain(figures, describe_errno(error));
    bool well = run_requests(library, figures);
    fetch_loop_destroy(library->loop);
    return well;
}

static bool run_on_pool(struct fetch_run *run, struct fetch_figures *figures) {
    struct library_run library = {.run = run};
    double resident = child_resident_bytes();
    at_pool_options pool_options = {.thread_count = run->options->threads};
    at_task_manager_options options = {
        .name = "fetch", .max_concurrent = run->options->concurrency, .no_outcomes = true};
    run->program = &library;
    at_status status = at_pool_create(&library.pool, &pool_options);
    if (status == AT_OK)
        status = at_task_manager_create(&library.requests, library.pool, &options);
    bool well = status == AT_OK ? run_with_loop(&library, figures)
                                : complain(figures, at_error_message(at_error_last()));
    figures->peak_bytes = (int64_t)(child_peak_bytes() - resident);
    at_task_manager_destroy(library.requests);
    at_pool_destroy(library.pool);
    fetch_sum(run, figures);
    return well;
}

/* Signals come to the thread of the loop, and not to one that runs a task on a small stack. */
bool fetch_on_library(struct fetch_run *run, struct fetch_figures *figures) {
    sigset_t ends, before;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, &before);
    bool well = run_on_pool(run, figures);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return well;
}
