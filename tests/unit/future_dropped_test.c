/* SPDX-License-Identifier: MIT
 *
 * Rule F3: an error that nobody read is logged as `error.dropped` with its origin, once, when the
 * last reference goes; and what counts as reading it. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/log.h>

#include <string.h>

static at_logger *logger;

static void create_logger(void) {
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 1 << 20}), AT_OK);
    at_logger_set_default(logger);
}

static void destroy_logger(void) {
    at_logger_destroy(logger);
}

TestSuite(future_dropped, .init = create_logger, .fini = destroy_logger, .timeout = 200);

static void *fail_plainly(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "nobody reads this");
}

static void *fail_cancelled(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_CANCELLED, "nobody reads this");
}

static int count_text(const char *text, const char *part) {
    int count = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        count++;
    return count;
}

/* Finishes the pool and looks how many lines there are, each with its origin. */
static void expect_lines(at_pool *pool, int count) {
    char *lines = NULL;
    destroy_pool(pool);
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_expect_eq(count_text(lines, "\"event\":\"error.dropped\""), count, "%s", lines);
    cr_expect_eq(count_text(lines, "nobody reads this"), count, "%s", lines);
    cr_expect_eq(count_text(lines, "\"error.origin\":\"future_dropped_test.c:"), count, "%s",
                 lines);
    at_logger_memory_release(lines);
}

Test(future_dropped, tasks_without_a_future) {
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(at_pool_start(pool, fail_plainly, NULL), AT_OK);
    expect_lines(pool, 3);
}

Test(future_dropped, futures_that_nobody_reads) {
    at_pool *pool = create_pool(2);
    at_future *future = at_pool_submit(pool, fail_plainly, NULL);
    at_future_release(at_future_retain(future));
    at_future_release(future);
    expect_lines(pool, 1);
}

/* Waiting, asking for the error, taking, ignoring. */
Test(future_dropped, futures_that_are_read) {
    void *value;
    at_pool *pool = create_pool(2);
    at_future *futures[4];
    at_future *first = at_pool_submit(pool, fail_plainly, NULL);
    at_future_ignore(first);
    futures[0] = first;
    futures[1] = at_pool_submit(pool, fail_plainly, NULL);
    expect_outcome(futures[1], AT_ERROR_IO);
    for (int i = 2; i < 4; i++) {
        futures[i] = at_pool_submit(pool, fail_plainly, NULL);
        while (!at_future_is_done(futures[i]))
            ;
    }
    cr_expect_not_null(at_future_error(futures[2]));
    cr_expect_eq(at_future_take(futures[3], &value, NULL), AT_ERROR_IO);
    for (int i = 0; i < 4; i++)
        at_future_release(futures[i]);
    expect_lines(pool, 0);
}

/* To look whether it is done is not to read it; a wait that timed out is neither. */
Test(future_dropped, looking_is_not_reading) {
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(1);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    at_future *future = at_pool_submit(pool, fail_plainly, NULL);
    cr_expect_eq(at_future_wait(future, 0, NULL), AT_ERROR_TIMED_OUT);
    cr_expect_null(at_future_error(future));
    gate_open(&gate);
    while (!at_future_is_done(future))
        ;
    at_future_release(future);
    expect_lines(pool, 1);
}

Test(future_dropped, cancelled_outcomes_are_not_told) {
    at_pool *pool = create_pool(1);
    at_future_release(at_pool_submit(pool, fail_cancelled, NULL));
    cr_assert_eq(at_pool_start(pool, fail_cancelled, NULL), AT_OK);
    expect_lines(pool, 0);
}

static void *never_called(void *value, void *context) {
    (void)context;
    return value;
}

/* Rule C0: passing an error on counts as reading it; it is told at the end of the chain, once. */
Test(future_dropped, chains_tell_once) {
    at_pool *pool = create_pool(2);
    at_future *future = at_pool_submit(pool, fail_plainly, NULL);
    for (int i = 0; i < 10; i++)
        future = at_future_then(future, never_called, NULL);
    at_future_release(future);
    expect_lines(pool, 1);
}

static void look_on(const at_outcome *outcome, void *context) {
    (void)outcome;
    (void)context;
}

static void *mend(const at_error *error, void *context) {
    (void)error;
    return context;
}

Test(future_dropped, recovered_errors_are_read) {
    at_pool *pool = create_pool(2);
    at_future *future = at_future_finally(at_pool_submit(pool, fail_plainly, NULL), look_on, NULL);
    at_future_release(at_future_recover(future, mend, NULL));
    expect_lines(pool, 0);
}

static void *give(void *argument) {
    return argument;
}

/* Losers of any and first. */
Test(future_dropped, losers_are_read) {
    at_pool *pool = create_pool(1);
    for (int i = 0; i < 2; i++) {
        struct gate gate = GATE_CLOSED;
        at_future *sources[2] = {at_pool_submit(pool, give, NULL), NULL};
        wait_value(sources[0]);
        cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
        gate_await(&gate, 1);
        sources[1] = at_pool_submit(pool, fail_plainly, NULL);
        at_future *winner = i ? at_future_first(sources, 2) : at_future_any(sources, 2);
        wait_value(winner);
        at_future_release(winner);
        at_future *behind = at_pool_submit(pool, give, NULL);
        gate_open(&gate);
        wait_value(behind);
        at_future_release(behind);
    }
    expect_lines(pool, 0);
}

/* What `all` has attached to the first error is told with it. */
Test(future_dropped, all_tells_once) {
    at_pool *pool = create_pool(2);
    at_future *sources[2];
    for (int i = 0; i < 2; i++)
        sources[i] = at_pool_submit(pool, fail_plainly, NULL);
    at_future_release(at_future_all(sources, 2));
    char *lines = NULL;
    destroy_pool(pool);
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_expect_eq(count_text(lines, "\"event\":\"error.dropped\""), 1, "%s", lines);
    at_logger_memory_release(lines);
}

/* What all_settled hands over has been handed over. */
Test(future_dropped, settled_errors_are_read) {
    at_pool *pool = create_pool(2);
    at_future *sources[2];
    for (int i = 0; i < 2; i++)
        sources[i] = at_pool_submit(pool, fail_plainly, NULL);
    at_future *all = at_future_all_settled(sources, 2);
    wait_value(all);
    at_future_release(all);
    expect_lines(pool, 0);
}

/* Rule F3: an error that the wait has handled is not told by a side branch that has passed it on,
 * whichever comes first. */
Test(future_dropped, handled_errors_are_not_told_by_side_branches) {
    at_pool *pool = create_pool(1);
    struct gate gate = GATE_CLOSED;
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    at_future *future = at_pool_submit(pool, fail_plainly, NULL);
    at_future *side = at_future_finally(at_future_retain(future), look_on, NULL);
    gate_open(&gate);
    expect_outcome(future, AT_ERROR_IO);
    at_future_release(side);
    at_future_release(future);
    expect_lines(pool, 0);
}

/* Rule F3: the error of a source whose continuation could not be attached has not been passed on;
 * the refusal itself was read. */
Test(future_dropped, errors_that_nothing_was_attached_to) {
    at_pool *pool = create_pool(1);
    at_continuation_options options = {.name = "refused"};
    options.reserved[0] = 1;
    at_future *source = at_pool_submit(pool, fail_plainly, NULL);
    at_future *refused = at_future_finally_with(source, look_on, &options);
    expect_outcome(refused, AT_ERROR_INVALID);
    at_future_release(refused);
    expect_lines(pool, 1);
}

/* Rule F3: nobody ever listened to it, so there is nobody who missed something. */
Test(future_dropped, promises_that_nobody_listens_to) {
    at_promise *promise = NULL;
    at_pool *pool = create_pool(1);
    cr_assert_eq(at_promise_create(&promise, at_pool_executor(pool)), AT_OK);
    at_promise_destroy(promise);
    at_future *future;
    promise = create_promise(pool, &future);
    at_future_release(future);
    at_promise_destroy(promise);
    expect_lines(pool, 0);
}
