/* SPDX-License-Identifier: MIT
 *
 * Lines of an operation that are kept until it fails (rules J4 and J5): which are kept, that they
 * are written as they were, in order, and what becomes of them when there is no room. */
#include "support/test.h"

#include "log/kept.h"
#include "log/logger.h"
#include "log/verbose.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static at_logger *create(const char *name) {
    at_logger *logger;
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.name = name,
                                                                .memory_bytes = 1 << 22,
                                                                .ring_bytes = 1 << 22}),
                 AT_OK, "%s", at_error_message(at_error_last()));
    return logger;
}

/* An operation whose lines are kept from `level` on; it is the current one. */
static ati_context *begin(at_log_level level, size_t bytes) {
    ati_context *made = ati_context_create(NULL, "work", AT_FOREVER, ",\"user\":7", 9);
    cr_assert_not_null(made);
    made->kept_level = (int8_t)level;
    made->kept_lines = ati_log_kept_create(bytes);
    cr_assert_not_null(made->kept_lines);
    ati_log_verbose_add(level);
    ati_context_exchange(made);
    return made;
}

static void end(ati_context *made, bool failed) {
    if (failed)
        ati_log_kept_write(made->kept_lines);
    ati_log_verbose_remove((at_log_level)made->kept_level);
    ati_context_exchange(NULL);
    ati_log_kept_destroy(made->kept_lines);
    ati_context_release(made);
}

/* The lines in memory, each parsed; the memory is emptied. */
static json_t *lines_of(at_logger *logger) {
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(30))), AT_OK);
    char *lines;
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    json_t *all = json_array();
    for (char *line = lines; *line;) {
        size_t length = strcspn(line, "\n");
        json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
        cr_assert_not_null(object, "not JSON: %.*s", (int)length, line);
        json_array_append_new(all, object);
        line += length + (line[length] == '\n');
    }
    at_logger_memory_release(lines);
    at_logger_memory_clear(logger);
    return all;
}

static const char *text(const json_t *lines, size_t number, const char *key) {
    return json_string_value(json_object_get(json_array_get(lines, number), key));
}

static int64_t number(const json_t *lines, size_t line, const char *key) {
    return json_integer_value(json_object_get(json_array_get(lines, line), key));
}

/* The first letters of the events, in a row. */
static const char *events_of(at_logger *logger) {
    static char events[64];
    json_t *lines = lines_of(logger);
    size_t count = json_array_size(lines);
    cr_assert_lt(count, sizeof events);
    for (size_t i = 0; i < count; i++)
        events[i] = text(lines, i, "event")[0];
    events[count] = '\0';
    json_decref(lines);
    return events;
}

static void log_all(at_logger *logger) {
    at_log_trace(logger, "t");
    at_log_debug(logger, "d");
    at_log_info(logger, "i");
    at_log_warn(logger, "w");
}

Test(log_kept, lines_are_written_if_the_operation_fails) {
    at_logger *logger = create("r");
    ati_context *fails = begin(AT_LOG_DEBUG, 100000);
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "iw", "debug is kept, trace is not");
    end(fails, true);
    cr_expect_str_eq(events_of(logger), "d");
    ati_context *succeeds = begin(AT_LOG_TRACE, 100000);
    log_all(logger);
    end(succeeds, false);
    cr_expect_str_eq(events_of(logger), "iw");
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "iw");
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    cr_expect_eq(statistics.written, 7);
    cr_expect_eq(statistics.dropped[AT_LOG_DEBUG], 0);
    at_logger_destroy(logger);
}

/* As they were when they were logged: with the time, the fields and the logger of then. */
Test(log_kept, lines_are_as_they_were) {
    at_logger *root = create("r");
    at_logger *other = create("other");
    at_logger *child;
    cr_assert_eq(at_logger_create_child(&child, root, &(at_logger_child_options){.name = "c"}),
                 AT_OK);
    ati_context *fails = begin(AT_LOG_TRACE, 100000);
    at_log_debug(root, "one", at_kv("text", "\xff\n"));
    at_log_debug(other, "two");
    at_log_trace(child, "three");
    at_log_debug(root, "four");
    at_logger_destroy(child);
    at_log_error(root, "error");
    end(fails, true);
    json_t *lines = lines_of(root);
    cr_assert_eq(json_array_size(lines), 4);
    static const char *const events[] = {"error", "one", "three", "four"};
    for (size_t i = 0; i < 4; i++) {
        cr_expect_str_eq(text(lines, i, "event"), events[i]);
        cr_expect_eq(number(lines, i, "user"), 7);
        cr_expect_str_eq(text(lines, i, "operation"), "work");
    }
    cr_expect_str_eq(text(lines, 2, "logger"), "r.c");
    cr_expect_str_eq(text(lines, 2, "level"), "trace");
    cr_expect_str_eq(text(lines, 1, "text"), "\xef\xbf\xbd\n");
    cr_expect_leq(strcmp(text(lines, 1, "ts"), text(lines, 0, "ts")), 0, "the time of then");
    json_decref(lines);
    lines = lines_of(other);
    cr_expect_eq(json_array_size(lines), 1);
    cr_expect_str_eq(text(lines, 0, "event"), "two");
    json_decref(lines);
    at_logger_destroy(root);
    at_logger_destroy(other);
}

Test(log_kept, level_of_the_operation_and_off) {
    at_logger *logger = create("r");
    ati_context *fails = begin(AT_LOG_DEBUG, 100000);
    fails->log_level = AT_LOG_ERROR;
    log_all(logger);
    cr_expect_str_eq(events_of(logger), "");
    ati_log_kept_write(fails->kept_lines);
    cr_expect_str_eq(events_of(logger), "diw");
    fails->log_level = AT_LOG_OFF;
    at_log_fatal(logger, "f");
    cr_expect_str_eq(events_of(logger), "");
    ati_log_kept_write(fails->kept_lines);
    cr_expect_str_eq(events_of(logger), "f");
    cr_expect_eq(at_logger_set_level(logger, AT_LOG_OFF), AT_OK);
    log_all(logger);
    const at_log_line line = {.level = AT_LOG_WARN, .event = "w"};
    at_log_write(logger, &line);
    end(fails, true);
    cr_expect_str_eq(events_of(logger), "");
    at_logger_destroy(logger);
}

Test(log_kept, oldest_lines_go_first_and_are_counted) {
    enum { line_count = 5000, bound = 40000 };
    at_logger *logger = create("r");
    ati_context *fails = begin(AT_LOG_DEBUG, bound);
    for (int i = 0; i < line_count; i++)
        at_log_debug(logger, "line", at_kv("number", i));
    end(fails, true);
    json_t *lines = lines_of(logger);
    size_t count = json_array_size(lines) - 1;
    cr_expect(count > bound / 4 / 300 && count < bound / 200, "%zu lines", count);
    cr_expect_str_eq(text(lines, 0, "event"), "log.kept_lines_lost");
    cr_expect_eq(number(lines, 0, "lines") + (int64_t)count, line_count);
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(number(lines, i + 1, "number"), (int64_t)(line_count - count + i));
    json_decref(lines);
    at_logger_destroy(logger);
}

Test(log_kept, bounds_of_any_size) {
    static char value[8000];
    memset(value, 'v', sizeof value - 1);
    at_logger *logger = create("r");
    for (size_t bound = 0; bound < 20000; bound += 97) {
        ati_context *fails = begin(AT_LOG_DEBUG, bound);
        for (int i = 0; i < 20; i++)
            at_log_debug(logger, "line", at_kv_text("value", value, (size_t)i * 211));
        end(fails, true);
        json_t *lines = lines_of(logger);
        size_t count = json_array_size(lines);
        if (bound == 0)
            cr_expect_eq(count, 0);
        if (count > 0 && strcmp(text(lines, 0, "event"), "line") != 0)
            cr_expect_eq(number(lines, 0, "lines") + (int64_t)count - 1, 20);
        json_decref(lines);
    }
    at_logger_destroy(logger);
}

/* Lines for a logger that has gone are dropped; those for others are written. */
Test(log_kept, logger_that_has_gone) {
    at_logger *gone = create("gone");
    at_logger *stays = create("stays");
    ati_context *fails = begin(AT_LOG_DEBUG, 100000);
    at_log_debug(gone, "a");
    at_log_debug(stays, "b");
    at_log_debug(gone, "c");
    at_log_debug(stays, "d");
    at_logger_destroy(gone);
    at_logger *later = create("later"); /* perhaps at the same address */
    end(fails, true);
    cr_expect_str_eq(events_of(stays), "bd");
    cr_expect_str_eq(events_of(later), "");
    at_logger_destroy(stays);
    at_logger_destroy(later);
}

Test(log_kept, written_twice) {
    at_logger *logger = create("r");
    ati_context *fails = begin(AT_LOG_DEBUG, 100000);
    ati_log_kept_write(fails->kept_lines);
    at_log_debug(logger, "a");
    ati_log_kept_write(fails->kept_lines);
    ati_log_kept_write(fails->kept_lines);
    at_log_debug(logger, "b");
    end(fails, true);
    cr_expect_str_eq(events_of(logger), "ab");
    ati_log_kept_destroy(NULL);
    at_logger_destroy(logger);
}

/* More than the ring holds: the call waits for room, for a while. */
Test(log_kept, more_than_a_ring) {
    at_logger *logger;
    cr_assert_eq(at_logger_create(
                     &logger, &(at_logger_options){.memory_bytes = 1 << 22, .ring_bytes = 32768}),
                 AT_OK);
    ati_context *fails = begin(AT_LOG_DEBUG, 1 << 20);
    for (int i = 0; i < 1000; i++)
        at_log_debug(logger, "line", at_kv("number", i));
    end(fails, true);
    json_t *lines = lines_of(logger);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    cr_expect_eq(statistics.written + statistics.dropped[AT_LOG_DEBUG], 1000);
    cr_expect_gt(statistics.written, 100);
    json_decref(lines);
    at_logger_destroy(logger);
}

/* Lines are handed on within the bound of the other, and what was lost stays lost. */
Test(log_kept, lines_are_handed_on) {
    at_logger *logger = create("r");
    ati_context *outer = begin(AT_LOG_DEBUG, 8192);
    ati_log_kept *inner = ati_log_kept_create(100000);
    cr_assert_not_null(inner);
    at_log_debug(logger, "first");
    char line[600];
    memset(line, ' ', sizeof line - 1);
    uint64_t serial = logger->core->serial;
    for (int i = 0; i < 40; i++) {
        line[sizeof line - 1] = '\n';
        memcpy(line, "{\"event\":\"b\"}", 13);
        ati_log_kept_add(inner, serial, i % 2 ? AT_LOG_DEBUG : AT_LOG_TRACE, line, sizeof line);
    }
    ati_log_kept_hand_on(inner, outer->kept_lines, AT_LOG_DEBUG);
    ati_log_kept_write(inner); /* has none left */
    cr_expect_str_eq(events_of(logger), "");
    at_log_debug(logger, "z");
    end(outer, true);
    ati_log_kept_destroy(inner);
    json_t *lines = lines_of(logger);
    size_t count = json_array_size(lines);
    cr_expect_str_eq(text(lines, 0, "event"), "log.kept_lines_lost");
    cr_expect_eq((size_t)number(lines, 0, "lines") + count - 1, 22);
    cr_expect_str_eq(text(lines, 1, "event"), "b");
    cr_expect_str_eq(text(lines, count - 1, "event"), "z");
    json_decref(lines);
    at_logger_destroy(logger);
}
