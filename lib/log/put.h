/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_PUT_H
#define ASYNCTOOLS_LOG_PUT_H

/* Bytes behind each other: each call gives, or sets, the end of what it wrote. */
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline char *ati_put(char *to, const char *bytes, size_t length) {
    memcpy(to, bytes, length);
    return to + length;
}

#define ATI_PUT_LITERAL(to, literal) ati_put((to), (literal), sizeof(literal) - 1)

/* Writes what stands between quotes, at most `room` bytes of it; true: all of `text`. */
static inline bool ati_put_text(char **to, size_t room, const char *text, size_t length) {
    const char *from = text;
    const char *end = text + length;
    *to = ati_text_escape(*to, *to + room, &from, end);
    return from == end;
}

#endif
