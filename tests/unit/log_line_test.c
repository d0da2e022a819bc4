/* SPDX-License-Identifier: MIT
 *
 * One line (rules J1 and J5): order and names of its keys, what is cut, what is renamed. */
#include "support/log_line.h"
#include "support/test.h"

#include <asynctools/log.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(log_line, keys_come_in_their_order) {
    const char fields[] = ",\"tenant\":\"blue\",\"shard\":3";
    ati_context *own = ati_context_create(NULL, "checkout", AT_FOREVER, fields, sizeof fields - 1);
    line_operation = own;
    at_status status = at_fail_status(AT_ERROR_IO, "no luck");
    cr_assert_eq(status, AT_ERROR_IO);
    json_t *object = LINE_ENCODE("cart.paid", at_kv_error(at_error_last()), at_kv("rows", 3));
    cr_assert(LINE_HAS_ORDER(
        "{\"ts\":\"2023-11-14T22:13:20.123456Z\"", ",\"level\":\"warn\"",
        ",\"event\":\"cart.paid\"", ",\"logger\":\"test\"", ",\"operation\":\"checkout\"",
        ",\"operation_id\":\"", ",\"trace_id\":\"", ",\"tenant\":\"blue\"", ",\"shard\":3",
        ",\"rows\":3", ",\"error.status\":\"AT_ERROR_IO\"", ",\"error.message\":\"no luck\"",
        ",\"error.origin\":\"log_line_test.c:", ",\"thread\":\"", ",\"source\":\"file.c:17\"}"));
    cr_expect_eq(strlen(line_text(object, "operation_id")), 16);
    cr_expect_eq(strlen(line_text(object, "trace_id")), 32);
    json_decref(object);
    line_operation = NULL;
    ati_context_release(own);
}

Test(log_line, values_of_every_type) {
    const bool yes = true;
    const unsigned char small = 200;
    json_t *object = LINE_ENCODE(
        "types", at_kv("integer", -5), at_kv("long", INT64_MIN), at_kv("natural", UINT64_MAX),
        at_kv("small", small), at_kv("real", 0.25), at_kv("text", "plain"), at_kv("yes", yes),
        at_kv_bool("no", 1 > 2), at_kv_null("nothing"), at_kv_text("part", "abcdef", 3),
        at_kv_string("missing", NULL), at_kv("nan", NAN), at_kv_error(NULL));
    cr_assert(LINE_HAS_ORDER(",\"integer\":-5,", "\"long\":-9223372036854775808,",
                             "\"natural\":18446744073709551615,", "\"small\":200,"));
    cr_expect_eq(json_real_value(json_object_get(object, "real")), 0.25);
    cr_expect_str_eq(line_text(object, "text"), "plain");
    cr_expect(json_is_true(json_object_get(object, "yes")));
    cr_expect(json_is_false(json_object_get(object, "no")));
    cr_expect(json_is_null(json_object_get(object, "nothing")));
    cr_expect_str_eq(line_text(object, "part"), "abc");
    cr_expect(json_is_null(json_object_get(object, "missing")));
    cr_expect_str_eq(line_text(object, "nan"), "NaN");
    cr_expect(json_is_null(json_object_get(object, "error")));
    json_decref(object);
}

Test(log_line, taken_and_reserved_keys_are_renamed) {
    const char fields[] = ",\"a\":0,\"nested\":{\"b\":[1,\"x,y\"]},\"c\":\"q\\\"\"";
    ati_context *own = ati_context_create(NULL, "work", AT_FOREVER, fields, sizeof fields - 1);
    line_operation = own;
    json_t *object =
        LINE_ENCODE("keys", at_kv("a", 1), at_kv("a", 2), at_kv("a_2", 3), at_kv("level", "x"),
                    at_kv("level", "y"), at_kv("_cut", 1), at_kv("ts", 1), at_kv("operation_id", 1),
                    at_kv("b", 1), at_kv("c", 1), at_kv("", 1), at_kv("", 2));
    static const struct {
        const char *key;
        int value;
    } wanted[] = {{"a", 0},    {"a_2", 1}, {"a_3", 2}, {"a_2_2", 3},          {"_cut_2", 1},
                  {"ts_2", 1}, {"b", 1},   {"c_2", 1}, {"operation_id_2", 1}, {"", 1},
                  {"_2", 2}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        json_t *value = json_object_get(object, wanted[i].key);
        cr_expect(json_is_integer(value) && json_integer_value(value) == wanted[i].value,
                  "%s in %s", wanted[i].key, line_bytes);
    }
    cr_expect_str_eq(line_text(object, "level"), "warn");
    cr_expect_str_eq(line_text(object, "level_2"), "x");
    cr_expect_str_eq(line_text(object, "level_3"), "y");
    json_decref(object);
    line_operation = NULL;
    ati_context_release(own);
}

/* The length of a literal is known when the program is compiled, that of other keys is not. */
Test(log_line, keys_end_at_their_nul) {
    char name[] = "built at run time";
    json_t *object = LINE_ENCODE("keys", at_kv(name, 1), at_kv("literal", 2), at_kv("cut\0off", 3));
    cr_expect_eq(json_integer_value(json_object_get(object, "built at run time")), 1);
    cr_expect_eq(json_integer_value(json_object_get(object, "literal")), 2);
    cr_expect_eq(json_integer_value(json_object_get(object, "cut")), 3);
    json_decref(object);
}

Test(log_line, long_values_are_cut_and_others_stay) {
    size_t size = 1 << 20;
    char *text = malloc(size);
    memset(text, 'x', size);
    json_t *object = LINE_ENCODE("long", at_kv_text("big", text, size), at_kv("small", 1),
                                 at_kv_text("big too", text, size), at_kv("last", 2));
    cr_expect(line_has_cut(object, "big"));
    cr_expect(line_has_cut(object, "big too"));
    cr_expect_eq(json_integer_value(json_object_get(object, "small")), 1);
    cr_expect_geq(json_string_length(json_object_get(object, "big")), 4000);
    json_decref(object);
    free(text);
}

Test(log_line, cut_text_ends_with_a_whole_character) {
    enum { count = 3000 };
    char text[3 * count];
    for (size_t i = 0; i < count; i++)
        memcpy(text + 3 * i, "\xe2\x82\xac", 3);
    for (size_t shift = 0; shift < 4; shift++) {
        char key[8] = "kkkkkkk";
        key[shift + 1] = '\0';
        json_t *object = LINE_ENCODE("cut", at_kv_text(key, text, sizeof text));
        cr_expect_eq(json_string_length(json_object_get(object, key)) % 3, 0);
        cr_expect(line_has_cut(object, key));
        json_decref(object);
    }
}

Test(log_line, ten_thousand_fields) {
    enum { count = 10000 };
    at_field *fields = malloc(count * sizeof *fields);
    char(*keys)[16] = malloc(count * sizeof *keys);
    for (int i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d", i);
        fields[i] = at_kv(keys[i], i);
    }
    json_t *object = line_encode("many", fields, count);
    cr_expect_eq(json_integer_value(json_object_get(object, "k100")), 100);
    json_int_t cut = json_integer_value(json_object_get(object, "_cut_count"));
    /* The rest: ts, level, event, logger, thread, source, _cut, _cut_count. */
    cr_expect_eq((size_t)cut + json_object_size(object) - 8, count);
    json_decref(object);
    for (int i = 0; i < count; i++)
        fields[i].key = "same";
    object = line_encode("many", fields, count);
    cr_expect_eq(json_integer_value(json_object_get(object, "same_100")), 99);
    json_decref(object);
    free(keys);
    free(fields);
}

/* Rule J1: no member without a meaning. */
Test(log_line, an_operation_without_a_name) {
    ati_context *own = ati_context_create(NULL, "", AT_FOREVER, NULL, 0);
    line_operation = own;
    json_t *object = LINE_ENCODE("event");
    cr_expect_null(json_object_get(object, "operation"));
    cr_expect_eq(strlen(line_text(object, "operation_id")), 16);
    json_decref(object);
    line_operation = NULL;
    ati_context_release(own);
}

Test(log_line, long_names_are_cut) {
    char name[2000];
    memset(name, 'n', sizeof name);
    memset(name + sizeof name - 2, 0, 2);
    ati_context *own = ati_context_create(NULL, name, AT_FOREVER, NULL, 0);
    line_operation = own;
    line_site = name;
    json_t *object = LINE_ENCODE(name, at_kv(name, 1), at_kv(name, 2));
    cr_expect(line_has_cut(object, "event"));
    cr_expect(line_has_cut(object, "operation"));
    cr_expect(line_has_cut(object, "source"));
    cr_expect_eq(json_object_size(object), 2 + 7 + 3);
    json_decref(object);
    line_operation = NULL;
    ati_context_release(own);
}

Test(log_line, context_fields_that_do_not_fit_are_left_out) {
    enum { size = 9000 };
    char *fields = malloc(size + 64);
    size_t length = (size_t)sprintf(fields, ",\"first\":1,\"big\":\"");
    memset(fields + length, 'x', size);
    length += size;
    length += (size_t)sprintf(fields + length, "\",\"last\":2");
    ati_context *own = ati_context_create(NULL, "work", AT_FOREVER, fields, length);
    free(fields);
    line_operation = own;
    json_t *object = LINE_ENCODE("context", at_kv("own", 3));
    cr_expect_eq(json_integer_value(json_object_get(object, "first")), 1);
    cr_expect_eq(json_integer_value(json_object_get(object, "last")), 2);
    cr_expect_eq(json_integer_value(json_object_get(object, "own")), 3);
    cr_expect_null(json_object_get(object, "big"));
    cr_expect(line_has_cut(object, "big"));
    json_decref(object);
    line_operation = NULL;
    ati_context_release(own);
}

Test(log_line, errors_are_written_behind_the_fields) {
    at_status status = at_fail_status(AT_ERROR_NOT_FOUND, "inner");
    cr_assert_eq(status, AT_ERROR_NOT_FOUND);
    cr_assert_eq(at_fail_from(at_error_take(), AT_ERROR_IO, "outer"), AT_FAILED);
    const at_error *error = at_error_last();
    json_t *object = LINE_ENCODE("failed", at_kv("why", error), at_kv_error(error),
                                 at_kv("rows", 1), at_kv("error.status", "mine"));
    cr_expect_str_eq(line_text(object, "why.status"), "AT_ERROR_IO");
    cr_expect_str_eq(line_text(object, "error.status"), "mine");
    cr_expect_str_eq(line_text(object, "error.status_2"), "AT_ERROR_IO");
    cr_expect_str_eq(line_text(object, "error.message"), "outer");
    cr_expect_eq(strncmp(line_text(object, "error.cause"), "inner (log_line_test.c:", 23), 0);
    cr_assert(LINE_HAS_ORDER("\"rows\":1", "\"why.status\"", "\"error.message\""));
    json_decref(object);
}

Test(log_line, errors_have_room_beside_long_fields) {
    size_t size = 20000;
    char *text = malloc(size);
    memset(text, '\x01', size);
    at_status status = at_fail_status(AT_ERROR_IO, "%.*s", 5000, text);
    cr_assert_eq(status, AT_ERROR_IO);
    json_t *object = LINE_ENCODE("failed", at_kv_text("a", text, size), at_kv_text("b", text, size),
                                 at_kv_text("c", text, size), at_kv_error(at_error_last()));
    cr_expect_str_eq(line_text(object, "error.status"), "AT_ERROR_IO");
    cr_expect(line_has_cut(object, "error.message"));
    cr_expect_eq(strncmp(line_text(object, "error.origin"), "log_line_test.c:", 16), 0);
    json_decref(object);
    free(text);
}

/* Whatever the keys and values are, the line is one. */
Test(log_line, random_fields) {
    uint64_t state = 99;
    static char noise[16384];
    for (int round = 0; round < 3000; round++) {
        for (size_t i = 0; i < sizeof noise; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            noise[i] = (char)(state >> 56);
        }
        at_field fields[12];
        char keys[12][24];
        size_t count = state >> 60;
        count = count < 12 ? count : 12;
        for (size_t i = 0; i < count; i++) {
            memcpy(keys[i], noise + 24 * i, 23);
            keys[i][23] = '\0';
            size_t length = (size_t)(unsigned char)noise[i] << (noise[i + 40] & 6);
            fields[i] = i % 3 ? at_kv_text(keys[i], noise + 300 * (i + 1), length)
                              : at_kv_double(keys[i], (double)(int)state / (i + 1.0));
        }
        json_decref(line_encode(noise + 9000, fields, count));
    }
}

/* Every byte, in a key and in a text; a key ends at a NUL. */
Test(log_line, every_byte_in_key_and_value) {
    for (int byte = 0; byte < 256; byte++) {
        const char key[] = {'k', (char)byte, 'y', '\0'};
        const char value[] = {'v', (char)byte, 'e'};
        json_t *object =
            LINE_ENCODE("bytes", at_kv_text(key, value, 3), at_kv_text("", &value[1], 1));
        bool ascii = byte < 128;
        cr_expect_eq(json_string_length(json_object_get(object, "")), ascii ? 1 : 3);
        if (ascii) {
            json_t *found = json_object_get(object, key);
            cr_assert_eq(json_string_length(found), 3);
            cr_expect_arr_eq(json_string_value(found), value, 3);
        } else {
            cr_expect_str_eq(line_text(object, "k\xef\xbf\xbdy"), "v\xef\xbf\xbd"
                                                                  "e");
        }
        json_decref(object);
    }
}

/* Reserved keys, each of them, and each of them twice. */
Test(log_line, every_reserved_key) {
    static const char *const keys[] = {"ts",        "level",        "event",     "logger",
                                       "operation", "operation_id", "trace_id",  "thread",
                                       "source",    "_cut",         "_cut_count"};
    enum { count = sizeof keys / sizeof *keys };
    at_field fields[2 * count];
    for (size_t i = 0; i < 2 * count; i++)
        fields[i] = at_kv(keys[i / 2], i);
    json_t *object = line_encode("reserved", fields, 2 * count);
    for (size_t i = 0; i < 2 * count; i++) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "%s_%d", keys[i / 2], (int)(2 + i % 2));
        cr_expect_eq(json_integer_value(json_object_get(object, wanted)), (int)i, "%s", line_bytes);
        cr_expect(json_is_integer(json_object_get(object, wanted)), "%s", wanted);
    }
    json_decref(object);
}
