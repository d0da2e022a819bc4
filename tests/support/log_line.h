/* SPDX-License-Identifier: MIT
 *
 * One line, encoded without a logger and parsed back. */
#ifndef TEST_SUPPORT_LOG_LINE_H
#define TEST_SUPPORT_LOG_LINE_H

#include "log/encoder.h"

#include <jansson.h>

/* The last line, NUL-terminated. */
extern char line_bytes[ATI_LINE_MAX + 64];

/* The operation of the lines to come, or NULL. */
extern const ati_context *line_operation;

/* The place that the lines to come are from. */
extern const char *line_site;

/* The keys whose values the lines to come do not have, or NULL. */
extern const ati_redaction *line_redaction;

/* Encodes a line, checks what holds for all lines (rule J1), and gives it parsed. */
json_t *line_encode(const char *event, const at_field *fields, size_t count);

#define LINE_ENCODE(event, ...)                                                                    \
    line_encode(event, (const at_field[]){__VA_ARGS__},                                            \
                sizeof((const at_field[]){__VA_ARGS__}) / sizeof(at_field))

/* The text of a member, "(none)" if there is none. */
const char *line_text(const json_t *line, const char *key);

/* Whether `_cut` has the key. */
bool line_has_cut(const json_t *line, const char *key);

/* Whether these parts come in this order in the last line, one behind the other. */
bool line_has_order(const char *const *parts); /* NULL ends them */
#define LINE_HAS_ORDER(...) line_has_order((const char *const[]){__VA_ARGS__, NULL})

#endif
