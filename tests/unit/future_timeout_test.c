/* SPDX-License-Identifier: MIT
 *
 * Rules F1, C4, X6 and S5: at_future_with_timeout. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/sleep.h>

#include <stdint.h>

FAULT_INSTALL;

TestSuite(future_timeout, .timeout = 200);

static void *sleep_for(void *seconds) {
    AT_TRY(at_sleep(AT_SECONDS((intptr_t)seconds)));
    return seconds;
}

static void *value_of(void *value, void *context) {
    (void)context;
    return value;
}

struct bed {
    struct fault_usage before;
    at_clock *clock;
    at_pool *pool;
};

static struct bed make_bed(void) {
    struct bed bed = {.before = fault_usage(), .clock = bind_virtual_clock()};
    bed.pool = create_pool(1);
    return bed;
}

static at_pool_audit_result leave_bed(struct bed *bed) {
    at_pool_audit_result audit = destroy_pool(bed->pool);
    unbind_virtual_clock(bed->clock);
    fault_check_leaks(bed->before);
    return audit;
}

/* In time: the outcome passes on, and no timer is left. */
Test(future_timeout, in_time) {
    struct bed bed = make_bed();
    at_deadline began = at_after(0);
    at_future *future = at_future_with_timeout(
        at_pool_submit(bed.pool, sleep_for, (void *)(intptr_t)2), at_after(AT_SECONDS(1000)));
    cr_expect_eq(wait_value(future), (void *)(intptr_t)2);
    cr_expect_eq(at_after(0), began + AT_SECONDS(2));
    at_future_release(future);
    at_pool_audit_result audit = leave_bed(&bed);
    cr_expect_eq(audit.accepted, 1);
}

/* Rule C4: late: it fails at the deadline and stops the producer. */
Test(future_timeout, late) {
    struct bed bed = make_bed();
    at_deadline began = at_after(0);
    at_future *source = at_pool_submit(bed.pool, sleep_for, (void *)(intptr_t)1000);
    at_future *future = at_future_with_timeout(at_future_retain(source), at_after(AT_SECONDS(3)));
    expect_outcome(future, AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_after(0), began + AT_SECONDS(3));
    expect_outcome(source, AT_ERROR_CANCELLED);
    cr_expect_eq(at_after(0), began + AT_SECONDS(3));
    at_future_release(source);
    at_future_release(future);
    leave_bed(&bed);
}

/* A producer that somebody else wants goes on. */
Test(future_timeout, late_but_wanted) {
    struct bed bed = make_bed();
    at_future *source = at_pool_submit(bed.pool, sleep_for, (void *)(intptr_t)10);
    at_future *other = at_future_then(at_future_retain(source), value_of, NULL);
    at_future *future = at_future_with_timeout(source, at_after(AT_SECONDS(3)));
    expect_outcome(future, AT_ERROR_TIMED_OUT);
    cr_expect_eq(wait_value(other), (void *)(intptr_t)10);
    at_future_release(other);
    at_future_release(future);
    leave_bed(&bed);
}

/* One that is done passes on at once, whatever the deadline; a failure passes on too. */
Test(future_timeout, done_already) {
    struct bed bed = make_bed();
    at_future *source;
    at_promise *promise = create_promise(bed.pool, &source);
    cr_assert_eq(at_promise_set(promise, &bed, NULL), AT_OK);
    at_promise_destroy(promise);
    at_future *future = at_future_with_timeout(source, at_after(-AT_SECONDS(1)));
    cr_expect(at_future_is_done(future));
    cr_expect_eq(wait_value(future), &bed);
    at_future_release(future);
    promise = create_promise(bed.pool, &source);
    future = at_future_with_timeout(source, AT_FOREVER);
    at_promise_destroy(promise);
    expect_outcome(future, AT_ERROR_ABANDONED);
    at_future_release(future);
    leave_bed(&bed);
}

/* A deadline that has passed. */
Test(future_timeout, late_from_the_beginning) {
    struct bed bed = make_bed();
    at_future *source;
    at_promise *promise = create_promise(bed.pool, &source);
    at_future *future = at_future_with_timeout(source, at_after(-AT_SECONDS(1)));
    expect_outcome(future, AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_ERROR_ALREADY);
    at_promise_destroy(promise);
    at_future_release(future);
    leave_bed(&bed);
}

/* Rule C4: cancelled, it lets go of the source and its timer; a chain through it passes on. */
Test(future_timeout, cancelled) {
    struct bed bed = make_bed();
    at_deadline began = at_after(0);
    for (int chained = 0; chained < 2; chained++) {
        at_future *source = at_pool_submit(bed.pool, sleep_for, (void *)(intptr_t)1000);
        at_future *future =
            at_future_with_timeout(at_future_retain(source), at_after(AT_SECONDS(500)));
        if (chained)
            future = at_future_then(future, value_of, NULL);
        at_future_cancel(future);
        expect_outcome(future, AT_ERROR_CANCELLED);
        expect_outcome(source, AT_ERROR_CANCELLED);
        at_future_release(future);
        at_future_release(source);
    }
    cr_expect_eq(at_after(0), began);
    leave_bed(&bed);
}

/* Without a pool nobody keeps the time. */
Test(future_timeout, without_a_pool) {
    at_promise *promise = NULL;
    cr_assert_eq(at_promise_create(&promise, at_executor_inline()), AT_OK);
    at_future *future = at_future_with_timeout(at_promise_future(promise), AT_FOREVER);
    expect_outcome(future, AT_ERROR_INVALID);
    at_future_release(future);
    at_promise_destroy(promise);
}

/* A pool that is shut down keeps no time for others. */
Test(future_timeout, after_the_shutdown) {
    at_pool *pool = create_pool(1);
    at_future *source;
    at_promise *promise = create_promise(pool, &source);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    at_future *future = at_future_with_timeout(source, at_after(AT_SECONDS(1)));
    expect_outcome(future, AT_ERROR_CLOSED);
    at_future_release(future);
    at_promise_destroy(promise);
    destroy_pool(pool);
}

/* Rule C2: a long-lived source collects nothing. */
Test(future_timeout, a_long_lived_source) {
    enum { rounds = 1000000, at_once = 1000 };
    struct bed bed = make_bed();
    at_future *source;
    at_promise *promise = create_promise(bed.pool, &source);
    at_future *kept = at_future_then(at_future_retain(source), value_of, NULL);
    static at_future *futures[at_once];
    struct fault_usage before = fault_usage();
    for (int round = 0; round < rounds / at_once; round++) {
        bool is_late = round % 100 == 0;
        for (int i = 0; i < at_once; i++)
            futures[i] = at_future_with_timeout(at_future_retain(source),
                                                at_after(is_late ? 1 : AT_SECONDS(1000)));
        for (int i = 0; i < at_once; i++) {
            if (!is_late)
                at_future_cancel(futures[i]);
            expect_outcome(futures[i], is_late ? AT_ERROR_TIMED_OUT : AT_ERROR_CANCELLED);
            at_future_release(futures[i]);
        }
    }
    at_error_clear();
    struct fault_usage after = fault_usage();
    cr_expect_leq(after.blocks, before.blocks + 100);
    cr_expect_eq(at_promise_set(promise, &bed, NULL), AT_OK);
    cr_expect_eq(wait_value(kept), &bed);
    at_promise_destroy(promise);
    at_future_release(kept);
    at_future_release(source);
    leave_bed(&bed);
}
