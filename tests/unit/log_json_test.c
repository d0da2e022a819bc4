/* SPDX-License-Identifier: MIT
 *
 * Fields of bytes, of trees of jansson, and of what nobody is to see (rules J1 and J4). */
#include "support/log_line.h"
#include "support/test.h"

#include <asynctools/log.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(log_json, bytes_are_hexadecimal) {
    unsigned char all[256];
    char wanted[513];
    for (int i = 0; i < 256; i++) {
        all[i] = (unsigned char)i;
        snprintf(wanted + 2 * i, 3, "%02x", i);
    }
    json_t *object =
        LINE_ENCODE("bytes", at_kv_bytes("all", all, sizeof all), at_kv_bytes("none", all, 0),
                    at_kv_bytes("null", NULL, 0), at_kv("rows", 1));
    cr_expect_str_eq(line_text(object, "all"), wanted);
    cr_expect_str_eq(line_text(object, "none"), "");
    cr_expect(json_is_null(json_object_get(object, "null")));
    cr_expect_null(json_object_get(object, "_cut"));
    json_decref(object);
}

Test(log_json, long_bytes_are_cut) {
    size_t size = 1 << 20;
    unsigned char *big = calloc(1, size);
    json_t *object = LINE_ENCODE("bytes", at_kv_bytes("a", big, size), at_kv_bytes("b", big, size),
                                 at_kv_bytes("c", big, size), at_kv("rows", 1));
    cr_expect_eq(json_string_length(json_object_get(object, "a")), 4096);
    cr_expect_eq(json_string_length(json_object_get(object, "b")) % 2, 0);
    cr_expect(line_has_cut(object, "a"));
    cr_expect(line_has_cut(object, "b"));
    cr_expect(line_has_cut(object, "c"));
    json_decref(object);
    free(big);
}

static int evaluated;

static const char *password(void) {
    evaluated++;
    return "hunter2";
}

Test(log_json, secrets_are_not_written) {
    const int pin = 1234;
    json_t *object = LINE_ENCODE("secrets", at_secret("password", password()),
                                 at_secret("pin", pin), at_secret("level", 0.5));
    cr_expect_str_eq(line_text(object, "password"), "[REDACTED]");
    cr_expect_str_eq(line_text(object, "pin"), "[REDACTED]");
    cr_expect_str_eq(line_text(object, "level_2"), "[REDACTED]");
    cr_expect_null(strstr(line_bytes, "hunter2"));
    cr_expect_eq(evaluated, 1);
    json_decref(object);
}

Test(log_json, a_tree_is_what_it_was) {
    json_t *tree = json_pack("{s:[i,f,s,b,b,n,[],{}], s:{s:s, s:I, s:I}}", "list", 1, 2.5, "a\n\"b",
                             1, 0, "object", "x", "y", "least", (json_int_t)INT64_MIN, "most",
                             (json_int_t)INT64_MAX);
    const json_t *borrowed = tree;
    json_t *object = LINE_ENCODE("tree", at_kv("tree", tree), at_kv("again", borrowed),
                                 at_kv_json("null", NULL), at_kv_json("true", json_true()));
    cr_expect(json_equal(json_object_get(object, "tree"), tree), "%s", line_bytes);
    cr_expect(json_equal(json_object_get(object, "again"), tree));
    cr_expect(json_is_null(json_object_get(object, "null")));
    cr_expect(json_is_true(json_object_get(object, "true")));
    cr_expect_null(json_object_get(object, "_cut"));
    json_decref(object);
    json_decref(tree);
}

/* jansson refuses to make a number that is not finite, and to make a text that is no UTF-8 unless
 * it is told not to look. */
Test(log_json, broken_values) {
    json_t *broken = json_real(1);
    for (int i = 0; i < 3; i++) {
        /* The number lies behind what every value begins with. */
        ((double *)(broken + 1))[0] =
            (double[]){(double)NAN, (double)INFINITY, -(double)INFINITY}[i];
        cr_assert_not(isfinite(json_real_value(broken)));
        json_t *list = json_pack("[O]", broken);
        json_t *object = LINE_ENCODE("broken", at_kv("list", list));
        cr_expect_str_eq(json_string_value(json_array_get(json_object_get(object, "list"), 0)),
                         ((const char *[]){"NaN", "Infinity", "-Infinity"})[i]);
        json_decref(object);
        json_decref(list);
    }
    json_decref(broken);
    for (int byte = 0; byte < 256; byte++) {
        const char text[] = {'a', (char)byte, 'b'};
        json_t *value = json_stringn_nocheck(text, 3);
        json_t *object = LINE_ENCODE("broken", at_kv("text", value));
        json_t *found = json_object_get(object, "text");
        cr_expect_eq(json_string_length(found), byte < 128 ? 3 : 5);
        cr_expect_null(json_object_get(object, "_cut"));
        json_decref(object);
        json_decref(value);
    }
    json_t odd = {(json_type)77, (size_t)-1};
    json_t *list = json_pack("[i]", 1);
    json_array_append_new(list, &odd);
    json_t *object = LINE_ENCODE("broken", at_kv("list", list), at_kv("odd", &odd));
    cr_expect(json_is_null(json_array_get(json_object_get(object, "list"), 1)));
    cr_expect(json_is_null(json_object_get(object, "odd")));
    cr_expect(line_has_cut(object, "list"));
    cr_expect(line_has_cut(object, "odd"));
    json_decref(object);
    json_decref(list);
}

Test(log_json, keys_that_not_every_reader_takes_are_left_out) {
    char longest[129];
    memset(longest, 'k', 128);
    longest[128] = '\0';
    json_t *tree =
        json_pack("{s:i, s:i, s:i, s:i}", "first", 1, longest, 2, "", 3, "\xe2\x82\xac", 4);
    json_t *object = LINE_ENCODE("keys", at_kv("tree", tree));
    cr_expect(json_equal(json_object_get(object, "tree"), tree), "%s", line_bytes);
    cr_expect_null(json_object_get(object, "_cut"));
    json_decref(object);

    json_t *wanted = json_deep_copy(tree);
    char longer[130];
    memset(longer, 'k', 129);
    longer[129] = '\0';
    json_object_set_new(tree, longer, json_integer(5));
    json_object_set_new_nocheck(tree, "bad\xff", json_integer(6));
    json_object_set_new_nocheck(tree, "\xed\xa0\x80", json_integer(7)); /* a surrogate */
    memset(longest, '\x01', 128); /* has no more bytes, but escapes */
    json_object_set_new(tree, longest, json_integer(8));
#if JANSSON_VERSION_HEX >= 0x020e00
    json_object_setn_new_nocheck(tree, "a\0b", 3, json_integer(9));
#endif
    json_object_set_new(tree, "last", json_integer(10));
    json_object_set_new(wanted, "last", json_integer(10));
    object = LINE_ENCODE("keys", at_kv("tree", tree));
    cr_expect(json_equal(json_object_get(object, "tree"), wanted), "%s", line_bytes);
    cr_expect(line_has_cut(object, "tree"));
    json_decref(object);
    json_decref(wanted);
    json_decref(tree);
}

Test(log_json, deep_trees_are_closed) {
    json_t *tree = json_object();
    for (int i = 1; i < 100000; i++)
        tree = i % 2 ? json_pack("[o]", tree) : json_pack("{s:o}", "k", tree);
    json_t *object = LINE_ENCODE("deep", at_kv("tree", tree), at_kv("rows", 1));
    cr_expect(line_has_cut(object, "tree"));
    cr_expect_eq(json_integer_value(json_object_get(object, "rows")), 1);
    json_t *found = json_object_get(object, "tree");
    int depth = 1;
    while (json_is_array(found) ? (found = json_array_get(found, 0)) != NULL
                                : (found = json_object_get(found, "k")) != NULL)
        depth++;
    cr_expect_eq(depth, 33);
    json_decref(object);
    /* jansson frees a tree by recursion, which this one is too deep for. */
    while (tree) {
        json_t *inner =
            json_incref(json_is_array(tree) ? json_array_get(tree, 0) : json_object_get(tree, "k"));
        json_decref(tree);
        tree = inner;
    }
}

/* jansson looks for a circle only where it is closed at once. */
Test(log_json, circles_end) {
    json_t *list = json_array();
    json_t *object = json_object();
    json_t *inner = json_object();
    for (int i = 0; i < 5; i++)
        json_array_append(list, object);
    json_object_set(object, "inner", inner);
    json_object_set(inner, "list", list);
    json_t *const circles[] = {list, object, inner};
    for (int i = 0; i < 3; i++) {
        json_t *line = LINE_ENCODE("circle", at_kv("circle", circles[i]), at_kv("rows", 1));
        cr_expect(line_has_cut(line, "circle"));
        cr_expect_eq(json_integer_value(json_object_get(line, "rows")), 1);
        json_decref(line);
    }
    json_object_clear(inner);
    json_decref(inner);
    json_decref(object);
    json_decref(list);
}

/* A value of every size around the room that there is. */
Test(log_json, what_does_not_fit_is_closed) {
    static char filler[8192];
    memset(filler, 'x', sizeof filler);
    json_t *rows = json_array();
    for (int i = 0; i < 2000; i++)
        json_array_append_new(rows, i % 3 ? json_pack("{s:i,s:[f]}", "row", i, "at", i / 8.0)
                                          : json_pack("s", "some text"));
    for (size_t size = 0; size<7200; size += size> 2500 && size < 6500 ? 13 : 1) {
        json_t *object = LINE_ENCODE("big", at_kv_text("a", filler, size / 2),
                                     at_kv_text("b", filler, size - size / 2), at_kv("rows", rows));
        cr_expect(line_has_cut(object, "rows"));
        json_t *found = json_object_get(object, "rows");
        for (size_t i = 0; i + 1 < json_array_size(found); i++)
            cr_assert(json_equal(json_array_get(found, i), json_array_get(rows, i)), "%zu: %s",
                      size, line_bytes);
        json_decref(object);
    }
    json_decref(rows);
}

/* What is left out takes no room, and still it ends. */
Test(log_json, many_left_out_members) {
    json_t *object = json_object();
    char key[200];
    memset(key, 'k', sizeof key);
    for (int i = 0; i < 20000; i++) {
        snprintf(key + 150, 20, "%d", i);
        json_object_set_new(object, key, json_null());
    }
    json_t *list = json_array();
    for (int i = 0; i < 20000; i++)
        json_array_append(list, object);
    json_t *line = LINE_ENCODE("left out", at_kv("list", list), at_kv("rows", 1));
    cr_expect(line_has_cut(line, "list"));
    cr_expect_eq(json_integer_value(json_object_get(line, "rows")), 1);
    json_decref(line);
    json_decref(list);
    json_decref(object);
}

static uint64_t random_state = 7;

static unsigned random_below(unsigned limit) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % limit;
}

static json_t *random_tree(int depth) {
    char noise[40];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)(random_below(3) ? 'a' + random_below(26) : random_below(256));
    unsigned count = random_below(6);
    json_t *value;
    switch (random_below(depth > 0 ? 7 : 5)) {
    case 0:
        return json_integer((json_int_t)((uint64_t)random_below(1u << 30) << random_below(40)));
    case 1:
        return json_real(random_below(1000000) / 1024.0);
    case 2:
        return json_boolean(random_below(2));
    case 3:
        return json_null();
    case 4:
        return json_stringn_nocheck(noise, random_below(sizeof noise));
    case 5:
        value = json_array();
        for (unsigned i = 0; i < count; i++)
            json_array_append_new(value, random_tree(depth - 1));
        return value;
    default:
        value = json_object();
        for (unsigned i = 0; i < count; i++) {
            noise[random_below(sizeof noise)] = '\0';
            json_object_set_new_nocheck(value, noise, random_tree(depth - 1));
            noise[0] = (char)random_below(256);
        }
        return value;
    }
}

Test(log_json, random_trees) {
    for (int round = 0; round < 3000; round++) {
        json_t *first = random_tree((int)random_below(12));
        json_t *second = random_tree((int)random_below(40));
        json_decref(LINE_ENCODE("random", at_kv("first", first), at_kv("second", second),
                                at_kv_bytes("bytes", &random_state, sizeof random_state)));
        json_decref(first);
        json_decref(second);
    }
}
