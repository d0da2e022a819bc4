/* SPDX-License-Identifier: MIT */
#include <asynctools/asynctools.h>

#include <stdio.h>
#include <string.h>

/* What the program does with the lines: counts errors. One call at a time, so no lock is needed. */
static void count_errors(void *context, const char *line, size_t length) {
    (void)length;
    if (strncmp(strchr(line, ','), ",\"level\":\"error\"", 16) == 0)
        ++*(int *)context;
}

int main(void) {
    at_pool *pool;
    at_logger *logger;
    const at_logger_options for_functions = {.no_stderr = true};
    if (at_pool_create(&pool, NULL) != AT_OK ||
        at_logger_create(&logger, &for_functions) != AT_OK) {
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
        return 1;
    }
    int errors = 0;
    const at_log_callback_options options = {.queue_bytes = 64 * 1024};
    if (at_logger_add_callback(logger, pool, count_errors, &errors, &options) != AT_OK)
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));

    at_log_info(logger, "order.received", at_kv("order", 17));
    at_log_error(logger, "order.failed", at_kv("order", 17), at_kv("reason", "out of stock"));

    if (at_logger_flush(logger, at_after(AT_SECONDS(5))) != AT_OK) /* waits for the calls too */
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
    printf("%d errors\n", errors);
    at_logger_destroy(logger);
    at_pool_destroy(pool);
    return errors == 1 ? 0 : 1;
}
