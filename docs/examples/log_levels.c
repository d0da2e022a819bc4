/* SPDX-License-Identifier: MIT */
/* Levels that change at run time, and an account of every line. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static int evaluated;

static int count_rows(void) {
    return ++evaluated;
}

int main(void) {
    at_logger *logger;
    at_logger_options options = {.name = "rows", .memory_bytes = 65536};
    expect(at_logger_create(&logger, &options) == AT_OK, "a logger");
    expect(at_logger_level(logger) == AT_LOG_INFO, "the default level");

    /* Below the level nothing is evaluated. */
    at_log_debug(logger, "rows.counted", at_kv("rows", count_rows()));
    expect(evaluated == 0, "no count");
    expect(at_logger_set_level(logger, AT_LOG_DEBUG) == AT_OK, "a lower level");
    at_log_debug(logger, "rows.counted", at_kv("rows", count_rows()));
    expect(evaluated == 1, "one count");
    expect(strcmp(at_log_level_name(at_logger_level(logger)), "debug") == 0, "its name");

    /* What the macros make of their arguments, for callers that have fields in an array. */
    const at_field fields[] = {at_kv("table", "users"), at_kv_bool("full", true)};
    const at_log_line line = {.level = AT_LOG_WARN,
                              .event = "table.full",
                              .site = AT_SITE(""),
                              .fields = fields,
                              .field_count = sizeof fields / sizeof *fields};
    at_log_write(logger, &line);

    char *lines;
    expect(at_logger_flush(logger, at_after(AT_SECONDS(30))) == AT_OK, "all lines written");
    expect(at_logger_memory_lines(logger, &lines) == AT_OK, "the lines");
    fputs(lines, stdout);
    expect(strstr(lines, "\"table\":\"users\",\"full\":true"), "the fields of the array");
    at_logger_memory_release(lines);

    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    expect(statistics.written == 2 && statistics.dropped[AT_LOG_WARN] == 0, "two lines, no loss");
    at_logger_memory_clear(logger);
    at_logger_destroy(logger);
    return 0;
}
