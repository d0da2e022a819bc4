/* SPDX-License-Identifier: MIT
 *
 * Threads and tasks begin operations, nest them, add to them, defer in them, hand them on and end
 * them elsewhere, while others dump (rules O1, O2, J5, E1): each has one line at its end, its
 * tracker counts it, what was deferred has run, and no work is in an operation that is not its own.
 */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <string.h>

#if defined(__SANITIZE_THREAD__)
enum { round_count = 300 };
#else
enum { round_count = 2000 };
#endif

enum { thread_count = 4, adder_count = 4 };

static at_logger *logger;
static at_logger *ends; /* gets the lines of the ends only */
static at_pool *pool;
static at_tracker *tracker;
static _Atomic int64_t begun;
static _Atomic int64_t deferred;
static _Atomic int64_t cleaned;
static _Atomic int64_t failed;
static _Atomic int64_t strays; /* works that were in another operation than their own */
static _Atomic bool is_over;

static void begin(void) {
    pool = create_pool(3);
    cr_assert_eq(at_tracker_create(&tracker, NULL), AT_OK);
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 65536}), AT_OK);
    cr_assert_eq(at_logger_create(&ends, &(at_logger_options){.name = "ends",
                                                              .level = AT_LOG_WARN,
                                                              .ring_bytes = 1 << 20,
                                                              .memory_bytes = 65536}),
                 AT_OK);
}

TestSuite(operation_stress, .timeout = 200);

static void add_one(_Atomic int64_t *count) {
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static void expect_current(const at_operation *operation) {
    if (at_operation_current() != operation)
        add_one(&strays);
}

static void clean(void *operation) {
    add_one(&cleaned);
    expect_current(operation);
    at_operation_add(operation, at_kv("cleaned", true));
}

static void defer_clean(at_operation *operation) {
    if (at_defer(operation, clean, operation) == AT_OK)
        add_one(&deferred);
}

static void *add_in_task(void *operation) {
    expect_current(operation);
    at_operation_add(operation, at_kv("added", 1), at_kv("text", "by a task"));
    AT_OPERATION(inner, "inner", .end_level = AT_LOG_WARN, .tracker = tracker,
                 .kept_level = AT_LOG_TRACE) {
        add_one(&begun);
        at_log_trace(logger, "kept");
        defer_clean(inner);
    }
    expect_current(operation);
    return NULL;
}

static void *end_in_task(void *operation) {
    at_operation_scope scope;
    at_operation_scope_enter(&scope, operation);
    expect_current(operation);
    (void)!at_operation_set_outcome(operation, AT_OPERATION_DEGRADED, NULL);
    at_operation_scope_end(&scope);
    at_operation_end(operation);
    return NULL;
}

/* One that others add to, and that another ends. */
static void hand_on(void) {
    at_operation *operation = at_operation_begin(
        "handed_on",
        &(at_operation_options){.logger = ends, .end_level = AT_LOG_WARN, .tracker = tracker});
    add_one(&begun);
    at_operation_scope scope;
    at_future *futures[adder_count];
    at_operation_scope_enter(&scope, operation);
    for (int i = 0; i < adder_count; i++)
        futures[i] = at_pool_submit(pool, add_in_task, operation);
    at_operation_scope_end(&scope);
    defer_clean(operation);
    at_future_release(futures[0]); /* may run when it has ended */
    for (int i = 1; i < adder_count; i++) {
        (void)!at_future_wait(futures[i], AT_FOREVER, NULL);
        at_future_release(futures[i]);
    }
    at_future_release(at_pool_submit(pool, end_in_task, operation));
}

static void *fail_in_block(void *round) {
    AT_OPERATION(outer, "outer", .logger = ends, .end_level = AT_LOG_WARN, .tracker = tracker,
                 .kept_level = AT_LOG_TRACE) {
        add_one(&begun);
        defer_clean(outer);
        (void)add_in_task(outer);
        at_future *future = at_pool_submit(pool, add_in_task, outer);
        (void)!at_future_wait(future, AT_FOREVER, NULL);
        at_future_release(future);
        if ((intptr_t)round % 8 == 0) {
            add_one(&failed);
            return at_fail(AT_ERROR_IO, "on purpose");
        }
    }
    expect_current(NULL);
    return NULL;
}

static void *work(void *unused) {
    for (intptr_t i = 0; i < round_count; i++) {
        hand_on();
        (void)fail_in_block((void *)i);
        at_error_clear();
        at_future *future = at_pool_submit(pool, fail_in_block, (void *)i);
        (void)!at_future_wait(future, AT_FOREVER, NULL);
        at_future_release(future);
        at_error_clear();
    }
    return unused;
}

static void *dump(void *unused) {
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        char *text;
        if (at_dump(&text) == AT_OK)
            at_text_release(text);
    }
    return unused;
}

/* The ends, and of each block that failed the beginnings that it and its two parts kept. */
static void check_lines(void) {
    at_logger_statistics statistics;
    uint64_t wanted = (uint64_t)begun + 3 * (uint64_t)failed;
    uint64_t dropped = 0;
    cr_assert_eq(at_logger_flush(ends, PATIENCE), AT_OK);
    at_logger_get_statistics(ends, &statistics);
    for (int i = 0; i < AT_LOG_OFF; i++)
        dropped += statistics.dropped[i];
    cr_expect_geq(statistics.written + dropped, wanted);
    cr_expect(dropped > 0 || statistics.written == wanted, "%llu lines, not %llu",
              (unsigned long long)statistics.written, (unsigned long long)wanted);
}

static void check_counts(void) {
    at_tracker_summaries *summaries;
    uint64_t counts[AT_OPERATION_OUTCOME_COUNT] = {0};
    cr_assert_eq(at_tracker_get_summaries(tracker, &summaries), AT_OK);
    cr_expect_eq(summaries->recorded, (uint64_t)begun);
    for (size_t i = 0; i < summaries->count; i++)
        for (int j = 0; j < AT_OPERATION_OUTCOME_COUNT; j++)
            counts[j] += summaries->summaries[i].outcomes[j];
    cr_expect_eq(counts[AT_OPERATION_ERROR], (uint64_t)failed);
    cr_expect_eq(counts[AT_OPERATION_DEGRADED], (uint64_t)thread_count * round_count);
    at_tracker_summaries_release(summaries);
    char *text;
    cr_assert_eq(at_dump(&text), AT_OK);
    cr_expect_not_null(strstr(text, "\"live_count\":0"));
    at_text_release(text);
}

Test(operation_stress, each_has_one_end) {
    pthread_t threads[thread_count];
    pthread_t dumper;
    begin();
    cr_assert_eq(pthread_create(&dumper, NULL, dump, NULL), 0);
    for (int i = 0; i < thread_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, work, NULL), 0);
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    (void)destroy_pool(pool);
    atomic_store_explicit(&is_over, true, memory_order_relaxed);
    pthread_join(dumper, NULL);
    check_counts();
    check_lines();
    cr_expect_eq(strays, 0);
    cr_expect_eq(cleaned, deferred);
    at_tracker_release(tracker);
    at_logger_destroy(ends);
    at_logger_destroy(logger);
}
