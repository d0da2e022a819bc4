/* SPDX-License-Identifier: MIT
 *
 * Rules X1, C4, S1 and S5: every allocation of scopes, tokens, cancelled futures and timeouts fails
 * in turn. A scope without memory runs and says so at its end; nothing is lost. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/sleep.h>

FAULT_INSTALL;

TestSuite(cancel_fault, .timeout = 200);

static at_pool *pool;

/* The pool itself is made without faults. Gives how many faults there were. */
static int64_t each_fault(void (*run)(void)) {
    for (int64_t number = 1; number < 1000; number++) {
        struct fault_usage before = fault_usage();
        pool = create_pool(1);
        fault_arm(fault_memory, number);
        run();
        fault_disarm();
        destroy_pool(pool);
        fault_check_leaks(before);
        if (fault_count() == 0)
            return number - 1;
    }
    cr_assert_fail("the scenario meets a fault for ever");
    return 0;
}

static bool is_expected(at_status status, at_status expected) {
    return status == expected || (status == AT_ERROR_NO_MEMORY && fault_count() > 0);
}

static void nest_scopes(void) {
    at_scope outer, inner;
    at_token *token = NULL;
    at_status created = at_token_create(&token, NULL);
    cr_assert(is_expected(created, AT_OK));
    at_scope_begin(&outer, NULL);
    at_scope_begin(&inner, &(at_scope_options){.token = token, .timeout = AT_SECONDS(1000)});
    if (token)
        cr_assert_eq(at_token_cancel(token), AT_OK);
    at_status ended = at_scope_end(&inner);
    cr_assert(is_expected(ended, token ? AT_ERROR_CANCELLED : AT_OK));
    cr_assert(is_expected(at_scope_end(&outer), AT_OK));
    at_token_release(token);
}

Test(cancel_fault, scopes) {
    cr_expect_geq(each_fault(nest_scopes), 4);
}

/* Waits under nothing until it is told; without memory for an operation of its own it is told
 * later, by at_check. */
static void *check_for_ever(void *gate) {
    gate_pass(gate);
    for (;;)
        AT_TRY(at_check());
}

static void cancel_task(void) {
    struct gate began = GATE_CLOSED;
    began.open = true;
    at_future *future = at_pool_submit(pool, check_for_ever, &began);
    if (!at_future_is_done(future))
        gate_await(&began, 1);
    at_future_cancel(future);
    cr_assert(is_expected(at_future_wait(future, PATIENCE, NULL), AT_ERROR_CANCELLED));
    at_future_release(future);
}

Test(cancel_fault, a_task) {
    cr_expect_geq(each_fault(cancel_task), 1);
}

static void *pass_on(void *value, void *context) {
    (void)context;
    return value;
}

static void *sleep_long(void *unused) {
    AT_TRY(at_sleep(AT_SECONDS(10)));
    return unused;
}

struct cleaning {
    struct gate began;
    struct tally tally;
};

static void clean_up(const at_outcome *outcome, void *argument) {
    (void)outcome;
    struct cleaning *cleaning = argument;
    gate_pass(&cleaning->began);
    tally_run(&cleaning->tally);
}

/* Without memory for a shield it runs all the same. */
static void cancel_while_it_cleans_up(void) {
    struct cleaning cleaning = {.began = GATE_CLOSED};
    at_token *token = NULL;
    at_future *source = NULL;
    at_promise *promise = NULL;
    at_status created = at_promise_create(&promise, at_pool_executor(pool));
    if (created == AT_OK)
        created = at_token_create(&token, NULL);
    cr_assert(is_expected(created, AT_OK));
    if (created == AT_OK) {
        source = at_promise_future(promise);
        AT_SCOPE(scope, .token = token)
        source = at_future_finally(source, clean_up, &cleaning);
        bool is_attached = !at_future_is_done(source);
        cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
        if (is_attached)
            gate_await(&cleaning.began, 1);
        cr_assert_eq(at_token_cancel(token), AT_OK);
        gate_open(&cleaning.began);
        cr_assert(is_expected(at_future_wait(source, PATIENCE, NULL), AT_OK));
        cr_assert_eq(tally_runs(&cleaning.tally), is_attached);
        at_future_release(source);
    }
    at_token_release(token);
    at_promise_destroy(promise);
}

Test(cancel_fault, a_clean_up) {
    cr_expect_geq(each_fault(cancel_while_it_cleans_up), 6);
}

static void time_out(void) {
    at_future *future = at_future_with_timeout(
        at_future_then(at_pool_submit(pool, sleep_long, NULL), pass_on, NULL),
        at_after(AT_MILLISECONDS(1)));
    cr_assert(is_expected(at_future_wait(future, PATIENCE, NULL), AT_ERROR_TIMED_OUT));
    at_future_release(future);
}

/* What was submitted runs on where there was no memory to want it: the time is virtual. */
Test(cancel_fault, a_timeout) {
    at_clock *clock = bind_virtual_clock();
    cr_expect_geq(each_fault(time_out), 3);
    unbind_virtual_clock(clock);
}
