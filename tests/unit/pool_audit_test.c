/* SPDX-License-Identifier: MIT
 *
 * Rule S5: accepted = succeeded + failed + cancelled + pending + running. */
#include "support/tasks.h"
#include "support/test.h"

#include "pool/pool.h"

#include <string.h>

TestSuite(pool_audit, .timeout = 200);

Test(pool_audit, of_a_new_pool_is_zero) {
    at_pool_audit_result audit;
    memset(&audit, 0xff, sizeof audit);
    at_pool *pool = create_pool(2);
    at_pool_audit(pool, &audit);
    cr_expect(audit.balanced);
    cr_expect_eq(audit.accepted, 0);
    cr_expect_eq(audit.succeeded, 0);
    cr_expect_eq(audit.failed, 0);
    cr_expect_eq(audit.cancelled, 0);
    cr_expect_eq(audit.pending, 0);
    cr_expect_eq(audit.running, 0);
    destroy_pool(pool);
}

/* Rule S5: pending and running are measured. */
Test(pool_audit, pending_and_running_are_counted) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_pool_audit_result audit;
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 2);
    for (uint64_t pending = 0; pending < 300; pending++) {
        at_pool_audit(pool, &audit);
        cr_assert(audit.balanced);
        cr_assert_eq(audit.accepted, pending + 2);
        cr_assert_eq(audit.running, 2);
        cr_assert_eq(audit.pending, pending);
        cr_assert_eq(at_pool_start(pool, tally_run, &tally), AT_OK);
    }
    gate_open(&gate);
    cr_expect_eq(destroy_pool(pool).succeeded, 302);
}

static void *fail_plainly(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "on purpose");
}

Test(pool_audit, outcomes_are_counted) {
    struct tally tally = {0};
    at_pool *pool = create_pool(2);
    at_future *futures[20];
    for (int i = 0; i < 20; i++)
        futures[i] = i % 2 ? at_pool_submit(pool, tally_run, &tally)
                           : at_pool_submit(pool, fail_plainly, NULL);
    for (int i = 0; i < 20; i++) {
        expect_outcome(futures[i], i % 2 ? AT_OK : AT_ERROR_IO);
        at_future_release(futures[i]);
    }
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.accepted, 20);
    cr_expect_eq(audit.succeeded, 10);
    cr_expect_eq(audit.failed, 10);
}

static void *wait_for_child(void *argument) {
    at_future *child = at_pool_submit(at_pool_current(), tally_run, argument);
    at_status status = at_future_wait(child, AT_FOREVER, NULL);
    at_future_release(child);
    AT_TRY(status);
    return NULL;
}

/* A task that was run in place of a wait counts once. */
Test(pool_audit, claimed_tasks_count_once) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(at_pool_start(pool, wait_for_child, &tally), AT_OK);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.accepted, 200);
    cr_expect_eq(audit.succeeded, 200);
    cr_expect_eq(tally_runs(&tally), 100);
}

static void *wait_for_future(void *future) {
    AT_TRY(at_future_wait(future, AT_FOREVER, NULL));
    return NULL;
}

/* A task that waits is running. */
Test(pool_audit, waiting_tasks_are_running) {
    at_pool_audit_result audit;
    at_future *future;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(at_pool_start(pool, wait_for_future, future), AT_OK);
    do
        at_pool_audit(pool, &audit);
    while (audit.running < 3 || audit.pending > 0);
    cr_expect(audit.balanced);
    cr_expect_eq(audit.accepted, 3);
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    cr_expect_eq(destroy_pool(pool).succeeded, 3);
    at_future_release(future);
}

/* What was refused was not accepted. */
Test(pool_audit, refused_tasks_are_not_counted) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_pool_audit_result audit;
    at_pool *pool = NULL;
    cr_assert_eq(at_pool_create(&pool, &(at_pool_options){.thread_count = 1, .queue_bound = 1}),
                 AT_OK);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    cr_assert_eq(at_pool_start(pool, tally_run, &tally), AT_OK);
    for (int i = 0; i < 10; i++) {
        cr_expect_eq(at_pool_start(pool, tally_run, &tally), AT_ERROR_FULL);
        at_future *future = at_pool_submit(pool, tally_run, &tally);
        expect_outcome(future, AT_ERROR_FULL);
        at_future_release(future);
    }
    at_pool_audit(pool, &audit);
    cr_expect(audit.balanced);
    cr_expect_eq(audit.accepted, 2);
    cr_expect_eq(audit.pending, 1);
    cr_expect_eq(audit.running, 1);
    gate_open(&gate);
    cr_expect_eq(destroy_pool(pool).accepted, 2);
}

static void *pass_on(void *value, void *context) {
    (void)context;
    return value;
}

static void *cancel_other(void *value, void *other) {
    at_future_cancel(*(at_future **)other);
    return value;
}

/* Rule S5: a continuation that is cancelled after its source has ended, but before the pool, which
 * is gone, has refused to start it. */
Test(pool_audit, cancelled_before_it_is_refused) {
    at_pool *pool = create_pool(1);
    at_future *source, *other = NULL;
    at_promise *promise = create_promise(pool, &source);
    at_continuation_options at_once = {.executor = at_executor_inline(), .context = &other};
    at_future *first = at_future_then_with(at_future_retain(source), cancel_other, &at_once);
    other = at_future_then(source, pass_on, NULL);
    ati_pool_retain(pool);
    destroy_pool(pool);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    expect_outcome(first, AT_OK);
    expect_outcome(other, AT_ERROR_CANCELLED);
    at_pool_audit_result audit;
    at_pool_audit(pool, &audit);
    cr_expect(audit.balanced);
    cr_expect_eq(audit.accepted, 1);
    cr_expect_eq(audit.cancelled, 1);
    cr_expect_eq(audit.pending, 0);
    ati_pool_release(pool);
    at_future_release(first);
    at_future_release(other);
    at_promise_destroy(promise);
}
