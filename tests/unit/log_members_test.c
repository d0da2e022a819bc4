/* SPDX-License-Identifier: MIT
 *
 * Members that are encoded outside a line (rules J1 and J5): the same names, repairs and cuts as in
 * one, and what becomes of them when they come into a line. */
#include "support/test.h"

#include "log/encoder.h"
#include "log/members.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static char bytes[2 * ATI_MEMBERS_MAX];
static bool was_cut;

/* Encodes fields into `room` bytes and gives them parsed. */
static json_t *encode(size_t room, const at_field *fields, size_t count) {
    memset(bytes, 'Z', sizeof bytes);
    size_t length = ati_members_encode(bytes, room, fields, count, &was_cut);
    cr_assert_leq(length, room);
    for (size_t i = room; i < sizeof bytes; i++)
        cr_assert_eq(bytes[i], 'Z');
    char text[sizeof bytes + 3];
    snprintf(text, sizeof text, "{%.*s}", (int)(length > 0 ? length - 1 : 0), bytes + 1);
    json_error_t error;
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    cr_assert_not_null(object, "%s: %s", error.text, text);
    cr_assert(length == 0 || bytes[0] == ',');
    return object;
}

#define ENCODE(room, ...)                                                                          \
    encode(room, (const at_field[]){__VA_ARGS__},                                                  \
           sizeof((const at_field[]){__VA_ARGS__}) / sizeof(at_field))

static const char *string_of(const json_t *object, const char *key) {
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "(none)";
}

Test(log_members, fields_of_every_type) {
    at_status status = at_fail_status(AT_ERROR_IO, "no luck");
    cr_assert_eq(status, AT_ERROR_IO);
    json_t *object = ENCODE(4096, at_kv("rows", 3), at_kv_error(at_error_last()),
                            at_kv("text", "a\xff\n"), at_kv("rows", 4), at_kv("level", 5));
    cr_expect_eq(json_integer_value(json_object_get(object, "rows")), 3);
    cr_expect_eq(json_integer_value(json_object_get(object, "rows_2")), 4);
    cr_expect_eq(json_integer_value(json_object_get(object, "level_2")), 5);
    cr_expect_str_eq(string_of(object, "text"), "a\xef\xbf\xbd\n");
    cr_expect_str_eq(string_of(object, "error.status"), "AT_ERROR_IO");
    cr_expect_not(was_cut);
    json_decref(object);
}

Test(log_members, no_room_is_left_alone) {
    static char text[100000];
    memset(text, 'x', sizeof text);
    at_status status = at_fail_status(AT_ERROR_IO, "%.*s", 3000, text);
    cr_assert_eq(status, AT_ERROR_IO);
    for (size_t room = 0; room < sizeof bytes; room = room < 1200 ? room + 1 : room + 97) {
        json_t *object = ENCODE(room, at_kv("first", 1), at_kv_text("big", text, sizeof text),
                                at_kv_error(at_error_last()), at_kv("last", 2));
        cr_expect(was_cut);
        cr_expect(room < 280 || json_object_get(object, "first"), "%zu", room);
        cr_expect(room < 1000 || json_object_get(object, "error.message"), "%zu", room);
        json_decref(object);
    }
    json_decref(ENCODE(sizeof bytes, at_kv("first", 1)));
    cr_expect_not(was_cut);
}

Test(log_members, encoded_values_are_whole_or_left_out) {
    const char json[] = "[1,{\"a\":\"}\"}]";
    json_t *object = ENCODE(4096, ati_field_encoded("list", json, sizeof json - 1));
    cr_expect_eq(json_array_size(json_object_get(object, "list")), 2);
    json_decref(object);
    object = ENCODE(150, ati_field_encoded("list", json, sizeof json - 1));
    cr_expect_eq(json_object_size(object), 0);
    cr_expect(was_cut);
    json_decref(object);
}

/* Rule J1: no key twice, wherever the members come from. */
Test(log_members, in_a_line_the_first_keeps_its_name) {
    static ati_line_thread thread;
    ati_line_thread_init(&thread);
    const char own[] = ",\"a\":1,\"b\":\"x,y\",\"source\":2";
    const char more[] = ",\"a\":3,\"c\":[\"]\",{\"q\":1}]";
    const ati_line_head head = {
        .logger_member = "",
        .thread = &thread,
        .logger_fields = {own, sizeof own - 1},
        .members = {more, sizeof more - 1},
    };
    const at_field fields[] = {at_kv("a", 4), at_kv("c", 5)};
    const at_log_line line = {
        .level = AT_LOG_INFO, .event = "members", .fields = fields, .field_count = 2};
    size_t length = ati_line_encode(bytes, &head, &line);
    bytes[length] = '\0';
    json_t *object = json_loads(bytes, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(object, "%s", bytes);
    static const struct {
        const char *key;
        int value;
    } wanted[] = {{"a", 1}, {"source_2", 2}, {"a_2", 3}, {"a_3", 4}, {"c_2", 5}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        cr_expect_eq(json_integer_value(json_object_get(object, wanted[i].key)), wanted[i].value,
                     "%s in %s", wanted[i].key, bytes);
    cr_expect_str_eq(string_of(object, "b"), "x,y");
    cr_expect_eq(json_array_size(json_object_get(object, "c")), 2);
    json_decref(object);
}
