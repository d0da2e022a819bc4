/* SPDX-License-Identifier: MIT */
/* Operations that go on for too long are in the log while they do. */
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

/* Hangs, whatever its deadline says. */
static void *query(void *logger) {
    AT_OPERATION(operation, "database_query", .timeout = AT_MILLISECONDS(20),
                 AT_FIELDS(at_kv("table", "orders"))) {
        char *lines;
        do {
            at_scope shield;
            at_scope_begin(&shield, &(at_scope_options){.is_shielded = true});
            expect(at_sleep(AT_MILLISECONDS(5)) == AT_OK, "five milliseconds more");
            expect(at_scope_end(&shield) == AT_OK, "nobody in a hurry");
            expect(at_logger_memory_lines(logger, &lines) == AT_OK, "the lines");
            bool is_told = strstr(lines, "database_query.overdue") != NULL;
            if (is_told)
                fputs(lines, stdout);
            at_logger_memory_release(lines);
            if (is_told)
                break;
        } while (true);
    }
    return NULL;
}

int main(void) {
    at_logger *logger;
    at_pool *pool;
    expect(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 65536}) == AT_OK,
           "a logger");
    at_logger_set_default(logger);
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");

    /* One for the whole program; a second is the default. */
    at_operation_watch *watch;
    at_operation_watch_options options = {.interval = AT_MILLISECONDS(10)};
    expect(at_operation_watch_create(&watch, pool, &options) == AT_OK, "a watch");

    at_future *future = at_pool_submit(pool, query, logger);
    expect(at_future_wait(future, AT_FOREVER, NULL) == AT_OK, "the end of the query");
    at_future_release(future);

    at_operation_watch_destroy(watch);
    at_pool_destroy(pool);
    at_logger_destroy(logger);
    return 0;
}
