/* SPDX-License-Identifier: MIT */
/* A block that logs its beginning and its end, with what was learnt on the way. */
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

static void close_database(void *database) {
    (void)database;
    at_log_debug(logger, "database.closed");
}

static void *perform_database_query(const char *query) {
    AT_TRY(at_sleep(AT_MILLISECONDS(1)));
    return strstr(query, "FROM") ? (void *)17 : at_fail(AT_ERROR_INVALID, "no table in %s", query);
}

static void *run(void *query) {
    void *rows = NULL;
    AT_OPERATION(context, "database_operation") {
        AT_TRY(at_defer(context, close_database, NULL)); /* whatever the way out */
        rows = perform_database_query(query);
        if (rows != AT_FAILED)
            at_operation_add(context, at_kv("rows_processed", (size_t)rows));
    }
    return rows;
}

int main(void) {
    const at_logger_options options = {.level = AT_LOG_DEBUG, .memory_bytes = 65536};
    at_pool *pool;
    expect(at_logger_create(&logger, &options) == AT_OK, "a logger");
    at_logger_set_default(logger);
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");

    at_future *good = at_pool_submit(pool, run, "SELECT * FROM orders");
    expect(at_future_wait(good, AT_FOREVER, NULL) == AT_OK, "rows");
    at_future *bad = at_pool_submit(pool, run, "SELECT");
    expect(at_future_wait(bad, AT_FOREVER, NULL) == AT_ERROR_INVALID, "a failure");

    at_future_release(good);
    at_future_release(bad);
    at_pool_destroy(pool);
    expect_lines((const char *const[]){
        "\"event\":\"database_operation.started\"",
        "\"event\":\"database_operation.completed\"",
        "\"outcome\":\"ok\",\"rows_processed\":17",
        "\"event\":\"database_operation.failed\"",
        "\"error.message\":\"no table in SELECT\"",
        "\"event\":\"database.closed\",\"operation\":\"database_operation\"",
        NULL,
    });
    at_logger_destroy(logger);
    return 0;
}
