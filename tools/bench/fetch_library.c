/* SPDX-License-Identifier: MIT */
#include "child.h"
#include "clock.h"
#include "fetch_loop.h"
#include "messages.h"
#include "tasks.h"

#include <asynctools/cancel.h>
#include <asynctools/error.h>
#include <asynctools/pool_statistics.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

/* The job on the library. Each request is a task that waits for its socket by a promise, in a scope
 * with the request's timeout; all of them run under one token, which Ctrl-C and, with --fail-fast,
 * the first failure cancel. */
struct library_run {
    struct fetch_run *run;
    at_pool *pool;
    struct fetch_loop *loop;
    at_token *token;
};

static void *fetch_one(void *argument) {
    struct fetch_request *request = argument;
    const struct fetch_options *options = request->run->options;
    const struct library_run *library = request->run->program;
    enum fetch_outcome outcome = FETCH_BROKEN;
    fetch_begin(request);
    AT_TIMEOUT(scope, options->timeout_ms * AT_MILLISECONDS(1)) {
        struct fetch_socket *socket = fetch_socket_open(library->loop, library->pool);
        if (socket) {
            outcome =
                fetch_exchange(request, fetch_socket_descriptor(socket), fetch_socket_wait, socket);
            fetch_socket_close(socket);
        } else {
            fetch_note_error(request->run, errno);
        }
    }
    fetch_end(request, outcome);
    if (outcome == FETCH_FAILED && options->fail_fast)
        (void)at_token_cancel(library->token);
    return NULL;
}

/* Somebody has asked for an end. */
static void cancel_all(void *token) {
    (void)at_token_cancel(token);
}

static bool complain(struct fetch_figures *figures, const char *message) {
    snprintf(figures->message, sizeof(figures->message), "%s", message);
    return false;
}

static bool run_requests(const struct library_run *library, struct fetch_figures *figures) {
    struct fetch_gate gate;
    at_pool_statistics statistics;
    at_scope scope;
    struct fetch_run *run = library->run;
    long limit = run->options->concurrency;
    if (limit > run->options->requests)
        limit = run->options->requests;
    uint64_t cpu = tasks_cpu_ns(), start = now_ns();
    at_scope_begin(&scope, &(at_scope_options){.token = library->token});
    at_status status =
        fetch_gate_open(&gate, library->pool, fetch_one,
                        AT_ITEMS(run->requests, run->options->requests), (size_t)limit);
    (void)at_scope_end(&scope);
    if (status == AT_OK)
        status = fetch_gate_join(&gate);
    figures->time_ns = (int64_t)(now_ns() - start);
    figures->cpu_ns = (int64_t)(tasks_cpu_ns() - cpu);
    at_pool_get_statistics(library->pool, &statistics);
    figures->max_suspended = (int64_t)statistics.max_suspended;
    figures->threads = run->options->threads + 1 + (int64_t)statistics.max_spares;
    return status == AT_OK || complain(figures, at_error_message(at_error_last()));
}

static bool run_on_pool(struct fetch_run *run, struct fetch_figures *figures) {
    bool well = false;
    double resident = child_resident_bytes();
    struct library_run library = {.run = run};
    run->program = &library;
    if (at_token_create(&library.token, NULL) != AT_OK)
        return complain(figures, at_error_message(at_error_last()));
    if (at_pool_create(&library.pool, &(at_pool_options){.thread_count = run->options->threads}) !=
        AT_OK) {
        complain(figures, at_error_message(at_error_last()));
        at_token_release(library.token);
        return false;
    }
    int error = fetch_loop_create(&library.loop, run->stop_descriptor, cancel_all, library.token);
    if (error != 0) {
        complain(figures, describe_errno(error));
    } else {
        well = run_requests(&library, figures);
        figures->peak_bytes = (int64_t)(child_peak_bytes() - resident);
        fetch_loop_destroy(library.loop);
    }
    at_pool_destroy(library.pool);
    at_token_release(library.token);
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
