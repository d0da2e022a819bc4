/* SPDX-License-Identifier: MIT */
/* An error in a log line: status, sentence, place and cause as fields of their own. */
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

static at_status copy_file(const char *path) {
    return at_fail_status(AT_ERROR_PERMISSION, "cannot read %s", path);
}

int main(void) {
    at_logger *logger;
    at_logger_options options = {.memory_bytes = 65536};
    expect(at_logger_create(&logger, &options) == AT_OK, "a logger that keeps its lines");
    if (copy_file("/etc/shadow") != AT_OK)
        at_log_error(logger, "operation_failed", at_kv_error(at_error_last()),
                     at_kv("step", "copy_file"), at_kv("attempt", 1));

    char *lines;
    expect(at_logger_flush(logger, at_after(AT_SECONDS(30))) == AT_OK, "the line written");
    expect(at_logger_memory_lines(logger, &lines) == AT_OK, "the line");
    fputs(lines, stdout);
    expect(strstr(lines, "\"error.status\":\"AT_ERROR_PERMISSION\""), "the status");
    expect(strstr(lines, "\"error.message\":\"cannot read /etc/shadow\""), "the sentence");
    expect(strstr(lines, "\"step\":\"copy_file\""), "a field");
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
    return 0;
}
