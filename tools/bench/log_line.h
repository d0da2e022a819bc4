/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOG_LINE_H
#define BENCH_LOG_LINE_H

/* One line of a log, and whether it is what docs/reference/log-schema.md says. */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    LOG_LINE_MAX = 8192, /* bytes of a line, its newline included */
    LOG_LEVELS = 6,
    LOG_PROBLEM_MAX = 256,
};

extern const char *const log_level_names[LOG_LEVELS + 1]; /* "trace" to "fatal", then NULL */

/* What is not in the line is NULL. All but `bytes` lives as long as `object`. */
struct log_line {
    const char *bytes; /* with the newline */
    size_t length;
    json_t *object;
    const char *ts;
    int level; /* place in log_level_names */
    const char *event;
    const char *logger;
    const char *operation;
    const char *operation_id;
    const char *trace_id;
};

/* Reads a line of `length` bytes, its newline included. False: `problem` says what is wrong, and
 * nothing is to be released. */
bool log_line_read(struct log_line *line, const char *bytes, size_t length,
                   char problem[LOG_PROBLEM_MAX]);

void log_line_release(struct log_line *line);

/* Whether `text` begins with the date and time of a line as far as it goes, a Z at its end allowed:
 * "2026-11-23", "2026-11-23T10:30". */
bool log_time_is_valid(const char *text);

#endif
