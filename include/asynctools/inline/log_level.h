/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_INLINE_LOG_LEVEL_H
#define ASYNCTOOLS_INLINE_LOG_LEVEL_H

#include <asynctools/log.h>

/* The level test in front of every log line; included by log.h. What a logger begins with; layout
 * and names are part of the binary interface. */
struct at_inline_logger {
    int32_t lowest_level; /* the lowest level that may be written */
};

/** Says whether a line of `level` may be written: by this logger, or for an operation that asks for
 *  more than its loggers. Without a logger, warn and above are.
 *  Threads:   any.      Blocks: never. */
static inline bool at_log_enabled(const at_logger *logger, at_log_level level) {
    int32_t lowest = AT_LOG_WARN;
    if (logger)
        lowest = __atomic_load_n(&((const struct at_inline_logger *)logger)->lowest_level,
                                 __ATOMIC_RELAXED);
    return (int32_t)level >= lowest;
}

#endif
