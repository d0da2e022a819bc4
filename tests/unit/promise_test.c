/* SPDX-License-Identifier: MIT
 *
 * Rules F1, F4 and S1: the writing end of a future. */
#include "support/tasks.h"
#include "support/test.h"

#include <string.h>

TestSuite(promise, .timeout = 200);

static at_error *make_error(at_status status, const char *text) {
    at_fail(status, "%s", text);
    return at_error_take();
}

/* Rule S1: the value is the future's, and dropped with its last reference. */
Test(promise, set_completes_its_future) {
    struct tally value = {0};
    at_future *future;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    cr_expect_not(at_future_is_done(future));
    cr_expect_eq(at_future_wait(future, 0, NULL), AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_promise_set(promise, &value, tally_drop), AT_OK);
    cr_expect(at_future_is_done(future));
    cr_expect_eq(wait_value(future), &value);
    at_promise_destroy(promise);
    cr_expect_eq(wait_value(future), &value);
    cr_expect_eq(tally_drops(&value), 0);
    at_future_release(future);
    cr_expect_eq(tally_drops(&value), 1);
    destroy_pool(pool);
}

/* Nobody has to ask for the future. */
Test(promise, set_without_a_future) {
    struct tally value = {0};
    at_promise *promise;
    at_pool *pool = create_pool(1);
    cr_assert_eq(at_promise_create(&promise, at_pool_executor(pool)), AT_OK);
    cr_expect_eq(at_promise_set(promise, &value, tally_drop), AT_OK);
    at_promise_destroy(promise);
    cr_expect_eq(tally_drops(&value), 1);
    destroy_pool(pool);
}

/* One more reference at each call, of one future. */
Test(promise, future_is_one_more_reference) {
    struct tally value = {0};
    at_future *future;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    at_future *again = at_promise_future(promise);
    cr_expect_eq(again, future);
    at_future_release(future);
    cr_expect_eq(at_promise_set(promise, &value, tally_drop), AT_OK);
    future = at_promise_future(promise);
    at_promise_destroy(promise);
    at_future_release(again);
    cr_expect_eq(tally_drops(&value), 0);
    at_future_release(future);
    cr_expect_eq(tally_drops(&value), 1);
    destroy_pool(pool);
}

/* Rule F1: failed. */
Test(promise, fail_completes_its_future) {
    at_future *future;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    at_error *error = make_error(AT_ERROR_IO, "from elsewhere");
    cr_expect_eq(at_promise_fail(promise, error), AT_OK);
    expect_outcome(future, AT_ERROR_IO);
    cr_expect_str_eq(at_error_text(at_future_error(future)), "from elsewhere");
    at_promise_destroy(promise);
    at_future_release(future);
    destroy_pool(pool);
}

Test(promise, fail_without_an_error_is_failed) {
    at_future *future;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    cr_expect_eq(at_promise_fail(promise, NULL), AT_OK);
    expect_outcome(future, AT_ERROR_FAILED);
    at_promise_destroy(promise);
    at_future_release(future);
    destroy_pool(pool);
}

/* Rule F1: cancelled. */
Test(promise, fail_with_a_cancellation_cancels) {
    at_future *future;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    cr_expect_eq(at_promise_fail(promise, make_error(AT_ERROR_CANCELLED, "stop")), AT_OK);
    expect_outcome(future, AT_ERROR_CANCELLED);
    at_promise_destroy(promise);
    at_future_release(future);
    destroy_pool(pool);
}

/* Rule F1: destroyed unset. */
Test(promise, destroyed_unset_is_abandoned) {
    at_future *future;
    at_pool *pool = create_pool(1);
    at_promise_destroy(create_promise(pool, &future));
    cr_expect(at_future_is_done(future));
    expect_outcome(future, AT_ERROR_ABANDONED);
    at_future_release(future);
    at_promise_destroy(NULL);
    destroy_pool(pool);
}

/* Rules F1, S1: the first outcome stays; what comes later is dropped before the return. */
Test(promise, later_outcomes_are_refused_and_dropped) {
    struct tally first = {0}, second = {0};
    at_future *future;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    cr_expect_eq(at_promise_set(promise, &first, tally_drop), AT_OK);
    cr_expect_eq(at_promise_set(promise, &second, tally_drop), AT_ERROR_ALREADY);
    cr_expect_eq(tally_drops(&second), 1);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_ALREADY);
    cr_expect_eq(at_promise_set(promise, &second, NULL), AT_ERROR_ALREADY);
    cr_expect_eq(at_promise_fail(promise, make_error(AT_ERROR_IO, "late")), AT_ERROR_ALREADY);
    cr_expect_eq(at_promise_fail(promise, NULL), AT_ERROR_ALREADY);
    cr_expect_eq(wait_value(future), &first);
    at_promise_destroy(promise);
    cr_expect_eq(wait_value(future), &first);
    at_future_release(future);
    cr_expect_eq(tally_drops(&first), 1);
    cr_expect_eq(tally_drops(&second), 1);
    destroy_pool(pool);
}

Test(promise, a_value_after_an_error_is_dropped) {
    struct tally late = {0};
    at_future *future;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    cr_expect_eq(at_promise_fail(promise, make_error(AT_ERROR_IO, "first")), AT_OK);
    cr_expect_eq(at_promise_set(promise, &late, tally_drop), AT_ERROR_ALREADY);
    cr_expect_eq(tally_drops(&late), 1);
    at_promise_destroy(promise);
    expect_outcome(future, AT_ERROR_IO);
    at_future_release(future);
    destroy_pool(pool);
}

Test(promise, of_the_inline_executor) {
    struct tally value = {0};
    at_promise *promise;
    cr_assert_eq(at_promise_create(&promise, at_executor_inline()), AT_OK);
    at_future *future = at_promise_future(promise);
    cr_expect_eq(at_promise_set(promise, &value, tally_drop), AT_OK);
    cr_expect_eq(wait_value(future), &value);
    at_promise_destroy(promise);
    at_future_release(future);
    cr_expect_eq(tally_drops(&value), 1);
}

struct dropping {
    at_pool *pool;
    at_promise *promise;
    at_future *future;
    struct tally tally;
    at_status status;
};

/* A drop that uses the library. */
static void drop_with_calls(void *value) {
    struct dropping *dropping = value;
    tally_drop(&dropping->tally);
    dropping->status = at_pool_start(dropping->pool, tally_run, &dropping->tally);
    if (dropping->promise && at_promise_set(dropping->promise, NULL, NULL) != AT_ERROR_ALREADY)
        dropping->status = AT_ERROR_FAILED;
}

/* Rules S3, C0: values are never dropped under a lock. */
Test(promise, drops_may_call_the_library) {
    at_pool *pool = create_pool(1);
    struct dropping dropping = {.pool = pool};
    dropping.promise = create_promise(pool, &dropping.future);
    cr_expect_eq(at_promise_set(dropping.promise, NULL, NULL), AT_OK);
    cr_expect_eq(at_promise_set(dropping.promise, &dropping, drop_with_calls), AT_ERROR_ALREADY);
    cr_expect_eq(dropping.status, AT_OK);
    at_promise_destroy(dropping.promise);
    at_future_release(dropping.future);
    dropping.promise = NULL;
    at_promise *promise = create_promise(pool, &dropping.future);
    cr_expect_eq(at_promise_set(promise, &dropping, drop_with_calls), AT_OK);
    at_promise_destroy(promise);
    at_future_release(dropping.future);
    cr_expect_eq(dropping.status, AT_OK);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&dropping.tally), 2);
    cr_expect_eq(tally_runs(&dropping.tally), 2);
}

static void *set_value(void *argument) {
    struct dropping *dropping = argument;
    AT_TRY(at_promise_set(dropping->promise, &dropping->tally, tally_drop));
    return NULL;
}

/* Rule L1: it may be set from a task, waited for in a thread. */
Test(promise, set_in_a_task) {
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 200; i++) {
        struct dropping dropping = {0};
        dropping.promise = create_promise(pool, &dropping.future);
        at_future *setter = at_pool_submit(pool, set_value, &dropping);
        cr_expect_eq(wait_value(dropping.future), &dropping.tally);
        wait_value(setter);
        at_future_release(setter);
        at_future_release(dropping.future);
        at_promise_destroy(dropping.promise);
        cr_assert_eq(tally_drops(&dropping.tally), 1);
    }
    destroy_pool(pool);
}
