/* SPDX-License-Identifier: MIT */
#include "log_line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const log_level_names[LOG_LEVELS + 1] = {"trace", "debug", "info", "warn",
                                                     "error", "fatal", NULL};

static const char time_shape[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";
enum { TIME_LENGTH = sizeof(time_shape) - 1, EVENT_MAX = 256 };

__attribute__((format(printf, 2, 3))) static bool complain(char problem[LOG_PROBLEM_MAX],
                                                           const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(problem, LOG_PROBLEM_MAX, format, values);
    va_end(values);
    return false;
}

/* -- Texts of a certain form -- */

static bool is_digit(char letter) {
    return letter >= '0' && letter <= '9';
}

static int two_digits(const char *text) {
    return (text[0] - '0') * 10 + text[1] - '0';
}

static int days_in_month(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Whether there is such a time, as far as its `length` bytes go; they have the right shape. */
static bool is_time(const char *text, size_t length) {
    int year = two_digits(text) * 100 + two_digits(text + 2);
    int month = two_digits(text + 5), day = two_digits(text + 8);
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    if (length >= 13 && two_digits(text + 11) > 23)
        return false;
    if (length >= 16 && two_digits(text + 14) > 59)
        return false;
    return length < 19 || two_digits(text + 17) <= 59;
}

static bool has_time_shape(const char *text, size_t length) {
    if (length > TIME_LENGTH)
        return false;
    for (size_t i = 0; i < length; i++)
        if (time_shape[i] == 'd' ? !is_digit(text[i]) : text[i] != time_shape[i])
            return false;
    return true;
}

bool log_time_is_valid(const char *text) {
    size_t length = strlen(text);
    if (length > 0 && text[length - 1] == 'Z')
        length--;
    bool ends_well = length == 10 || length == 13 || length == 16 || length == 19 || length > 20;
    return ends_well && has_time_shape(text, length) && is_time(text, length);
}

static bool is_hex(const char *text, size_t digits) {
    return strlen(text) == digits && strspn(text, "0123456789abcdef") == digits;
}

/* "pool-0/4711" */
static bool is_thread(const char *text) {
    const char *slash = strrchr(text, '/');
    return slash && slash[1] && strspn(slash + 1, "0123456789") == strlen(slash + 1);
}

/* -- The members -- */

/* Where in a line a member may stand: a line goes through these in order. */
enum place {
    PLACE_TS,
    PLACE_LEVEL,
    PLACE_EVENT,
    PLACE_LOGGER,
    PLACE_OPERATION,
    PLACE_OPERATION_ID,
    PLACE_TRACE_ID,
    PLACE_FIELDS,
    PLACE_THREAD,
    PLACE_SOURCE,
    PLACE_CUT,
    PLACE_CUT_COUNT,
    PLACES,
};

static const char *const place_keys[PLACES] = {
    [PLACE_TS] = "ts",
    [PLACE_LEVEL] = "level",
    [PLACE_EVENT] = "event",
    [PLACE_LOGGER] = "logger",
    [PLACE_OPERATION] = "operation",
    [PLACE_OPERATION_ID] = "operation_id",
    [PLACE_TRACE_ID] = "trace_id",
    [PLACE_FIELDS] = "the fields",
    [PLACE_THREAD] = "thread",
    [PLACE_SOURCE] = "source",
    [PLACE_CUT] = "_cut",
    [PLACE_CUT_COUNT] = "_cut_count",
};

static enum place place_of(const char *key) {
    for (int i = 0; i < PLACES; i++)
        if (i != PLACE_FIELDS && strcmp(key, place_keys[i]) == 0)
            return (enum place)i;
    return PLACE_FIELDS;
}

static bool take_level(struct log_line *line, const char *text, char *problem) {
    for (line->level = 0; line->level < LOG_LEVELS; line->level++)
        if (strcmp(text, log_level_names[line->level]) == 0)
            return true;
    return complain(problem, "`level` is \"%.40s\", which is none", text);
}

static bool check_cut(const json_t *value, char *problem) {
    size_t index;
    json_t *key;
    if (!json_is_array(value))
        return complain(problem, "`_cut` is not an array");
    json_array_foreach(value, index, key) {
        if (!json_is_string(key))
            return complain(problem, "`_cut` has an element that is not a string");
    }
    return true;
}

static bool check_cut_count(const struct log_line *line, const json_t *value, char *problem) {
    const json_t *cut = json_object_get(line->object, "_cut");
    if (!json_is_number(value) || json_number_value(value) <= (double)json_array_size(cut))
        return complain(problem, "`_cut_count` is not a number above that of the keys in `_cut`");
    return true;
}

/* A reserved member whose value is a text. */
static bool take_text(struct log_line *line, enum place place, const json_t *value, char *problem) {
    const char *text = json_string_value(value);
    if (!text)
        return complain(problem, "`%s` is not a string", place_keys[place]);
    switch (place) {
    case PLACE_TS:
        line->ts = text;
        if (strlen(text) != TIME_LENGTH || !has_time_shape(text, TIME_LENGTH) ||
            !is_time(text, TIME_LENGTH))
            return complain(problem, "`ts` is no time such as 2026-11-23T00:00:29.841136Z");
        return true;
    case PLACE_LEVEL:
        return take_level(line, text, problem);
    case PLACE_EVENT:
        line->event = text;
        if (strlen(text) > EVENT_MAX)
            return complain(problem, "`event` has more than %d bytes", EVENT_MAX);
        return true;
    case PLACE_LOGGER:
        line->logger = text;
        return true;
    case PLACE_OPERATION:
        line->operation = text;
        return *text != '\0' || complain(problem, "`operation` is empty");
    case PLACE_OPERATION_ID:
        line->operation_id = text;
        return is_hex(text, 16) || complain(problem, "`operation_id` is not 16 hexadecimal digits");
    case PLACE_TRACE_ID:
        line->trace_id = text;
        return is_hex(text, 32) || complain(problem, "`trace_id` is not 32 hexadecimal digits");
    case PLACE_THREAD:
        return is_thread(text) || complain(problem, "`thread` is not a name, a slash and an id");
    default:
        return true;
    }
}

static bool take_member(struct log_line *line, enum place place, const json_t *value,
                        char *problem) {
    switch (place) {
    case PLACE_FIELDS:
        return true;
    case PLACE_CUT:
        return check_cut(value, problem);
    case PLACE_CUT_COUNT:
        return check_cut_count(line, value, problem);
    default:
        return take_text(line, place, value, problem);
    }
}

/* What may not be skipped on the way from one place to a later one. */
static bool check_skipped(enum place from, enum place to, char *problem) {
    for (int i = (int)from; i < (int)to; i++)
        if (i <= PLACE_EVENT || i == PLACE_THREAD)
            return complain(problem, "`%s` is missing or not in its place", place_keys[i]);
    return true;
}

static bool check_operation(const struct log_line *line, char *problem) {
    if (!line->operation_id != !line->trace_id)
        return complain(problem, "only one of `operation_id` and `trace_id` is there");
    if (line->operation && !line->operation_id)
        return complain(problem, "`operation` is there without `operation_id`");
    return true;
}

static bool check_members(struct log_line *line, char *problem) {
    enum place next = PLACE_TS; /* the first place that is still open */
    bool has_cut = false;
    const char *key;
    json_t *value;
    json_object_foreach(line->object, key, value) {
        enum place place = next <= PLACE_EVENT ? next : place_of(key);
        if (place <= PLACE_EVENT && strcmp(key, place_keys[place]) != 0)
            return complain(problem, "`%s` is missing or not in its place", place_keys[place]);
        if (place < next)
            return complain(problem, "`%.60s` stands behind its place", key);
        if (!check_skipped(next, place, problem) || !take_member(line, place, value, problem))
            return false;
        has_cut |= place == PLACE_CUT;
        next = place == PLACE_FIELDS ? place : place + 1;
    }
    if (next == PLACES && !has_cut)
        return complain(problem, "`_cut_count` is there without `_cut`");
    return check_skipped(next, PLACES, problem) && check_operation(line, problem);
}

/* -- The line -- */

/* jansson takes no integer beyond 64 bits with a sign, a line has those without one. */
static json_t *parse(const char *bytes, size_t length, json_error_t *error) {
    enum { FLAGS = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL };
    json_t *object = json_loadb(bytes, length, FLAGS, error);
    if (!object && json_error_code(error) == json_error_numeric_overflow)
        object = json_loadb(bytes, length, FLAGS | JSON_DECODE_INT_AS_REAL, error);
    return object;
}

bool log_line_read(struct log_line *line, const char *bytes, size_t length,
                   char problem[LOG_PROBLEM_MAX]) {
    json_error_t error;
    *line = (struct log_line){.bytes = bytes, .length = length};
    if (length > LOG_LINE_MAX)
        return complain(problem, "has more than %d bytes", LOG_LINE_MAX);
    if (bytes[length - 1] != '\n')
        return complain(problem, "ends without a newline");
    line->object = parse(bytes, length, &error);
    if (!line->object)
        return complain(problem, "no JSON object: %s, at byte %d", error.text, error.position);
    bool well = json_is_object(line->object) ? check_members(line, problem)
                                             : complain(problem, "no JSON object");
    if (!well)
        log_line_release(line);
    return well;
}

void log_line_release(struct log_line *line) {
    json_decref(line->object);
    line->object = NULL;
}
