/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_INLINE_FIELD_H
#define ASYNCTOOLS_INLINE_FIELD_H

#include <asynctools/field.h>

/* The functions behind at_kv; included by field.h. They are inline because a log line makes several
 * fields, and a call for each costs as much as writing a number.
 *
 *  Threads:   any.      Blocks: never.
 *  Ownership: borrow key and value for the call that the field is given to. */

/* The length of a literal, found when the program is compiled; 0 for other texts. */
#define AT_FIELD_LENGTH_OF_(text)                                                                  \
    ((text) && __builtin_constant_p(__builtin_strlen(text)) ? (uint32_t)__builtin_strlen(text) : 0)

static inline at_field at_field_of_(const char *key, at_field_type type) {
    at_field field;
    field.key = key;
    field.value.natural = 0;
    field.length = 0;
    field.type = type;
    field.key_length = AT_FIELD_LENGTH_OF_(key);
    return field;
}

static inline at_field at_kv_null(const char *key) {
    return at_field_of_(key, AT_FIELD_NULL);
}

static inline at_field at_kv_bool(const char *key, bool value) {
    at_field field = at_field_of_(key, AT_FIELD_BOOL);
    field.value.natural = value;
    return field;
}

static inline at_field at_kv_integer(const char *key, int64_t value) {
    at_field field = at_field_of_(key, AT_FIELD_INTEGER);
    field.value.integer = value;
    return field;
}

static inline at_field at_kv_unsigned(const char *key, uint64_t value) {
    at_field field = at_field_of_(key, AT_FIELD_UNSIGNED);
    field.value.natural = value;
    return field;
}

static inline at_field at_kv_double(const char *key, double value) {
    at_field field = at_field_of_(key, AT_FIELD_DOUBLE);
    field.value.real = value;
    return field;
}

/* `length` bytes, which may be anything: what is not UTF-8 is repaired when it is written. */
static inline at_field at_kv_text(const char *key, const char *text, size_t length) {
    at_field field = at_field_of_(key, AT_FIELD_TEXT);
    field.value.text = text;
    field.length = length;
    return field;
}

static inline at_field at_kv_string(const char *key, const char *text) {
    return at_kv_text(key, text, AT_FIELD_TERMINATED);
}

static inline at_field at_kv_error_as(const char *key, const at_error *error) {
    at_field field = at_field_of_(key, AT_FIELD_ERROR);
    field.value.error = error;
    return field;
}

static inline at_field at_kv_error(const at_error *error) {
    return at_kv_error_as("error", error);
}

/* `length` bytes, written as twice as many lower-case hexadecimal digits. */
static inline at_field at_kv_bytes(const char *key, const void *bytes, size_t length) {
    at_field field = at_field_of_(key, AT_FIELD_BYTES);
    field.value.bytes = bytes;
    field.length = length;
    return field;
}

/* A tree of jansson, written as it is as far as there is room: at most 4 KiB and 32 levels of it. A
 * member whose key is not UTF-8 or has more than 128 bytes is left out. Where that is not all, the
 * key of the field is listed in `_cut`. Nobody may change the tree meanwhile. */
static inline at_field at_kv_json(const char *key, const struct json_t *json) {
    at_field field = at_field_of_(key, AT_FIELD_JSON);
    field.value.json = json;
    return field;
}

/* What at_secret makes. */
static inline at_field at_kv_redacted(const char *key) {
    return at_field_of_(key, AT_FIELD_REDACTED);
}

#if defined(__cplusplus)
/* clang-format off */
static inline at_field at_kv(const char *key, bool value) { return at_kv_bool(key, value); }
static inline at_field at_kv(const char *key, int value) { return at_kv_integer(key, value); }
static inline at_field at_kv(const char *key, long value) { return at_kv_integer(key, value); }
static inline at_field at_kv(const char *key, long long value) { return at_kv_integer(key, value); }
static inline at_field at_kv(const char *key, unsigned value) { return at_kv_unsigned(key, value); }
static inline at_field at_kv(const char *key, unsigned long value) { return at_kv_unsigned(key, value); }
static inline at_field at_kv(const char *key, unsigned long long value) { return at_kv_unsigned(key, value); }
static inline at_field at_kv(const char *key, double value) { return at_kv_double(key, value); }
static inline at_field at_kv(const char *key, long double value) { return at_kv_double(key, static_cast<double>(value)); }
static inline at_field at_kv(const char *key, char *value) { return at_kv_string(key, value); }
static inline at_field at_kv(const char *key, const char *value) { return at_kv_string(key, value); }
static inline at_field at_kv(const char *key, at_error *value) { return at_kv_error_as(key, value); }
static inline at_field at_kv(const char *key, const at_error *value) { return at_kv_error_as(key, value); }
static inline at_field at_kv(const char *key, struct json_t *value) { return at_kv_json(key, value); }
static inline at_field at_kv(const char *key, const struct json_t *value) { return at_kv_json(key, value); }
static inline at_field at_kv(const char *key, decltype(nullptr)) { return at_kv_null(key); }
/* Other pointers would become `true`. */
template <typename other_> at_field at_kv(const char *key, other_ *value) = delete;
template <typename other_, typename owner_> at_field at_kv(const char *key, other_ owner_::*value) = delete;
/* clang-format on */
#endif

#endif
