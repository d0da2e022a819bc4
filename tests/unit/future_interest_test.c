/* SPDX-License-Identifier: MIT
 *
 * Rule C4: who wants a future, and what becomes of one that nobody wants. */
#include "support/fault.h"
#include "support/fixture.h"
#include "support/started.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/sleep.h>

FAULT_INSTALL;

TestSuite(future_interest, .init = begin_with_clock, .fini = end_with_pool, .timeout = 200);

Test(future_interest, the_last_one_counts) {
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
}

/* A wait in progress is an interest, which a cancelled wait takes away. */
Test(future_interest, a_wait) {
    struct started started = STARTED;
    at_promise *promise = create_promise(pool, &started.target);
    at_future *waiting = at_pool_submit(pool, wait_target, &started);
    at_future *other = at_future_then(at_future_retain(started.target), value_of, NULL);
    await_started(&started, 1);
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
}

static void *wait_target_for_a_second(void *argument) {
    struct started *started = begin_started(argument);
    started->status = at_future_wait(started->target, at_after(AT_SECONDS(1)), NULL);
    return NULL;
}

/* One whose own deadline passes only stops waiting. */
Test(future_interest, a_wait_that_times_out) {
    struct started started = STARTED;
    at_promise *promise = create_promise(pool, &started.target);
    at_future *waiting = at_pool_submit(pool, wait_target_for_a_second, &started);
    wait_value(waiting);
    cr_expect_eq(started.status, AT_ERROR_TIMED_OUT);
    cr_expect_not(at_future_is_done(started.target));
    at_future_release(waiting);
    at_future_release(started.target);
    at_promise_destroy(promise);
}

/* Two tasks: when the gate opens the first one runs the second in place, which waits for the
 * question. */
struct in_place {
    struct gate gate;
    struct started outer;
    struct started inner;
    at_future *held;
    at_future *waiting;
};
#define IN_PLACE                                                                                   \
    { .gate = GATE_CLOSED, .outer = STARTED, .inner = STARTED }

static void run_in_place(struct in_place *tasks, at_run_fn inner) {
    tasks->held = at_pool_submit(pool, gate_pass, &tasks->gate);
    gate_await(&tasks->gate, 1);
    tasks->waiting = at_pool_submit(pool, wait_target, &tasks->outer);
    tasks->outer.target = at_pool_submit(pool, inner, &tasks->inner);
}

static void begin_in_place(struct in_place *tasks) {
    gate_open(&tasks->gate);
    await_started(&tasks->inner, 1);
}

static void end_in_place(const struct in_place *tasks) {
    at_future_release(tasks->waiting);
    at_future_release(tasks->outer.target);
    at_future_release(tasks->held);
}

/* A wait that runs its target in place is one, too. */
Test(future_interest, a_wait_in_place) {
    struct in_place tasks = IN_PLACE;
    run_in_place(&tasks, end_when_asked);
    at_future *other = at_future_then(at_future_retain(tasks.outer.target), value_of, NULL);
    begin_in_place(&tasks);
    at_future_cancel(other);
    expect_outcome(other, AT_ERROR_CANCELLED);
    ask_started(&tasks.inner);
    wait_value(tasks.waiting);
    cr_expect_eq(wait_value(tasks.outer.target), &tasks.inner);
    at_future_release(other);
    end_in_place(&tasks);
}

/* Where the target goes on with another future, the wait becomes a usual one. */
static void cancel_wait_behind(bool is_late) {
    struct in_place tasks = IN_PLACE;
    at_promise *producer = create_promise(pool, &tasks.inner.target);
    run_in_place(&tasks, go_on_when_asked);
    begin_in_place(&tasks);
    if (!is_late)
        at_future_cancel(tasks.waiting);
    ask_started(&tasks.inner);
    cr_assert_eq(at_sleep(AT_SECONDS(1)), AT_OK); /* then it waits */
    if (is_late)
        at_future_cancel(tasks.waiting);
    expect_outcome(tasks.waiting, AT_ERROR_CANCELLED);
    cr_expect(at_future_is_done(tasks.outer.target), "late: %d", is_late);
    cr_expect(at_future_is_done(tasks.inner.target), "late: %d", is_late);
    at_future_release(tasks.inner.target);
    at_promise_destroy(producer);
    end_in_place(&tasks);
}

Test(future_interest, a_wait_in_place_for_what_goes_on) {
    cancel_wait_behind(false);
    cancel_wait_behind(true);
}
