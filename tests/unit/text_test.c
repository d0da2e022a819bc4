/* SPDX-License-Identifier: MIT
 *
 * Texts in log lines (rule J1): whatever the bytes are, what comes out is a JSON string. */
#include "support/test.h"

#include "base/text.h"

#include <jansson.h>
#include <stdint.h>
#include <string.h>

enum { room = 4096 };

static char output[room + ATI_TEXT_SLACK + 1];

/* Escapes `length` bytes; the result is NUL-terminated. */
static const char *escape(const char *text, size_t length) {
    const char *from = text;
    *ati_text_escape(output, output + room, &from, text + length) = '\0';
    cr_assert(from == text + length);
    return output;
}

static json_t *parse(const char *escaped) {
    static char quoted[room + ATI_TEXT_SLACK + 3];
    snprintf(quoted, sizeof quoted, "\"%s\"", escaped);
    return json_loads(quoted, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

Test(text, plain_text_is_copied) {
    static const char text[] = "the quick brown fox: jumps/over [the] {lazy} dog, 0123456789";
    for (size_t length = 0; length < sizeof text; length++) {
        escape(text, length);
        cr_expect_eq(strlen(output), length);
        cr_expect_eq(memcmp(output, text, length), 0);
    }
}

Test(text, control_characters_and_quotes_are_escaped) {
    cr_expect_str_eq(escape("a\"b\\c\nd\re\tf\bg\fh", 15), "a\\\"b\\\\c\\nd\\re\\tf\\bg\\fh");
    cr_expect_str_eq(escape("\x01\x1f\x7f", 3), "\\u0001\\u001f\\u007f");
    cr_expect_str_eq(escape("\0", 1), "\\u0000");
    cr_expect_str_eq(escape("\xc2\x9b", 2), "\\u009b");
}

Test(text, utf8_is_kept_and_bad_bytes_are_replaced) {
    cr_expect_str_eq(escape("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9),
                     "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    cr_expect_str_eq(escape("a\xff"
                            "b",
                            3),
                     "a\xef\xbf\xbd"
                     "b");
    cr_expect_str_eq(escape("\xc0\x80", 2), "\xef\xbf\xbd\xef\xbf\xbd"); /* overlong */
    cr_expect_str_eq(escape("\xe2\x82", 2), "\xef\xbf\xbd\xef\xbf\xbd"); /* cut off */
    cr_expect_str_eq(escape("\xed\xa0\x80", 3),
                     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* a surrogate */
    cr_expect_str_eq(escape("\xf4\x90\x80\x80", 4),
                     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* past U+10FFFF */
}

/* Each byte at each place of a word of eight and of the bytes behind it. */
Test(text, every_byte_at_every_place_gives_a_string) {
    for (int byte = 0; byte < 256; byte++)
        for (size_t place = 0; place < 19; place++) {
            char text[19];
            memset(text, 'x', sizeof text);
            text[place] = (char)byte;
            json_t *value = parse(escape(text, sizeof text));
            cr_assert_not_null(value, "byte %d at %zu", byte, place);
            size_t length = json_string_length(value);
            cr_assert_eq(length, byte < 0x80 ? sizeof text : sizeof text + 2);
            cr_assert_eq(json_string_value(value)[place], byte < 0x80 ? byte : '\xef');
            json_decref(value);
        }
}

Test(text, random_bytes_give_a_string) {
    uint64_t state = 7;
    for (int round = 0; round < 20000; round++) {
        unsigned char text[64];
        for (size_t i = 0; i < sizeof text; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            text[i] = (unsigned char)(state >> 56);
            if (state >> 40 & 1) /* more of what begins and goes on in UTF-8 */
                text[i] |= 0xc0;
        }
        size_t length = state >> 33 & 63;
        json_t *value = parse(escape((const char *)text, length));
        cr_assert_not_null(value);
        json_decref(value);
    }
}

/* With too little room the output ends between characters, and never behind the limit. */
Test(text, what_has_no_room_is_left) {
    static const char text[] = "ab\"\x01\xc3\xa9\xf0\x9f\x98\x80\xff"
                               "0123456789";
    const char *end = text + sizeof text - 1;
    for (size_t limit = 0; limit < 40; limit++) {
        char buffer[64 + ATI_TEXT_SLACK];
        const char *from = text;
        char *to = ati_text_escape(buffer, buffer + limit, &from, end);
        cr_assert_leq((size_t)(to - buffer), limit);
        *to = '\0';
        json_t *value = parse(buffer);
        cr_assert_not_null(value);
        json_decref(value);
        cr_assert_eq(from == end, (size_t)(to - buffer) == 2 + 2 + 6 + 2 + 4 + 3 + 10);
    }
}
