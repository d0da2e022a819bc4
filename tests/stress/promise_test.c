/* SPDX-License-Identifier: MIT
 *
 * Who has seen the outcome of a promise may end it and let go of its future, while the call that
 * completed it is still returning on another thread. Meant for the sanitizers. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <sched.h>

FAULT_INSTALL;

TestSuite(promise_stress, .timeout = 200);

enum { round_count = 20000 };

/* One promise at a time goes from the test to the setter. */
struct handover {
    at_promise *_Atomic promise;
    struct tally values;
    _Atomic int refused;
    bool fails;
};

static void *complete_promises(void *argument) {
    struct handover *handover = argument;
    for (int round = 0; round < round_count; round++) {
        at_promise *promise;
        while (!(promise = atomic_exchange(&handover->promise, NULL)))
            sched_yield();
        at_status status;
        if (handover->fails)
            status = at_promise_fail(promise, NULL);
        else
            status = at_promise_set(promise, &handover->values, tally_drop);
        if (status != AT_OK)
            atomic_fetch_add(&handover->refused, 1);
    }
    return NULL;
}

static void await_done(at_future *future, int round, bool fails) {
    if (round % 2)
        while (!at_future_is_done(future))
            sched_yield();
    cr_assert_eq(at_future_wait(future, PATIENCE, NULL), fails ? AT_ERROR_FAILED : AT_OK);
}

static void destroy_when_seen(at_executor *executor, bool fails) {
    struct handover handover = {.fails = fails};
    pthread_t setter;
    cr_assert_eq(pthread_create(&setter, NULL, complete_promises, &handover), 0);
    for (int round = 0; round < round_count; round++) {
        at_promise *promise = NULL;
        cr_assert_eq(at_promise_create(&promise, executor), AT_OK);
        at_future *future = at_promise_future(promise);
        atomic_store(&handover.promise, promise);
        await_done(future, round, fails);
        if (round / 2 % 2) {
            at_future_release(future);
            at_promise_destroy(promise);
        } else {
            at_promise_destroy(promise);
            at_future_release(future);
        }
    }
    pthread_join(setter, NULL);
    cr_expect_eq(handover.refused, 0);
    cr_expect_eq(tally_drops(&handover.values), fails ? 0 : round_count);
}

Test(promise_stress, destroyed_when_the_value_is_seen) {
    struct fault_usage before = fault_usage();
    destroy_when_seen(at_executor_inline(), false);
    fault_check_leaks(before);
}

Test(promise_stress, destroyed_when_the_error_is_seen) {
    struct fault_usage before = fault_usage();
    destroy_when_seen(at_executor_inline(), true);
    fault_check_leaks(before);
}

Test(promise_stress, destroyed_when_the_value_is_seen_on_a_pool) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(1);
    destroy_when_seen(at_pool_executor(pool), false);
    destroy_pool(pool);
    fault_check_leaks(before);
}
