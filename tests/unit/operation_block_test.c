/* SPDX-License-Identifier: MIT
 *
 * The ways into and out of the block of an operation, and what is deferred in it (rules O1, O2). */
#include "support/fault.h"
#include "support/operations.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

FAULT_INSTALL;

TestSuite(operation_block, .init = begin_operations, .fini = end_operations, .timeout = 200);

static int leave_by_return(void) {
    AT_OPERATION(operation, "returned") {
        if (operation)
            return 7;
    }
    return 0;
}

static int leave_by_goto(void) {
    AT_OPERATION(operation, "jumped") {
        goto behind;
    }
    return 0;
behind:
    return at_operation_current() ? 1 : 7;
}

static int leave_by_break(void) {
    int rounds = 0;
    for (; rounds < 3; rounds++)
        AT_OPERATION(operation, "broken") {
            if (rounds == 1)
                break; /* of the block, not of the loop */
        }
    return rounds;
}

static int leave_by_continue(void) {
    int rounds = 0;
    int ends = 0;
    for (; rounds < 3; rounds++)
        AT_OPERATION(operation, "continued") {
            if (rounds == 1)
                continue;
            ends++;
        }
    return rounds * 10 + ends;
}

/* Rule O1: whatever the way, the block ends once, and nothing runs in it any more. */
Test(operation_block, every_way_out_ends_it) {
    cr_expect_eq(leave_by_return(), 7);
    cr_expect_null(at_operation_current());
    cr_expect_eq(leave_by_goto(), 7);
    cr_expect_eq(leave_by_break(), 3);
    cr_expect_eq(leave_by_continue(), 32);
    cr_expect_null(at_operation_current());
    count_events("returned.completed", 1);
    count_events("jumped.completed", 1);
    count_events("broken.started", 3);
    count_events("broken.completed", 3);
    count_events("continued.completed", 3);
}

static void nest(int depth) {
    AT_OPERATION(operation, "nested") {
        at_operation *here = operation;
        if (depth > 1)
            nest(depth - 1);
        cr_assert_eq(at_operation_current(), here);
    }
}

Test(operation_block, blocks_nest) {
    nest(200);
    cr_expect_null(at_operation_current());
    count_events("nested.completed", 200);
    AT_OPERATION(outer, "two") AT_OPERATION(inner, "blocks") {
        cr_expect_neq(outer, inner);
        cr_expect_eq(at_operation_current(), inner);
    }
    count_events("two.completed", 1);
}

static void *replace_error(void *unused) {
    AT_OPERATION(operation, "replaced") {
        at_error_clear(); /* what was in flight before is handled */
        return at_fail(AT_ERROR_IO, "its own");
    }
    return unused;
}

/* The memory of an error that was in flight before may be that of the next. */
Test(operation_block, a_failure_that_replaces_another_counts) {
    (void)at_fail(AT_ERROR_IO, "before");
    cr_expect_eq(replace_error(NULL), AT_FAILED);
    at_error_clear();
    expect_end("replaced.failed", "error", "error");
}

static void *fail_by_try(void *unused) {
    AT_OPERATION(outer, "outer") {
        AT_OPERATION(inner, "inner") {
            AT_TRY(at_fail_status(AT_ERROR_FULL, "no room"));
        }
    }
    return unused;
}

/* An error that leaves several blocks is the outcome of each. */
Test(operation_block, an_error_goes_through_all_blocks) {
    cr_expect_eq(fail_by_try(NULL), AT_FAILED);
    at_error_clear();
    expect_end("inner.failed", "warn", "rejected");
    expect_end("outer.failed", "warn", "rejected");
}

static void fail_late(const char *name, bool is_said) {
    AT_OPERATION(operation, name, .timeout = AT_SECONDS(1)) {
        cr_expect_eq(at_sleep(AT_SECONDS(10)), AT_ERROR_TIMED_OUT);
        (void)at_fail(AT_ERROR_CANCELLED, "gave up");
        if (is_said)
            at_operation_error(operation, at_error_last());
    }
    at_error_clear();
}

/* Rule O1: why it was cancelled is the same, whoever says that it was; without an error it is as
 * somebody says. */
Test(operation_block, what_its_deadline_cancels_has_timed_out) {
    fail_late("in_flight", false);
    expect_end("in_flight.failed", "error", "timeout");
    fail_late("said", true);
    expect_end("said.failed", "error", "timeout");
    AT_OPERATION(operation, "literal", .timeout = AT_SECONDS(1)) {
        cr_expect_eq(at_sleep(AT_SECONDS(10)), AT_ERROR_TIMED_OUT);
        cr_expect_eq(at_operation_set_outcome(operation, AT_OPERATION_CANCELLED, NULL), AT_OK);
    }
    at_error_clear();
    expect_end("literal.failed", "info", "cancelled");
}

#define NAME_ONLY "of, a macro"
#define NAME_AND_OPTIONS "of_a_macro", .slow = AT_SECONDS(1), AT_FIELDS(at_kv("user", "ann"))

AT_LOGGED(logged_by_macro, NAME_AND_OPTIONS)(void *unused) {
    pass(AT_SECONDS(2));
    return unused;
}

static void expect_options(void) {
    json_t *lines;
    json_t *line = line_of("of_a_macro.completed", &lines);
    cr_expect_str_eq(text_of(line, "user"), "ann");
    cr_expect(json_is_true(json_object_get(line, "slow")));
    json_decref(lines);
    at_logger_memory_clear(logger);
}

/* Options count wherever they come from. */
Test(operation_block, a_macro_may_give_name_and_options) {
    AT_OPERATION(operation, NAME_AND_OPTIONS) {
        pass(AT_SECONDS(2));
    }
    expect_options();
    logged_by_macro(NULL);
    expect_options();
    AT_OPERATION(operation, NAME_ONLY) {
    }
    expect_end("of, a macro.completed", "info", "ok");
}

/* -- Deferred functions -- */

static char order[64];

static void note(void *letter) {
    strncat(order, letter, 1);
}

static at_operation *of_deferred;

static void defer_more(void *letter) {
    note(letter);
    cr_expect_eq(at_defer(of_deferred, note, "x"), AT_OK);
}

static void fail_deferred(void *letter) {
    note(letter);
    (void)at_fail(AT_ERROR_IO, "in a deferred function");
}

static void wait_deferred(void *letter) {
    cr_expect_eq(at_sleep(AT_SECONDS(1)), AT_OK);
    note(letter);
}

static void begin_deferred(void *letter) {
    AT_OPERATION(inner, "clean_up") {
        note(letter);
    }
}

/* Rule O2: a deferred function may defer, fail, wait and begin operations. */
Test(operation_block, deferred_functions_may_do_anything) {
    AT_OPERATION(operation, "deferring") {
        of_deferred = operation;
        cr_expect_eq(at_defer(operation, note, "a"), AT_OK);
        cr_expect_eq(at_defer(operation, wait_deferred, "b"), AT_OK);
        cr_expect_eq(at_defer(operation, begin_deferred, "c"), AT_OK);
        cr_expect_eq(at_defer(operation, fail_deferred, "d"), AT_OK);
        cr_expect_eq(at_defer(operation, defer_more, "e"), AT_OK);
    }
    cr_expect_str_eq(order, "exdcba");
    cr_expect_null(at_error_last());
    json_t *lines;
    json_t *line = line_of("deferring.completed", &lines);
    cr_expect_str_eq(text_of(line, "outcome"), "ok");
    cr_expect_eq(json_number_value(json_object_get(line, "duration_ms")), 1000.0);
    json_decref(lines);
    line = line_of("clean_up.completed", &lines);
    cr_expect_neq(json_object_get(line, "parent_operation_id"), NULL);
    json_decref(lines);
}

static void *defer_in_task(void *unused) {
    AT_OPERATION(operation, "in_task", .timeout = AT_MILLISECONDS(1)) {
        if (at_defer(operation, wait_deferred, "w") != AT_OK)
            return AT_FAILED;
        AT_TRY(at_sleep(AT_SECONDS(10)));
    }
    return unused;
}

/* Though it is late, what cleans up has its time; the error in flight is told afterwards. */
Test(operation_block, deferred_functions_of_a_late_task_may_wait) {
    at_future *future = at_pool_submit(pool, defer_in_task, NULL);
    expect_outcome(future, AT_ERROR_TIMED_OUT);
    at_future_release(future);
    cr_expect_str_eq(order, "w");
    expect_end("in_task.failed", "error", "timeout");
}

static void add_and_say(void *unused) {
    (void)unused;
    at_operation_add(of_deferred, at_kv("freed", 3));
    at_operation_error(of_deferred, NULL);
}

/* Until the last of them has run the operation is open. */
Test(operation_block, deferred_functions_may_say_how_it_ended) {
    AT_OPERATION(operation, "open") {
        of_deferred = operation;
        cr_expect_eq(at_defer(operation, add_and_say, NULL), AT_OK);
    }
    json_t *lines;
    json_t *line = line_of("open.failed", &lines);
    cr_expect_eq(json_integer_value(json_object_get(line, "freed")), 3);
    json_decref(lines);
}

/* -- Many -- */

enum { many = 100000 };

/* So many at once, and each in at_dump. */
Test(operation_block, a_hundred_thousand_live, .timeout = 200) {
    static at_operation *operations[many];
    cr_assert_eq(at_logger_set_level(logger, AT_LOG_ERROR), AT_OK);
    for (int i = 0; i < many; i++) {
        operations[i] = at_operation_begin("one_of_many", NULL);
        cr_assert_not_null(operations[i]);
        if (i % 100 == 0)
            at_operation_add(operations[i], at_kv("number", i));
    }
    char *text;
    cr_assert_eq(at_dump(&text), AT_OK);
    const char *count = strstr(text, "\"live_count\":");
    cr_assert_not_null(count);
    cr_expect_eq(strtol(count + 13, NULL, 10), many);
    at_text_release(text);
    for (int i = 0; i < many; i++)
        at_operation_end(operations[(i * 7919L) % many]);
    cr_assert_eq(at_dump(&text), AT_OK);
    cr_expect_not_null(strstr(text, "\"live_count\":0"));
    at_text_release(text);
}

/* A name, a key and a field of any bytes make a good line. */
Test(operation_block, any_bytes_make_good_lines) {
    char name[600];
    for (size_t i = 0; i < sizeof name - 1; i++)
        name[i] = (char)(1 + i % 255);
    name[sizeof name - 1] = '\0';
    AT_OPERATION(operation, name, AT_FIELDS(at_kv(name, name))) {
        at_operation_add(operation, at_kv(name, "again"), at_kv("", ""), at_kv("ts", 1),
                         at_kv("duration_ms", 2), at_kv("outcome", "bad"));
        at_log_info(logger, "inside");
    }
    json_t *lines;
    cr_expect_neq(json_object_get(line_of("inside", &lines), "_cut"), NULL);
    cr_assert_eq(json_array_size(lines), 3);
    json_t *line = json_array_get(lines, 2);
    cr_expect_str_eq(text_of(line, "outcome"), "ok");
    cr_expect_str_eq(text_of(line, "outcome_2"), "bad");
    json_decref(lines);
}
