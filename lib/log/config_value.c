/* SPDX-License-Identifier: MIT */
#include "log/config_value.h"

#include "base/memory.h"

#include <asynctools/clock.h>
#include <asynctools/limits.h>
#include <asynctools/log.h>

#include <limits.h>
#include <stdint.h>
#include <string.h>

/* -- Numbers with units -- */

typedef struct unit {
    const char *name;
    int64_t factor;
} unit;

static const unit byte_units[] = {
    {"B", 1}, {"KiB", 1024}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};

static const unit time_units[] = {{"us", AT_MICROSECONDS(1)},
                                  {"ms", AT_MILLISECONDS(1)},
                                  {"s", AT_SECONDS(1)},
                                  {"min", AT_MINUTES(1)},
                                  {"h", AT_HOURS(1)},
                                  {"d", AT_HOURS(24)},
                                  {NULL, 0}};

/* "64 MiB": digits, perhaps a space, a unit. */
static bool read_with_unit(const char *text, const unit *units, int64_t *result) {
    int64_t number = 0;
    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, *text - '0', &number))
            return false;
    text += *text == ' ';
    while (units->name && strcmp(units->name, text) != 0)
        units++;
    return units->name && !__builtin_mul_overflow(number, units->factor, result);
}

/* The words for what options have special values for. */
static bool read_word(const char *text, int64_t *result) {
    if (strcmp(text, "none") == 0)
        *result = AT_NONE;
    else if (strcmp(text, "unlimited") == 0)
        *result = AT_UNLIMITED;
    else
        return false;
    return true;
}

/* -- Texts in an object or an array -- */

/* Whether it stays one part when it is joined to others. */
static bool is_part(const json_t *whole, const char *name, const json_t *text) {
    return json_is_string(text) &&
           (json_is_array(whole) ||
            (!strchr(name, ',') && !strpbrk(json_string_value(text), ",=")));
}

/* How many bytes the parts take as one text; 0: one of them is wrong. */
static size_t joined_size(json_t *whole) {
    const char *name;
    size_t index;
    json_t *part;
    size_t size = 1;
    json_object_foreach(whole, name, part) {
        if (!is_part(whole, name, part))
            return 0;
        size += strlen(name) + 1 + json_string_length(part) + 1;
    }
    json_array_foreach(whole, index, part) {
        if (!is_part(whole, "", part))
            return 0;
        size += json_string_length(part) + 1;
    }
    return size;
}

/* Writes `name=text`, or `text` for an empty name, and a comma. */
static char *put_part(char *to, const char *name, const json_t *text) {
    to = stpcpy(stpcpy(to, name), *name ? "=" : "");
    return stpcpy(stpcpy(to, json_string_value(text)), ",");
}

/* Writes all parts; gives the length. */
static size_t put_parts(char *joined, json_t *whole) {
    const char *name;
    size_t index;
    json_t *part;
    char *to = joined;
    json_object_foreach(whole, name, part) {
        to = put_part(to, name, part);
    }
    json_array_foreach(whole, index, part) {
        to = put_part(to, "", part);
    }
    return to > joined ? (size_t)(to - joined) - 1 : 0;
}

bool ati_config_join(json_t *root, const char *key, json_t **value) {
    size_t size = joined_size(*value);
    if (size == 0)
        return true;
    char *joined = ati_allocate(size);
    if (!joined)
        return false;
    json_t *text = json_stringn(joined, put_parts(joined, *value));
    ati_release(joined, size);
    if (json_object_set_new(root, key, text) != 0)
        return false;
    *value = text;
    return true;
}

/* -- Values -- */

static const char *read_count(const json_t *value, int64_t *member) {
    const char *text = json_string_value(value);
    if (text ? !read_word(text, member) : !json_is_integer(value) || json_integer_value(value) < 0)
        return "expected a number, \"none\" or \"unlimited\"";
    if (!text)
        *member = json_integer_value(value);
    return NULL;
}

static const char *read_descriptor(const json_t *value, int *member) {
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > INT_MAX)
        return "expected the number of a descriptor";
    *member = (int)number;
    return NULL;
}

static const char *read_bytes(const json_t *value, int64_t *member) {
    const char *text = json_string_value(value);
    if ((text && read_with_unit(text, byte_units, member)) || !read_count(value, member))
        return NULL;
    return "expected a number of bytes, or a text such as \"64 MiB\" (B, KiB, MiB, GiB)";
}

static const char *read_duration(const json_t *value, at_duration *member) {
    const char *text = json_string_value(value);
    if (text && (read_with_unit(text, time_units, member) || read_word(text, member)))
        return NULL;
    return "expected a text such as \"10 s\" (us, ms, s, min, h, d)";
}

static const char *read_level(const json_t *value, at_log_level *member) {
    const char *text = json_string_value(value);
    for (int level = AT_LOG_TRACE; text && level <= AT_LOG_OFF; level++)
        if (strcmp(text, at_log_level_name((at_log_level)level)) == 0) {
            *member = (at_log_level)level;
            return NULL;
        }
    return "expected a level: \"trace\", \"debug\", \"info\", \"warn\", \"error\", \"fatal\" or "
           "\"off\"";
}

const char *ati_config_read(ati_config_kind kind, const json_t *value, void *member) {
    switch (kind) {
    case ATI_CONFIG_TEXT:
        *(const char **)member = json_string_value(value);
        return json_is_string(value) ? NULL : "expected a text";
    case ATI_CONFIG_LIST:
        *(const char **)member = json_string_value(value);
        return json_is_string(value) ? NULL : "expected a text, or texts in an array";
    case ATI_CONFIG_LEVEL:
        return read_level(value, member);
    case ATI_CONFIG_LEVELS:
        *(const char **)member = json_string_value(value);
        return json_is_string(value)
                   ? NULL
                   : "expected a text such as \"info,http=debug\", or an object "
                     "with a level for each name: {\"\": \"info\", \"http\": \"debug\"}";
    case ATI_CONFIG_FLAG:
        *(bool *)member = json_is_true(value);
        return json_is_boolean(value) ? NULL : "expected true or false";
    case ATI_CONFIG_DESCRIPTOR:
        return read_descriptor(value, member);
    case ATI_CONFIG_COUNT:
        return read_count(value, member);
    case ATI_CONFIG_BYTES:
        return read_bytes(value, member);
    case ATI_CONFIG_DURATION:
        return read_duration(value, member);
    }
    return NULL;
}

/* -- Lines -- */

/* Behind the string whose opening quote is at `from`. */
static const char *skip_string(const char *from) {
    for (from++; *from != '"'; from++)
        from += *from == '\\';
    return from + 1;
}

int ati_config_line(const char *text, size_t member) {
    int line = 1;
    int depth = 0;
    size_t commas = 0; /* between members of the object itself */
    bool is_found = false;
    while (*text && !(is_found && *text == '"')) {
        if (*text == '"') {
            text = skip_string(text);
            continue;
        }
        depth += *text == '{' || *text == '[';
        depth -= *text == '}' || *text == ']';
        commas += *text == ',' && depth == 1;
        is_found = depth == 1 && commas == member;
        line += *text == '\n';
        text++;
    }
    return line;
}
