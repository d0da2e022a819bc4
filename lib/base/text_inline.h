/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_TEXT_INLINE_H
#define ASYNCTOOLS_BASE_TEXT_INLINE_H

/* ati_text_put() without a call, for what every log line does several times. Most texts are short
 * and have nothing to escape. */
#include "base/text.h"

#include <stdint.h>
#include <string.h>

enum { ATI_TEXT_SHORT = 64 };

/* Eight bytes at a time: a mask with the top bit set at the first byte that is not plain (a control
 * character, a quote, a backslash, DEL, or not ASCII), and perhaps at bytes behind it. */
static inline uint64_t ati_text_special_bytes(uint64_t bytes) {
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t tops = 0x8080808080808080u;
    uint64_t quote = bytes ^ ones * '"';
    uint64_t backslash = bytes ^ ones * '\\';
    uint64_t delete = bytes ^ ones * 0x7f;
    return (bytes | (bytes - ones * 0x20) | (quote - ones) | (backslash - ones) | (delete - ones)) &
           tops;
}

typedef signed char ati_sixteen_bytes __attribute__((vector_size(16)));
typedef uint64_t ati_two_words __attribute__((vector_size(16)));

/* The same for sixteen bytes, of those that have one nothing but that there is one. */
static inline ati_two_words ati_text_special_among(ati_sixteen_bytes bytes) {
    return (ati_two_words)((bytes < 0x20) | (bytes == '"') | (bytes == '\\') | (bytes == 0x7f));
}

static inline ati_two_words ati_text_copy_sixteen(char *to, const char *from) {
    ati_sixteen_bytes bytes;
    memcpy(&bytes, from, 16);
    memcpy(to, &bytes, 16);
    return ati_text_special_among(bytes);
}

/* Copies a short text in pieces that overlap. False: there is something in it that is not plain. */
static inline __attribute__((always_inline)) bool ati_text_copy_plain(char *to, const char *from,
                                                                      size_t count) {
    if (count >= 16) {
        ati_two_words special = ati_text_copy_sixteen(to + count - 16, from + count - 16);
        for (size_t at = 0; at + 16 < count; at += 16)
            special |= ati_text_copy_sixteen(to + at, from + at);
        return (special[0] | special[1]) == 0;
    }
    if (count >= 8) {
        ati_two_words words;
        memcpy(&words, from, 8);
        memcpy((char *)&words + 8, from + count - 8, 8);
        memcpy(to, &words, 8);
        memcpy(to + count - 8, (char *)&words + 8, 8);
        ati_two_words special = ati_text_special_among((ati_sixteen_bytes)words);
        return (special[0] | special[1]) == 0;
    }
    if (count >= 4) {
        uint32_t first;
        uint32_t last;
        memcpy(&first, from, 4);
        memcpy(&last, from + count - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + count - 4, &last, 4);
        return ati_text_special_bytes(first | (uint64_t)last << 32) == 0;
    }
    uint64_t bytes = 0x6161616161616161u;
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i];
        bytes = bytes << 8 | (unsigned char)from[i];
    }
    return ati_text_special_bytes(bytes) == 0;
}

/* The way of ati_text_put() for whatever text: not in line, so that the short one saves no
 * registers. */
__attribute__((noinline)) bool ati_text_put_any(char **to, size_t room, const char *text,
                                                size_t length);

static inline __attribute__((always_inline)) bool
ati_text_put_inline(char **to, size_t room, const char *text, size_t length) {
    if (length > ATI_TEXT_SHORT || length > room || !ati_text_copy_plain(*to, text, length))
        return ati_text_put_any(to, room, text, length);
    *to += length;
    return true;
}

#endif
