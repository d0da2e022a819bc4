/* SPDX-License-Identifier: MIT */
/* The line of an error that is logged where it is dealt with, inside its operation. */
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

/* Prints the log, which then has to have this. */
static void expect_lines(const char *const *wanted) {
    char *lines;
    expect(at_logger_flush(logger, at_after(AT_SECONDS(30))) == AT_OK, "all lines written");
    expect(at_logger_memory_lines(logger, &lines) == AT_OK, "the lines");
    fputs(lines, stdout);
    for (; *wanted; wanted++)
        expect(strstr(lines, *wanted) != NULL, *wanted);
    at_logger_memory_release(lines);
}

static void *operation(void *path) {
    return at_fail(AT_ERROR_PERMISSION, "cannot write %s", (const char *)path);
}

static void *save(void *path) {
    void *result = NULL;
    AT_OPERATION(context, "specific_operation") {
        result = operation(path);
        if (result == AT_FAILED)
            at_log_error(logger, "operation_failed", at_kv_error(at_error_last()));
    }
    return result; /* the error goes on, and is that of the operation too */
}

int main(void) {
    expect(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 65536}) == AT_OK,
           "a logger");
    at_logger_set_default(logger);
    expect(save("/etc/orders") == AT_FAILED, "a failure");
    expect(at_error_status(at_error_last()) == AT_ERROR_PERMISSION, "its error");
    at_error_clear();

    expect_lines((const char *const[]){
        "\"event\":\"operation_failed\",\"operation\":\"specific_operation\"",
        "\"error.status\":\"AT_ERROR_PERMISSION\",\"error.message\":\"cannot write /etc/orders\"",
        "\"event\":\"specific_operation.failed\"",
        NULL,
    });
    at_logger_destroy(logger);
    return 0;
}
