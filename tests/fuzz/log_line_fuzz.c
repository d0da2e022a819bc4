/* SPDX-License-Identifier: MIT
 *
 * Lines of random parts (rules J1 and J5): whatever a logger, its operation and a call are given,
 * the line is one that at-bench log accepts, and values that were not cut read back as they were.
 * The input decides everything. Without libFuzzer the program makes inputs of numbered seeds for
 * FUZZ_SECONDS, 3 unless set, or of the seed that is its argument. */
#include "base/random.h"
#include "fuzz/line_parts.h"
#include "log/encoder.h"
#include "log/members.h"
#include "log_line.h"

#include <asynctools/asynctools.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GUARD = 64, CONTEXT_ROOM = 4000, EVERY_MEMORY = 16 };

static uint64_t current_seed;

__attribute__((noreturn)) static void give_up(const char *what, const char *line) {
    fprintf(stderr, "seed %llu: %s\n%s\n", (unsigned long long)current_seed, what, line);
    abort();
}

/* -- Values that read back -- */

static bool is_utf8(const char *text, size_t length) {
    json_t *value = json_stringn(text, length);
    json_decref(value);
    return value != NULL;
}

static bool tree_is_utf8(const json_t *tree) {
    char *text = json_dumps(tree, JSON_ENCODE_ANY);
    free(text);
    return text != NULL;
}

static bool is_hex_of(const json_t *value, const at_field *field) {
    const char *digits = json_string_value(value);
    const unsigned char *bytes = field->value.bytes;
    if (!digits || strlen(digits) != 2 * field->length)
        return false;
    for (size_t i = 0; i < field->length; i++) {
        char wanted[3];
        snprintf(wanted, sizeof wanted, "%02x", bytes[i]);
        if (memcmp(digits + 2 * i, wanted, 2) != 0)
            return false;
    }
    return true;
}

static bool is_text(const json_t *value, const char *text, size_t length) {
    if (!text)
        return json_is_null(value);
    if (!json_is_string(value))
        return false;
    return !is_utf8(text, length) || (json_string_length(value) == length &&
                                      memcmp(json_string_value(value), text, length) == 0);
}

static bool is_real(const json_t *value, double real) {
    if (!isfinite(real))
        return is_text(value,
                       isnan(real) ? "NaN"
                       : real > 0  ? "Infinity"
                                   : "-Infinity",
                       isnan(real) ? 3
                       : real > 0  ? 8
                                   : 9);
    double found = json_number_value(value);
    return json_is_real(value) && memcmp(&found, &real, sizeof real) == 0;
}

/* Equal but for the kinds of numbers: a line with one beyond 63 bits is read with reals alone. */
static bool is_tree(const json_t *value, const json_t *tree) {
    const char *key;
    json_t *part;
    size_t index;
    if (json_is_integer(tree) && json_is_integer(value))
        return json_integer_value(value) == json_integer_value(tree);
    if (json_is_number(tree))
        return json_is_number(value) && json_number_value(value) == json_number_value(tree);
    if (json_typeof(value) != json_typeof(tree) ||
        json_object_size(value) != json_object_size(tree) ||
        json_array_size(value) != json_array_size(tree))
        return false;
    json_object_foreach((json_t *)tree, key, part) {
        const json_t *found = json_object_get(value, key);
        if (!found || !is_tree(found, part))
            return false;
    }
    json_array_foreach(tree, index, part) {
        if (!is_tree(json_array_get(value, index), part))
            return false;
    }
    return json_is_object(tree) || json_is_array(tree) || json_equal(value, tree);
}

/* Whether a member has the value of a field, which was not cut. */
static bool reads_back(const json_t *value, const at_field *field) {
    switch (field->type) {
    case AT_FIELD_NULL:
        return json_is_null(value);
    case AT_FIELD_BOOL:
        return json_is_boolean(value) && json_is_true(value) == (field->value.natural != 0);
    case AT_FIELD_INTEGER:
        return json_is_integer(value) ? json_integer_value(value) == field->value.integer
                                      : json_number_value(value) == (double)field->value.integer;
    case AT_FIELD_UNSIGNED:
        return json_is_integer(value) ? (uint64_t)json_integer_value(value) == field->value.natural
                                      : json_number_value(value) == (double)field->value.natural;
    case AT_FIELD_DOUBLE:
        return is_real(value, field->value.real);
    case AT_FIELD_TEXT:
        return is_text(value, field->value.text,
                       field->length == AT_FIELD_TERMINATED && field->value.text
                           ? strlen(field->value.text)
                           : field->length);
    case AT_FIELD_BYTES:
        return is_hex_of(value, field);
    case AT_FIELD_JSON:
        if (!field->value.json)
            return json_is_null(value);
        return !tree_is_utf8(field->value.json) || is_tree(value, field->value.json);
    case AT_FIELD_REDACTED:
        return is_text(value, "[REDACTED]", 10);
    default:
        return json_is_null(value); /* an error that is NULL */
    }
}

static bool is_error(const at_field *field) {
    return field->type == AT_FIELD_ERROR && field->value.error;
}

static bool is_head(const char *key) {
    static const char *const keys[] = {"ts",        "level",        "event",   "logger",
                                       "operation", "operation_id", "trace_id"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

/* The fields that are no errors stand in their order behind `skipped` other members. */
static void check_values(const json_t *object, const parts_fields *fields, size_t skipped,
                         const char *text) {
    const char *key;
    json_t *value;
    size_t next = 0;
    if (json_object_get(object, "_cut"))
        return;
    json_object_foreach((json_t *)object, key, value) {
        if (is_head(key) || skipped > 0) {
            skipped -= !is_head(key);
            continue;
        }
        while (next < fields->count && is_error(&fields->list[next]))
            next++;
        if (next == fields->count)
            return;
        if (!reads_back(value, &fields->list[next++]))
            give_up(key, text);
    }
    if (next < fields->count)
        give_up("a field is not there", text);
}

/* -- Lines -- */

/* Control characters are escaped, so that a line stays one and does nothing to a terminal. */
static void check_bytes(const char *text, size_t length) {
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t i = 0; i + 1 < length; i++)
        if (bytes[i] < 0x20 || bytes[i] == 0x7f ||
            (bytes[i] == 0xc2 && bytes[i + 1] >= 0x80 && bytes[i + 1] < 0xa0))
            give_up("a control character", text);
}

static void check_line(const char *text, size_t length, const parts_fields *fields,
                       size_t skipped) {
    char problem[LOG_PROBLEM_MAX];
    struct log_line line;
    check_bytes(text, length);
    if (!log_line_read(&line, text, length, problem))
        give_up(problem, text);
    if (fields)
        check_values(line.object, fields, skipped, text);
    log_line_release(&line);
}

/* Members that were encoded before, as those of operations and loggers are. */
typedef struct encoded {
    char bytes[CONTEXT_ROOM + GUARD];
    size_t length;
    size_t count;
    bool cut;
} encoded;

static void encode_members(encoded *members, parts_input *input) {
    static parts_fields fields;
    members->length = members->count = 0;
    members->cut = false;
    if (parts_byte(input) % 2 == 0)
        return;
    parts_make_fields(&fields, input);
    members->length =
        ati_members_encode(members->bytes, CONTEXT_ROOM, fields.list, fields.count, &members->cut);
    if (members->length > CONTEXT_ROOM)
        give_up("members are too long", "");
    char object[CONTEXT_ROOM + 2] = "{";
    if (members->length > 0)
        memcpy(object + 1, members->bytes + 1, members->length - 1);
    object[members->length + (members->length == 0)] = '}';
    json_error_t error;
    size_t length = members->length + (members->length == 0) + 1;
    json_t *parsed = json_loadb(
        object, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (!parsed)
        give_up(error.text, object);
    members->count = json_object_size(parsed);
    json_decref(parsed);
}

static ati_context *make_operation(const encoded *members, parts_input *input) {
    if (parts_byte(input) % 3 == 0)
        return NULL;
    size_t length;
    const char *name = parts_text(input, &length);
    return ati_context_create(NULL, name, AT_FOREVER, members->bytes, members->length);
}

static void encode_directly(const at_log_line *line, const parts_fields *fields,
                            parts_input *input) {
    static char buffer[ATI_LINE_MAX + GUARD], name_member[256 + GUARD];
    static encoded of_operation, of_logger, of_call;
    ati_line_thread thread;
    size_t length;
    ati_line_thread_init(&thread);
    thread.stamp = (ati_stamp_cache){0};
    encode_members(&of_operation, input);
    encode_members(&of_logger, input);
    encode_members(&of_call, input);
    ati_context *operation = make_operation(&of_operation, input);
    ati_line_head head = {
        .time = (int64_t)parts_number(input),
        .logger_member = name_member,
        .operation = operation,
        .logger_fields = {of_logger.bytes, of_logger.length},
        .members = {of_call.bytes, of_call.length},
        .thread = &thread,
    };
    if (parts_byte(input) % 2)
        head.logger_member_length =
            ati_line_encode_member(name_member, 200, "logger", parts_text(input, &length));
    memset(buffer, 'Z', sizeof buffer);
    size_t size = ati_line_encode(buffer, &head, line);
    for (size_t i = ATI_LINE_MAX; i < sizeof buffer; i++)
        if (size > ATI_LINE_MAX || buffer[i] != 'Z')
            give_up("more than 8 KiB", "");
    buffer[size] = '\0';
    size_t skipped = (operation ? of_operation.count : 0) + of_logger.count + of_call.count;
    check_line(buffer, size, fields, skipped);
    ati_context_release(operation);
}

/* The same line on the way that all lines go. */
static void write_to_memory(const at_log_line *line, const parts_fields *fields) {
    static at_logger *logger;
    at_logger_options options = {.name = "fuzz", .memory_bytes = 65536, .level = AT_LOG_TRACE};
    char *lines;
    if (!logger && at_logger_create(&logger, &options) != AT_OK)
        give_up(at_error_message(at_error_last()), "");
    at_log_write(logger, line);
    if (at_logger_flush(logger, AT_FOREVER) != AT_OK ||
        at_logger_memory_lines(logger, &lines) != AT_OK)
        give_up(at_error_message(at_error_last()), "");
    check_line(lines, strlen(lines), fields, 0);
    at_logger_memory_release(lines);
    at_logger_memory_clear(logger);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static parts_fields fields;
    parts_input input = {data, data + size};
    size_t length;
    bool through_logger = parts_byte(&input) % EVERY_MEMORY == 0;
    int level = parts_byte(&input) % 16 - 4;
    parts_make_fields(&fields, &input);
    at_log_line line = {
        .level = (at_log_level)level,
        .event = parts_byte(&input) < 8 ? NULL : parts_text(&input, &length),
        .site = parts_byte(&input) % 2 ? AT_SITE("") : NULL,
        .fields = fields.list,
        .field_count = fields.count,
    };
    if (through_logger && level != AT_LOG_FATAL)
        write_to_memory(&line, &fields);
    else
        encode_directly(&line, &fields, &input);
    parts_release();
    at_error_clear();
    return 0;
}

#ifndef FUZZ_BY_LIBFUZZER

static void run_seed(uint64_t seed) {
    static uint8_t bytes[4096];
    uint64_t state = current_seed = seed;
    size_t size = ati_random_step(&state) % sizeof bytes;
    if (ati_random_step(&state) % 4 != 0)
        size %= 256;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)ati_random_step(&state);
    LLVMFuzzerTestOneInput(bytes, size);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argument_count, char **arguments) {
    if (argument_count > 1) {
        run_seed(strtoull(arguments[1], NULL, 10));
        return 0;
    }
    const char *seconds = getenv("FUZZ_SECONDS");
    double end = now() + (seconds ? atof(seconds) : 3);
    uint64_t seed = 0;
    while (now() < end)
        run_seed(++seed);
    printf("%llu inputs\n", (unsigned long long)seed);
    return 0;
}

#endif
