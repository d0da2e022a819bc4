/* SPDX-License-Identifier: MIT
 *
 * Rules X1, X2, C1, C3 and C4: cancelling tasks, chains, promises and combinators. */
#include "support/fault.h"
#include "support/fixture.h"
#include "support/started.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/sleep.h>

#include <stdlib.h>

FAULT_INSTALL;

TestSuite(future_cancel, .init = begin_with_pool, .fini = end_with_pool, .timeout = 200);

/* -- One task ---------------------------------------------------------------------------------- */

/* Rule X2: a queued task that is cancelled never runs; rule S5: it counts as cancelled. */
Test(future_cancel, a_queued_task_never_runs) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_future *held = at_pool_submit(pool, gate_pass, &gate);
    gate_await(&gate, 1);
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    at_future *queued = at_pool_submit_with(pool, &options);
    at_future_cancel(queued);
    cr_expect(at_future_is_done(queued));
    cr_expect_eq(tally_drops(&tally), 1);
    expect_outcome(queued, AT_ERROR_CANCELLED);
    at_future_cancel(queued);
    at_pool_audit_result audit;
    at_pool_audit(pool, &audit);
    cr_expect_eq(audit.cancelled, 1);
    cr_expect_eq(audit.pending, 0);
    gate_open(&gate);
    wait_value(held);
    at_future_release(held);
    at_future_release(queued);
    audit = end_pool();
    cr_expect_eq(tally_runs(&tally), 0);
    cr_expect_eq(tally_drops(&tally), 1);
    cr_expect_eq(audit.cancelled, 1);
}

static void cancel_running(at_run_fn run) {
    change_pool(2);
    for (int round = 0; round < 100; round++) {
        struct started started = STARTED;
        at_promise *promise = create_promise(pool, &started.target);
        at_future *future = at_pool_submit(pool, run, &started);
        await_started(&started, 1);
        at_future_cancel(future);
        at_future_cancel(future);
        expect_outcome(future, AT_ERROR_CANCELLED);
        cr_assert_eq(started.status, AT_ERROR_CANCELLED);
        at_future_release(future);
        at_future_release(started.target);
        at_promise_destroy(promise);
    }
    cr_expect_eq(end_pool().cancelled, 100);
}

/* Rules X1 and X2: a wait of the library ends. */
Test(future_cancel, a_sleeping_task) {
    cancel_running(sleep_long);
}

Test(future_cancel, a_waiting_task) {
    cancel_running(wait_target);
}

/* Rule X1: it is said again and again. */
Test(future_cancel, a_task_that_checks) {
    cancel_running(check_for_ever);
}

static void *ask_for_ever(void *argument) {
    struct started *started = begin_started(argument);
    while (!at_is_cancelled())
        continue;
    started->status = at_error_last() ? AT_ERROR_FAILED : AT_ERROR_CANCELLED;
    AT_TRY(at_check());
    return NULL;
}

/* The same for one that only asks: no other task runs meanwhile, and no error is made. */
Test(future_cancel, a_task_that_asks) {
    cancel_running(ask_for_ever);
}

/* Rule X2: what the task returns in the end wins. */
Test(future_cancel, a_task_that_does_not_listen) {
    struct started started = STARTED;
    at_future *future = at_pool_submit(pool, end_when_asked, &started);
    await_started(&started, 1);
    at_future_cancel(future);
    ask_started(&started);
    cr_expect_eq(wait_value(future), &started);
    at_future_release(future);
    cr_expect_eq(end_pool().succeeded, 1);
}

static void *wait_late(void *argument) {
    struct started *started = end_when_asked(argument);
    started->status = at_future_wait(started->target, AT_FOREVER, NULL);
    started->again = at_sleep(LONG_TIME);
    AT_TRY(at_check());
    return NULL;
}

/* Rule X1: one that was asked before it first waited is told by that wait. */
Test(future_cancel, asked_before_the_first_wait) {
    struct started started = STARTED;
    at_promise *promise = create_promise(pool, &started.target);
    at_future *future = at_pool_submit(pool, wait_late, &started);
    await_started(&started, 1);
    at_future_cancel(future);
    ask_started(&started);
    expect_outcome(future, AT_ERROR_CANCELLED);
    cr_expect_eq(started.status, AT_ERROR_CANCELLED);
    cr_expect_eq(started.again, AT_ERROR_CANCELLED);
    at_future_release(future);
    at_future_release(started.target);
    at_promise_destroy(promise);
}

static void *check_below(void *argument) {
    struct started *started = begin_started(argument);
    at_status status = AT_OK;
    while (status == AT_OK && !atomic_load(&started->was_asked))
        status = at_check();
    if (status == AT_OK)
        status = at_check(); /* resets what has made the worker look */
    AT_TRY(status);
    return NULL;
}

static void *check_after_another(void *argument) {
    struct started *started = argument;
    at_future *inner = at_pool_submit(at_pool_current(), check_below, started);
    at_status status = at_future_wait(inner, AT_FOREVER, NULL);
    at_future_release(inner);
    AT_TRY(status);
    started->status = at_check();
    started->again = at_check();
    AT_TRY(started->status);
    return NULL;
}

/* Rule X1: a task learns of it also if another has looked in its place, on the same stack. */
Test(future_cancel, asked_while_another_runs_in_place) {
    struct started started = STARTED;
    at_future *future = at_pool_submit(pool, check_after_another, &started);
    await_started(&started, 1);
    at_future_cancel(future);
    ask_started(&started);
    expect_outcome(future, AT_ERROR_CANCELLED);
    cr_expect_eq(started.again, AT_ERROR_CANCELLED);
    at_future_release(future);
}

/* -- Chains ------------------------------------------------------------------------------------ */

static void *drop_count(void *value, void *tally) {
    tally_run(tally);
    return value;
}

static void cancel_chain(at_run_fn run, int length) {
    struct started started = STARTED;
    struct tally tally = {0};
    at_future *future = at_pool_submit(pool, run, &started);
    for (int i = 0; i < length; i++)
        future = at_future_then_with(
            future, drop_count, &(at_continuation_options){.context = &tally, .drop = tally_drop});
    await_started(&started, 1);
    at_future_cancel(future);
    expect_outcome(future, AT_ERROR_CANCELLED);
    at_future_release(future);
    pass_worker(pool);
    cr_expect_eq(started.status, AT_ERROR_CANCELLED);
    cr_expect_eq(tally_runs(&tally), 0);
    cr_expect_eq(tally_drops(&tally), length);
}

/* Rules C4 and C1: it goes down the chain to its beginning, however long that is. */
Test(future_cancel, a_chain_of_one) {
    cancel_chain(sleep_long, 1);
    cancel_chain(check_for_ever, 1);
}

Test(future_cancel, a_chain_of_a_thousand) {
    cancel_chain(sleep_long, 1000);
    cancel_chain(check_for_ever, 1000);
}

Test(future_cancel, a_chain_of_a_million) {
    cancel_chain(sleep_long, 1000000);
}

/* Rule C4: cancelled at its beginning, all of it is. */
Test(future_cancel, from_the_source_on) {
    at_future *source;
    at_promise *promise = create_promise(pool, &source);
    at_future *future = at_future_retain(source);
    for (int i = 0; i < 1000; i++)
        future = at_future_then(future, value_of, NULL);
    at_future_cancel(source);
    expect_outcome(future, AT_ERROR_CANCELLED);
    expect_outcome(source, AT_ERROR_CANCELLED);
    at_future_release(future);
    at_future_release(source);
    at_promise_destroy(promise);
}

/* -- Promises and combinators ------------------------------------------------------------------ */

/* Rule C4: at once; a later set is refused, and its value dropped. */
Test(future_cancel, a_promise) {
    struct tally tally = {0};
    at_future *future;
    at_promise *promise = create_promise(pool, &future);
    at_future_cancel(future);
    cr_expect(at_future_is_done(future));
    cr_expect_eq(at_promise_set(promise, &tally, tally_drop), AT_ERROR_ALREADY);
    cr_expect_eq(tally_drops(&tally), 1);
    expect_outcome(future, AT_ERROR_CANCELLED);
    at_promise_destroy(promise);
    at_future_release(future);
}

typedef at_future *(*combine_fn)(at_future *const *sources, size_t count);

/* Rules C3 and C4: the sources that nobody else wants are cancelled. */
Test(future_cancel, combinators) {
    static const combine_fn combine[] = {at_future_all, at_future_all_settled, at_future_any,
                                         at_future_first};
    change_pool(2);
    static struct started all[] = {STARTED, STARTED, STARTED, STARTED};
    for (size_t i = 0; i < sizeof combine / sizeof *combine; i++) {
        struct started *started = &all[i]; /* the tasks end later */
        at_future *sources[100];
        at_future *kept = NULL;
        at_promise *promise = create_promise(pool, &kept);
        at_future *other = at_future_then(at_future_retain(kept), value_of, NULL);
        sources[0] = at_future_then(at_pool_submit(pool, sleep_quietly, started), value_of, NULL);
        sources[1] = at_future_retain(kept);
        for (int k = 2; k < 100; k++)
            sources[k] = at_pool_submit(pool, sleep_quietly, started);
        at_future *future = combine[i](sources, 100);
        await_started(started, 99);
        at_future_cancel(future);
        cr_expect(at_future_is_done(future));
        expect_outcome(future, AT_ERROR_CANCELLED);
        at_future_release(future);
        cr_expect_not(at_future_is_done(kept));
        cr_expect_eq(at_promise_set(promise, started, NULL), AT_OK);
        cr_expect_eq(wait_value(other), started);
        at_future_release(other);
        at_future_release(kept);
        at_promise_destroy(promise);
    }
    cr_expect_eq(end_pool().cancelled, 4 * 99);
}

/* Rule C1: combinators in combinators in ..., which fail from inside out. */
Test(future_cancel, nested_combinators_fail) {
    struct tally tally = {0};
    enum { depth = 50000 };
    at_promise **others = malloc(depth * sizeof(at_promise *));
    at_future *future;
    at_promise *promise = create_promise(pool, &future);
    for (int i = 0; i < depth; i++) {
        at_future *sources[2] = {future};
        others[i] = create_promise(pool, &sources[1]);
        future = at_future_all(sources, 2);
    }
    (void)at_fail(AT_ERROR_IO, "the innermost");
    cr_expect_eq(at_promise_fail(promise, at_error_take()), AT_OK);
    expect_outcome(future, AT_ERROR_IO);
    for (int i = 0; i < depth; i++) {
        cr_assert_eq(at_promise_set(others[i], &tally, NULL), AT_ERROR_ALREADY);
        at_promise_destroy(others[i]);
    }
    at_future_release(future);
    at_promise_destroy(promise);
    free(others);
}

enum { nest_depth = 3000, nest_width = 40 };

/* Each source but the first is wanted by this combination alone. */
static at_future *nest(at_future *inner, at_future *never) {
    at_future *sources[nest_width] = {inner};
    for (int i = 1; i < nest_width; i++)
        sources[i] = at_future_then(at_future_retain(never), value_of, NULL);
    return at_future_all(sources, nest_width);
}

static void *cancel_future(void *future) {
    at_future_cancel(future);
    return NULL;
}

/* The same, wide ones, which are cancelled from outside in, on the stack of a task. */
Test(future_cancel, nested_combinators) {
    at_future *innermost, *never;
    at_promise *promise = create_promise(pool, &innermost);
    at_promise *other = create_promise(pool, &never);
    at_future *future = at_future_retain(innermost);
    for (int i = 0; i < nest_depth; i++)
        future = nest(future, never);
    at_future *cancelled = at_pool_submit(pool, cancel_future, future);
    wait_value(cancelled);
    cr_expect(at_future_is_done(innermost));
    cr_expect(at_future_is_done(never));
    expect_outcome(future, AT_ERROR_CANCELLED);
    at_future_release(cancelled);
    at_future_release(future);
    at_future_release(innermost);
    at_future_release(never);
    at_promise_destroy(promise);
    at_promise_destroy(other);
}

/* -- at_return_future -------------------------------------------------------------------------- */

/* Rule C4: one that goes on with another takes its interest in that away. */
Test(future_cancel, at_return_future) {
    for (int round = 0; round < 200; round++) {
        struct started started = STARTED;
        at_promise *promise = create_promise(pool, &started.target);
        at_future *future =
            at_pool_submit(pool, round % 2 ? go_on_when_asked : go_on_with_target, &started);
        await_started(&started, 1);
        at_future_cancel(future);
        ask_started(&started);
        expect_outcome(future, AT_ERROR_CANCELLED);
        expect_outcome(started.target, AT_ERROR_CANCELLED);
        at_future_release(future);
        at_future_release(started.target);
        at_promise_destroy(promise);
    }
}

/* The same for one that is known to a continuation alone, which it got before it went on with
 * another, or after. */
static void cancel_behind_one(bool is_late) {
    struct started started = STARTED;
    at_promise *promise = create_promise(pool, &started.target);
    at_future *future =
        at_pool_submit(pool, is_late ? go_on_with_target : go_on_when_asked, &started);
    await_started(&started, 1);
    if (is_late)
        pass_worker(pool);
    at_future *then = at_future_then(future, value_of, NULL);
    ask_started(&started);
    pass_worker(pool);
    at_future_cancel(then);
    cr_expect(at_future_is_done(started.target), "late: %d", is_late);
    expect_outcome(then, AT_ERROR_CANCELLED);
    at_future_release(then);
    at_future_release(started.target);
    at_promise_destroy(promise);
}

Test(future_cancel, at_return_future_behind_a_continuation) {
    cancel_behind_one(false);
    cancel_behind_one(true);
}
