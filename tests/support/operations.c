/* SPDX-License-Identifier: MIT */
#include "support/operations.h"

#include "support/test.h"

#include <stdio.h>
#include <string.h>

at_logger *logger;

static void create_logger(void) {
    const at_logger_options options = {
        .name = "test", .level = AT_LOG_TRACE, .memory_bytes = 1 << 20};
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    at_logger_set_default(logger);
    at_log_info(logger, "first");
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    at_logger_memory_clear(logger);
}

/* What is made once and kept for good is made before memory is counted. */
void begin_operations(void) {
    create_logger();
    at_logger_destroy(logger);
    begin_with_clock();
    create_logger();
}

void end_operations(void) {
    (void)end_pool();
    at_logger_destroy(logger);
    create_logger(); /* the thread frees its rings of others when it makes one */
    at_logger_destroy(logger);
    end_with_pool();
}

void pass(at_duration duration) {
    at_clock *clock = at_clock_current();
    at_virtual_clock_hold(clock);
    at_virtual_clock_advance(clock, duration);
    at_virtual_clock_release(clock);
}

json_t *line_of(const char *event, json_t **lines) {
    char *text;
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(30))), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &text), AT_OK);
    *lines = json_array();
    json_t *found = NULL;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        size_t length = strcspn(line, "\n");
        json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
        cr_assert(object, "%.*s", (int)length, line);
        json_array_append_new(*lines, object);
        if (strcmp(json_string_value(json_object_get(object, "event")), event) == 0) {
            cr_assert(!found, "%s twice", event);
            found = object;
        }
    }
    at_logger_memory_release(text);
    cr_assert(found, "no %s", event);
    return found;
}

const char *text_of(const json_t *line, const char *key) {
    const char *text = json_string_value(json_object_get(line, key));
    return text ? text : "(none)";
}

void expect_end(const char *event, const char *level, const char *outcome) {
    json_t *lines;
    json_t *line = line_of(event, &lines);
    cr_expect_str_eq(text_of(line, "level"), level);
    cr_expect_str_eq(text_of(line, "outcome"), outcome);
    json_decref(lines);
}

int event_count(const char *event) {
    char *lines;
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(30))), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    char member[64];
    snprintf(member, sizeof member, "\"event\":\"%s\"", event);
    int found = 0;
    for (const char *at = lines; (at = strstr(at, member)); at++)
        found++;
    at_logger_memory_release(lines);
    return found;
}

void count_events(const char *event, int wanted) {
    int found = event_count(event);
    cr_expect_eq(found, wanted, "%s: %d", event, found);
}
