/* SPDX-License-Identifier: MIT */
#include "base/text_inline.h"

#include <stdint.h>
#include <string.h>

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

static inline __attribute__((always_inline)) char *escape(char *to, const char *limit,
                                                          const char **text, const char *text_end) {
    const char *from = *text;
    size_t length = (size_t)(text_end - from);
    if (length <= ATI_TEXT_SHORT && (ptrdiff_t)length <= limit - to &&
        ati_text_copy_plain(to, from, length)) {
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
        uint64_t special = ati_text_special_bytes(bytes);
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

bool ati_text_put_any(char **to, size_t room, const char *text, size_t length) {
    const char *from = text;
    *to = escape(*to, *to + room, &from, text + length);
    return from == text + length;
}

bool ati_text_put(char **to, size_t room, const char *text, size_t length) {
    return ati_text_put_inline(to, room, text, length);
}
