/* SPDX-License-Identifier: MIT
 *
 * Rules X1, X2, X4, X6 and S4: scopes and their deadlines, in tasks and in plain threads. */
#include "support/fault.h"
#include "support/fixture.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/sleep.h>
#include <asynctools/timer.h>

#include <stdint.h>
#include <stdlib.h>

FAULT_INSTALL;

TestSuite(scope, .init = begin_with_clock, .fini = end_with_pool, .timeout = 200);

static const at_duration long_time = AT_SECONDS(100000);

/* Tasks leave a failure here; the test looks. */
static _Atomic int failures;
static _Atomic int failed_line;
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            atomic_fetch_add(&failures, 1);                                                        \
            atomic_store(&failed_line, __LINE__);                                                  \
        }                                                                                          \
    } while (0)

/* Runs it in a plain thread and in a task, with two workers. */
static void everywhere(void (*run)(void)) {
    change_pool(2);
    run();
    at_future *future = at_pool_submit(pool, (at_run_fn)(void *)run, NULL);
    at_status status = at_future_wait(future, PATIENCE, NULL);
    cr_expect_eq(status, AT_OK);
    at_future_release(future);
    cr_expect_eq(failures, 0, "line %d", (int)failed_line);
}

/* -- Deadlines --------------------------------------------------------------------------------- */

static void time_out(void) {
    at_scope scope;
    at_deadline began = at_after(0);
    at_scope_begin(&scope, &(at_scope_options){.timeout = AT_SECONDS(3)});
    CHECK(at_token_deadline(at_scope_token(&scope)) == began + AT_SECONDS(3));
    CHECK(at_token_current() == at_scope_token(&scope));
    CHECK(at_check() == AT_OK);
    CHECK(at_sleep(AT_SECONDS(2)) == AT_OK);
    CHECK(at_sleep(AT_SECONDS(2)) == AT_ERROR_TIMED_OUT);
    CHECK(at_error_status(at_error_last()) == AT_ERROR_TIMED_OUT);
    CHECK(at_after(0) == began + AT_SECONDS(3));
    CHECK(at_sleep(AT_SECONDS(2)) == AT_ERROR_TIMED_OUT);
    CHECK(at_check() == AT_ERROR_TIMED_OUT);
    CHECK(at_check() == AT_ERROR_TIMED_OUT);
    CHECK(at_token_reason(at_scope_token(&scope)) == AT_CANCEL_DEADLINE);
    CHECK(at_scope_end(&scope) == AT_ERROR_TIMED_OUT);
    CHECK(at_check() == AT_OK);
    CHECK(at_sleep(AT_SECONDS(2)) == AT_OK);
    at_error_clear();
}

/* Rules X1 and X2: until the end of the scope, and no longer. */
Test(scope, times_out) {
    everywhere(time_out);
}

static void nest(void) {
    at_deadline began = at_after(0);
    AT_TIMEOUT(outer, AT_SECONDS(3)) {
        AT_TIMEOUT(inner, AT_SECONDS(10)) {
            CHECK(at_token_deadline(at_scope_token(&inner)) == began + AT_SECONDS(3));
            CHECK(at_sleep(AT_SECONDS(20)) == AT_ERROR_CANCELLED);
            CHECK(at_token_reason(at_scope_token(&inner)) == AT_CANCEL_PARENT);
        }
        CHECK(at_check() == AT_ERROR_TIMED_OUT);
        CHECK(at_token_reason(at_scope_token(&outer)) == AT_CANCEL_DEADLINE);
    }
    CHECK(at_after(0) == began + AT_SECONDS(3));
    began = at_after(0);
    AT_TIMEOUT(outer, AT_SECONDS(10)) {
        AT_TIMEOUT(inner, AT_SECONDS(3)) {
            CHECK(at_sleep(AT_SECONDS(20)) == AT_ERROR_TIMED_OUT);
        }
        CHECK(at_after(0) == began + AT_SECONDS(3));
        CHECK(at_check() == AT_OK);
        CHECK(at_token_reason(at_scope_token(&outer)) == AT_CANCEL_NONE);
    }
    CHECK(at_check() == AT_OK);
    at_error_clear();
}

/* Rule X6: the minimum of all deadlines; rule X2: TIMED_OUT only where the deadline belongs. */
Test(scope, nest) {
    everywhere(nest);
}

static void shielded(void) {
    at_deadline began = at_after(0);
    AT_TIMEOUT(outer, AT_SECONDS(1)) {
        CHECK(at_sleep(AT_SECONDS(2)) == AT_ERROR_TIMED_OUT);
        AT_SHIELD(clean, 0) {
            CHECK(at_check() == AT_OK);
            CHECK(at_sleep(AT_SECONDS(4)) == AT_OK);
            CHECK(at_sleep(AT_SECONDS(4)) == AT_ERROR_TIMED_OUT);
            CHECK(at_after(0) == began + AT_SECONDS(6));
        }
        AT_SHIELD(clean, AT_SECONDS(20)) {
            CHECK(at_sleep(AT_SECONDS(19)) == AT_OK);
        }
        CHECK(at_check() == AT_ERROR_TIMED_OUT);
    }
    at_error_clear();
}

/* Rule X4: cleaning up has a grace of its own, 5 s by default. */
Test(scope, shield) {
    everywhere(shielded);
}

static void asks(void) {
    CHECK(!at_is_cancelled());
    AT_TIMEOUT(outer, AT_SECONDS(1)) {
        CHECK(!at_is_cancelled());
        CHECK(at_sleep(AT_MILLISECONDS(999)) == AT_OK);
        CHECK(!at_is_cancelled());
        AT_SHIELD(clean, 0) {
            CHECK(at_sleep(AT_MILLISECONDS(1)) == AT_OK);
            CHECK(!at_is_cancelled());
        }
        CHECK(at_is_cancelled());
        CHECK(at_is_cancelled());
        CHECK(!at_error_last());
        CHECK(at_token_reason(at_scope_token(&outer)) == AT_CANCEL_DEADLINE);
        AT_SCOPE(inner, 0) {
            CHECK(at_is_cancelled());
        }
    }
    CHECK(!at_is_cancelled());
    AT_SCOPE(scope, 0) {
        CHECK(!at_is_cancelled());
        CHECK(at_token_cancel(at_scope_token(&scope)) == AT_OK);
        CHECK(at_is_cancelled());
    }
    CHECK(!at_is_cancelled());
}

/* Rule X1: who only asks is told too, from the moment of the deadline on; no error is made. */
Test(scope, asks_without_an_error) {
    everywhere(asks);
}

/* break and goto end a scope too. */
static void leave_early(void) {
    for (int i = 0; i < 3; i++) {
        AT_TIMEOUT(scope, AT_SECONDS(1)) {
            if (i == 0)
                break;
            if (i == 1)
                goto next;
        }
    next:
        CHECK(at_token_current() == NULL || at_token_deadline(at_token_current()) == AT_FOREVER);
    }
}

static at_status return_early(void) {
    AT_TIMEOUT(scope, AT_SECONDS(1)) {
        return at_sleep(AT_SECONDS(2));
    }
    return AT_OK;
}

static void leave(void) {
    leave_early();
    CHECK(return_early() == AT_ERROR_TIMED_OUT);
    CHECK(at_check() == AT_OK);
    at_error_clear();
}

Test(scope, ends_however_it_is_left) {
    everywhere(leave);
}

/* -- Tasks below --------------------------------------------------------------------------------
 */

static void *sleep_long(void *status) {
    *(at_status *)status = at_sleep(long_time);
    AT_TRY(*(at_status *)status);
    return NULL;
}

/* Rules S4 and X2: what is started in a scope belongs to it, and is cancelled where the scope times
 * out. */
static void start_below(void) {
    at_status below[3] = {1, 1, 1};
    at_future *futures[3];
    AT_TIMEOUT(scope, AT_SECONDS(1)) {
        for (int i = 0; i < 2; i++)
            futures[i] = at_pool_submit(pool, sleep_long, &below[i]);
        futures[2] = at_pool_submit(pool, sleep_long, &below[2]);
        CHECK(at_future_wait(futures[0], AT_FOREVER, NULL) == AT_ERROR_TIMED_OUT);
    }
    for (int i = 0; i < 3; i++) {
        CHECK(at_future_wait(futures[i], AT_FOREVER, NULL) == AT_ERROR_CANCELLED);
        CHECK(below[i] == AT_ERROR_CANCELLED || below[i] == 1);
        at_future_release(futures[i]);
    }
    at_error_clear();
}

Test(scope, tasks_below) {
    everywhere(start_below);
}

/* Rule X2: queued tasks of a cancelled scope never run, however they were started. */
Test(scope, queued_tasks_never_run) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_future *held = at_pool_submit(pool, gate_pass, &gate);
    gate_await(&gate, 1);
    at_scope scope;
    at_scope_begin(&scope, NULL);
    at_future *queued = at_pool_submit(pool, tally_run, &tally);
    at_task_options owned = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    at_future *dropped = at_pool_submit_with(pool, &owned);
    cr_assert_eq(at_pool_start(pool, tally_run, &tally), AT_OK);
    cr_assert_eq(at_pool_start_with(pool, &owned), AT_OK);
    cr_assert_eq(at_pool_start_later(pool, tally_run, &tally, at_after(0)), AT_OK);
    cr_expect_eq(at_token_cancel(at_scope_token(&scope)), AT_OK);
    cr_expect_eq(at_scope_end(&scope), AT_ERROR_CANCELLED);
    gate_open(&gate);
    wait_value(held);
    expect_outcome(queued, AT_ERROR_CANCELLED);
    expect_outcome(dropped, AT_ERROR_CANCELLED);
    at_future_release(held);
    at_future_release(queued);
    at_future_release(dropped);
    cr_expect_eq(end_pool().cancelled, 5);
    cr_expect_eq(tally_runs(&tally), 0);
    cr_expect_eq(tally_drops(&tally), 2);
}

/* ThreadSanitizer knows only some thousand stacks. */
#ifdef __SANITIZE_THREAD__
#define WAIT_COUNT 1000
#else
#define WAIT_COUNT 100000
#endif

/* A hundred thousand tasks that wait end at once. */
Test(scope, a_hundred_thousand_waits) {
    enum { count = WAIT_COUNT };
    change_pool(2);
    at_future **futures = malloc(count * sizeof *futures);
    static at_status statuses[count];
    at_scope scope;
    at_scope_begin(&scope, NULL);
    at_token *token = at_token_retain(at_scope_token(&scope));
    for (int i = 0; i < count; i++)
        futures[i] = at_pool_submit(pool, sleep_long, &statuses[i]);
    cr_expect_eq(at_scope_end(&scope), AT_OK);
    cr_assert_eq(at_sleep(AT_SECONDS(1)), AT_OK);
    cr_expect_eq(at_token_cancel(token), AT_OK);
    for (int i = 0; i < count; i++) {
        cr_assert_eq(at_future_wait(futures[i], PATIENCE, NULL), AT_ERROR_CANCELLED);
        cr_assert_eq(statuses[i], AT_ERROR_CANCELLED);
        at_future_release(futures[i]);
    }
    at_token_release(token);
    at_error_clear();
    free(futures);
    cr_expect_eq(end_pool().cancelled, count);
}

/* -- A token of the caller's --------------------------------------------------------------------
 */

static void *cancel_later(void *token) {
    AT_TRY(at_sleep(AT_SECONDS(1)));
    AT_TRY(at_token_cancel(token));
    return NULL;
}

/* The scope is cancelled with its token and with the scope around it, whichever comes first. */
static void two_parents(void) {
    at_token *token = NULL;
    at_token *timed = NULL;
    for (int i = 0; i < 3; i++) {
        AT_TIMEOUT(unrelated, AT_SECONDS(7)) {
            timed = at_token_retain(at_scope_token(&unrelated));
            CHECK(at_token_create(&token, NULL) == AT_OK);
        }
        AT_TIMEOUT(outer, i == 0 ? AT_SECONDS(2) : AT_SECONDS(100)) {
            AT_SCOPE(inner, .token = token, .is_shielded = i == 2, .timeout = AT_SECONDS(50)) {
                if (i > 0)
                    CHECK(at_pool_start_later(pool, cancel_later, token, at_after(0)) == AT_OK);
                at_deadline began = at_after(0);
                CHECK(at_sleep(AT_SECONDS(20)) != AT_OK);
                at_duration lasted = at_after(0) - began;
                CHECK(lasted == (i == 0 ? AT_SECONDS(2) : AT_SECONDS(1)));
            }
            CHECK(at_check() == (i == 0 ? AT_ERROR_TIMED_OUT : AT_OK));
        }
        AT_SCOPE(late, .token = timed) {
            CHECK(at_sleep(AT_SECONDS(20)) != AT_OK);
        }
        CHECK(at_check() == AT_OK);
        at_token_release(token);
        at_token_release(timed);
    }
    at_error_clear();
}

Test(scope, with_a_token) {
    everywhere(two_parents);
}

/* -- Who looks first --------------------------------------------------------------------------
 */

/* Time passes, and nobody looks at the current scope. */
static void let_pass(at_duration duration) {
    AT_SHIELD(scope, AT_FOREVER)
    CHECK(at_sleep(duration) == AT_OK);
}

/* The deadline of a token ends it, and the scope with it, whichever is looked at first. */
static void pass_deadline_of_token(void) {
    for (int token_first = 0; token_first < 2; token_first++) {
        at_token *token = NULL;
        AT_TIMEOUT(other, AT_SECONDS(3)) {
            token = at_token_retain(at_scope_token(&other));
        }
        at_scope around, scope;
        at_scope_begin(&around, NULL);
        at_scope_begin(&scope, &(at_scope_options){.token = token, .timeout = AT_SECONDS(5)});
        let_pass(AT_SECONDS(4));
        if (token_first)
            CHECK(at_token_reason(token) == AT_CANCEL_DEADLINE);
        CHECK(at_check() == AT_ERROR_CANCELLED);
        CHECK(at_token_reason(at_scope_token(&scope)) == AT_CANCEL_PARENT);
        CHECK(at_token_reason(token) == AT_CANCEL_DEADLINE);
        CHECK(at_scope_end(&scope) == AT_ERROR_CANCELLED);
        CHECK(at_scope_end(&around) == AT_OK);
        at_token_release(token);
    }
    at_error_clear();
}

Test(scope, the_deadline_of_a_token) {
    everywhere(pass_deadline_of_token);
}

/* Rule X1: of deadlines that have passed the earliest is the reason. */
static void pass_two_deadlines(void) {
    for (int outer_first = 0; outer_first < 2; outer_first++) {
        at_scope outer, middle, inner;
        at_scope_begin(&outer, &(at_scope_options){.timeout = AT_SECONDS(3)});
        at_scope_begin(&middle, NULL);
        at_scope_begin(&inner, &(at_scope_options){.timeout = AT_SECONDS(2)});
        let_pass(AT_SECONDS(4));
        if (outer_first)
            CHECK(at_token_reason(at_scope_token(&outer)) == AT_CANCEL_DEADLINE);
        CHECK(at_check() == AT_ERROR_TIMED_OUT);
        CHECK(at_scope_end(&inner) == AT_ERROR_TIMED_OUT);
        CHECK(at_check() == AT_ERROR_CANCELLED);
        CHECK(at_scope_end(&middle) == AT_ERROR_CANCELLED);
        CHECK(at_check() == AT_ERROR_TIMED_OUT);
        CHECK(at_scope_end(&outer) == AT_ERROR_TIMED_OUT);
    }
    at_error_clear();
}

Test(scope, the_earliest_deadline_counts) {
    everywhere(pass_two_deadlines);
}

/* -- Reasons ------------------------------------------------------------------------------------
 */

/* Rule X1: the first reason stays. */
Test(scope, the_first_reason_wins) {
    at_scope scope;
    at_scope_begin(&scope, &(at_scope_options){.timeout = AT_SECONDS(1)});
    cr_expect_eq(at_token_cancel(at_scope_token(&scope)), AT_OK);
    cr_expect_eq(at_sleep(AT_SECONDS(2)), AT_ERROR_CANCELLED);
    AT_SHIELD(wait, 0) cr_expect_eq(at_sleep(AT_SECONDS(2)), AT_OK);
    cr_expect_eq(at_check(), AT_ERROR_CANCELLED);
    cr_expect_eq(at_token_reason(at_scope_token(&scope)), AT_CANCEL_EXPLICIT);
    cr_expect_eq(at_scope_end(&scope), AT_ERROR_CANCELLED);
    at_scope_begin(&scope, &(at_scope_options){.timeout = AT_SECONDS(1)});
    cr_expect_eq(at_sleep(AT_SECONDS(2)), AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_token_cancel(at_scope_token(&scope)), AT_ERROR_ALREADY);
    cr_expect_eq(at_check(), AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_scope_end(&scope), AT_ERROR_TIMED_OUT);
    at_error_clear();
}

Test(scope, names_of_reasons) {
    cr_expect_str_eq(at_cancel_reason_name(AT_CANCEL_NONE), "AT_CANCEL_NONE");
    cr_expect_str_eq(at_cancel_reason_name(AT_CANCEL_EXPLICIT), "AT_CANCEL_EXPLICIT");
    cr_expect_str_eq(at_cancel_reason_name(AT_CANCEL_DEADLINE), "AT_CANCEL_DEADLINE");
    cr_expect_str_eq(at_cancel_reason_name(AT_CANCEL_SIBLING), "AT_CANCEL_SIBLING");
    cr_expect_str_eq(at_cancel_reason_name(AT_CANCEL_PARENT), "AT_CANCEL_PARENT");
    cr_expect_str_eq(at_cancel_reason_name(AT_CANCEL_SHUTDOWN), "AT_CANCEL_SHUTDOWN");
    cr_expect_str_eq(at_cancel_reason_name((at_cancel_reason)99), "AT_CANCEL_UNKNOWN");
}
