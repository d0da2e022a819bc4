/* SPDX-License-Identifier: MIT */
/* A function that logs whenever it is called, how long it took and how it ended. */
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

static void *process_request(const char *request_data) {
    AT_TRY(at_sleep(AT_MILLISECONDS(1)));
    return *request_data ? "200 OK" : at_fail(AT_ERROR_INVALID, "an empty request");
}

AT_LOGGED(handle_request, "api_request", .slow = AT_SECONDS(1))(void *request_data) {
    return process_request(request_data);
}

int main(void) {
    const at_logger_options options = {.level = AT_LOG_DEBUG, .memory_bytes = 65536};
    at_pool *pool;
    expect(at_logger_create(&logger, &options) == AT_OK, "a logger");
    at_logger_set_default(logger);
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");

    /* It is a work function: to be called, or to be submitted. */
    expect(strcmp(handle_request("GET /"), "200 OK") == 0, "a reply");
    at_future *reply = at_pool_submit(pool, handle_request, "");
    expect(at_future_wait(reply, AT_FOREVER, NULL) == AT_ERROR_INVALID, "no reply");

    at_future_release(reply);
    at_pool_destroy(pool);
    expect_lines((const char *const[]){
        "\"level\":\"debug\",\"event\":\"api_request.started\"",
        "\"level\":\"info\",\"event\":\"api_request.completed\"",
        "\"level\":\"error\",\"event\":\"api_request.failed\"",
        "\"error.message\":\"an empty request\"",
        NULL,
    });
    at_logger_destroy(logger);
    return 0;
}
