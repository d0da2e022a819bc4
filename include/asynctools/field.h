/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_FIELD_H
#define ASYNCTOOLS_FIELD_H

#include <asynctools/attributes.h>
#include <asynctools/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_t; /* a value of the library jansson; its header is not needed here */

/* A key with a typed value, as log lines carry them: at_kv("rows", count). Key and value are
 * borrowed for the call that the field is given to. */
typedef enum at_field_type {
    AT_FIELD_NULL,
    AT_FIELD_BOOL,
    AT_FIELD_INTEGER,
    AT_FIELD_UNSIGNED,
    AT_FIELD_DOUBLE,
    AT_FIELD_TEXT,
    AT_FIELD_ERROR,
    AT_FIELD_BYTES,
    AT_FIELD_JSON,
    AT_FIELD_REDACTED, /* a value that nobody is to see */
} at_field_type;

typedef struct at_field {
    const char *key;
    union {
        int64_t integer;
        uint64_t natural; /* of AT_FIELD_UNSIGNED and AT_FIELD_BOOL */
        double real;
        const char *text; /* NULL is written as null */
        const at_error *error;
        const void *bytes;         /* NULL is written as null */
        const struct json_t *json; /* NULL is written as null */
    } value;
    size_t length; /* of text or bytes; AT_FIELD_TERMINATED: a text up to its NUL */
    at_field_type type;
    uint32_t key_length; /* at_kv knows it of a literal; 0: up to its NUL */
} at_field;

#define AT_FIELD_TERMINATED SIZE_MAX

/* The first field of an array of what a macro was given, because C has no empty arrays. With each
 * member named: else compilers clear the whole array before they fill it. */
#define AT_FIELD_UNUSED_                                                                           \
    { NULL, {0}, 0, AT_FIELD_NULL, 0 }

#include <asynctools/inline/field.h>

/* In C, at_kv(key, value) makes a field of any number, of `bool` variables, of texts, of errors and
 * of `json_t *`. `true`, comparisons and NULL have other types in C; at_kv_bool and at_kv_null name
 * theirs. In C++ it is a set of overloads, and `nullptr` is a null, but NULL a number. Pointers to
 * anything else do not compile.
 *
 *     at_kv("rows", 17), at_kv("ratio", 0.5), at_kv("path", path), at_kv_bool("again", n > 1),
 *     at_kv_text("body", bytes, length), at_kv_null("owner"), at_kv_error(at_error_last()),
 *     at_kv_bytes("digest", digest, sizeof digest), at_kv("query", json), at_secret("token", token)
 *
 * An error becomes several members: key.status, key.message, key.origin, ...; at_kv_error calls
 * them error.status and so on. */
#if !defined(__cplusplus)
#define at_kv(key, value)                                                                          \
    _Generic((value),                                                                              \
        _Bool: at_kv_bool,                                                                         \
        char: at_kv_integer,                                                                       \
        signed char: at_kv_integer,                                                                \
        short: at_kv_integer,                                                                      \
        int: at_kv_integer,                                                                        \
        long: at_kv_integer,                                                                       \
        long long: at_kv_integer,                                                                  \
        unsigned char: at_kv_unsigned,                                                             \
        unsigned short: at_kv_unsigned,                                                            \
        unsigned int: at_kv_unsigned,                                                              \
        unsigned long: at_kv_unsigned,                                                             \
        unsigned long long: at_kv_unsigned,                                                        \
        float: at_kv_double,                                                                       \
        double: at_kv_double,                                                                      \
        long double: at_kv_double,                                                                 \
        char *: at_kv_string,                                                                      \
        const char *: at_kv_string,                                                                \
        at_error *: at_kv_error_as,                                                                \
        const at_error *: at_kv_error_as,                                                          \
        struct json_t *: at_kv_json,                                                               \
        const struct json_t *: at_kv_json)((key), (value))
#endif

/* A field whose value nobody is to see, of any type: it is written as "[REDACTED]". The value is
 * evaluated, and not looked at. */
#define at_secret(key, value) ((void)(value), at_kv_redacted(key))

#endif
