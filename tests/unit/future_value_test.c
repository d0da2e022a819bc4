/* SPDX-License-Identifier: MIT
 *
 * Rules C0, S1 and F2: whom a value belongs to, and that it is dropped exactly once. */
#include "support/tasks.h"
#include "support/test.h"

#include <string.h>

TestSuite(future_value, .timeout = 200);

static void *give(void *argument) {
    return argument;
}

static void *give_owned(void *tally) {
    return at_return(tally, tally_drop);
}

static void *fail_plainly(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "on purpose");
}

/* Rule C0: dropped by the last reference, once. */
Test(future_value, is_dropped_by_the_last_reference) {
    struct tally value = {0};
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, give_owned, &value);
    cr_expect_eq(wait_value(future), &value);
    at_future_retain(future);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&value), 0);
    at_future_release(future);
    cr_expect_eq(tally_drops(&value), 1);
}

/* Rule C0: nobody waits, nobody keeps the future. */
Test(future_value, is_dropped_when_nobody_wants_it) {
    struct tally value = {0};
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 100; i++)
        at_future_release(at_pool_submit(pool, give_owned, &value));
    for (int i = 0; i < 100; i++)
        cr_assert_eq(at_pool_start(pool, give_owned, &value), AT_OK);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&value), 200);
}

/* Rule C0: a plain return means no drop. */
Test(future_value, plain_values_are_not_dropped) {
    struct tally value = {0};
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, give, &value);
    cr_expect_eq(wait_value(future), &value);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&value), 0);
}

static struct tally other_value;

static void *give_another(void *value) {
    at_return(&other_value, tally_drop);
    return value;
}

static void *give_twice(void *value) {
    at_return(&other_value, tally_drop);
    return at_return(value, tally_drop);
}

static void *give_and_fail(void *value) {
    at_return(value, tally_drop);
    return AT_FAILED;
}

static void *give_null(void *unused) {
    (void)unused;
    return at_return(NULL, tally_drop);
}

/* The drop counts only if the task returns this very value; NULL is never dropped. */
Test(future_value, drop_counts_for_the_returned_value_alone) {
    struct tally value = {0}, twice = {0};
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, give_another, &value);
    cr_expect_eq(wait_value(future), &value);
    at_future_release(future);
    future = at_pool_submit(pool, give_twice, &twice);
    wait_value(future);
    at_future_release(future);
    future = at_pool_submit(pool, give_and_fail, &value);
    expect_outcome(future, AT_ERROR_FAILED);
    at_future_release(future);
    future = at_pool_submit(pool, give_null, NULL); /* would crash in the drop */
    cr_expect_null(wait_value(future));
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&value), 0);
    cr_expect_eq(tally_drops(&twice), 1);
    cr_expect_eq(tally_drops(&other_value), 0);
}

static void *fail_and_recover(void *value) {
    at_fail_status(AT_ERROR_IO, "in flight");
    return at_return(value, tally_drop);
}

/* Rule H0: at_return says that the task has succeeded. */
Test(future_value, return_ends_the_flight_of_an_error) {
    struct tally value = {0};
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, fail_and_recover, &value);
    cr_expect_eq(wait_value(future), &value);
    at_future_release(future);
    cr_expect_eq(destroy_pool(pool).succeeded, 1);
    cr_expect_eq(tally_drops(&value), 1);
}

static void *give_after_inner(void *value) {
    at_future *inner = at_pool_submit(at_pool_current(), give_owned, &other_value);
    at_status status = at_future_wait(inner, AT_FOREVER, NULL);
    at_future_release(inner);
    AT_TRY(status);
    return value;
}

/* What a task that was run in place said of its value is not said of the waiter's. */
Test(future_value, nested_tasks_keep_their_drops_apart) {
    struct tally value = {0};
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, give_after_inner, &value);
    cr_expect_eq(wait_value(future), &value);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&value), 0);
    cr_expect_eq(tally_drops(&other_value), 1);
}

/* Rule F2: take moves it out once; then the taker drops it. */
Test(future_value, take_moves_it_out_once) {
    struct tally value = {0};
    void *taken = NULL;
    at_drop_fn drop = NULL;
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, give_owned, &value);
    wait_value(future);
    cr_expect_eq(at_future_take(future, &taken, &drop), AT_OK);
    cr_expect_eq(taken, &value);
    cr_expect_eq(drop, tally_drop);
    taken = &drop;
    cr_expect_eq(at_future_take(future, &taken, &drop), AT_ERROR_ALREADY);
    cr_expect_eq(taken, &drop);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&value), 0);
}

Test(future_value, take_of_a_plain_value_has_no_drop) {
    struct tally value = {0};
    void *taken = NULL;
    at_drop_fn drop = tally_drop;
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, give, &value);
    wait_value(future);
    cr_expect_eq(at_future_take(future, &taken, &drop), AT_OK);
    cr_expect_eq(taken, &value);
    cr_expect_null(drop);
    at_future_release(future);
    future = at_pool_submit(pool, give_owned, &value);
    wait_value(future);
    cr_expect_eq(at_future_take(future, &taken, NULL), AT_OK);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&value), 0);
}

/* Rule H00: states are statuses. */
Test(future_value, take_needs_a_value) {
    void *taken = &taken;
    at_drop_fn drop = tally_drop;
    at_future *future;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    cr_expect_eq(at_future_take(future, &taken, &drop), AT_ERROR_UNAVAILABLE);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_UNAVAILABLE);
    at_promise_destroy(promise);
    cr_expect_eq(at_future_take(future, &taken, &drop), AT_ERROR_ABANDONED);
    at_future_release(future);
    future = at_pool_submit(pool, fail_plainly, NULL);
    expect_outcome(future, AT_ERROR_IO);
    cr_expect_eq(at_future_take(future, &taken, &drop), AT_ERROR_IO);
    cr_expect_eq(taken, &taken);
    cr_expect_eq(drop, tally_drop);
    at_future_release(future);
    destroy_pool(pool);
}

static void count_argument_drop(void *tally) {
    tally_drop(tally);
}

/* Rule S1: `run` owns its argument once it has started: even a failed run does not drop it. */
Test(future_value, arguments_of_tasks_that_ran_are_not_dropped) {
    struct tally argument = {0};
    at_pool *pool = create_pool(1);
    at_task_options options = {.run = give, .argument = &argument, .drop = count_argument_drop};
    at_future *future = at_pool_submit_with(pool, &options);
    wait_value(future);
    at_future_release(future);
    options.run = fail_plainly;
    future = at_pool_submit_with(pool, &options);
    expect_outcome(future, AT_ERROR_IO);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&argument), 0);
}

static void *never_called(void *value, void *context) {
    (void)value;
    return context;
}

/* Rule C0: an error that goes down a chain leaves no value behind. */
Test(future_value, chains_of_failures_drop_their_contexts) {
    struct tally context = {0};
    at_pool *pool = create_pool(2);
    at_future *future = at_pool_submit(pool, fail_plainly, NULL);
    for (int i = 0; i < 100; i++) {
        at_continuation_options options = {.context = &context, .drop = tally_drop};
        future = at_future_then_with(future, never_called, &options);
    }
    expect_outcome(future, AT_ERROR_IO);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&context), 100);
}

/* Ignoring an error is allowed at any time. */
Test(future_value, errors_may_be_ignored) {
    at_future *future;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    at_future_ignore(future);
    at_promise_destroy(promise);
    at_future_release(future);
    future = at_pool_submit(pool, fail_plainly, NULL);
    at_future_ignore(future);
    at_future_release(future);
    destroy_pool(pool);
}

static void *see_value(void *value, void *context) {
    *(void **)context = value;
    return NULL;
}

static void see_outcome(const at_outcome *outcome, void *context) {
    *(at_outcome *)context = *outcome;
}

/* Rule F2: the future keeps no value once it was taken: NULL for those who come later. */
Test(future_value, is_null_for_all_once_taken) {
    struct tally value = {0};
    void *taken = NULL, *seen = &seen, *waited = &waited;
    at_outcome outcome = {.value = &seen};
    at_pool *pool = create_pool(1);
    at_future *source = at_pool_submit(pool, give_owned, &value);
    wait_value(source);
    cr_expect_eq(at_future_take(source, &taken, NULL), AT_OK);
    cr_expect_eq(taken, &value);
    cr_expect_eq(at_future_wait(source, 0, &waited), AT_OK);
    cr_expect_null(waited);
    at_future *then = at_future_then(at_future_retain(source), see_value, &seen);
    at_future *finally = at_future_finally(at_future_retain(source), see_outcome, &outcome);
    at_future *all = at_future_all(&source, 1);
    wait_value(then);
    cr_expect_null(seen);
    cr_expect_null(wait_value(finally));
    cr_expect_eq(outcome.status, AT_OK);
    cr_expect_null(outcome.value);
    const at_outcome *outcomes = wait_value(all);
    cr_expect_eq(outcomes[0].status, AT_OK);
    cr_expect_null(outcomes[0].value);
    at_future_release(then);
    at_future_release(finally);
    at_future_release(all);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&value), 0);
}

static void fail_in_drop(void *value) {
    tally_drop(value);
    at_fail_status(AT_ERROR_INVALID, "in the drop");
    if (at_value_take(NULL) != AT_OK)
        tally_drop(value);
}

static void *give_with_failing_drop(void *tally) {
    return at_return(tally, fail_in_drop);
}

/* Gives NULL if the slot is the same after the drop as before. */
static void *drop_while_holding_an_error(void *future) {
    at_fail_status(AT_ERROR_IO, "still here");
    const at_error *error = at_error_last();
    at_future_release(future);
    bool same = at_error_last() == error && strcmp(at_error_text(error), "still here") == 0;
    return same ? at_return(NULL, NULL) : at_fail(AT_ERROR_INVALID, "another error in the slot");
}

/* Rule H0: a drop function has an error slot of its own. */
Test(future_value, drops_leave_the_error_slot_alone) {
    struct tally value = {0};
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, give_with_failing_drop, &value);
    wait_value(future);
    at_future *holder = at_pool_submit(pool, drop_while_holding_an_error, future);
    wait_value(holder);
    at_future_release(holder);
    cr_expect_eq(tally_drops(&value), 2);
    future = at_pool_submit(pool, give_with_failing_drop, &value);
    wait_value(future);
    destroy_pool(pool); /* the worker has given its reference back */
    cr_expect_null(drop_while_holding_an_error(future));
    cr_expect_eq(tally_drops(&value), 4);
}
