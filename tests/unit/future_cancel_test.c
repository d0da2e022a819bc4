/* SPDX-License-Identifier: MIT
 *
 * Rules X1, X2, X4, C3 and C4: cancelling futures, and what becomes of those they come from. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/sleep.h>

#include <stdint.h>
#include <stdlib.h>

FAULT_INSTALL;

TestSuite(future_cancel, .timeout = 60);

static const at_duration long_time = AT_SECONDS(100000);

/* A task that says that it has begun. */
struct started {
    struct gate began;
    at_future *target;
    at_status status;
    at_status again;
    _Atomic bool was_asked;
};
#define STARTED                                                                                    \
    {                                                                                              \
        .began = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, true}, .status = 1,      \
        .again = 1                                                                                 \
    }

static void *begin(void *argument) {
    struct started *started = argument;
    gate_pass(&started->began);
    return started;
}

static void *sleep_long(void *argument) {
    struct started *started = begin(argument);
    started->status = at_sleep(long_time);
    AT_TRY(started->status);
    return NULL;
}

/* The same, one of many with the same argument. */
static void *sleep_quietly(void *argument) {
    begin(argument);
    AT_TRY(at_sleep(long_time));
    return NULL;
}

static void *wait_target(void *argument) {
    struct started *started = begin(argument);
    started->status = at_future_wait(started->target, AT_FOREVER, NULL);
    AT_TRY(started->status);
    return NULL;
}

static void *wait_target_for_a_second(void *argument) {
    struct started *started = begin(argument);
    started->status = at_future_wait(started->target, at_after(AT_SECONDS(1)), NULL);
    return NULL;
}

static void *check_for_ever(void *argument) {
    struct started *started = begin(argument);
    while ((started->status = at_check()) == AT_OK)
        continue;
    started->again = at_check();
    AT_TRY(at_check());
    return NULL;
}

static void *value_of(void *value, void *context) {
    (void)context;
    return value;
}

static void *drop_count(void *value, void *tally) {
    tally_run(tally);
    return value;
}

/* -- One task ---------------------------------------------------------------------------------- */

/* Rule X2: a queued task that is cancelled never runs; rule S5: it counts as cancelled. */
Test(future_cancel, a_queued_task_never_runs) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(1);
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
    audit = destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 0);
    cr_expect_eq(tally_drops(&tally), 1);
    cr_expect_eq(audit.cancelled, 1);
    fault_check_leaks(before);
}

static void cancel_running(at_run_fn run) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(2);
    for (int round = 0; round < 100; round++) {
        struct started started = STARTED;
        at_promise *promise = create_promise(pool, &started.target);
        at_future *future = at_pool_submit(pool, run, &started);
        gate_await(&started.began, 1);
        at_future_cancel(future);
        at_future_cancel(future);
        expect_outcome(future, AT_ERROR_CANCELLED);
        cr_assert_eq(started.status, AT_ERROR_CANCELLED);
        at_future_release(future);
        at_future_release(started.target);
        at_promise_destroy(promise);
    }
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.cancelled, 100);
    fault_check_leaks(before);
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

static void *finish_nevertheless(void *argument) {
    struct started *started = begin(argument);
    while (!atomic_load(&started->was_asked))
        at_yield();
    return at_return(started, NULL);
}

/* Rule X2: what the task returns in the end wins. */
Test(future_cancel, a_task_that_does_not_listen) {
    at_pool *pool = create_pool(1);
    struct started started = STARTED;
    at_future *future = at_pool_submit(pool, finish_nevertheless, &started);
    gate_await(&started.began, 1);
    at_future_cancel(future);
    atomic_store(&started.was_asked, true);
    cr_expect_eq(wait_value(future), &started);
    at_future_release(future);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.succeeded, 1);
}

static void *wait_late(void *argument) {
    struct started *started = begin(argument);
    while (!atomic_load(&started->was_asked))
        at_yield();
    started->status = at_future_wait(started->target, AT_FOREVER, NULL);
    started->again = at_sleep(long_time);
    AT_TRY(at_check());
    return NULL;
}

/* Rule X1: one that was asked before it first waited is told by that wait. */
Test(future_cancel, asked_before_the_first_wait) {
    at_pool *pool = create_pool(1);
    struct started started = STARTED;
    at_promise *promise = create_promise(pool, &started.target);
    at_future *future = at_pool_submit(pool, wait_late, &started);
    gate_await(&started.began, 1);
    at_future_cancel(future);
    atomic_store(&started.was_asked, true);
    expect_outcome(future, AT_ERROR_CANCELLED);
    cr_expect_eq(started.status, AT_ERROR_CANCELLED);
    cr_expect_eq(started.again, AT_ERROR_CANCELLED);
    at_future_release(future);
    at_future_release(started.target);
    at_promise_destroy(promise);
    destroy_pool(pool);
}

static void *check_below(void *argument) {
    struct started *started = begin(argument);
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
    at_pool *pool = create_pool(1);
    struct started started = STARTED;
    at_future *future = at_pool_submit(pool, check_after_another, &started);
    gate_await(&started.began, 1);
    at_future_cancel(future);
    atomic_store(&started.was_asked, true);
    expect_outcome(future, AT_ERROR_CANCELLED);
    cr_expect_eq(started.again, AT_ERROR_CANCELLED);
    at_future_release(future);
    destroy_pool(pool);
}

/* -- Continuations ----------------------------------------------------------------------------- */

static void cancel_chain(at_run_fn run, int length) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(1);
    struct started started = STARTED;
    struct tally tally = {0};
    at_future *future = at_pool_submit(pool, run, &started);
    for (int i = 0; i < length; i++)
        future = at_future_then_with(
            future, drop_count, &(at_continuation_options){.context = &tally, .drop = tally_drop});
    gate_await(&started.began, 1);
    at_future_cancel(future);
    expect_outcome(future, AT_ERROR_CANCELLED);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(started.status, AT_ERROR_CANCELLED);
    cr_expect_eq(tally_runs(&tally), 0);
    cr_expect_eq(tally_drops(&tally), length);
    fault_check_leaks(before);
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
    at_pool *pool = create_pool(1);
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
    destroy_pool(pool);
}

static void *recover_with(const at_error *error, void *tally) {
    (void)error;
    return tally_run(tally);
}

/* Rule C0: on cancellation only by option. */
Test(future_cancel, recover) {
    at_pool *pool = create_pool(1);
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
    destroy_pool(pool);
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
Test(future_cancel, finally_runs_shielded) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    struct cleaning cleaning = {0};
    struct started started = STARTED;
    at_token *token;
    cr_assert_eq(at_token_create(&token, NULL), AT_OK);
    at_scope scope;
    at_scope_begin(&scope, &(at_scope_options){.token = token});
    at_future *future =
        at_future_finally(at_pool_submit(pool, sleep_long, &started), clean_up, &cleaning);
    cr_expect_eq(at_scope_end(&scope), AT_OK);
    gate_await(&started.began, 1);
    cr_expect_eq(at_token_cancel(token), AT_OK);
    expect_outcome(future, AT_ERROR_CANCELLED);
    cr_expect_eq(cleaning.runs, 1);
    cr_expect_eq(cleaning.outcome, AT_ERROR_CANCELLED);
    cr_expect_eq(cleaning.slept, AT_OK);
    cr_expect_eq(cleaning.slept_long, AT_ERROR_CANCELLED);
    cr_expect_eq(cleaning.lasted, AT_SECONDS(5));
    at_future_release(future);
    at_token_release(token);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

static void count_outcome(const at_outcome *outcome, void *tally) {
    (void)outcome;
    tally_run(tally);
}

/* Rule C4: a finally that is cancelled runs when its source has ended, for which it asks. */
Test(future_cancel, finally_passes_it_on) {
    at_pool *pool = create_pool(1);
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
    destroy_pool(pool);
}

/* Rule C0: also one that is in a queue already. */
Test(future_cancel, a_queued_finally_runs) {
    at_pool *pool = create_pool(1);
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
    destroy_pool(pool);
}

/* -- Promises, combinators, at_return_future ----------------------------------------------------
 */

/* Rule C4: at once; a later set is refused, and its value dropped. */
Test(future_cancel, a_promise) {
    at_pool *pool = create_pool(1);
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
    destroy_pool(pool);
}

typedef at_future *(*combine_fn)(at_future *const *sources, size_t count);

/* Rules C3 and C4: the sources that nobody else wants are cancelled. */
Test(future_cancel, combinators) {
    static const combine_fn combine[] = {at_future_all, at_future_all_settled, at_future_any,
                                         at_future_first};
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(2);
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
        gate_await(&started->began, 99);
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
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.cancelled, 4 * 99);
    fault_check_leaks(before);
}

/* Rule C1: combinators in combinators in ..., which fail from inside out. */
Test(future_cancel, nested_combinators) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(1);
    struct tally tally = {0};
    enum { depth = 50000 };
    at_promise *promise;
    at_promise **others = malloc(depth * sizeof(at_promise *));
    at_future *future;
    promise = create_promise(pool, &future);
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
    destroy_pool(pool);
    fault_check_leaks(before);
}

static void *go_on_with_target(void *argument) {
    struct started *started = begin(argument);
    return at_return_future(at_future_retain(started->target));
}

static void *go_on_when_asked(void *argument) {
    struct started *started = begin(argument);
    while (!atomic_load(&started->was_asked))
        at_yield();
    return at_return_future(at_future_retain(started->target));
}

/* Rule C4: one that goes on with another takes its interest in that away. */
Test(future_cancel, at_return_future) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(1);
    for (int round = 0; round < 200; round++) {
        struct started started = STARTED;
        at_promise *promise = create_promise(pool, &started.target);
        at_future *future =
            at_pool_submit(pool, round % 2 ? go_on_when_asked : go_on_with_target, &started);
        gate_await(&started.began, 1);
        at_future_cancel(future);
        atomic_store(&started.was_asked, true);
        expect_outcome(future, AT_ERROR_CANCELLED);
        expect_outcome(started.target, AT_ERROR_CANCELLED);
        at_future_release(future);
        at_future_release(started.target);
        at_promise_destroy(promise);
    }
    destroy_pool(pool);
    fault_check_leaks(before);
}

/* -- Interest (rule C4) -------------------------------------------------------------------------
 */

Test(future_cancel, the_last_interest_counts) {
    at_pool *pool = create_pool(1);
    at_future *source;
    at_promise *promise = create_promise(pool, &source);
    at_future *one = at_future_then(at_future_retain(source), value_of, NULL);
    at_future *two = at_future_then(at_future_retain(source), value_of, NULL);
    at_future_cancel(one);
    expect_outcome(one, AT_ERROR_CANCELLED);
    cr_expect_not(at_future_is_done(source));
    at_future_cancel(two);
    expect_outcome(two, AT_ERROR_CANCELLED);
    cr_expect(at_future_is_done(source), "a reference that is held is no interest");
    at_future_release(one);
    at_future_release(two);
    at_future_release(source);
    at_promise_destroy(promise);
    destroy_pool(pool);
}

/* A wait in progress is an interest, which a cancelled wait takes away. */
Test(future_cancel, waits_are_interests) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    struct started started = STARTED;
    at_promise *promise = create_promise(pool, &started.target);
    at_future *waiting = at_pool_submit(pool, wait_target, &started);
    at_future *other = at_future_then(at_future_retain(started.target), value_of, NULL);
    gate_await(&started.began, 1);
    cr_assert_eq(at_sleep(AT_SECONDS(1)), AT_OK); /* then it waits */
    at_future_cancel(other);
    cr_expect_not(at_future_is_done(started.target));
    at_future_cancel(waiting);
    expect_outcome(waiting, AT_ERROR_CANCELLED);
    cr_expect(at_future_is_done(started.target));
    at_future_release(other);
    at_future_release(waiting);
    at_future_release(started.target);
    at_promise_destroy(promise);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

/* One whose own deadline passes only stops waiting. */
Test(future_cancel, a_wait_that_times_out) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    struct started started = STARTED;
    at_promise *promise = create_promise(pool, &started.target);
    at_future *waiting = at_pool_submit(pool, wait_target_for_a_second, &started);
    wait_value(waiting);
    cr_expect_eq(started.status, AT_ERROR_TIMED_OUT);
    cr_expect_not(at_future_is_done(started.target));
    at_future_release(waiting);
    at_future_release(started.target);
    at_promise_destroy(promise);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

/* So is one that runs its target in place. */
Test(future_cancel, a_wait_in_place) {
    at_pool *pool = create_pool(1);
    struct gate gate = GATE_CLOSED;
    struct started inner = STARTED, outer = STARTED;
    at_future *held = at_pool_submit(pool, gate_pass, &gate);
    gate_await(&gate, 1);
    at_future *waiting = at_pool_submit(pool, wait_target, &outer);
    outer.target = at_pool_submit(pool, finish_nevertheless, &inner);
    at_future *other = at_future_then(at_future_retain(outer.target), value_of, NULL);
    gate_open(&gate);
    gate_await(&inner.began, 1);
    at_future_cancel(other);
    expect_outcome(other, AT_ERROR_CANCELLED);
    atomic_store(&inner.was_asked, true);
    wait_value(waiting);
    cr_expect_eq(wait_value(outer.target), &inner);
    at_future_release(other);
    at_future_release(waiting);
    at_future_release(outer.target);
    at_future_release(held);
    destroy_pool(pool);
}
