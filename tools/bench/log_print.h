/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOG_PRINT_H
#define BENCH_LOG_PRINT_H

#include "log_line.h"

#include <stdio.h>

/* Writes a line for people:
 * 2026-11-23 05:06:07.123 INFO  batch.completed rows=17 path="/tmp/a b" (pool-0/4711 main.c:12) */
void log_print_line(FILE *to, const struct log_line *line, bool with_colours);

/* Writes a text so that it does nothing to a terminal: control characters are escaped. */
void log_print_text(FILE *to, const char *text, size_t length);

#endif
