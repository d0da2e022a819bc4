/* SPDX-License-Identifier: MIT
 *
 * A watch without memory (rule O2): its creation has its status and leaves nothing behind, and its
 * looks need none. */
#include "support/fault.h"
#include "support/fixture.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <string.h>

FAULT_INSTALL;

/* What loggers keep for good is made before memory is counted. */
static void begin(void) {
    at_logger *logger;
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 65536}), AT_OK);
    at_log_warn(logger, "first");
    at_logger_destroy(logger);
    begin_with_clock();
}

TestSuite(operation_watch_fault, .init = begin, .fini = end_with_pool, .timeout = 200);

static void create_and_destroy(void *unused) {
    (void)unused;
    at_operation_watch *watch = NULL;
    at_status status = at_operation_watch_create(&watch, pool, NULL);
    cr_assert_eq(status, fault_count() == 0 ? AT_OK : AT_ERROR_NO_MEMORY);
    cr_assert_eq(watch != NULL, status == AT_OK);
    at_operation_watch_destroy(watch);
    at_error_clear();
}

Test(operation_watch_fault, create) {
    cr_expect_eq(fault_each(fault_memory, create_and_destroy, NULL), 1);
}

static size_t count_lines(at_logger *logger, const char *event) {
    char *lines;
    size_t count = 0;
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(30))), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    for (const char *at = lines; (at = strstr(at, event)); at++)
        count++;
    at_logger_memory_release(lines);
    return count;
}

Test(operation_watch_fault, looks_need_no_memory) {
    at_clock *clock = at_clock_current();
    at_logger *logger;
    at_operation_watch *watch;
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 65536}), AT_OK);
    at_log_warn(logger, "first");
    cr_assert_eq(count_lines(logger, "\"first\""), 1); /* the memory for lines is there */
    at_operation_watch_options options = {.logger = logger};
    cr_assert_eq(at_operation_watch_create(&watch, pool, &options), AT_OK);
    at_operation *operation =
        at_operation_begin("query", &(at_operation_options){.slow = 1, .timeout = 1});
    cr_assert_not_null(operation);
    at_virtual_clock_hold(clock);
    fault_arm_from(fault_memory, 1);
    at_virtual_clock_advance(clock, AT_SECONDS(10));
    fault_disarm();
    cr_expect_eq(count_lines(logger, "\"query.slow\""), 1);
    cr_expect_eq(count_lines(logger, "\"query.overdue\""), 1);
    at_virtual_clock_release(clock);
    at_operation_end(operation);
    at_operation_watch_destroy(watch);
    at_logger_destroy(logger);
}
