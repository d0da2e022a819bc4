/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <asynctools/log.h>

static at_logger *logger;

static bool open_logger(const char *path) {
    at_logger_options options = {.name = "bench", .path = path};
    return at_logger_create(&logger, &options) == AT_OK;
}

/* Warnings wait for room in the ring; lines of info would be dropped when it is full. */
static void write_line(long number) {
    at_log_warn(logger, LOG_EVENT, at_kv("request", number), at_kv("path", LOG_PATH),
                at_kv("bytes", log_bytes(number)), at_kv("duration_ms", log_duration(number)),
                at_kv_bool("cached", log_cached(number)));
}

static void skip_lines(long count) {
    for (long i = 0; i < count; i++) {
        at_log_debug(logger, LOG_EVENT, at_kv("request", i), at_kv("path", LOG_PATH),
                     at_kv("bytes", log_bytes(i)), at_kv("duration_ms", log_duration(i)),
                     at_kv_bool("cached", log_cached(i)));
        log_keep_call();
    }
}

static bool close_logger(void) {
    at_status status = at_logger_flush(logger, at_after(AT_SECONDS(60)));
    at_logger_destroy(logger);
    return status == AT_OK;
}

const struct log_peer log_library = {
    .name = "asynctools log",
    .is_library = true,
    .lines = 1,
    .open = open_logger,
    .write = write_line,
    .close = close_logger,
    .skip = skip_lines,
};
