/* SPDX-License-Identifier: MIT
 *
 * Rules C0 and C1: continuations on failure. */
#include "support/tasks.h"
#include "support/test.h"

#include <string.h>

TestSuite(future_recover, .timeout = 200);

static void *give_owned(void *tally) {
    return at_return(tally, tally_drop);
}

static void *fail_plainly(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "on purpose");
}

struct seen {
    struct tally tally;
    at_status status;
    char text[50];
    at_pool *pool;
};

static void *note_error(const at_error *error, void *context) {
    struct seen *seen = context;
    tally_run(&seen->tally);
    seen->status = at_error_status(error);
    strncpy(seen->text, at_error_text(error), sizeof seen->text - 1);
    seen->pool = at_pool_current();
    return seen;
}

/* Rule C0: on error it gets the error, and its value is the outcome. */
Test(future_recover, continues_with_the_error) {
    struct seen seen = {0};
    at_pool *pool = create_pool(2);
    at_future *future =
        at_future_recover(at_pool_submit(pool, fail_plainly, NULL), note_error, &seen);
    cr_expect_eq(wait_value(future), &seen);
    cr_expect_null(at_future_error(future));
    cr_expect_eq(seen.status, AT_ERROR_IO);
    cr_expect_str_eq(seen.text, "on purpose");
    cr_expect_eq(seen.pool, pool);
    at_future_release(future);
    destroy_pool(pool);
}

/* Rule C0: a value passes by, and is dropped once. */
Test(future_recover, values_pass_by) {
    struct seen seen = {0};
    struct tally value = {0};
    at_pool *pool = create_pool(2);
    at_future *future =
        at_future_recover(at_pool_submit(pool, give_owned, &value), note_error, &seen);
    cr_expect_eq(wait_value(future), &value);
    cr_expect_eq(tally_runs(&seen.tally), 0);
    cr_expect_eq(tally_drops(&value), 0);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&value), 1);
}

/* The value that passes by is seen by both holders, and dropped once by the last. */
Test(future_recover, values_that_pass_by_are_shared) {
    struct seen seen = {0};
    struct tally value = {0};
    at_pool *pool = create_pool(2);
    at_future *source = at_pool_submit(pool, give_owned, &value);
    at_future *future = at_future_recover(at_future_retain(source), note_error, &seen);
    cr_expect_eq(wait_value(future), &value);
    cr_expect_eq(wait_value(source), &value);
    at_future_release(source);
    cr_expect_eq(tally_drops(&value), 0);
    cr_expect_eq(wait_value(future), &value);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&value), 1);
}

static at_promise *cancel_source(at_pool *pool, at_future **source) {
    at_promise *promise = create_promise(pool, source);
    at_fail(AT_ERROR_CANCELLED, "no longer wanted");
    cr_assert_eq(at_promise_fail(promise, at_error_take()), AT_OK);
    return promise;
}

/* Rule C0: a cancellation passes by. */
Test(future_recover, cancellations_pass_by) {
    struct seen seen = {0};
    at_future *source;
    at_pool *pool = create_pool(2);
    at_promise_destroy(cancel_source(pool, &source));
    at_future *future = at_future_recover(source, note_error, &seen);
    expect_outcome(future, AT_ERROR_CANCELLED);
    cr_expect_eq(tally_runs(&seen.tally), 0);
    at_future_release(future);
    destroy_pool(pool);
}

/* Rule C0: but by option. */
Test(future_recover, on_cancelled_by_option) {
    struct seen seen = {0};
    at_future *source;
    at_pool *pool = create_pool(2);
    at_promise_destroy(cancel_source(pool, &source));
    at_continuation_options options = {.context = &seen, .on_cancelled = true};
    at_future *future = at_future_recover_with(source, note_error, &options);
    cr_expect_eq(wait_value(future), &seen);
    cr_expect_eq(seen.status, AT_ERROR_CANCELLED);
    at_future_release(future);
    future = at_future_recover_with(at_pool_submit(pool, fail_plainly, NULL), note_error, &options);
    cr_expect_eq(wait_value(future), &seen);
    cr_expect_eq(seen.status, AT_ERROR_IO);
    at_future_release(future);
    destroy_pool(pool);
}

static void *fail_from(const at_error *error, void *context) {
    (void)context;
    return at_fail_from(at_error_retain(error), AT_ERROR_UNAVAILABLE, "no luck either");
}

/* Rule F2: it may fail itself, and keep the first error as the cause. */
Test(future_recover, may_fail_in_its_turn) {
    at_pool *pool = create_pool(2);
    at_future *future =
        at_future_recover(at_pool_submit(pool, fail_plainly, NULL), fail_from, NULL);
    expect_outcome(future, AT_ERROR_UNAVAILABLE);
    const at_error *error = at_future_error(future);
    cr_expect_str_eq(at_error_text(error), "no luck either");
    cr_expect_str_eq(at_error_task(error), "fail_from");
    cr_expect_str_eq(at_error_text(at_error_cause(error)), "on purpose");
    cr_expect_str_eq(at_error_task(at_error_cause(error)), "fail_plainly");
    at_future_release(future);
    destroy_pool(pool);
}

static void *give_null(const at_error *error, void *context) {
    (void)error;
    (void)context;
    return NULL;
}

/* Rule H0: NULL is a value here too. */
Test(future_recover, null_is_a_value) {
    void *value = &value;
    at_pool *pool = create_pool(2);
    at_future *future =
        at_future_recover(at_pool_submit(pool, fail_plainly, NULL), give_null, NULL);
    cr_expect_eq(at_future_wait(future, PATIENCE, &value), AT_OK);
    cr_expect_null(value);
    at_future_release(future);
    destroy_pool(pool);
}

/* Rule C0: the context is dropped once, whether it runs or not. */
Test(future_recover, context_is_dropped_once) {
    struct seen seen = {0};
    struct tally context = {0};
    at_pool *pool = create_pool(1);
    at_continuation_options options = {.context = &seen, .drop = tally_drop};
    at_future *future =
        at_future_recover_with(at_pool_submit(pool, fail_plainly, NULL), note_error, &options);
    wait_value(future);
    at_future_release(future);
    options.context = &context;
    future =
        at_future_recover_with(at_pool_submit(pool, tally_run, &context), note_error, &options);
    wait_value(future);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&seen.tally), 1);
    cr_expect_eq(tally_drops(&context), 1);
}

/* Rules S1, H00. */
Test(future_recover, bad_options) {
    struct seen seen = {0};
    at_pool *pool = create_pool(1);
    at_continuation_options options = {.context = &seen, .drop = tally_drop, .reserved = {1}};
    at_future *source = at_pool_submit(pool, fail_plainly, NULL);
    at_future *future = at_future_recover_with(at_future_retain(source), note_error, &options);
    cr_expect_eq(tally_drops(&seen.tally), 1);
    expect_outcome(future, AT_ERROR_INVALID);
    expect_outcome(source, AT_ERROR_IO);
    cr_expect_eq(tally_runs(&seen.tally), 0);
    at_future_release(source);
    at_future_release(future);
    destroy_pool(pool);
}

/* Rule C1: complete or not, never inside the call. */
Test(future_recover, runs_as_work_of_its_own) {
    struct seen seen = {0};
    at_pool *pool = create_pool(1);
    at_future *source = at_pool_submit(pool, fail_plainly, NULL);
    expect_outcome(source, AT_ERROR_IO);
    at_future *future = at_future_recover(source, note_error, &seen);
    wait_value(future);
    cr_expect_eq(seen.pool, pool);
    at_future_release(future);
    destroy_pool(pool);
}

/* A chain of all sorts: the error goes by the `then`, is mended once, and the value goes on. */
Test(future_recover, in_a_chain) {
    struct seen first = {0}, second = {0};
    at_pool *pool = create_pool(2);
    at_future *future = at_pool_submit(pool, fail_plainly, NULL);
    future = at_future_recover(future, note_error, &first);
    future = at_future_recover(future, note_error, &second);
    cr_expect_eq(wait_value(future), &first);
    cr_expect_eq(tally_runs(&first.tally), 1);
    cr_expect_eq(tally_runs(&second.tally), 0);
    at_future_release(future);
    destroy_pool(pool);
}
