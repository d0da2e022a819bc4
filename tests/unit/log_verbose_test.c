/* SPDX-License-Identifier: MIT
 *
 * Levels of operations (rule J4): an operation's level decides for its lines, and for no others;
 * loggers let them pass as long as there are such operations. */
#include "support/test.h"

#include "base/clock.h"
#include "base/context.h"
#include "log/verbose.h"

#include <asynctools/log.h>

#include <string.h>

static at_logger *create(at_log_level level) {
    at_logger *logger;
    cr_assert_eq(
        at_logger_create(&logger, &(at_logger_options){.level = level, .memory_bytes = 100000}),
        AT_OK, "%s", at_error_message(at_error_last()));
    return logger;
}

/* An operation whose lines are written from `level` on; it is the current one. */
static ati_context *begin(at_log_level level) {
    ati_context *made = ati_context_create(ati_context_current(), "work", AT_FOREVER, NULL, 0);
    cr_assert_not_null(made);
    made->log_level = (int8_t)level;
    ati_log_verbose_add(level);
    ati_context_exchange(made);
    return made;
}

static void end(ati_context *made) {
    ati_log_verbose_remove((at_log_level)made->log_level);
    ati_context_exchange(made->parent);
    ati_context_release(made);
}

/* Logs a line of each level. */
static void log_all(at_logger *logger) {
    at_log_trace(logger, "t");
    at_log_debug(logger, "d");
    at_log_info(logger, "i");
    at_log_warn(logger, "w");
    at_log_error(logger, "e");
}

/* The events in memory, in a row; the memory is emptied. */
static const char *events_of(at_logger *logger) {
    static char events[64];
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(30))), AT_OK);
    char *lines;
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    size_t count = 0;
    for (const char *at = lines; (at = strstr(at, "\"event\":\"")) && count < sizeof events - 1;)
        events[count++] = *(at += strlen("\"event\":\""));
    events[count] = '\0';
    at_logger_memory_release(lines);
    at_logger_memory_clear(logger);
    return events;
}

static void settle(void) {
    ati_log_verbose_settle(INT64_MAX);
}

Test(log_verbose, operation_may_ask_for_more) {
    at_logger *logger = create(AT_LOG_WARN);
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "we");
    ati_context *debugged = begin(AT_LOG_DEBUG);
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "diwe");
    cr_expect_eq(at_logger_level(logger), AT_LOG_WARN);
    ati_context_exchange(NULL); /* what others do meanwhile */
    cr_expect(at_log_enabled(logger, AT_LOG_DEBUG));
    cr_expect_not(at_log_enabled(logger, AT_LOG_TRACE));
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "we");
    ati_context_exchange(debugged);
    ati_context *part = ati_context_create_scope(debugged, AT_FOREVER, 0);
    ati_context_exchange(part);
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "diwe", "a part of the operation");
    ati_context_exchange(debugged);
    ati_context_release(part);
    end(debugged);
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "we");
    at_logger_destroy(logger);
}

Test(log_verbose, operation_may_ask_for_less) {
    at_logger *logger = create(AT_LOG_DEBUG);
    ati_context *quiet = begin(AT_LOG_ERROR);
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "e");
    ati_context *inner = begin(AT_LOG_OFF);
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "");
    end(inner);
    end(quiet);
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "diwe");
    at_logger_destroy(logger);
}

Test(log_verbose, operation_without_a_level_leaves_it_to_the_logger) {
    at_logger *logger = create(AT_LOG_WARN);
    ati_context *plain = begin(AT_LOG_DEFAULT);
    cr_expect_not(at_log_enabled(logger, AT_LOG_INFO));
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "we");
    end(plain);
    at_logger_destroy(logger);
}

Test(log_verbose, off_is_off) {
    at_logger *logger = create(AT_LOG_OFF);
    ati_context *debugged = begin(AT_LOG_TRACE);
    cr_expect_not(at_log_enabled(logger, AT_LOG_FATAL));
    log_all(logger);
    const at_log_line line = {.level = AT_LOG_ERROR, .event = "e"};
    at_log_write(logger, &line);
    cr_expect_str_eq(events_of(logger), "");
    end(debugged);
    at_logger_destroy(logger);
}

Test(log_verbose, write_tests_the_level) {
    at_logger *logger = create(AT_LOG_INFO);
    const at_log_line below = {.level = AT_LOG_DEBUG, .event = "d"};
    const at_log_line unknown = {.level = (at_log_level)99, .event = "e"};
    at_log_write(logger, &below);
    at_log_write(logger, &unknown); /* counts as error */
    cr_expect_str_eq(events_of(logger), "e");
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    cr_expect_eq(statistics.written + statistics.dropped[AT_LOG_DEBUG], 1);
    at_logger_destroy(logger);
}

Test(log_verbose, lowest_of_several_counts) {
    at_logger *logger = create(AT_LOG_ERROR);
    ati_context *one = begin(AT_LOG_INFO);
    ati_context *two = begin(AT_LOG_TRACE);
    ati_context *three = begin(AT_LOG_DEBUG);
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "diwe");
    end(three);
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "tdiwe");
    settle();
    cr_expect(at_log_enabled(logger, AT_LOG_TRACE));
    end(two);
    cr_expect(at_log_enabled(logger, AT_LOG_TRACE), "not at once");
    settle();
    cr_expect_not(at_log_enabled(logger, AT_LOG_DEBUG));
    cr_expect(at_log_enabled(logger, AT_LOG_INFO));
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "iwe");
    end(one);
    settle();
    cr_expect_not(at_log_enabled(logger, AT_LOG_WARN));
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "e");
    at_logger_destroy(logger);
}

Test(log_verbose, loggers_and_levels_that_come_later) {
    at_logger *root = create(AT_LOG_ERROR);
    ati_context *debugged = begin(AT_LOG_DEBUG);
    at_logger *child;
    cr_assert_eq(at_logger_create_child(&child, root, NULL), AT_OK);
    at_logger *other = create(AT_LOG_WARN);
    cr_expect(at_log_enabled(child, AT_LOG_DEBUG) && at_log_enabled(other, AT_LOG_DEBUG));
    cr_expect_eq(at_logger_set_level(root, AT_LOG_FATAL), AT_OK);
    cr_expect(at_log_enabled(child, AT_LOG_DEBUG) && at_log_enabled(root, AT_LOG_DEBUG));
    cr_expect_eq(at_logger_set_levels(root, "off"), AT_OK);
    cr_expect_not(at_log_enabled(child, AT_LOG_FATAL));
    cr_expect_eq(at_logger_set_levels(root, "trace"), AT_OK);
    cr_expect(at_log_enabled(child, AT_LOG_TRACE));
    log_all(child);
    cr_expect_str_eq(events_of(root), "diwe");
    end(debugged);
    log_all(child);
    cr_expect_str_eq(events_of(root), "tdiwe");
    settle();
    cr_expect(at_log_enabled(child, AT_LOG_TRACE));
    cr_expect_not(at_log_enabled(other, AT_LOG_INFO));
    at_logger_destroy(other);
    at_logger_destroy(root);
}

/* A second later, without a line that would be written. */
Test(log_verbose, settles_by_itself) {
    at_logger *logger = create(AT_LOG_INFO);
    end(begin(AT_LOG_DEBUG));
    cr_expect(at_log_enabled(logger, AT_LOG_DEBUG));
    int64_t limit = ati_monotonic_ns() + AT_SECONDS(30);
    while (at_log_enabled(logger, AT_LOG_DEBUG) && ati_monotonic_ns() < limit)
        at_log_debug(logger, "unwanted");
    cr_expect_not(at_log_enabled(logger, AT_LOG_DEBUG));
    at_logger_destroy(logger);
}

Test(log_verbose, fatal_that_is_not_wanted_does_not_wait) {
    at_logger *logger = create(AT_LOG_INFO);
    ati_context *silent = begin(AT_LOG_OFF);
    at_log_fatal(logger, "f");
    end(silent);
    cr_expect_str_eq(events_of(logger), "");
    at_logger_destroy(logger);
}
