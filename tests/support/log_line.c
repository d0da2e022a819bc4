/* SPDX-License-Identifier: MIT */
#include "support/log_line.h"

#include "support/test.h"

#include <stdio.h>
#include <string.h>

char line_bytes[ATI_LINE_MAX + 64];
const char *line_site = "some/where/file.c:17\0";
const ati_context *line_operation;
const ati_redaction *line_redaction;

json_t *line_encode(const char *event, const at_field *fields, size_t count) {
    static ati_line_thread thread;
    ati_line_thread_init(&thread);
    static const char name[ATI_LINE_CHUNK] = ",\"logger\":\"test\"";
    const ati_line_head head = {
        .time = 1700000000123456789,
        .logger_member = name,
        .logger_member_length = strlen(name),
        .operation = line_operation,
        .redaction = line_redaction,
        .thread = &thread,
    };
    const at_log_line line = {
        .level = AT_LOG_WARN,
        .event = event,
        .site = line_site,
        .fields = fields,
        .field_count = count,
    };
    memset(line_bytes, 'Z', sizeof line_bytes);
    size_t length = ati_line_encode(line_bytes, &head, &line);
    cr_assert_leq(length, ATI_LINE_MAX);
    cr_assert_eq(line_bytes[length - 1], '\n');
    cr_assert_null(memchr(line_bytes, '\n', length - 1));
    for (size_t i = ATI_LINE_MAX; i < sizeof line_bytes; i++)
        cr_assert_eq(line_bytes[i], 'Z');
    line_bytes[length] = '\0';
    size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    if (strstr(line_bytes, "18446744073709551615")) /* more than jansson's integers can hold */
        flags |= JSON_DECODE_INT_AS_REAL;
    json_error_t error;
    json_t *object = json_loads(line_bytes, flags, &error);
    cr_assert_not_null(object, "%s: %s", error.text, line_bytes);
    return object;
}

const char *line_text(const json_t *line, const char *key) {
    const char *value = json_string_value(json_object_get(line, key));
    return value ? value : "(none)";
}

bool line_has_cut(const json_t *line, const char *key) {
    size_t index;
    json_t *name;
    json_array_foreach(json_object_get(line, "_cut"), index, name) {
        if (strcmp(json_string_value(name), key) == 0)
            return true;
    }
    return false;
}

bool line_has_order(const char *const *parts) {
    const char *at = line_bytes;
    for (; *parts; parts++) {
        const char *found = strstr(at, *parts);
        if (!found) {
            fprintf(stderr, "%s is not where it should be: %s\n", *parts, line_bytes);
            return false;
        }
        at = found + strlen(*parts);
    }
    return true;
}
