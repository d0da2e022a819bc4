/* SPDX-License-Identifier: MIT */
#ifndef BENCH_FETCH_H
#define BENCH_FETCH_H

#include "arguments.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The work of `at-bench fetch`: many requests to a server on this machine that takes its time. The
 * program on the library and the one with a thread for each request differ in how they wait, and
 * nothing else. */

/* How the server's delays are spread about their mean. */
enum fetch_spread { FETCH_FIXED, FETCH_UNIFORM, FETCH_EXPONENTIAL };

struct fetch_options {
    long requests;
    long concurrency;
    long timeout_ms; /* of each request; 0: none */
    long delay_ms;   /* of the server, on average */
    long fail_percent;
    long threads; /* workers */
    const char *json_path;
    struct named_choice spread; /* an enum fetch_spread */
    bool fail_fast;             /* the first answer that says "failed" cancels the rest */
    bool plain;                 /* run the program with a thread for each request, too */
};

/* How a request has ended. Zero: it never began, or was stopped. */
enum fetch_outcome {
    FETCH_CANCELLED,
    FETCH_SUCCEEDED,
    FETCH_FAILED,    /* the server said so */
    FETCH_TIMED_OUT, /* before an answer came */
    FETCH_BROKEN,    /* there was no connection, or no memory */
    FETCH_OUTCOMES,
};

struct fetch_request {
    struct fetch_run *run;
    int64_t began_ns;
    int64_t latency_ns; /* from its begin to its end */
    enum fetch_outcome outcome;
};

/* What a program has measured; small enough for one write to a pipe. */
struct fetch_figures {
    int64_t counts[FETCH_OUTCOMES];
    int64_t time_ns;
    int64_t cpu_ns; /* of the process, so without the server */
    int64_t p50_ns;
    int64_t p99_ns;
    int64_t max_ns;
    int64_t peak_concurrent;
    int64_t threads;       /* the most at once */
    int64_t max_suspended; /* tasks */
    int64_t peak_bytes;    /* of memory, at most, beyond what the process had before */
    int64_t server_ns;     /* the server's delays of all answers, one after the other */
    bool is_whole;         /* it could start all requests, or was told not to */
    bool interrupted;
    char message[160]; /* the first thing that broke */
};

/* One run of a program. Requests write their own entry; the rest is shared. */
struct fetch_run {
    const struct fetch_options *options;
    struct fetch_request *requests;
    int port;
    void *program;       /* its own */
    int stop_descriptor; /* an eventfd that becomes readable when somebody asks for an end */
    atomic_long concurrent;
    atomic_long peak_concurrent;
    atomic_long threads; /* one for each request, where there are such */
    atomic_long peak_threads;
    atomic_int broken; /* the first errno */
};

/* Each runs all requests; false, with a message in the figures, when it cannot begin. */
bool fetch_on_library(struct fetch_run *run, struct fetch_figures *figures);
bool fetch_with_threads(struct fetch_run *run, struct fetch_figures *figures);

/* Surround the work of a request. */
void fetch_begin(struct fetch_request *request);
void fetch_end(struct fetch_request *request, enum fetch_outcome outcome);

/* Keeps the first errno that broke a request. */
void fetch_note_error(struct fetch_run *run, int error);

/* Counts one up or down, and the most there were. */
void fetch_count(atomic_long *now, atomic_long *peak, long change);

/* Asks all programs of this run to end; async-signal-safe. */
void fetch_ask_to_stop(int stop_descriptor);

/* Adds up what the requests have written. */
void fetch_sum(const struct fetch_run *run, struct fetch_figures *figures);

/* -- The server's choices, known to both sides ---------------------------------------------------
 */

int64_t fetch_delay_ns(const struct fetch_options *options, long number);

/* Exactly `fail_percent` of a hundred requests fail, evenly spread. */
bool fetch_is_to_fail(const struct fetch_options *options, long number);

/* -- Output --------------------------------------------------------------------------------------
 */

/* `plain` may be NULL. */
void fetch_print(const struct fetch_options *options, const struct fetch_figures *figures,
                 const struct fetch_figures *plain);

/* False with errno when the file cannot be written. */
bool fetch_write_json(const struct fetch_options *options, const struct fetch_figures *figures,
                      const struct fetch_figures *plain);

#endif
