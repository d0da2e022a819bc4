/* SPDX-License-Identifier: MIT
 *
 * Rules L1 and Z1: shutdown refuses, finishes, and can be called again; destroy loses nothing. */
#include "support/tasks.h"
#include "support/test.h"

#include <stdlib.h>

TestSuite(pool_shutdown, .timeout = 200);

/* Rule Z1: an idle pool shuts down at once, as often as one likes. */
Test(pool_shutdown, of_an_idle_pool) {
    at_pool *pool = create_pool(2);
    cr_expect_eq(at_pool_shutdown(pool, AT_FOREVER), AT_OK);
    cr_expect_eq(at_pool_shutdown(pool, 0), AT_OK);
    cr_expect_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    at_pool_destroy(pool);
}

/* Rule Z1: external starts are refused, and the caller keeps the argument. */
Test(pool_shutdown, refuses_what_comes_later) {
    struct tally tally = {0};
    at_pool *pool = create_pool(2);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    at_error_clear();
    cr_expect_eq(at_pool_start(pool, tally_run, &tally), AT_ERROR_CLOSED);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_CLOSED);
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    cr_expect_eq(at_pool_start_with(pool, &options), AT_ERROR_CLOSED);
    struct tally *item = &tally;
    cr_expect_eq(at_pool_start_many(pool, tally_run, AT_ITEMS(item, 1)), AT_ERROR_CLOSED);
    at_task task;
    at_task_init(&task, tally_run, &tally);
    cr_expect_eq(at_pool_start_task(pool, &task), AT_ERROR_CLOSED);
    cr_expect_eq(destroy_pool(pool).accepted, 0);
    cr_expect_eq(tally_runs(&tally), 0);
    cr_expect_eq(tally_drops(&tally), 0);
}

/* Rule Z1: at the deadline it says so; what is left goes on; it can be called again. */
Test(pool_shutdown, ends_at_its_deadline) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    cr_assert_eq(at_pool_start(pool, tally_run, &tally), AT_OK);
    gate_await(&gate, 1);
    cr_expect_eq(at_pool_shutdown(pool, 0), AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_TIMED_OUT);
    at_deadline deadline = at_after(AT_MILLISECONDS(20));
    cr_expect_eq(at_pool_shutdown(pool, deadline), AT_ERROR_TIMED_OUT);
    cr_expect_geq(at_clock_now(at_clock_real()), deadline);
    cr_expect_eq(at_pool_start(pool, tally_run, &tally), AT_ERROR_CLOSED);
    cr_expect_eq(tally_runs(&tally), 0);
    gate_open(&gate);
    cr_expect_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    cr_expect_eq(tally_runs(&tally), 1);
    cr_expect_eq(destroy_pool(pool).succeeded, 2);
}

/* Rule S5: destroy finishes all that was accepted. */
Test(pool_shutdown, destroy_loses_nothing) {
    for (int round = 0; round < 50; round++) {
        struct tally tally = {0};
        at_pool *pool = create_pool(1 + round % 4);
        for (int i = 0; i < 1000; i++)
            cr_assert_eq(at_pool_start(pool, tally_run, &tally), AT_OK);
        at_pool_destroy(pool);
        cr_assert_eq(tally_runs(&tally), 1000);
    }
}

struct descending {
    at_pool *pool;
    struct gate *gate;
    struct tally tally;
    int left;
};

static void *descend(void *argument) {
    struct descending *descending = argument;
    tally_run(&descending->tally);
    if (descending->left-- == 0)
        return NULL;
    AT_TRY(at_pool_start(descending->pool, descend, descending));
    return NULL;
}

static void *descend_behind_the_gate(void *argument) {
    gate_pass(((struct descending *)argument)->gate);
    return descend(argument);
}

/* Rule Z1: and what that starts, although the outside is refused by then. */
Test(pool_shutdown, what_is_started_inside_is_finished) {
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(2);
    struct descending descending = {.pool = pool, .gate = &gate, .left = 10000};
    cr_assert_eq(at_pool_start(pool, descend_behind_the_gate, &descending), AT_OK);
    gate_await(&gate, 1);
    cr_expect_eq(at_pool_shutdown(pool, 0), AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_pool_start(pool, tally_run, &descending.tally), AT_ERROR_CLOSED);
    gate_open(&gate);
    cr_expect_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    cr_expect_eq(tally_runs(&descending.tally), 10001);
    cr_expect_eq(destroy_pool(pool).accepted, 10001);
}

static void *shut_down(void *pool) {
    return at_pool_shutdown(pool, PATIENCE) == AT_OK ? NULL : AT_FAILED;
}

/* Several threads may wait for the end at once. */
Test(pool_shutdown, by_several_threads) {
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(2);
    pthread_t threads[4];
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, shut_down, pool), 0);
    gate_open(&gate);
    for (int i = 0; i < 4; i++) {
        void *result = AT_FAILED;
        pthread_join(threads[i], &result);
        cr_expect_null(result);
    }
    destroy_pool(pool);
}

static void *give_value(void *value, void *context) {
    (void)context;
    return value;
}

/* Rule C1: a continuation whose source completes after the pool is gone fails. */
Test(pool_shutdown, late_continuations_fail) {
    struct tally context = {0}, value = {0};
    at_pool *pool = create_pool(1);
    at_future *source;
    at_promise *promise = create_promise(pool, &source);
    at_continuation_options options = {.context = &context, .drop = tally_drop};
    at_future *derived = at_future_then_with(source, give_value, &options);
    destroy_pool(pool);
    cr_expect_not(at_future_is_done(derived));
    cr_expect_eq(at_promise_set(promise, &value, tally_drop), AT_OK);
    at_promise_destroy(promise);
    expect_outcome(derived, AT_ERROR_CLOSED);
    cr_expect_eq(tally_drops(&context), 1);
    cr_expect_eq(tally_drops(&value), 1);
    at_future_release(derived);
}

/* Outcomes outlive their pool. */
Test(pool_shutdown, futures_outlive_the_pool) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, tally_run, &tally);
    destroy_pool(pool);
    cr_expect(at_future_is_done(future));
    cr_expect_eq(wait_value(future), &tally);
    at_future_release(future);
}

/* Rules S1, F4: a call that returns a future drops what it took, and the future has failed. */
Test(pool_shutdown, submissions_become_failed_futures) {
    struct tally tally = {0};
    at_pool *pool = create_pool(2);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    at_future *future = at_pool_submit(pool, tally_run, &tally);
    cr_assert_not_null(future);
    expect_outcome(future, AT_ERROR_CLOSED);
    at_future_release(future);
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    future = at_pool_submit_with(pool, &options);
    cr_assert_not_null(future);
    cr_expect_eq(tally_drops(&tally), 1);
    expect_outcome(future, AT_ERROR_CLOSED);
    at_future_release(future);
    at_future *futures[3] = {NULL};
    struct tally items[3] = {0};
    at_pool_submit_many(pool, tally_run, AT_ITEMS(items, 3), futures);
    for (int i = 0; i < 3; i++) {
        cr_assert_not_null(futures[i]);
        expect_outcome(futures[i], AT_ERROR_CLOSED);
        at_future_release(futures[i]);
    }
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 0);
}

struct pair {
    at_pool *outer;
    at_pool *inner;
    at_future *queued; /* on `outer`, behind the task that destroys `inner` */
    struct gate gate;
    _Atomic int waited; /* 1 + the negated status of the wait in `inner` */
};

static void *wait_for_queued(void *argument) {
    struct pair *pair = argument;
    at_status status = at_future_wait(pair->queued, PATIENCE, NULL);
    atomic_store(&pair->waited, 1 - (int)status);
    return NULL;
}

static void *destroy_inner(void *argument) {
    struct pair *pair = argument;
    gate_pass(&pair->gate);
    at_pool_destroy(pair->inner);
    return NULL;
}

static void *give(void *argument) {
    return argument;
}

/* A task that destroys another pool is replaced meanwhile, like one that waits: what its own pool
 * has queued may be what the other pool's tasks wait for. */
Test(pool_shutdown, of_another_pool_from_a_task) {
    struct pair pair = {.gate = GATE_CLOSED};
    pair.outer = create_pool(1);
    pair.inner = create_pool(1);
    at_future *destroyer = at_pool_submit(pair.outer, destroy_inner, &pair);
    gate_await(&pair.gate, 1);
    pair.queued = at_pool_submit(pair.outer, give, &pair);
    cr_assert_eq(at_pool_start(pair.inner, wait_for_queued, &pair), AT_OK);
    gate_open(&pair.gate);
    wait_value(destroyer);
    cr_expect_eq(wait_value(pair.queued), &pair);
    cr_expect_eq(pair.waited, 1);
    at_future_release(destroyer);
    at_future_release(pair.queued);
    destroy_pool(pair.outer);
}
