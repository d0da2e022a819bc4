/* SPDX-License-Identifier: MIT */
/* The details of an operation, in the log only if it fails. */
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

static at_logger *logger;

static void *import(void *path) {
    AT_OPERATION(operation, "import", .kept_level = AT_LOG_DEBUG) {
        at_log_debug(logger, "file.opened", at_kv("path", (const char *)path));
        at_log_debug(logger, "line.read", at_kv("number", 1));
        if (strcmp(path, "b.csv") == 0)
            return at_fail(AT_ERROR_INVALID, "no header");
    }
    return path;
}

int main(void) {
    const at_logger_options options = {.level = AT_LOG_INFO, .memory_bytes = 65536};
    expect(at_logger_create(&logger, &options) == AT_OK, "a logger");
    at_logger_set_default(logger);

    expect(import("a.csv") != AT_FAILED, "one import");
    expect(import("b.csv") == AT_FAILED, "one failure");
    at_error_clear();

    char *lines;
    expect(at_logger_flush(logger, at_after(AT_SECONDS(30))) == AT_OK, "all lines written");
    expect(at_logger_memory_lines(logger, &lines) == AT_OK, "the lines");
    fputs(lines, stdout);
    expect(strstr(lines, "a.csv") == NULL, "no detail of what went well");
    expect(strstr(lines, "b.csv") != NULL, "the details of the failure");
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
    return 0;
}
