/* SPDX-License-Identifier: MIT */
#include "fuzz/line_parts.h"

#include "base/error.h"

#include <asynctools/log.h>

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_SIZE = 4 * 1024 * 1024, MOST_OBJECTS = 2000, MOST_DEPTH = 40 };

static char arena[ARENA_SIZE];
static size_t arena_used;
static json_t *trees[MOST_OBJECTS];
static size_t tree_count;
static at_error *errors[MOST_OBJECTS];
static size_t error_count;

uint8_t parts_byte(parts_input *input) {
    return input->at < input->end ? *input->at++ : 0;
}

static size_t below(parts_input *input, size_t bound) {
    return parts_byte(input) % bound;
}

uint64_t parts_number(parts_input *input) {
    static const uint64_t special[] = {0,  1,  UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN,
                                       10, 99, 100};
    if (below(input, 2) == 0)
        return special[below(input, sizeof special / sizeof *special)];
    uint64_t number = 0;
    for (size_t bytes = below(input, 9); bytes > 0; bytes--)
        number = number << 8 | parts_byte(input);
    return number;
}

/* -- Texts -- */

static char *allocate(size_t size) {
    if (size > ARENA_SIZE - arena_used)
        return NULL;
    char *bytes = arena + arena_used;
    arena_used += size;
    return bytes;
}

/* Characters of one to four bytes, what needs escapes, and what is no UTF-8. */
static size_t put_piece(char *to, parts_input *input) {
    static const char *const pieces[] = {"a",
                                         "word ",
                                         "\"",
                                         "\\",
                                         "\n",
                                         "\x7f",
                                         "\xc2\x85",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x8c\xb3",
                                         "\xff",
                                         "\xc0\xaf",
                                         "\xed\xa0\x80",
                                         "\xf4\x90\x80\x80",
                                         "\xe2\x82",
                                         "\t\x1b["};
    size_t kind = below(input, 20);
    if (kind >= sizeof pieces / sizeof *pieces) {
        *to = (char)parts_byte(input);
        return 1;
    }
    size_t length = strlen(pieces[kind]);
    memcpy(to, pieces[kind], length);
    return length;
}

static size_t text_size(parts_input *input) {
    switch (below(input, 16)) {
    case 0:
        return 0;
    case 1:
        return 100 + below(input, 200);
    case 2:
        return (size_t)below(input, 250) * 64;
    default:
        return below(input, 24);
    }
}

const char *parts_text(parts_input *input, size_t *length) {
    size_t wanted = text_size(input);
    char *text = allocate(wanted + 8);
    if (!text) {
        *length = 0;
        return "";
    }
    size_t done = 0;
    while (done < wanted && input->at < input->end)
        done += put_piece(text + done, input);
    size_t period = done;
    for (; period > 0 && done < wanted; done++) /* a short input makes long texts too */
        text[done] = text[done - period];
    text[done] = '\0';
    *length = done;
    return text;
}

const char *parts_key(parts_input *input) {
    static const char *const known[] = {"ts",        "level",        "event",      "logger",
                                        "operation", "operation_id", "trace_id",   "thread",
                                        "source",    "_cut",         "_cut_count", "error",
                                        "a",         "a_2",          "rows",       ""};
    size_t length;
    switch (below(input, 4)) {
    case 0:
        return known[below(input, sizeof known / sizeof *known)];
    case 1:
        return parts_byte(input) < 16 ? NULL : "b";
    default:
        return parts_text(input, &length);
    }
}

/* -- Values -- */

static double real_of(parts_input *input) {
    static const double special[] = {0.0,     -0.0,    0.1,      1e15, 1e16,     1e300,
                                     DBL_MAX, DBL_MIN, 4.9e-324, NAN,  INFINITY, -INFINITY};
    if (below(input, 2) == 0)
        return special[below(input, sizeof special / sizeof *special)];
    uint64_t bits = parts_number(input);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static json_t *make_tree(parts_input *input, int depth) {
    size_t length, kind = below(input, depth < MOST_DEPTH ? 9 : 6);
    const char *text;
    switch (kind) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(parts_byte(input) & 1);
    case 2:
        return json_integer((json_int_t)parts_number(input));
    case 3: {
        double value = real_of(input);
        return json_real(isfinite(value) ? value : 0.5);
    }
    case 4:
    case 5:
        text = parts_text(input, &length);
        return json_stringn_nocheck(text, length);
    case 6: {
        json_t *array = json_array();
        for (size_t count = below(input, 6); count > 0; count--)
            json_array_append_new(array, make_tree(input, depth + 1));
        return array;
    }
    default: {
        json_t *object = json_object();
        for (size_t count = below(input, 6); count > 0; count--) {
            text = parts_text(input, &length);
            json_object_set_new_nocheck(object, text, make_tree(input, depth + 1));
        }
        return object;
    }
    }
}

static const json_t *tree_of(parts_input *input) {
    if (tree_count == MOST_OBJECTS || below(input, 16) == 0)
        return NULL;
    return trees[tree_count++] = make_tree(input, 0);
}

static at_error *make_error(parts_input *input, int depth) {
    size_t length;
    const char *text = parts_text(input, &length);
    at_error *cause = depth < 3 && below(input, 3) == 0 ? make_error(input, depth + 1) : NULL;
    at_status status = (at_status) - (int)below(input, 40);
    at_error *error = ati_error_create(AT_SITE("fuzzed"), cause, status, "%s", text);
    for (size_t count = depth < 3 ? below(input, 4) : 0; count > 0; count--)
        ati_error_add_other(error, make_error(input, depth + 1));
    return error;
}

static const at_error *error_of(parts_input *input) {
    if (error_count == MOST_OBJECTS || below(input, 16) == 0)
        return NULL;
    return errors[error_count++] = make_error(input, 0);
}

static at_field make_field(parts_input *input) {
    const char *key = parts_key(input), *text;
    size_t length;
    switch (below(input, 13)) {
    case 0:
        return at_kv_null(key);
    case 1:
        return at_kv_bool(key, parts_byte(input) & 1);
    case 2:
        return at_kv_integer(key, (int64_t)parts_number(input));
    case 3:
        return at_kv_unsigned(key, parts_number(input));
    case 4:
        return at_kv_double(key, real_of(input));
    case 5:
        return at_kv_string(key, parts_byte(input) < 8 ? NULL : parts_text(input, &length));
    case 6:
        text = parts_text(input, &length);
        return at_kv_bytes(key, text, length);
    case 7:
        return at_kv_json(key, tree_of(input));
    case 8:
        return at_kv_error_as(key, error_of(input));
    case 9:
        return at_secret(key, 17);
    default:
        text = parts_text(input, &length);
        return at_kv_text(key, text, length);
    }
}

void parts_make_fields(parts_fields *fields, parts_input *input) {
    fields->count = below(input, 32) == 0 ? (size_t)below(input, 120) * 5 : below(input, 12);
    for (size_t i = 0; i < fields->count; i++)
        fields->list[i] = make_field(input);
}

void parts_release(void) {
    while (tree_count > 0)
        json_decref(trees[--tree_count]);
    while (error_count > 0)
        at_error_release(errors[--error_count]);
    arena_used = 0;
}
