/* SPDX-License-Identifier: MIT
 *
 * Operations without memory (rules O1, S4): a block runs as it would, nothing is left behind, and
 * what was begun has an end. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <string.h>

FAULT_INSTALL;

static at_logger *logger;
static at_tracker *tracker;

/* What is made once, for the thread or for good, is there before memory fails. */
static void begin(void) {
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.name = "test",
                                                                .level = AT_LOG_INFO,
                                                                .ring_bytes = 1 << 20,
                                                                .memory_bytes = 1 << 20}),
                 AT_OK);
    at_logger_set_default(logger);
    cr_assert_eq(at_tracker_create(&tracker, NULL), AT_OK);
    AT_OPERATION(operation, "block", .tracker = tracker) {
        at_log_info(logger, "inside");
    }
    AT_OPERATION(operation, "inner", .tracker = tracker) {
    }
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    at_logger_memory_clear(logger);
}

static void end(void) {
    at_tracker_release(tracker);
    at_logger_destroy(logger);
}

TestSuite(operation_fault, .init = begin, .fini = end, .timeout = 200);

static int64_t count_of(const char *name) {
    at_tracker_summaries *summaries;
    int64_t count = -1;
    if (at_tracker_get_summaries(tracker, &summaries) != AT_OK)
        return count;
    for (size_t i = 0; i < summaries->count; i++)
        if (strcmp(summaries->summaries[i].name, name) == 0)
            count = (int64_t)summaries->summaries[i].count;
    at_tracker_summaries_release(summaries);
    return count;
}

static int cleaned;

static void clean(void *unused) {
    (void)unused;
    cleaned++;
}

/* Everything that an operation may take memory for. */
static bool run_block(void) {
    static char text[1000];
    memset(text, 'x', sizeof text - 1);
    bool has_run = false;
    AT_OPERATION(operation, "block", .tracker = tracker, .kept_level = AT_LOG_DEBUG,
                 AT_FIELDS(at_kv("user", "ann"))) {
        at_log_debug(logger, "kept");
        at_operation_add(operation, at_kv("text", text), at_kv("number", 1));
        if (at_defer(operation, clean, NULL) != AT_OK) {
            at_error_clear();
            clean(NULL);
        }
        AT_OPERATION(inner, "inner", .tracker = tracker, .kept_level = AT_LOG_DEBUG,
                     .log_level = AT_LOG_ERROR) {
            at_log_debug(logger, "kept");
            at_operation_error(inner, NULL);
        }
        has_run = at_operation_current() == operation;
    }
    return has_run && !at_operation_current();
}

static void run_with_fault(void *unused) {
    (void)unused;
    cleaned = 0;
    cr_assert(run_block());
    cr_assert_eq(cleaned, 1);
    at_logger_memory_clear(logger);
}

/* Gives the number of calls. */
static int64_t each_fault(void (*run)(void *), void *context) {
    int64_t number = 1;
    do {
        fault_arm(fault_memory, number++);
        run(context);
        fault_disarm();
    } while (fault_count() > 0);
    return number;
}

Test(operation_fault, a_block_runs_as_it_would) {
    run_with_fault(NULL);
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    struct fault_usage before = fault_usage();
    cr_expect_geq(each_fault(run_with_fault, NULL), 5);
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    /* Of bytes the logger may hold more: room for its lines. */
    cr_expect_eq(fault_usage().blocks, before.blocks);
}

/* What a fault leaves out is counted: with it, all blocks are there. */
Test(operation_fault, what_is_missing_is_counted) {
    int64_t before = count_of("block");
    fault_arm_from(fault_memory, 1);
    for (int i = 0; i < 10; i++)
        (void)run_block();
    fault_disarm();
    cr_expect_eq(count_of("block"), before);
    char *text;
    cr_assert_eq(at_dump(&text), AT_OK);
    cr_expect_not_null(strstr(text, "\"without_memory\":20"));
    cr_expect_not_null(strstr(text, "\"live_count\":0"));
    at_text_release(text);
    cr_assert(run_block());
    cr_expect_eq(count_of("block"), before + 1);
}

static void hand_on(void *failed) {
    at_operation *operation =
        at_operation_begin("handed_on", &(at_operation_options){.tracker = tracker});
    at_operation_scope scope;
    at_operation_scope_enter(&scope, operation);
    at_operation_add(at_operation_current(), at_kv("number", 1));
    at_operation_scope_end(&scope);
    at_operation_end(operation);
    if (!operation)
        ++*(int *)failed;
}

Test(operation_fault, handing_one_on) {
    int failed = 0;
    hand_on(&failed);
    struct fault_usage before = fault_usage();
    cr_expect_geq(each_fault(hand_on, &failed), 2);
    cr_expect_eq(failed, 1);
    fault_check_leaks(before);
}

static void enter(void *operation) {
    AT_TIMEOUT(around, AT_HOURS(1)) {
        at_operation_scope scope;
        at_operation_scope_enter(&scope, operation);
        cr_expect_eq(at_operation_current(), operation);
        at_operation_scope_end(&scope);
    }
}

/* What is around it does not count then. */
Test(operation_fault, entering_one_never_fails) {
    at_operation *operation = at_operation_begin("entered", NULL);
    enter(operation);
    struct fault_usage before = fault_usage();
    cr_expect_geq(each_fault(enter, operation), 4);
    fault_check_leaks(before);
    at_operation_end(operation);
}
