/* SPDX-License-Identifier: MIT */
#include "fetch.h"

#include "clock.h"
#include "messages.h"
#include "statistics.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000, HUNDRED = 100 };

void fetch_count(atomic_long *now, atomic_long *peak, long change) {
    long count = atomic_fetch_add_explicit(now, change, memory_order_relaxed) + change;
    long most = atomic_load_explicit(peak, memory_order_relaxed);
    while (count > most && !atomic_compare_exchange_weak_explicit(
                               peak, &most, count, memory_order_relaxed, memory_order_relaxed))
        ;
}

void fetch_begin(struct fetch_request *request) {
    struct fetch_run *run = request->run;
    fetch_count(&run->concurrent, &run->peak_concurrent, 1);
    request->began_ns = (int64_t)now_ns();
}

void fetch_end(struct fetch_request *request, enum fetch_outcome outcome) {
    struct fetch_run *run = request->run;
    request->latency_ns = (int64_t)now_ns() - request->began_ns;
    request->outcome = outcome;
    fetch_count(&run->concurrent, &run->peak_concurrent, -1);
}

void fetch_note_error(struct fetch_run *run, int error) {
    int none = 0;
    atomic_compare_exchange_strong_explicit(&run->broken, &none, error, memory_order_relaxed,
                                            memory_order_relaxed);
}

void fetch_ask_to_stop(int stop_descriptor) {
    const uint64_t one = 1;
    int error = errno;
    if (write(stop_descriptor, &one, sizeof(one)) < 0)
        errno = error; /* it is readable already */
    errno = error;
}

/* A number from 0 to 1, the same for each request in every run. */
static double choose(long number) {
    uint64_t x = (uint64_t)number + 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

int64_t fetch_delay_ns(const struct fetch_options *options, long number) {
    double mean = (double)options->delay_ms * NS_PER_MS;
    switch (options->spread.chosen) {
    case FETCH_UNIFORM:
        return (int64_t)(2 * mean * choose(number));
    case FETCH_EXPONENTIAL:
        return (int64_t)(-mean * log1p(-choose(number)));
    default:
        return (int64_t)mean;
    }
}

bool fetch_is_to_fail(const struct fetch_options *options, long number) {
    return (number + 1) * options->fail_percent / HUNDRED >
           number * options->fail_percent / HUNDRED;
}

static bool has_answer(const struct fetch_request *request) {
    return request->outcome == FETCH_SUCCEEDED || request->outcome == FETCH_FAILED;
}

static void sum_latencies(const struct fetch_run *run, struct fetch_figures *figures) {
    size_t count = 0;
    double *latencies = malloc((size_t)run->options->requests * sizeof(*latencies));
    if (!latencies)
        return;
    for (long i = 0; i < run->options->requests; i++)
        if (has_answer(&run->requests[i]))
            latencies[count++] = (double)run->requests[i].latency_ns;
    figures->p50_ns = (int64_t)quantile_of(latencies, count, 0.5);
    figures->p99_ns = (int64_t)quantile_of(latencies, count, 0.99);
    figures->max_ns = (int64_t)quantile_of(latencies, count, 1);
    free(latencies);
}

void fetch_sum(const struct fetch_run *run, struct fetch_figures *figures) {
    int error = atomic_load_explicit(&run->broken, memory_order_relaxed);
    for (long i = 0; i < run->options->requests; i++) {
        figures->counts[run->requests[i].outcome]++;
        if (has_answer(&run->requests[i]))
            figures->server_ns += fetch_delay_ns(run->options, i);
    }
    figures->peak_concurrent = atomic_load_explicit(&run->peak_concurrent, memory_order_relaxed);
    sum_latencies(run, figures);
    if (error != 0 && !figures->message[0])
        snprintf(figures->message, sizeof(figures->message), "%s%s", describe_errno(error),
                 error == EADDRNOTAVAIL ? ": no local port is free, lower --concurrency" : "");
}
