/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_LOGGER_H
#define ASYNCTOOLS_LOG_LOGGER_H

/* The handle that callers have of a logger, and the way of a line from it. */
#include "log/core.h"

struct at_logger {
    struct at_inline_logger inline_part; /* the level */
    ati_log_core *core;
    size_t name_member_length;
    char *name_member; /* ,"logger":"name" */
};

/* -- write.c, direct.c: the way of a line -- */

/* Encodes and writes a line in the calling thread. False: it was dropped. */
bool ati_log_write_direct(at_logger *logger, ati_log_thread *thread, const at_log_line *line);

/* The head of a line of `logger` (which may be NULL) at `time`. */
ati_line_head ati_log_head(const at_logger *logger, ati_line_thread *thread, int64_t time);

/* A level that lines are counted under. */
static inline at_log_level ati_log_counted_level(at_log_level level) {
    return (unsigned)level < AT_LOG_OFF && level != AT_LOG_DEFAULT ? level : AT_LOG_ERROR;
}

#endif
