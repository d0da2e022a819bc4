/* SPDX-License-Identifier: MIT
 *
 * Lines that an operation keeps until it is known how it ends (rules J4, J5, O1). */
#include "support/fault.h"
#include "support/operations.h"
#include "support/test.h"

#include <string.h>

FAULT_INSTALL;

TestSuite(operation_kept, .init = begin_operations, .fini = end_operations, .timeout = 200);

static void *debug_in_task(void *event) {
    at_log_debug(logger, event);
    return NULL;
}

static void *keep(void *status) {
    AT_OPERATION(operation, "keeping", .kept_level = AT_LOG_DEBUG, .slow = AT_SECONDS(10)) {
        at_log_debug(logger, "detail");
        at_future *future = at_pool_submit(pool, debug_in_task, "detail");
        cr_assert_eq(at_future_wait(future, AT_FOREVER, NULL), AT_OK);
        at_future_release(future);
        at_log_trace(logger, "too_fine");
        if (status)
            return at_fail((at_status)(intptr_t)status, "on purpose");
    }
    return NULL;
}

/* What an operation kept is written if it fails or is slow, and else is gone. */
Test(operation_kept, kept_lines_are_written_if_it_fails) {
    cr_assert_eq(at_logger_set_level(logger, AT_LOG_INFO), AT_OK);
    keep(NULL);
    count_events("detail", 0);
    keep((void *)(intptr_t)AT_ERROR_CANCELLED);
    count_events("detail", 0);
    keep((void *)(intptr_t)AT_ERROR_IO);
    at_error_clear();
    count_events("detail", 2);
    count_events("keeping.started", 1);
    count_events("too_fine", 0);
    at_logger_memory_clear(logger);
    AT_OPERATION(operation, "slow", .kept_level = AT_LOG_TRACE, .slow = AT_SECONDS(1)) {
        at_log_trace(logger, "detail");
        pass(AT_SECONDS(2));
    }
    count_events("detail", 1);
}

static void *keep_inside(void *status) {
    AT_OPERATION(outer, "outer", .kept_level = AT_LOG_DEBUG) {
        at_log_debug(logger, "before");
        AT_OPERATION(inner, "inner", .kept_level = AT_LOG_TRACE) {
            at_log_debug(logger, "inside");
            at_log_trace(logger, "too_fine");
        }
        at_log_debug(logger, "behind");
        if (status)
            return at_fail((at_status)(intptr_t)status, "on purpose");
    }
    return NULL;
}

/* The lines of a part that went well tell how the whole came to fail. */
Test(operation_kept, kept_lines_of_an_inner_one_are_handed_on) {
    cr_assert_eq(at_logger_set_level(logger, AT_LOG_INFO), AT_OK);
    keep_inside(NULL);
    count_events("inside", 0);
    at_logger_memory_clear(logger);
    keep_inside((void *)(intptr_t)AT_ERROR_IO);
    at_error_clear();
    count_events("too_fine", 0);
    count_events("inner.started", 1);
    char *lines;
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    const char *before = strstr(lines, "before");
    const char *inside = strstr(lines, "inside");
    const char *behind = strstr(lines, "behind");
    cr_expect(before && before < inside && inside < behind);
    at_logger_memory_release(lines);
}

/* -- Lines of what goes on when it has ended -- */

static struct gate gate;

static void *log_late(void *unused) {
    gate_pass(&gate);
    at_log_debug(logger, "late");
    at_log_trace(logger, "too_fine");
    return unused;
}

/* Has a task of an operation that ends with `status` log behind that. */
static void end_before_task(at_status status) {
    gate = (struct gate)GATE_CLOSED;
    at_future *future = NULL;
    AT_OPERATION(operation, "ended", .kept_level = AT_LOG_DEBUG) {
        future = at_pool_submit(pool, log_late, NULL);
        gate_await(&gate, 1);
        at_log_debug(logger, "early");
        if (status != AT_OK)
            at_operation_error(operation, NULL);
    }
    gate_open(&gate);
    cr_assert_eq(at_future_wait(future, PATIENCE, NULL), AT_OK);
    at_future_release(future);
}

/* Of one that has failed they are wanted at once, of another not at all. */
Test(operation_kept, late_lines_share_the_fate_of_the_others) {
    cr_assert_eq(at_logger_set_level(logger, AT_LOG_INFO), AT_OK);
    end_before_task(AT_OK);
    count_events("early", 0);
    count_events("late", 0);
    end_before_task(AT_ERROR_IO);
    count_events("early", 1);
    count_events("late", 1);
    count_events("too_fine", 0);
}

/* What an inner one hands on, it hands on later too. */
static void end_inner_before_task(at_status status, bool ends_first) {
    gate = (struct gate)GATE_CLOSED;
    at_future *future = NULL;
    AT_OPERATION(outer, "outer", .kept_level = AT_LOG_DEBUG) {
        AT_OPERATION(inner, "inner", .kept_level = AT_LOG_TRACE) {
            future = at_pool_submit(pool, log_late, NULL);
            gate_await(&gate, 1);
        }
        if (!ends_first) {
            gate_open(&gate);
            cr_assert_eq(at_future_wait(future, PATIENCE, NULL), AT_OK);
        }
        if (status != AT_OK)
            at_operation_error(outer, NULL);
    }
    gate_open(&gate);
    cr_assert_eq(at_future_wait(future, PATIENCE, NULL), AT_OK);
    at_future_release(future);
}

Test(operation_kept, late_lines_of_an_inner_one_are_handed_on) {
    cr_assert_eq(at_logger_set_level(logger, AT_LOG_INFO), AT_OK);
    end_inner_before_task(AT_OK, false);
    end_inner_before_task(AT_OK, true);
    count_events("late", 0);
    end_inner_before_task(AT_ERROR_IO, false);
    count_events("late", 1);
    end_inner_before_task(AT_ERROR_IO, true);
    count_events("late", 2);
    count_events("too_fine", 0);
}

/* An inner one that ends behind the outer one finds out what has become of that. */
static void end_outer_first(at_status status) {
    at_operation *outer =
        at_operation_begin("outer", &(at_operation_options){.kept_level = AT_LOG_DEBUG});
    at_operation_scope scope;
    at_operation_scope_enter(&scope, outer);
    at_operation *inner =
        at_operation_begin("inner", &(at_operation_options){.kept_level = AT_LOG_DEBUG});
    at_operation_scope_end(&scope);
    at_operation_scope_enter(&scope, inner);
    at_log_debug(logger, "detail");
    at_operation_scope_end(&scope);
    if (status != AT_OK)
        at_operation_error(outer, NULL);
    at_operation_end(outer);
    at_operation_end(inner);
}

Test(operation_kept, an_outer_one_may_end_first) {
    cr_assert_eq(at_logger_set_level(logger, AT_LOG_INFO), AT_OK);
    end_outer_first(AT_OK);
    count_events("detail", 0);
    end_outer_first(AT_ERROR_IO);
    count_events("detail", 1);
}
