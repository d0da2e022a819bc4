/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_READABLE_H
#define ASYNCTOOLS_LOG_READABLE_H

/* Lines for people, made of the JSON lines of ati_line_encode:
 * 05:06:07.123 INFO  batch.completed rows=17 path="/tmp/a b" (pool-0/4711 main.c:12) */
#include "log/encoder.h"

#include <stddef.h>

enum {
    ATI_READABLE_MAX = ATI_LINE_MAX + 64,
};

/* Turns one line into readable text, newline included, of at most ATI_READABLE_MAX bytes; gives its
 * length. Control characters stay escaped. */
size_t ati_readable_line(char *text, const char *line, size_t size);

#endif
