/* SPDX-License-Identifier: MIT */
/* An operation that is too slow, and one whose time is over. */
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

/* Ten times faster would be usual. */
static void *read_page(void *pause) {
    AT_OPERATION(operation, "read_page", .slow = AT_MILLISECONDS(200), .timeout = AT_SECONDS(1)) {
        AT_TRY(at_sleep(*(at_duration *)pause)); /* ends at the deadline at the latest */
    }
    return pause;
}

int main(void) {
    at_clock *clock;
    at_pool *pool;
    expect(at_virtual_clock_create(&clock) == AT_OK, "a clock that does not wait");
    expect(at_pool_create(&pool, &(at_pool_options){.clock = clock}) == AT_OK, "a pool");
    expect(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 65536}) == AT_OK,
           "a logger");
    at_logger_set_default(logger);

    at_duration pauses[] = {AT_MILLISECONDS(50), AT_MILLISECONDS(500), AT_SECONDS(60)};
    for (int i = 0; i < 3; i++) {
        at_future *page = at_pool_submit(pool, read_page, &pauses[i]);
        at_status status = at_future_wait(page, AT_FOREVER, NULL);
        expect(status == (i < 2 ? AT_OK : AT_ERROR_TIMED_OUT), "two pages");
        at_future_release(page);
    }

    at_pool_destroy(pool);
    at_virtual_clock_destroy(clock);
    expect_lines((const char *const[]){
        "\"duration_ms\":50.0,\"outcome\":\"ok\",\"thread\"",
        "\"duration_ms\":500.0,\"outcome\":\"ok\",\"slow\":true",
        "\"duration_ms\":1000.0,\"outcome\":\"timeout\",\"slow\":true",
        NULL,
    });
    at_logger_destroy(logger);
    return 0;
}
