/* SPDX-License-Identifier: MIT */
#include "base/json_text.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { first_size = 4096, longest_escape = 6 };

static bool make_room(ati_json *json, size_t needed) {
    if (json->is_exhausted)
        return false;
    if (needed <= json->size - json->length)
        return true;
    size_t size = json->size ? json->size : first_size;
    while (size - json->length < needed)
        size *= 2;
    char *bytes = ati_allocate(size);
    if (!bytes) {
        json->is_exhausted = true;
        return false;
    }
    if (json->bytes)
        memcpy(bytes, json->bytes, json->length);
    ati_release(json->bytes, json->size);
    json->bytes = bytes;
    json->size = size;
    return true;
}

static void write_bytes(ati_json *json, const char *bytes, size_t length) {
    if (!make_room(json, length))
        return;
    memcpy(json->bytes + json->length, bytes, length);
    json->length += length;
}

static void write_quoted(ati_json *json, const char *text) {
    size_t length = strlen(text);
    size_t room = length * longest_escape + ATI_TEXT_SLACK + 2;
    if (!make_room(json, room))
        return;
    char *to = json->bytes + json->length;
    *to++ = '"';
    to = ati_text_escape(to, json->bytes + json->length + room - ATI_TEXT_SLACK, &text,
                         text + length);
    *to++ = '"';
    json->length = (size_t)(to - json->bytes);
}

static void begin_value(ati_json *json, const char *key) {
    if (json->needs_comma)
        write_bytes(json, ",", 1);
    json->needs_comma = true;
    if (!key)
        return;
    write_quoted(json, key);
    write_bytes(json, ":", 1);
}

static void begin(ati_json *json, const char *key, const char *bracket) {
    begin_value(json, key);
    write_bytes(json, bracket, 1);
    json->needs_comma = false;
}

static void end(ati_json *json, const char *bracket) {
    write_bytes(json, bracket, 1);
    json->needs_comma = true;
}

void ati_json_begin_object(ati_json *json, const char *key) {
    begin(json, key, "{");
}

void ati_json_end_object(ati_json *json) {
    end(json, "}");
}

void ati_json_begin_array(ati_json *json, const char *key) {
    begin(json, key, "[");
}

void ati_json_end_array(ati_json *json) {
    end(json, "]");
}

void ati_json_text(ati_json *json, const char *key, const char *text) {
    if (!text) {
        ati_json_null(json, key);
        return;
    }
    begin_value(json, key);
    write_quoted(json, text);
}

void ati_json_integer(ati_json *json, const char *key, int64_t value) {
    char digits[24];
    begin_value(json, key);
    write_bytes(json, digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, value));
}

void ati_json_unsigned(ati_json *json, const char *key, uint64_t value) {
    char digits[24];
    begin_value(json, key);
    write_bytes(json, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, value));
}

void ati_json_bool(ati_json *json, const char *key, bool value) {
    begin_value(json, key);
    write_bytes(json, value ? "true" : "false", value ? 4 : 5);
}

void ati_json_null(ati_json *json, const char *key) {
    begin_value(json, key);
    write_bytes(json, "null", 4);
}

void ati_json_members(ati_json *json, const char *members, size_t length) {
    if (length == 0)
        return;
    size_t comma = json->needs_comma ? 0 : 1;
    write_bytes(json, members + comma, length - comma);
    json->needs_comma = true;
}

at_status ati_json_finish(ati_json *json, const char *call, char **text) {
    write_bytes(json, "", 1);
    /* Who releases the text knows its length alone. */
    char *exact = json->is_exhausted ? NULL : ati_allocate(json->length);
    if (exact)
        memcpy(exact, json->bytes, json->length);
    ati_release(json->bytes, json->size);
    *json = (ati_json){0};
    if (!exact)
        return ati_fail(AT_ERROR_NO_MEMORY, "%s: out of memory", call);
    *text = exact;
    return AT_OK;
}
