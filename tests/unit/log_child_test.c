/* SPDX-License-Identifier: MIT
 *
 * Child loggers (rule J4): names, levels, who owns them, what they share with their parent. */
#include "support/test.h"

#include <asynctools/log.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static at_logger *create(const char *name) {
    at_logger *logger;
    cr_assert_eq(
        at_logger_create(&logger, &(at_logger_options){.name = name, .memory_bytes = 1 << 20}),
        AT_OK, "%s", at_error_message(at_error_last()));
    return logger;
}

static at_logger *create_child(at_logger *parent, const at_logger_child_options *options) {
    at_logger *child;
    cr_assert_eq(at_logger_create_child(&child, parent, options), AT_OK, "%s",
                 at_error_message(at_error_last()));
    return child;
}

static at_logger *create_named(at_logger *parent, const char *name) {
    return create_child(parent, &(at_logger_child_options){.name = name});
}

/* The lines in memory, each parsed. */
static json_t *lines_of(at_logger *logger) {
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(30))), AT_OK);
    char *lines;
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    json_t *all = json_array();
    for (char *line = lines; *line;) {
        size_t length = strcspn(line, "\n");
        json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
        cr_assert_not_null(object, "not JSON: %.*s", (int)length, line);
        json_array_append_new(all, object);
        line += length + (line[length] == '\n');
    }
    at_logger_memory_release(lines);
    return all;
}

/* The text of a member of line `number`, or NULL. */
static const char *text(const json_t *lines, size_t number, const char *key) {
    return json_string_value(json_object_get(json_array_get(lines, number), key));
}

Test(log_child, names_are_joined_by_dots) {
    at_logger *root = create("shop");
    at_logger *http = create_named(root, "http");
    at_logger *client = create_named(http, "client");
    at_logger *same = create_child(client, NULL);
    at_log_info(root, "one");
    at_log_info(http, "two");
    at_log_info(client, "three");
    at_log_info(same, "four");
    json_t *lines = lines_of(root);
    cr_expect_eq(json_array_size(lines), 4);
    cr_expect_str_eq(text(lines, 0, "logger"), "shop");
    cr_expect_str_eq(text(lines, 1, "logger"), "shop.http");
    cr_expect_str_eq(text(lines, 2, "logger"), "shop.http.client");
    cr_expect_str_eq(text(lines, 3, "logger"), "shop.http.client");
    json_decref(lines);
    at_logger_destroy(root);
}

Test(log_child, a_parent_without_a_name) {
    at_logger *root = create(NULL);
    at_logger *same = create_child(root, NULL);
    at_logger *http = create_named(same, "http");
    at_log_info(root, "one");
    at_log_info(same, "two");
    at_log_info(http, "three");
    json_t *lines = lines_of(http);
    cr_expect_null(text(lines, 0, "logger"));
    cr_expect_null(text(lines, 1, "logger"));
    cr_expect_str_eq(text(lines, 2, "logger"), "http");
    json_decref(lines);
    at_logger_destroy(root);
}

Test(log_child, any_bytes_make_a_name) {
    at_logger *root = create("\xff\"\\");
    at_logger *child = create_named(root, "a\nb\x01\xc3");
    at_log_info(child, "one");
    json_t *lines = lines_of(root);
    cr_expect_str_eq(text(lines, 0, "logger"), "\xef\xbf\xbd\"\\.a\nb\x01\xef\xbf\xbd");
    json_decref(lines);
    at_logger_destroy(root);
}

Test(log_child, bad_options_are_refused_by_name) {
    char name[130];
    memset(name, 'n', sizeof name);
    name[129] = '\0';
    const struct {
        at_logger_child_options options;
        const char *member;
    } cases[] = {
        {{.name = ""}, "name"},
        {{.name = name}, "name"},
        {{.level = (at_log_level)-1}, "level"},
        {{.level = (at_log_level)8}, "level"},
        {{.field_count = -1}, "field_count"},
        {{.field_count = 1}, "field_count"},
        {{.reserved = {0, 0, 0, 1}}, "reserved"},
    };
    at_logger *root = create("r");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_logger *child = root;
        cr_expect_eq(at_logger_create_child(&child, root, &cases[i].options), AT_ERROR_INVALID);
        cr_expect_eq(child, root);
        cr_expect_not_null(strstr(at_error_text(at_error_last()), cases[i].member));
    }
    name[126] = '\0'; /* 128 bytes with the parent's and the dot */
    at_logger *child = create_named(root, name);
    at_log_info(child, "long");
    json_t *lines = lines_of(root);
    cr_expect_eq(strlen(text(lines, 0, "logger")), 128);
    json_decref(lines);
    at_logger_destroy(root);
    at_error_clear();
}

Test(log_child, the_name_of_the_root_is_one_too) {
    char name[130] = "";
    at_logger *root = NULL;
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(at_logger_create(&root, &(at_logger_options){.name = name}), AT_ERROR_INVALID);
        cr_expect_not_null(strstr(at_error_text(at_error_last()), "at_logger_create: `name`"));
        memset(name, 'n', sizeof name - 1);
    }
    cr_expect_null(root);
    at_error_clear();
}

/* What each byte becomes may be six. */
Test(log_child, a_name_is_never_cut) {
    char name[129] = "";
    memset(name, '\x01', sizeof name - 1);
    at_logger *root = create(name);
    at_log_info(root, "long");
    json_t *lines = lines_of(root);
    cr_expect_str_eq(text(lines, 0, "logger"), name);
    json_decref(lines);
    at_logger_destroy(root);
}

Test(log_child, level_is_its_own_or_that_of_the_parent) {
    at_logger *root = create("r");
    at_logger *follows = create_named(root, "follows");
    at_logger *below = create_named(follows, "below");
    at_logger *own =
        create_child(root, &(at_logger_child_options){.name = "own", .level = AT_LOG_ERROR});
    at_logger *below_own = create_named(own, "below");
    cr_expect_eq(at_logger_level(below), AT_LOG_INFO);
    cr_expect_eq(at_logger_level(below_own), AT_LOG_ERROR);
    cr_expect_eq(at_logger_set_level(root, AT_LOG_TRACE), AT_OK);
    cr_expect_eq(at_logger_level(root), AT_LOG_TRACE);
    cr_expect_eq(at_logger_level(follows), AT_LOG_TRACE);
    cr_expect_eq(at_logger_level(below), AT_LOG_TRACE);
    cr_expect_eq(at_logger_level(own), AT_LOG_ERROR);
    cr_expect_eq(at_logger_level(below_own), AT_LOG_ERROR);
    cr_expect_eq(at_logger_set_level(follows, AT_LOG_WARN), AT_OK);
    cr_expect_eq(at_logger_level(below), AT_LOG_WARN);
    cr_expect_eq(at_logger_level(root), AT_LOG_TRACE);
    cr_expect_eq(at_logger_set_level(follows, AT_LOG_DEFAULT), AT_OK);
    cr_expect_eq(at_logger_level(below), AT_LOG_TRACE);
    cr_expect_eq(at_logger_set_level(own, AT_LOG_DEFAULT), AT_OK);
    cr_expect_eq(at_logger_level(below_own), AT_LOG_TRACE);
    cr_expect_eq(at_logger_set_level(root, AT_LOG_DEFAULT), AT_OK);
    cr_expect_eq(at_logger_level(below_own), AT_LOG_INFO);
    at_log_debug(below_own, "no");
    at_log_info(below_own, "yes");
    json_t *lines = lines_of(root);
    cr_expect_eq(json_array_size(lines), 1);
    json_decref(lines);
    at_logger_destroy(root);
}

Test(log_child, goes_before_its_parent) {
    at_logger *root = create("r");
    at_logger *first = create_named(root, "first");
    at_logger *middle = create_named(root, "middle");
    at_logger *last = create_named(root, "last");
    at_logger *below = create_named(middle, "below");
    at_log_info(below, "one");
    at_logger_destroy(middle);
    at_log_info(first, "two");
    at_logger_destroy(last);
    cr_expect_eq(at_logger_set_level(root, AT_LOG_WARN), AT_OK);
    cr_expect_eq(at_logger_level(first), AT_LOG_WARN);
    at_log_warn(first, "three");
    at_logger_destroy(first);
    json_t *lines = lines_of(root);
    cr_expect_eq(json_array_size(lines), 3);
    cr_expect_str_eq(text(lines, 0, "logger"), "r.middle.below");
    json_decref(lines);
    at_logger_destroy(root);
}

static const json_t *member(const json_t *lines, size_t number, const char *key) {
    return json_object_get(json_array_get(lines, number), key);
}

static at_logger *create_with(at_logger *parent, const at_field *fields, int64_t count) {
    return create_child(parent, &(at_logger_child_options){.fields = fields, .field_count = count});
}

/* J4, J1: they come before those of the call, in order, and no key is there twice. */
Test(log_child, fields_are_on_every_line) {
    at_logger *root = create("r");
    char value[] = "copied";
    const at_field fields[] = {at_kv("connection", 7), at_kv("peer", value), at_kv("ratio", 0.5),
                               at_kv_bool("secure", true), at_kv_null("none")};
    at_logger *child = create_with(root, fields, 5);
    memset(value, 'x', strlen(value));
    const at_field more[] = {at_kv("peer", "inner"), at_kv("stream", 1)};
    at_logger *below = create_with(child, more, 2);
    at_log_info(root, "one");
    at_log_info(child, "two", at_kv("n", 1), at_kv("connection", 8));
    at_log_info(below, "three", at_kv("peer", "call"));
    json_t *lines = lines_of(root);
    cr_expect_eq(json_object_size(json_array_get(lines, 0)), 6);
    cr_expect_eq(json_integer_value(member(lines, 1, "connection")), 7);
    cr_expect_eq(json_integer_value(member(lines, 1, "connection_2")), 8);
    cr_expect_str_eq(text(lines, 1, "peer"), "copied");
    cr_expect_float_eq(json_real_value(member(lines, 1, "ratio")), 0.5, 0);
    cr_expect(json_is_true(member(lines, 1, "secure")) && json_is_null(member(lines, 1, "none")));
    cr_expect_eq(json_integer_value(member(lines, 2, "connection")), 7);
    cr_expect_str_eq(text(lines, 2, "peer"), "copied");
    cr_expect_str_eq(text(lines, 2, "peer_2"), "inner");
    cr_expect_str_eq(text(lines, 2, "peer_3"), "call");
    cr_expect_eq(json_integer_value(member(lines, 2, "stream")), 1);
    json_decref(lines);
    at_logger_destroy(root);
}

static at_error *make_error(void) {
    cr_assert_eq(at_fail(AT_ERROR_INVALID, "no \"good\""), AT_FAILED);
    return at_error_take();
}

Test(log_child, fields_of_any_kind) {
    at_logger *root = create("r");
    at_error *error = make_error();
    const at_field fields[] = {at_kv("level", "loud"), at_kv("\xff\n", "\xc3\x28"),
                               at_kv("nan", (double)NAN), at_kv_error(error), at_kv(NULL, 1)};
    at_logger *child = create_with(root, fields, 5);
    at_error_release(error);
    at_log_info(child, "one", at_kv_error(NULL));
    json_t *lines = lines_of(root);
    cr_expect_str_eq(text(lines, 0, "level"), "info");
    cr_expect_str_eq(text(lines, 0, "level_2"), "loud");
    cr_expect_str_eq(text(lines, 0, "\xef\xbf\xbd\n"), "\xef\xbf\xbd(");
    cr_expect_str_eq(text(lines, 0, "nan"), "NaN");
    cr_expect_str_eq(text(lines, 0, "error.status"), "AT_ERROR_INVALID");
    cr_expect_str_eq(text(lines, 0, "error.message"), "no \"good\"");
    cr_expect_eq(json_integer_value(member(lines, 0, "")), 1);
    json_decref(lines);
    at_logger_destroy(root);
}

/* Whether the keys that were cut of line `number` have `key`. */
static bool is_cut(const json_t *lines, size_t number, const char *key) {
    const json_t *cut = member(lines, number, "_cut");
    for (size_t i = 0; i < json_array_size(cut); i++)
        if (strcmp(json_string_value(json_array_get(cut, i)), key) == 0)
            return true;
    return false;
}

/* J1: what is cut says so, on each line. */
Test(log_child, long_fields_are_cut_and_say_so) {
    static char value[1 << 20];
    memset(value, 'v', sizeof value - 1);
    at_logger *root = create("r");
    const at_field fields[] = {at_kv("first", 1), at_kv("long", value), at_kv("left_out", value)};
    at_logger *child = create_with(root, fields, 3);
    const at_field more[] = {at_kv("last", value)};
    at_logger *below = create_with(child, more, 1);
    at_log_info(child, "one", at_kv("n", 1));
    at_log_info(below, "two", at_kv("n", value));
    json_t *lines = lines_of(root);
    for (size_t i = 0; i < 2; i++) {
        cr_expect_eq(json_integer_value(member(lines, i, "first")), 1);
        cr_expect_gt(strlen(text(lines, i, "long")), 1500);
        cr_expect(is_cut(lines, i, "long") && is_cut(lines, i, "left_out"));
        cr_expect_eq(is_cut(lines, i, "last"), i == 1);
        cr_expect_eq(is_cut(lines, i, "n"), i == 1);
    }
    cr_expect_gt(strlen(text(lines, 1, "n")), 3500);
    json_decref(lines);
    at_logger_destroy(root);
}

Test(log_child, very_many_fields) {
    enum { count = 10000 };
    static at_field fields[count];
    static char keys[count][16];
    for (int i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "key%d", i);
        fields[i] = at_kv(keys[i], i);
    }
    at_logger *root = create("r");
    at_logger *child = create_with(root, fields, count);
    at_log_info(child, "one");
    json_t *lines = lines_of(root);
    json_int_t cut = json_integer_value(member(lines, 0, "_cut_count"));
    json_int_t whole = (json_int_t)json_object_size(json_array_get(lines, 0)) - 8;
    cr_expect_eq(whole + cut, count, "%d whole, %d cut", (int)whole, (int)cut);
    cr_expect_gt(whole, 90);
    json_decref(lines);
    at_logger_destroy(root);
}

Test(log_child, shares_what_its_root_has) {
    at_logger *root = create("r");
    at_logger *child = create_named(root, "child");
    for (int i = 0; i < 10; i++)
        at_log_info(i % 2 ? root : child, "line", at_kv("number", i));
    json_t *lines = lines_of(child);
    cr_assert_eq(json_array_size(lines), 10);
    for (size_t i = 0; i < 10; i++) {
        const json_t *number = json_object_get(json_array_get(lines, i), "number");
        cr_expect_eq(json_integer_value(number), (json_int_t)i,
                     "the lines of a thread are in order");
        cr_expect_str_eq(text(lines, i, "logger"), i % 2 ? "r" : "r.child");
    }
    json_decref(lines);
    at_logger_statistics statistics;
    at_logger_get_statistics(child, &statistics);
    cr_expect_eq(statistics.written, 10);
    cr_expect_eq(statistics.ring_count, 1);
    at_logger_memory_clear(child);
    lines = lines_of(root);
    cr_expect_eq(json_array_size(lines), 0);
    json_decref(lines);
    at_logger_destroy(root);
}

Test(log_child, default_logger_goes_with_a_parent_of_it) {
    at_logger *root = create("r");
    at_logger *middle = create_named(root, "middle");
    at_logger *beside = create_named(root, "beside");
    at_logger *child = create_named(middle, "child");
    at_logger_set_default(child);
    at_logger_destroy(beside);
    cr_expect_eq(at_logger_default(), child);
    at_log_info(at_logger_default(), "line");
    at_logger_destroy(middle);
    cr_expect_null(at_logger_default());
    child = create_named(root, "child");
    at_logger_set_default(child);
    at_logger_destroy(root);
    cr_expect_null(at_logger_default());
}

Test(log_child, very_many_below_each_other) {
    at_logger *root = create("r");
    at_logger *logger = root;
    for (int i = 0; i < 20000; i++)
        logger = create_child(logger, NULL);
    cr_expect_eq(at_logger_set_level(root, AT_LOG_DEBUG), AT_OK);
    at_log_debug(logger, "deep");
    json_t *lines = lines_of(logger);
    cr_expect_str_eq(text(lines, 0, "event"), "deep");
    json_decref(lines);
    at_logger_destroy(root);
}

Test(log_child, fatal_is_written_when_the_call_returns) {
    at_logger *root = create("r");
    at_logger *child = create_named(root, "child");
    at_log_fatal(child, "end");
    char *lines;
    cr_assert_eq(at_logger_memory_lines(root, &lines), AT_OK);
    cr_expect_not_null(strstr(lines, "\"event\":\"end\",\"logger\":\"r.child\""));
    at_logger_memory_release(lines);
    at_logger_destroy(root);
}
