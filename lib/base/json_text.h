/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_JSON_TEXT_H
#define ASYNCTOOLS_BASE_JSON_TEXT_H

/* Writes one JSON document into memory that grows. Nothing is checked but memory: once there is
 * none, every further call does nothing. */
#include <asynctools/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed is an empty document. */
typedef struct ati_json {
    char *bytes;
    size_t length;
    size_t size;       /* of the allocation */
    bool needs_comma;  /* before the next value */
    bool is_exhausted; /* there was no memory */
} ati_json;

/* `key` is NULL for an element of an array and for the document itself. */
void ati_json_begin_object(ati_json *json, const char *key);
void ati_json_end_object(ati_json *json);
void ati_json_begin_array(ati_json *json, const char *key);
void ati_json_end_array(ati_json *json);

/* Whatever the bytes of `text` are, the document is valid UTF-8. NULL is written as null. */
void ati_json_text(ati_json *json, const char *key, const char *text);
void ati_json_integer(ati_json *json, const char *key, int64_t value);
void ati_json_unsigned(ati_json *json, const char *key, uint64_t value);
void ati_json_bool(ati_json *json, const char *key, bool value);
void ati_json_null(ati_json *json, const char *key);

/* Adds members to the object that is open: valid JSON, each with a comma before it. */
void ati_json_members(ati_json *json, const char *members, size_t length);

/* Gives the document, owned, for at_text_release. Fails for `call` without memory. */
at_status ati_json_finish(ati_json *json, const char *call, char **text);

#endif
