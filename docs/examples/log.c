/* SPDX-License-Identifier: MIT */
#include <asynctools/asynctools.h>

#include <stdio.h>

/* A work function that fails, so that there is an error to log. */
static void *parse(const char *page) {
    return at_fail(AT_ERROR_INVALID, "not a document: %.20s", page);
}

int main(void) {
    /* Lines go to stderr, readable on a terminal, and the last 64 KiB of them stay in memory. */
    const at_logger_options options = {
        .name = "shop", .level = AT_LOG_DEBUG, .use_stderr = true, .memory_bytes = 65536};
    at_logger *logger;
    if (at_logger_create(&logger, &options) != AT_OK) {
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
        return 1;
    }
    at_logger_set_default(logger); /* pools and futures log there too */

    /* An event is a name; what varies goes into typed fields. */
    size_t done = 17;
    at_log_info(logger, "batch.progress", at_kv("completed", done), at_kv("ratio", 0.25),
                at_kv("file", "orders.csv"), at_kv_bool("last", done == 20));
    if (parse("<html>") == AT_FAILED)
        at_log_error(logger, "page.failed", at_kv_error(at_error_last()));

    /* Below the level nothing is evaluated; the level may change at any time. */
    if (at_logger_set_level(logger, AT_LOG_WARN) != AT_OK)
        return 1;
    at_log_debug(logger, "cache.miss", at_kv("key", "never made"));
    printf("level: %s\n", at_log_level_name(at_logger_level(logger)));

    /* A barrier: what was logged before is written afterwards. */
    if (at_logger_flush(logger, at_after(AT_SECONDS(5))) != AT_OK)
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));

    char *lines;
    if (at_logger_memory_lines(logger, &lines) == AT_OK) {
        fputs(lines, stdout);
        at_logger_memory_release(lines);
    }
    at_logger_memory_clear(logger);

    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    printf("%d lines, %d bytes, %d dropped\n", (int)statistics.written, (int)statistics.bytes,
           (int)statistics.dropped[AT_LOG_INFO]);

    at_logger_destroy(logger); /* writes what is left; there is no default logger any more */
    return at_logger_default() == NULL ? 0 : 1;
}
