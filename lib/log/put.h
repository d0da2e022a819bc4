/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_PUT_H
#define ASYNCTOOLS_LOG_PUT_H

/* Bytes behind each other: each call gives, or sets, the end of what it wrote. */
#include "base/text.h"

#include <stddef.h>
#include <string.h>

static inline char *ati_put(char *to, const char *bytes, size_t length) {
    memcpy(to, bytes, length);
    return to + length;
}

#define ATI_PUT_LITERAL(to, literal) ati_put((to), (literal), sizeof(literal) - 1)

#endif
