/* SPDX-License-Identifier: MIT */
#include "log/core.h"

#include "base/check.h"
#include "base/error.h"

enum {
    least_ring_bytes = 32 * 1024,
    most_ring_bytes = 16 * 1024 * 1024,
    most_old_files = 99999,
    most_bytes = 1024 * 1024 * 1024, /* of all rings, and in memory */
};

static at_status check_rotation(const at_logger_options *options) {
    if (options->rotate_bytes != 0 && options->rotate_bytes < ATI_LINE_MAX)
        return ati_fail(AT_ERROR_INVALID, "at_logger_create: `rotate_bytes` is less than 8 KiB");
    if (options->rotate_interval != 0 && options->rotate_interval < AT_SECONDS(1))
        return ati_fail(AT_ERROR_INVALID,
                        "at_logger_create: `rotate_interval` is less than a second");
    int64_t count = options->rotate_count;
    if (count < AT_NONE || (count > most_old_files && count != AT_UNLIMITED))
        return ati_fail(AT_ERROR_INVALID, "at_logger_create: `rotate_count` is neither between 0 "
                                          "and 99,999 nor AT_NONE or AT_UNLIMITED");
    if (!options->path && (options->rotate_bytes || options->rotate_interval || count))
        return ati_fail(AT_ERROR_INVALID,
                        "at_logger_create: `%s` without `path`: there is nothing to rotate",
                        options->rotate_bytes      ? "rotate_bytes"
                        : options->rotate_interval ? "rotate_interval"
                                                   : "rotate_count");
    return AT_OK;
}

at_status ati_log_check_options(const at_logger_options *options) {
    if (options->level < AT_LOG_DEFAULT || options->level > AT_LOG_OFF)
        return ati_fail(AT_ERROR_INVALID, "at_logger_create: `level` %d is not a level",
                        (int)options->level);
    if (options->memory_bytes < 0 || options->memory_bytes > most_bytes)
        return ati_fail(AT_ERROR_INVALID,
                        "at_logger_create: `memory_bytes` is not between 0 and 1 GiB");
    int64_t ring = options->ring_bytes;
    if (ring != 0 && (ring < least_ring_bytes || ring > most_ring_bytes || (ring & (ring - 1))))
        return ati_fail(AT_ERROR_INVALID, "at_logger_create: `ring_bytes` is not a power of two "
                                          "between 32 KiB and 16 MiB");
    if (options->max_ring_bytes < AT_NONE || options->max_ring_bytes > most_bytes)
        return ati_fail(AT_ERROR_INVALID,
                        "at_logger_create: `max_ring_bytes` is not between 0 and 1 GiB");
    if (options->path && !*options->path)
        return ati_fail(AT_ERROR_INVALID, "at_logger_create: `path` is empty");
    if (options->no_stderr && options->use_stderr)
        return ati_fail(AT_ERROR_INVALID, "at_logger_create: `no_stderr` and `use_stderr`: only "
                                          "one of them can be");
    at_status status = check_rotation(options);
    if (status != AT_OK)
        return status;
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_logger_create: `reserved` is not zero");
    return AT_OK;
}
