/* SPDX-License-Identifier: MIT */
/* More lines of one request, fewer of another, whatever the level of the logger. */
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

static void look_up(const char *key) {
    at_log_debug(logger, "cache.read", at_kv("key", key));
    at_log_info(logger, "cache.hit", at_kv("key", key));
}

int main(void) {
    const at_logger_options options = {.level = AT_LOG_INFO, .memory_bytes = 65536};
    expect(at_logger_create(&logger, &options) == AT_OK, "a logger");
    at_logger_set_default(logger);

    /* Somebody looks into this one: all that is logged in it is written. */
    AT_OPERATION(request, "request", .log_level = AT_LOG_DEBUG) {
        look_up("looked into");
    }
    /* This one comes once a second: only what goes wrong. */
    AT_OPERATION(check, "health_check", .log_level = AT_LOG_WARN) {
        look_up("health");
    }

    char *lines;
    expect(at_logger_flush(logger, at_after(AT_SECONDS(30))) == AT_OK, "all lines written");
    expect(at_logger_memory_lines(logger, &lines) == AT_OK, "the lines");
    fputs(lines, stdout);
    expect(strstr(lines, "\"event\":\"cache.read\",\"operation\":\"request\"") != NULL, "a detail");
    expect(strstr(lines, "health") == NULL, "no line of the other");
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
    return 0;
}
