/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_TEXT_H
#define ASYNCTOOLS_BASE_TEXT_H

enum {
    ATI_TEXT_SLACK = 8, /* bytes behind `limit` that ati_text_escape may scribble on */
};

/* Writes what stands between the quotes of a JSON string: valid UTF-8 without control characters,
 * whatever the bytes are; each byte that is not UTF-8 becomes U+FFFD. Writes up to `limit` and
 * stops between characters. *text is moved behind what was taken: short of `text_end`, the rest had
 * no room. Gives the end of what it wrote. */
char *ati_text_escape(char *to, const char *limit, const char **text, const char *text_end);

#endif
