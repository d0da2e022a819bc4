/* SPDX-License-Identifier: MIT */
/* An operation whose end is said by the code that knows it: success or error. */
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

static void *process_data(const char *data) {
    if (!*data)
        return at_fail(AT_ERROR_INVALID, "nothing to process");
    return (void *)strlen(data);
}

static void *perform_operation(void *data) {
    void *result = NULL;
    AT_OPERATION(context, "data_processing") {
        /* The line has operation_id by itself. */
        at_log_info(logger, "processing_data", at_kv("data", (const char *)data));
        result = process_data(data);
        if (result == AT_FAILED)
            at_operation_error(context, at_error_last(), at_kv("step", "process_data"));
        else
            at_operation_success(context, at_kv("result_count", (size_t)result));
    }
    return result; /* the error goes on to the caller */
}

int main(void) {
    const at_logger_options options = {.memory_bytes = 65536};
    expect(at_logger_create(&logger, &options) == AT_OK, "a logger");
    at_logger_set_default(logger);

    expect(perform_operation("one two") == (void *)7, "the result");
    expect(perform_operation("") == AT_FAILED, "a failure");
    expect(at_error_status(at_error_last()) == AT_ERROR_INVALID, "the error, also here");
    at_error_clear();

    expect_lines((const char *const[]){
        "\"event\":\"processing_data\",\"operation\":\"data_processing\",\"operation_id\":",
        "\"event\":\"data_processing.completed\"",
        "\"outcome\":\"ok\",\"result_count\":7",
        "\"event\":\"data_processing.failed\"",
        "\"outcome\":\"error\",\"step\":\"process_data\",\"error.status\":\"AT_ERROR_INVALID\"",
        NULL,
    });
    at_logger_destroy(logger);
    return 0;
}
