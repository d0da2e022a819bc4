/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_TEXT_H
#define ASYNCTOOLS_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum {
    ATI_TEXT_SLACK = 8, /* bytes behind `limit` that ati_text_escape may scribble on */
};

/* Writes what stands between the quotes of a JSON string: valid UTF-8 without control characters,
 * whatever the bytes are; each byte that is not UTF-8 becomes U+FFFD. Writes up to `limit` and
 * stops between characters. *text is moved behind what was taken: short of `text_end`, the rest had
 * no room. Gives the end of what it wrote. */
char *ati_text_escape(char *to, const char *limit, const char **text, const char *text_end);

/* The same, for at most `room` bytes; true: all of `text` is written. Moves *to. */
bool ati_text_put(char **to, size_t room, const char *text, size_t length);

/* Whether all of it is UTF-8. */
bool ati_text_is_utf8(const char *text, size_t length);

#endif
