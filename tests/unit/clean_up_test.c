/* SPDX-License-Identifier: MIT
 *
 * Rules X4 and C0: what runs when its source was cancelled, and how long. */
#include "support/fault.h"
#include "support/fixture.h"
#include "support/started.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/sleep.h>

FAULT_INSTALL;

TestSuite(clean_up, .init = begin_with_clock, .fini = end_with_pool, .timeout = 200);

static void *recover_with(const at_error *error, void *tally) {
    (void)error;
    return tally_run(tally);
}

/* Rule C0: on cancellation only by option. */
Test(clean_up, recover) {
    for (int on_cancelled = 0; on_cancelled < 2; on_cancelled++) {
        struct tally tally = {0};
        at_future *source;
        at_promise *promise = create_promise(pool, &source);
        at_future *future = at_future_recover_with(
            at_future_retain(source), recover_with,
            &(at_continuation_options){.context = &tally, .on_cancelled = on_cancelled});
        at_future_cancel(source);
        if (on_cancelled)
            cr_expect_eq(wait_value(future), &tally);
        else
            expect_outcome(future, AT_ERROR_CANCELLED);
        cr_expect_eq(tally_runs(&tally), on_cancelled);
        at_future_release(future);
        at_future_release(source);
        at_promise_destroy(promise);
    }
}

/* A function that cleans up, under a scope of this token. Times count from the start of the test.
 */
struct cleaning {
    at_token *token;
    at_promise *promise;
    at_future *future;
    struct gate began;
    at_deadline start;
    at_duration patience; /* of the second sleep */
    at_status slept;      /* for 4 s */
    at_status slept_long;
    at_duration ended;
    at_duration left; /* a task that it starts sleeps so long; 0: there is none */
    at_status left_slept;
    at_duration left_ended;
};

static void *sleep_behind(void *argument) {
    struct cleaning *cleaning = argument;
    cleaning->left_slept = at_sleep(cleaning->left);
    cleaning->left_ended = at_after(0) - cleaning->start;
    return NULL;
}

static void take_long(struct cleaning *cleaning) {
    if (cleaning->left > 0 && at_pool_start(at_pool_current(), sleep_behind, cleaning) != AT_OK)
        return;
    gate_pass(&cleaning->began);
    cleaning->slept = at_sleep(AT_SECONDS(4));
    if (cleaning->patience > 0)
        cleaning->slept_long = at_sleep(cleaning->patience);
    cleaning->ended = at_after(0) - cleaning->start;
}

static void clean_up(const at_outcome *outcome, void *cleaning) {
    (void)outcome;
    take_long(cleaning);
}

static void *recover_slowly(const at_error *error, void *cleaning) {
    (void)error;
    take_long(cleaning);
    return cleaning;
}

static at_future *attach_here(struct cleaning *cleaning, at_recover_fn recover) {
    at_future *source;
    cleaning->began = (struct gate){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, true};
    cleaning->start = at_after(0);
    cleaning->promise = create_promise(pool, &source);
    at_continuation_options options = {.context = cleaning, .on_cancelled = true};
    return recover ? at_future_recover_with(source, recover, &options)
                   : at_future_finally_with(source, clean_up, &options);
}

/* In a scope of the token, which then ends. */
static void attach(struct cleaning *cleaning, at_recover_fn recover, at_duration timeout) {
    cr_assert_eq(at_token_create(&cleaning->token, NULL), AT_OK);
    AT_SCOPE(scope, .token = cleaning->token, .timeout = timeout)
    cleaning->future = attach_here(cleaning, recover);
}

/* The source ends, and the function runs; a second later the scope is cancelled. */
static void cancel_while_it_runs(struct cleaning *cleaning) {
    cr_assert_eq(at_promise_fail(cleaning->promise, NULL), AT_OK);
    gate_await(&cleaning->began, 1);
    cr_assert_eq(at_sleep(AT_SECONDS(1)), AT_OK);
    cr_expect_eq(at_token_cancel(cleaning->token), AT_OK);
}

static void end(struct cleaning *cleaning, at_status outcome) {
    expect_outcome(cleaning->future, outcome);
    at_future_release(cleaning->future);
    at_promise_destroy(cleaning->promise);
    at_token_release(cleaning->token);
}

static void expect_cut(const struct cleaning *cleaning, at_duration ended) {
    cr_expect_eq(cleaning->slept, AT_OK);
    cr_expect_eq(cleaning->slept_long, AT_ERROR_CANCELLED);
    cr_expect_eq(cleaning->ended, ended, "%lld ms", (long long)(cleaning->ended / 1000000));
}

/* Rule X4: what cleans up runs although it is cancelled, shielded, for 5 s. */
Test(clean_up, begins_cancelled) {
    struct cleaning cleaning = {.patience = LONG_TIME};
    attach(&cleaning, NULL, 0);
    cr_expect_eq(at_token_cancel(cleaning.token), AT_OK);
    cr_assert_eq(at_promise_fail(cleaning.promise, NULL), AT_OK);
    end(&cleaning, AT_ERROR_FAILED);
    expect_cut(&cleaning, AT_SECONDS(5));
}

/* And for 5 s from the moment on at which it is cancelled. */
Test(clean_up, is_cancelled_while_it_runs) {
    struct cleaning cleaning = {.patience = LONG_TIME};
    attach(&cleaning, NULL, 0);
    cancel_while_it_runs(&cleaning);
    end(&cleaning, AT_ERROR_FAILED);
    expect_cut(&cleaning, AT_SECONDS(6));
}

Test(clean_up, recover_is_cancelled_while_it_runs) {
    struct cleaning cleaning = {.patience = LONG_TIME};
    attach(&cleaning, recover_slowly, 0);
    cancel_while_it_runs(&cleaning);
    end(&cleaning, AT_OK);
    expect_cut(&cleaning, AT_SECONDS(6));
}

Test(clean_up, its_deadline_passes) {
    struct cleaning cleaning = {.patience = LONG_TIME};
    attach(&cleaning, NULL, AT_SECONDS(3));
    cr_assert_eq(at_promise_fail(cleaning.promise, NULL), AT_OK);
    end(&cleaning, AT_ERROR_FAILED);
    expect_cut(&cleaning, AT_SECONDS(8));
}

/* One that ends in time is not told anything. */
Test(clean_up, ends_within_the_grace) {
    struct cleaning cleaning = {.patience = AT_SECONDS(1)};
    attach(&cleaning, recover_slowly, 0);
    cancel_while_it_runs(&cleaning);
    end(&cleaning, AT_OK);
    cr_expect_eq(cleaning.slept, AT_OK);
    cr_expect_eq(cleaning.slept_long, AT_OK);
    cr_expect_eq(cleaning.ended, AT_SECONDS(5));
}

/* Cancelled alone it goes on, like a finally. */
Test(clean_up, recover_is_not_cancelled_alone) {
    for (int in_scope = 0; in_scope < 2; in_scope++) {
        struct cleaning cleaning = {0};
        if (in_scope)
            attach(&cleaning, recover_slowly, 0);
        else
            cleaning.future = attach_here(&cleaning, recover_slowly);
        cr_assert_eq(at_promise_fail(cleaning.promise, NULL), AT_OK);
        gate_await(&cleaning.began, 1);
        at_future_cancel(cleaning.future);
        end(&cleaning, AT_OK);
        cr_expect_eq(cleaning.slept, AT_OK);
    }
}

/* What it leaves behind has what is left of the grace. */
Test(clean_up, leaves_a_task_behind) {
    struct cleaning cleaning = {.left = LONG_TIME};
    attach(&cleaning, NULL, 0);
    cancel_while_it_runs(&cleaning);
    end(&cleaning, AT_ERROR_FAILED);
    (void)end_pool();
    cr_expect_eq(cleaning.ended, AT_SECONDS(4));
    cr_expect_eq(cleaning.left_slept, AT_ERROR_CANCELLED);
    cr_expect_eq(cleaning.left_ended, AT_SECONDS(6));
}

/* A task that ends before: the pool does not wait for the grace, and forgets it. */
Test(clean_up, leaves_a_short_task_behind) {
    struct cleaning cleaning = {.left = AT_MILLISECONDS(4500)};
    attach(&cleaning, NULL, 0);
    cancel_while_it_runs(&cleaning);
    end(&cleaning, AT_ERROR_FAILED);
    (void)end_pool();
    cr_expect_eq(cleaning.left_slept, AT_OK);
    cr_expect_eq(at_after(0) - cleaning.start, AT_MILLISECONDS(4500));
}

/* Where nothing was cancelled, what is left behind belongs to the scope. */
Test(clean_up, leaves_a_task_to_the_scope) {
    struct cleaning cleaning = {.left = LONG_TIME};
    attach(&cleaning, NULL, 0);
    cr_assert_eq(at_promise_fail(cleaning.promise, NULL), AT_OK);
    expect_outcome(cleaning.future, AT_ERROR_FAILED);
    cr_assert_eq(at_sleep(AT_SECONDS(1)), AT_OK);
    cr_expect_eq(at_token_cancel(cleaning.token), AT_OK);
    end(&cleaning, AT_ERROR_FAILED);
    (void)end_pool();
    cr_expect_eq(cleaning.left_slept, AT_ERROR_CANCELLED);
    cr_expect_eq(cleaning.left_ended, AT_SECONDS(5));
}

/* Also if the scope ends by its deadline, which is nearer than that of the clean-up. */
Test(clean_up, leaves_a_task_to_the_deadline) {
    struct cleaning cleaning = {.left = LONG_TIME};
    attach(&cleaning, NULL, AT_SECONDS(5));
    cr_assert_eq(at_promise_fail(cleaning.promise, NULL), AT_OK);
    end(&cleaning, AT_ERROR_FAILED);
    (void)end_pool();
    cr_expect_eq(cleaning.ended, AT_SECONDS(4));
    cr_expect_eq(cleaning.left_slept, AT_ERROR_CANCELLED);
    cr_expect_eq(cleaning.left_ended, AT_SECONDS(5));
}

static void *sleep_a_little(void *value) {
    AT_TRY(at_sleep(AT_MILLISECONDS(500)));
    return value;
}

static void *recover_by_another(const at_error *error, void *cleaning) {
    recover_slowly(error, cleaning);
    return at_return_future(at_pool_submit(at_pool_current(), sleep_a_little, cleaning));
}

/* The same for what it goes on with. */
Test(clean_up, recover_goes_on_with_another) {
    struct cleaning cleaning = {0};
    attach(&cleaning, recover_by_another, 0);
    cancel_while_it_runs(&cleaning);
    cr_expect_eq(wait_value(cleaning.future), &cleaning);
    end(&cleaning, AT_OK);
}

static void count_outcome(const at_outcome *outcome, void *tally) {
    (void)outcome;
    tally_run(tally);
}

/* Rule C4: a finally that is cancelled runs when its source has ended, for which it asks. */
Test(clean_up, finally_passes_it_on) {
    struct tally tally = {0};
    at_future *source;
    at_promise *promise = create_promise(pool, &source);
    at_future *future = at_future_finally(at_future_retain(source), count_outcome, &tally);
    at_future *other = at_future_then(at_future_retain(source), value_of, NULL);
    at_future_cancel(future);
    cr_expect_not(at_future_is_done(source));
    at_future_cancel(other);
    cr_expect(at_future_is_done(source));
    expect_outcome(other, AT_ERROR_CANCELLED);
    expect_outcome(source, AT_ERROR_CANCELLED);
    at_future_release(other);
    at_future_release(source);
    expect_outcome(future, AT_ERROR_CANCELLED);
    cr_expect_eq(tally_runs(&tally), 1);
    at_future_release(future);
    at_promise_destroy(promise);
}

/* Rule C0: also one that is in a queue already. */
Test(clean_up, a_queued_finally_runs) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_future *held = at_pool_submit(pool, gate_pass, &gate);
    gate_await(&gate, 1);
    at_future *source;
    at_promise *promise = create_promise(pool, &source);
    at_future *future = at_future_finally(source, count_outcome, &tally);
    cr_assert_eq(at_promise_set(promise, &gate, NULL), AT_OK);
    at_future_cancel(future);
    gate_open(&gate);
    cr_expect_eq(wait_value(future), &gate);
    cr_expect_eq(tally_runs(&tally), 1);
    at_future_release(future);
    at_future_release(held);
    at_promise_destroy(promise);
}
