/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <asynctools/operation.h>

static at_logger *logger;

/* What operations say unless told otherwise is below the level. */
static bool open_logger(const char *path) {
    at_logger_options options = {.name = "bench", .path = path, .level = AT_LOG_WARN};
    if (at_logger_create(&logger, &options) != AT_OK)
        return false;
    at_logger_set_default(logger);
    return true;
}

static inline void add_fields(at_operation *operation, long number) {
    at_operation_add(operation, at_kv("request", number), at_kv("path", LOG_PATH),
                     at_kv("bytes", log_bytes(number)));
}

/* Warnings wait for room in the ring; others would be dropped when it is full. */
static void write_operation(long number) {
    AT_OPERATION(operation, LOG_OPERATION, .start_level = AT_LOG_WARN, .end_level = AT_LOG_WARN) {
        add_fields(operation, number);
    }
}

static void skip_operations(long count) {
    for (long i = 0; i < count; i++) {
        AT_OPERATION(operation, LOG_OPERATION) {
            add_fields(operation, i);
        }
    }
}

static bool close_logger(void) {
    at_status status = at_logger_flush(logger, at_after(AT_SECONDS(60)));
    at_logger_destroy(logger);
    return status == AT_OK;
}

const struct log_peer operation_library = {
    .name = "asynctools operation",
    .is_library = true,
    .lines = 2,
    .open = open_logger,
    .write = write_operation,
    .close = close_logger,
    .skip = skip_operations,
};
