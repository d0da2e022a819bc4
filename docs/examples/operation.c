/* SPDX-License-Identifier: MIT */
/* Operations: what is done and for whom, in the log by itself. */
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

static void release_cursor(void *cursor) {
    puts(cursor);
}

static void *count_rows(void *table) {
    AT_OPERATION(operation, "database_operation", .timeout = AT_SECONDS(30)) {
        /* Called whatever the way out of the block. */
        AT_TRY(at_defer(operation, release_cursor, "cursor released"));
        if (!table)
            return at_fail(AT_ERROR_NOT_FOUND, "no table"); /* logs database_operation.failed */
        at_operation_add(operation, at_kv("rows_processed", 17));
    }
    return table;
}

/* A function that is logged whenever it is called. */
AT_LOGGED(handle_request, "api_request", .slow = AT_SECONDS(1))(void *request) {
    at_operation_add(at_operation_current(), at_kv("bytes", strlen(request)));
    return request;
}

int main(void) {
    at_logger *logger;
    at_pool *pool;
    expect(at_logger_create(&logger, &(at_logger_options){.name = "example",
                                                          .level = AT_LOG_DEBUG,
                                                          .memory_bytes = 65536}) == AT_OK,
           "a logger");
    at_logger_set_default(logger);
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");

    /* Tasks that are started in it belong to it, on whatever thread they run. */
    AT_OPERATION(operation, "process_batch", AT_FIELDS(at_kv("user", "ann"))) {
        at_log_info(logger, "processing_data");
        at_future *future = at_pool_submit(pool, count_rows, "orders");
        expect(at_future_wait(future, AT_FOREVER, NULL) == AT_OK, "the rows");
        at_future_release(future);
        at_operation_success(operation, at_kv("result_count", 1));
    }

    at_future *failed = at_pool_submit(pool, count_rows, NULL);
    expect(at_future_wait(failed, AT_FOREVER, NULL) == AT_ERROR_NOT_FOUND, "no rows");
    at_future_release(failed);
    expect(handle_request("GET /") != NULL, "a reply");

    /* How something ended can be said, too. */
    AT_OPERATION(operation, "cached_reply") {
        expect(at_operation_set_outcome(operation, AT_OPERATION_DEGRADED, NULL) == AT_OK,
               "the first to say so");
    }

    at_pool_destroy(pool);
    char *lines;
    expect(at_logger_flush(logger, at_after(AT_SECONDS(30))) == AT_OK, "all lines written");
    expect(at_logger_memory_lines(logger, &lines) == AT_OK, "the lines");
    fputs(lines, stdout);
    expect(strstr(lines, "\"rows_processed\":17") != NULL, "the metadata");
    expect(strstr(lines, "\"event\":\"database_operation.failed\"") != NULL, "a failure");
    expect(strstr(lines, "\"outcome\":\"degraded\"") != NULL, "a degraded one");
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
    return 0;
}
