/* SPDX-License-Identifier: MIT
 *
 * Code that enters an operation which was begun elsewhere (rules O1, X2, X6): it is in that one,
 * and what is around it counts as well. */
#include "support/fault.h"
#include "support/operations.h"
#include "support/test.h"

FAULT_INSTALL;

TestSuite(operation_enter, .init = begin_operations, .fini = end_operations, .timeout = 200);

static at_duration time_since(at_deadline moment) {
    return at_clock_now(at_clock_current()) - moment;
}

/* Sleeps in it, gives how that ends, and checks that it took `expected`. */
static at_status sleep_inside(at_operation *operation, at_duration expected) {
    at_operation_scope scope;
    int64_t begun = at_clock_now(at_clock_current());
    at_operation_scope_enter(&scope, operation);
    cr_expect_eq(at_operation_current(), operation);
    at_status status = at_sleep(AT_SECONDS(10));
    at_operation_scope_end(&scope);
    cr_expect_eq(time_since(begun), expected);
    at_error_clear();
    return status;
}

/* Rule X6: the deadline around it counts, and is no matter of the operation's. */
Test(operation_enter, the_deadline_around_it_counts) {
    at_operation *operation = at_operation_begin("request", NULL);
    AT_TIMEOUT(around, AT_SECONDS(2)) {
        cr_expect_eq(sleep_inside(operation, AT_SECONDS(2)), AT_ERROR_CANCELLED);
        cr_expect_eq(at_token_reason(at_scope_token(&around)), AT_CANCEL_DEADLINE);
    }
    cr_expect_eq(at_token_reason(at_operation_token(operation)), AT_CANCEL_NONE);
    cr_expect_eq(sleep_inside(operation, AT_SECONDS(10)), AT_OK);
    at_operation_end(operation);
    expect_end("request.completed", "info", "ok");
}

/* The earliest of both. */
Test(operation_enter, its_own_deadline_counts) {
    at_operation *operation =
        at_operation_begin("request", &(at_operation_options){.timeout = AT_SECONDS(3)});
    AT_TIMEOUT(around, AT_SECONDS(5)) {
        cr_expect_eq(sleep_inside(operation, AT_SECONDS(3)), AT_ERROR_CANCELLED);
        cr_expect_eq(at_token_reason(at_scope_token(&around)), AT_CANCEL_NONE);
    }
    cr_expect_eq(at_token_reason(at_operation_token(operation)), AT_CANCEL_DEADLINE);
    at_operation_end(operation);
}

static struct gate gate;

static void *enter_and_sleep(void *operation) {
    gate_pass(&gate);
    at_operation_scope scope;
    at_operation_scope_enter(&scope, operation);
    at_status status = at_sleep(AT_HOURS(1));
    at_operation_scope_end(&scope);
    AT_TRY(status);
    return NULL;
}

/* Starts a task that sleeps in it, and has it cancelled by one thing or the other. */
static void cancel_task(at_operation *operation, bool by_operation) {
    gate = (struct gate)GATE_CLOSED;
    gate_open(&gate);
    at_future *future = at_pool_submit(pool, enter_and_sleep, operation);
    gate_await(&gate, 1);
    if (by_operation)
        cr_expect_eq(at_token_cancel(at_operation_token(operation)), AT_OK);
    else
        at_future_cancel(future);
    expect_outcome(future, AT_ERROR_CANCELLED);
    at_future_release(future);
}

/* Rule X2: who is cancelled is told so, wherever it is. */
Test(operation_enter, a_task_is_cancelled_inside) {
    int64_t begun = at_clock_now(at_clock_current());
    at_operation *operation = at_operation_begin("request", NULL);
    cancel_task(operation, false);
    cr_expect_eq(at_token_reason(at_operation_token(operation)), AT_CANCEL_NONE);
    cancel_task(operation, true);
    at_operation_end(operation);
    cr_expect_lt(time_since(begun), AT_HOURS(1));
}

/* An inner scope of its own is not left, an inner operation in name only. */
Test(operation_enter, it_may_be_entered_again) {
    AT_OPERATION(operation, "request") {
        at_operation *outer = operation;
        AT_TIMEOUT(around, AT_SECONDS(1)) {
            cr_expect_eq(sleep_inside(outer, AT_SECONDS(1)), AT_ERROR_TIMED_OUT);
        }
        AT_OPERATION(step, "step", .timeout = AT_SECONDS(1)) {
            cr_expect_eq(sleep_inside(outer, AT_SECONDS(1)), AT_ERROR_CANCELLED);
        }
        cr_expect_eq(sleep_inside(outer, AT_SECONDS(10)), AT_OK);
    }
}

static void *log_inside(void *unused) {
    at_log_info(logger, "inside");
    return unused;
}

/* Rule J5: lines inside, and those of what is started there, are the operation's. */
Test(operation_enter, lines_are_of_the_one_entered) {
    at_operation *operation =
        at_operation_begin("request", &(at_operation_options){AT_FIELDS(at_kv("user", "ann"))});
    at_operation_scope scope;
    AT_OPERATION(other, "other", .timeout = AT_SECONDS(1)) {
        at_operation_scope_enter(&scope, operation);
        at_future *future = at_pool_submit(pool, log_inside, NULL);
        cr_expect_eq(at_future_wait(future, PATIENCE, NULL), AT_OK);
        at_future_release(future);
        at_operation_scope_end(&scope);
        cr_expect_eq(at_operation_current(), other);
    }
    json_t *lines;
    const json_t *line = line_of("inside", &lines);
    cr_expect_str_eq(text_of(line, "operation"), "request");
    cr_expect_str_eq(text_of(line, "user"), "ann");
    json_decref(lines);
    at_operation_end(operation);
}

/* Where nothing is around it, or only what the operation is a part of, it takes no memory. */
Test(operation_enter, nothing_is_made_without_need) {
    at_operation *operation = at_operation_begin("request", NULL);
    struct fault_usage before = fault_usage();
    at_operation_scope scope, inner;
    at_operation_scope_enter(&scope, operation);
    at_operation_scope_enter(&inner, operation);
    cr_expect_eq(fault_usage().blocks, before.blocks);
    cr_expect_eq(at_token_current(), at_operation_token(operation));
    at_operation_scope_end(&inner);
    at_operation_scope_end(&scope);
    at_operation_end(operation);
}
