/* SPDX-License-Identifier: MIT
 *
 * Rules C0 and C1: continuations that always run. */
#include "support/tasks.h"
#include "support/test.h"

#include <string.h>

TestSuite(future_finally, .timeout = 200);

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
    void *value;
    bool had_error;
    at_status error_status;
    int value_drops;
    at_pool *pool;
};

static void note_outcome(const at_outcome *outcome, void *context) {
    struct seen *seen = context;
    tally_run(&seen->tally);
    seen->status = outcome->status;
    seen->value = outcome->value;
    seen->had_error = outcome->error != NULL;
    seen->error_status = at_error_status(outcome->error);
    seen->value_drops = outcome->value ? tally_drops(outcome->value) : 0;
    seen->pool = at_pool_current();
}

/* Rule C0: with the value, which passes on and is dropped once at the end. */
Test(future_finally, after_a_success) {
    struct seen seen = {0};
    struct tally value = {0};
    at_pool *pool = create_pool(2);
    at_future *future =
        at_future_finally(at_pool_submit(pool, give_owned, &value), note_outcome, &seen);
    cr_expect_eq(wait_value(future), &value);
    cr_expect_eq(tally_runs(&seen.tally), 1);
    cr_expect_eq(seen.status, AT_OK);
    cr_expect_eq(seen.value, &value);
    cr_expect_not(seen.had_error);
    cr_expect_eq(seen.value_drops, 0);
    cr_expect_eq(seen.pool, pool);
    cr_expect_eq(tally_drops(&value), 0);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&value), 1);
}

/* Rule C0: with the error, the same object passes on. */
Test(future_finally, after_a_failure) {
    struct seen seen = {.value = &seen};
    at_pool *pool = create_pool(2);
    at_future *source = at_pool_submit(pool, fail_plainly, NULL);
    at_future *future = at_future_finally(at_future_retain(source), note_outcome, &seen);
    expect_outcome(future, AT_ERROR_IO);
    cr_expect_eq(tally_runs(&seen.tally), 1);
    cr_expect_eq(seen.status, AT_ERROR_IO);
    cr_expect_eq(seen.error_status, AT_ERROR_IO);
    cr_expect_null(seen.value);
    expect_outcome(source, AT_ERROR_IO);
    cr_expect_eq(at_future_error(future), at_future_error(source));
    at_future_release(source);
    at_future_release(future);
    destroy_pool(pool);
}

/* Rule C0: and after a cancellation. */
Test(future_finally, after_a_cancellation) {
    struct seen seen = {0};
    at_future *source;
    at_pool *pool = create_pool(2);
    at_promise *promise = create_promise(pool, &source);
    at_future *future = at_future_finally(source, note_outcome, &seen);
    at_fail(AT_ERROR_CANCELLED, "no longer wanted");
    cr_assert_eq(at_promise_fail(promise, at_error_take()), AT_OK);
    at_promise_destroy(promise);
    expect_outcome(future, AT_ERROR_CANCELLED);
    cr_expect_eq(tally_runs(&seen.tally), 1);
    cr_expect_eq(seen.status, AT_ERROR_CANCELLED);
    at_future_release(future);
    destroy_pool(pool);
}

static void fail_inside(const at_outcome *outcome, void *context) {
    (void)outcome;
    tally_run(context);
    at_fail(AT_ERROR_INVALID, "does not count");
}

/* Its own errors change nothing. */
Test(future_finally, cannot_change_the_outcome) {
    struct tally tally = {0}, value = {0};
    at_pool *pool = create_pool(2);
    at_future *future =
        at_future_finally(at_pool_submit(pool, give_owned, &value), fail_inside, &tally);
    cr_expect_eq(wait_value(future), &value);
    at_future_release(future);
    future = at_future_finally(at_pool_submit(pool, fail_plainly, NULL), fail_inside, &tally);
    expect_outcome(future, AT_ERROR_IO);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 2);
}

struct steps {
    _Atomic int count;
    int of_finally;
    int of_then;
};

static void note_finally(const at_outcome *outcome, void *context) {
    (void)outcome;
    struct steps *steps = context;
    steps->of_finally = atomic_fetch_add(&steps->count, 1);
}

static void *note_then(void *value, void *context) {
    struct steps *steps = context;
    steps->of_then = atomic_fetch_add(&steps->count, 1);
    return value;
}

/* It happens before what follows. */
Test(future_finally, runs_before_what_follows) {
    static struct tally values[200]; /* dropped at some time before the pool is destroyed */
    at_pool *pool = create_pool(4);
    for (int i = 0; i < 200; i++) {
        struct steps steps = {0};
        at_future *future =
            at_future_finally(at_pool_submit(pool, give_owned, &values[i]), note_finally, &steps);
        future = at_future_then(future, note_then, &steps);
        cr_expect_eq(wait_value(future), &values[i]);
        cr_expect_eq(steps.of_finally, 0);
        cr_expect_eq(steps.of_then, 1);
        at_future_release(future);
    }
    destroy_pool(pool);
    for (int i = 0; i < 200; i++)
        cr_expect_eq(tally_drops(&values[i]), 1);
}

/* Rule C0: the context is dropped once, after the run. */
Test(future_finally, context_is_dropped_once) {
    struct seen seen = {0};
    at_pool *pool = create_pool(1);
    at_continuation_options options = {.context = &seen, .drop = tally_drop, .name = "cleanup"};
    at_future *future =
        at_future_finally_with(at_pool_submit(pool, fail_plainly, NULL), note_outcome, &options);
    expect_outcome(future, AT_ERROR_IO);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&seen.tally), 1);
    cr_expect_eq(tally_drops(&seen.tally), 1);
}

/* Rules S1, H00. */
Test(future_finally, bad_options) {
    struct seen seen = {0};
    struct tally value = {0};
    at_pool *pool = create_pool(1);
    at_continuation_options options = {.context = &seen, .drop = tally_drop, .reserved = {0, 1}};
    at_future *future =
        at_future_finally_with(at_pool_submit(pool, give_owned, &value), note_outcome, &options);
    cr_expect_eq(tally_drops(&seen.tally), 1);
    expect_outcome(future, AT_ERROR_INVALID);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&seen.tally), 0);
    cr_expect_eq(tally_drops(&value), 1);
}

/* On another executor it runs there. */
Test(future_finally, runs_on_the_executor_of_its_options) {
    struct seen seen = {0};
    struct tally value = {0};
    at_pool *pool = create_pool(1), *other = create_pool(1);
    at_continuation_options options = {.context = &seen, .executor = at_pool_executor(other)};
    at_future *future =
        at_future_finally_with(at_pool_submit(pool, give_owned, &value), note_outcome, &options);
    cr_expect_eq(wait_value(future), &value);
    cr_expect_eq(seen.pool, other);
    at_future_release(future);
    destroy_pool(pool);
    destroy_pool(other);
}
