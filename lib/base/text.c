/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { short_text = 64 };

/* Eight bytes at a time: a mask with the top bit set at the first byte that is not plain (a control
 * character, a quote, a backslash, DEL, or not ASCII), and perhaps at bytes behind it. */
static uint64_t special_bytes(uint64_t bytes) {
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t tops = 0x8080808080808080u;
    uint64_t quote = bytes ^ ones * '"';
    uint64_t backslash = bytes ^ ones * '\\';
    uint64_t delete = bytes ^ ones * 0x7f;
    return (bytes | (bytes - ones * 0x20) | (quote - ones) | (backslash - ones) | (delete - ones)) &
           tops;
}

/* Length of the UTF-8 character at `text`, 0 if there is none (the Unicode Standard, table 3-7). */
static size_t character_length(const unsigned char *text, size_t left) {
    unsigned char lead = text[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (left < length)
        return 0;
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

bool ati_text_is_utf8(const char *text, size_t length) {
    for (size_t at = 0; at < length;) {
        size_t character = character_length((const unsigned char *)text + at, length - at);
        if (character == 0)
            return false;
        at += character;
    }
    return true;
}

static size_t write_unicode(char *to, unsigned value) {
    to[0] = '\\';
    to[1] = 'u';
    to[2] = '0';
    to[3] = '0';
    to[4] = "0123456789abcdef"[value >> 4 & 15];
    to[5] = "0123456789abcdef"[value & 15];
    return 6;
}

static size_t write_short(char *to, char letter) {
    to[0] = '\\';
    to[1] = letter;
    return 2;
}

/* Writes one ASCII character that needs an escape; gives the number of bytes. */
static size_t write_escape(char *to, unsigned char byte) {
    switch (byte) {
    case '"':
    case '\\':
        return write_short(to, (char)byte);
    case '\n':
        return write_short(to, 'n');
    case '\r':
        return write_short(to, 'r');
    case '\t':
        return write_short(to, 't');
    case '\b':
        return write_short(to, 'b');
    case '\f':
        return write_short(to, 'f');
    default:
        return write_unicode(to, byte);
    }
}

/* One character that is not plain; *to is moved. False: no room. */
static bool write_special(char **to, const char *limit, const char **text, const char *text_end) {
    static const char replacement[] = {'\xef', '\xbf', '\xbd'}; /* U+FFFD */
    char form[8];
    size_t form_length;
    const unsigned char *from = (const unsigned char *)*text;
    size_t length = character_length(from, (size_t)(text_end - *text));
    if (length == 0) {
        memcpy(form, replacement, sizeof replacement);
        form_length = sizeof replacement;
        length = 1;
    } else if (length == 1) {
        if (*from >= 0x20 && *from != '"' && *from != '\\' && *from != 0x7f) {
            form[0] = (char)*from;
            form_length = 1;
        } else {
            form_length = write_escape(form, *from);
        }
    } else if (length == 2 && from[0] == 0xc2 && from[1] < 0xa0) {
        form_length = write_unicode(form, from[1]); /* U+0080 to U+009F are control characters */
    } else {
        memcpy(form, from, length);
        form_length = length;
    }
    if ((size_t)(limit - *to) < form_length)
        return false;
    memcpy(*to, form, form_length);
    *to += form_length;
    *text += length;
    return true;
}

/* Loads 1 to 7 bytes; the rest is filled with plain ones. */
static uint64_t load_few(const char *from, size_t count) {
    uint64_t bytes = 0;
    if (count >= 4) {
        uint32_t low;
        uint32_t high;
        memcpy(&low, from, 4);
        memcpy(&high, from + count - 4, 4);
        bytes = low | (uint64_t)high << (8 * (count - 4));
    } else {
        for (size_t i = 0; i < count; i++)
            bytes |= (uint64_t)(unsigned char)from[i] << (8 * i);
    }
    return bytes | 0x6161616161616161u << (8 * count);
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ati_text_escape loads bytes in little-endian order"
#endif

typedef signed char sixteen __attribute__((vector_size(16)));
typedef uint64_t two_words __attribute__((vector_size(16)));

/* The same for sixteen bytes, of those that have one nothing but that there is one. */
static two_words special_among(sixteen bytes) {
    return (two_words)((bytes < 0x20) | (bytes == '"') | (bytes == '\\') | (bytes == 0x7f));
}

static two_words copy_sixteen(char *to, const char *from) {
    sixteen bytes;
    memcpy(&bytes, from, 16);
    memcpy(to, &bytes, 16);
    return special_among(bytes);
}

/* Copies a short text in pieces that overlap. False: there is something in it that is not plain. */
static inline __attribute__((always_inline)) bool copy_plain(char *to, const char *from,
                                                             size_t count) {
    if (count >= 16) {
        two_words special = copy_sixteen(to + count - 16, from + count - 16);
        for (size_t at = 0; at + 16 < count; at += 16)
            special |= copy_sixteen(to + at, from + at);
        return (special[0] | special[1]) == 0;
    }
    if (count >= 8) {
        two_words words;
        memcpy(&words, from, 8);
        memcpy((char *)&words + 8, from + count - 8, 8);
        memcpy(to, &words, 8);
        memcpy(to + count - 8, (char *)&words + 8, 8);
        two_words special = special_among((sixteen)words);
        return (special[0] | special[1]) == 0;
    }
    if (count >= 4) {
        uint32_t first;
        uint32_t last;
        memcpy(&first, from, 4);
        memcpy(&last, from + count - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + count - 4, &last, 4);
        return special_bytes(first | (uint64_t)last << 32) == 0;
    }
    uint64_t bytes = 0x6161616161616161u;
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i];
        bytes = bytes << 8 | (unsigned char)from[i];
    }
    return special_bytes(bytes) == 0;
}

static inline __attribute__((always_inline)) char *escape(char *to, const char *limit,
                                                          const char **text, const char *text_end) {
    const char *from = *text;
    size_t length = (size_t)(text_end - from);
    if (length <= short_text && (ptrdiff_t)length <= limit - to && copy_plain(to, from, length)) {
        *text = text_end;
        return to + length;
    }
    while (from < text_end && to < limit) {
        size_t count = (size_t)(text_end - from);
        uint64_t bytes;
        if (count >= 8) {
            count = 8;
            memcpy(&bytes, from, 8);
        } else {
            bytes = load_few(from, count);
        }
        uint64_t special = special_bytes(bytes);
        size_t plain = special ? (size_t)__builtin_ctzll(special) / 8 : 8;
        if (plain > count)
            plain = count;
        if (plain > (size_t)(limit - to))
            plain = (size_t)(limit - to);
        memcpy(to, &bytes, 8);
        to += plain;
        from += plain;
        if (special && plain < count && !write_special(&to, limit, &from, text_end))
            break;
    }
    *text = from;
    return to;
}

char *ati_text_escape(char *to, const char *limit, const char **text, const char *text_end) {
    return escape(to, limit, text, text_end);
}

static __attribute__((noinline)) bool put_any(char **to, size_t room, const char *text,
                                              size_t length) {
    const char *from = text;
    *to = escape(*to, *to + room, &from, text + length);
    return from == text + length;
}

/* Most texts are short and plain: they need no registers saved. */
bool ati_text_put(char **to, size_t room, const char *text, size_t length) {
    if (length > short_text || length > room || !copy_plain(*to, text, length))
        return put_any(to, room, text, length);
    *to += length;
    return true;
}
