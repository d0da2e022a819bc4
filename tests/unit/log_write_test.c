/* SPDX-License-Identifier: MIT
 *
 * Lines with members that were encoded before (rules J1 and J4): where they stand, and that the
 * level is tested. */
#include "support/test.h"

#include "log/logger.h"

#include <jansson.h>
#include <string.h>

static at_logger *create(void) {
    at_logger *logger;
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 100000}), AT_OK);
    return logger;
}

/* The only line in memory, or NULL. */
static json_t *line_of(at_logger *logger) {
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(30))), AT_OK);
    char *lines;
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    json_t *object = json_loads(lines, JSON_REJECT_DUPLICATES, NULL);
    at_logger_memory_release(lines);
    return object;
}

static void write_with(at_logger *logger, at_log_level level, const char *members) {
    const at_field fields[] = {at_kv("same", 2), at_kv("own", "value")};
    const at_log_line line = {.level = level, .event = "event", .fields = fields, .field_count = 2};
    ati_log_write_in(logger, ati_context_current(), &line,
                     (ati_member_text){members, strlen(members)});
}

Test(log_write, members_stand_before_the_fields) {
    at_logger *logger = create();
    write_with(logger, AT_LOG_INFO, ",\"first\":[1,{\"a\":2}],\"same\":\"1\",\"event\":null");
    json_t *line = line_of(logger);
    cr_assert_not_null(line);
    static const char *const order[] = {"ts",      "level",  "event", "first", "same",
                                        "event_2", "same_2", "own",   "thread"};
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach(line, key, value) {
        cr_assert_lt(count, sizeof order / sizeof *order);
        cr_expect_str_eq(key, order[count++]);
    }
    cr_expect_eq(count, sizeof order / sizeof *order);
    cr_expect_eq(json_array_size(json_object_get(line, "first")), 2);
    cr_expect_str_eq(json_string_value(json_object_get(line, "same")), "1");
    cr_expect_eq(json_integer_value(json_object_get(line, "same_2")), 2);
    json_decref(line);
    at_logger_destroy(logger);
}

Test(log_write, members_below_the_level) {
    at_logger *logger = create();
    write_with(logger, AT_LOG_DEBUG, ",\"first\":1");
    cr_expect_null(line_of(logger));
    at_logger_destroy(logger);
}
