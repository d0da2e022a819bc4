/* SPDX-License-Identifier: MIT */
#include "fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

static double per_second(const struct fetch_figures *figures) {
    int64_t answered = figures->counts[FETCH_SUCCEEDED] + figures->counts[FETCH_FAILED];
    return answered > 0 ? (double)answered * 1e9 / (double)figures->time_ns : 0;
}

static void print_outcomes(const struct fetch_options *options,
                           const struct fetch_figures *figures) {
    printf("%ld requests, at most %ld at once, the server takes %ld ms (%s)\n", options->requests,
           options->concurrency, options->delay_ms, named_choice_name(&options->spread));
    printf("  succeeded        %" PRId64 "\n  failed           %" PRId64
           "\n  timed out        %" PRId64 "\n  cancelled        %" PRId64 "\n",
           figures->counts[FETCH_SUCCEEDED], figures->counts[FETCH_FAILED],
           figures->counts[FETCH_TIMED_OUT], figures->counts[FETCH_CANCELLED]);
    if (figures->counts[FETCH_BROKEN] > 0)
        printf("  broken           %" PRId64 ", the first: %s\n", figures->counts[FETCH_BROKEN],
               figures->message);
}

static void print_program(const char *name, const struct fetch_figures *figures) {
    printf("\n%s: %.3f s, %.0f answers/s, %.3f s of CPU time\n", name,
           (double)figures->time_ns / 1e9, per_second(figures), (double)figures->cpu_ns / 1e9);
    printf("  latency          p50 %.1f ms, p99 %.1f ms, max %.1f ms\n",
           (double)figures->p50_ns / 1e6, (double)figures->p99_ns / 1e6,
           (double)figures->max_ns / 1e6);
    printf("  at once          %" PRId64 " requests on %" PRId64 " threads\n",
           figures->peak_concurrent, figures->threads);
    printf("  memory           %.1f MB at most\n", (double)figures->peak_bytes / 1e6);
}

void fetch_print(const struct fetch_options *options, const struct fetch_figures *figures,
                 const struct fetch_figures *plain) {
    print_outcomes(options, figures);
    print_program("asynctools", figures);
    printf("  workers          %ld\n", options->threads);
    printf("  suspended        %" PRId64 " tasks at most\n", figures->max_suspended);
    if (plain)
        print_program("a thread for each request", plain);
    if (figures->server_ns == 0)
        return;
    printf("\nOne after the other, the server alone takes %.1f s: %.0f times as long\n",
           (double)figures->server_ns / 1e9, (double)figures->server_ns / (double)figures->time_ns);
}

static json_t *make_figures(const struct fetch_figures *figures) {
    json_t *latency = json_pack("{sI sI sI}", "p50", (json_int_t)figures->p50_ns, "p99",
                                (json_int_t)figures->p99_ns, "max", (json_int_t)figures->max_ns);
    return json_pack(
        "{sI sI sI sI sI sI sI sf so sI sI sI sI sI}", "succeeded",
        (json_int_t)figures->counts[FETCH_SUCCEEDED], "failed",
        (json_int_t)figures->counts[FETCH_FAILED], "timed_out",
        (json_int_t)figures->counts[FETCH_TIMED_OUT], "cancelled",
        (json_int_t)figures->counts[FETCH_CANCELLED], "broken",
        (json_int_t)figures->counts[FETCH_BROKEN], "time_ns", (json_int_t)figures->time_ns,
        "cpu_ns", (json_int_t)figures->cpu_ns, "answers_per_second", per_second(figures),
        "latency_ns", latency, "peak_concurrent", (json_int_t)figures->peak_concurrent, "threads",
        (json_int_t)figures->threads, "max_suspended", (json_int_t)figures->max_suspended,
        "peak_bytes", (json_int_t)figures->peak_bytes, "one_by_one_ns",
        (json_int_t)figures->server_ns);
}

bool fetch_write_json(const struct fetch_options *options, const struct fetch_figures *figures,
                      const struct fetch_figures *plain) {
    json_t *object = json_pack(
        "{sI sI sI sI ss sI sI sb sb}", "requests", (json_int_t)options->requests, "concurrency",
        (json_int_t)options->concurrency, "timeout_ms", (json_int_t)options->timeout_ms, "delay_ms",
        (json_int_t)options->delay_ms, "spread", named_choice_name(&options->spread),
        "fail_percent", (json_int_t)options->fail_percent, "workers", (json_int_t)options->threads,
        "fail_fast", options->fail_fast, "interrupted", figures->interrupted);
    json_object_set_new(object, "library", make_figures(figures));
    json_object_set_new(object, "plain", plain ? make_figures(plain) : json_null());
    int result = json_dump_file(object, options->json_path, JSON_INDENT(2));
    json_decref(object);
    return result == 0;
}
