/* SPDX-License-Identifier: MIT */
/* No error is lost: what nobody reads is logged. */
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

static void *fail(void *name) {
    return at_fail(AT_ERROR_IO, "%s failed", (const char *)name);
}

int main(void) {
    at_logger *logger;
    at_pool *pool;
    expect(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 65536}) == AT_OK,
           "a logger that keeps its lines");
    at_logger_set_default(logger); /* what the library itself logs to */
    expect(at_logger_default() == logger, "the default logger");
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");

    /* Nobody has a future of this task: logged when it ends. */
    expect(at_pool_start(pool, fail, "the started") == AT_OK, "a task");

    /* Logged when the last reference goes, and the error with it. */
    at_future_release(at_pool_submit(pool, fail, "the released"));

    /* Read by a wait; not logged. */
    at_future *read = at_pool_submit(pool, fail, "the awaited");
    expect(at_future_wait(read, AT_FOREVER, NULL) == AT_ERROR_IO, "its error");
    at_future_release(read);

    /* Said to be of no interest; not logged. */
    at_future *ignored = at_pool_submit(pool, fail, "the ignored");
    at_future_ignore(ignored);
    at_future_release(ignored);

    at_pool_destroy(pool);
    char *lines;
    expect(at_logger_flush(logger, at_after(AT_SECONDS(30))) == AT_OK, "all lines written");
    expect(at_logger_memory_lines(logger, &lines) == AT_OK, "the lines");
    fputs(lines, stdout);
    expect(strstr(lines, "the started failed"), "a line of the first");
    expect(strstr(lines, "the released failed"), "a line of the second");
    expect(!strstr(lines, "the awaited failed") && !strstr(lines, "the ignored failed"),
           "no other");
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
    return 0;
}
