/* SPDX-License-Identifier: MIT
 *
 * Parts of log lines, made of the bytes that a fuzzer gives. */
#ifndef TEST_FUZZ_LINE_PARTS_H
#define TEST_FUZZ_LINE_PARTS_H

#include <asynctools/error.h>
#include <asynctools/field.h>

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum { PARTS_MOST_FIELDS = 600 };

/* What is left of the input; behind its end all bytes are 0. */
typedef struct parts_input {
    const uint8_t *at;
    const uint8_t *end;
} parts_input;

uint8_t parts_byte(parts_input *input);
uint64_t parts_number(parts_input *input); /* often a special one */

/* Texts and fields live until parts_release. */
const char *parts_text(parts_input *input, size_t *length); /* NUL-terminated, perhaps NULs in it */
const char *parts_key(parts_input *input);                  /* perhaps NULL, or a reserved one */

typedef struct parts_fields {
    size_t count;
    at_field list[PARTS_MOST_FIELDS];
} parts_fields;

void parts_make_fields(parts_fields *fields, parts_input *input);
void parts_release(void);

#endif
