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

TestSuite(clean_up, .init = begin_with_clock, .fini = end_with_pool, .timeout = 60);

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

struct cleaning {
    at_status outcome;
    at_status slept;
    at_status slept_long;
    at_duration lasted;
    int runs;
};

static void clean_up(const at_outcome *outcome, void *context) {
    struct cleaning *cleaning = context;
    cleaning->outcome = outcome->status;
    cleaning->runs++;
    at_deadline began = at_after(0);
    cleaning->slept = at_sleep(AT_SECONDS(4));
    cleaning->slept_long = at_sleep(AT_SECONDS(4));
    cleaning->lasted = at_after(0) - began;
}

/* Rule X4: what cleans up runs although it is cancelled, shielded, for 5 s. */
Test(clean_up, finally_runs_shielded) {
    struct cleaning cleaning = {0};
    struct started started = STARTED;
    at_token *token;
    cr_assert_eq(at_token_create(&token, NULL), AT_OK);
    at_scope scope;
    at_scope_begin(&scope, &(at_scope_options){.token = token});
    at_future *future =
        at_future_finally(at_pool_submit(pool, sleep_long, &started), clean_up, &cleaning);
    cr_expect_eq(at_scope_end(&scope), AT_OK);
    await_started(&started, 1);
    cr_expect_eq(at_token_cancel(token), AT_OK);
    expect_outcome(future, AT_ERROR_CANCELLED);
    cr_expect_eq(cleaning.runs, 1);
    cr_expect_eq(cleaning.outcome, AT_ERROR_CANCELLED);
    cr_expect_eq(cleaning.slept, AT_OK);
    cr_expect_eq(cleaning.slept_long, AT_ERROR_CANCELLED);
    cr_expect_eq(cleaning.lasted, AT_SECONDS(5));
    at_future_release(future);
    at_token_release(token);
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
