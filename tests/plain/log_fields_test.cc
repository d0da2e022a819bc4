/* SPDX-License-Identifier: MIT
 *
 * The overloads of at_kv give a field the type of its value (rule J1). */
#include "support/apart.h"

#include <asynctools/asynctools.h>

#include <cstring>
#include <jansson.h>
#include <type_traits>
#include <utility>

/* Whether there is an overload for this type. */
template <typename value_, typename = void> struct is_value : std::false_type {};
template <typename value_>
struct is_value<value_, std::void_t<decltype(at_kv("k", std::declval<value_>()))>>
    : std::true_type {};

struct user {
    int id;
};

/* No pointer becomes `true`. */
static_assert(is_value<char *>::value && is_value<const char (&)[4]>::value, "texts");
static_assert(is_value<at_error *>::value && is_value<json_t *>::value, "what has an overload");
static_assert(is_value<bool>::value && is_value<long double>::value, "numbers");
static_assert(!is_value<user *>::value && !is_value<const void *>::value, "pointers");
static_assert(!is_value<unsigned char (&)[4]>::value && !is_value<const wchar_t *>::value,
              "arrays");
static_assert(!is_value<int (*)()>::value && !is_value<int user::*>::value, "functions, members");

static void check_types() {
    const long large = -5;
    const std::size_t size = 7;
    const float real = 0.5F;
    json_t *tree = json_array();
    const json_t *borrowed = tree;
    plain_check(at_kv("k", true).type == AT_FIELD_BOOL);
    plain_check(at_kv("k", 'x').type == AT_FIELD_INTEGER);
    plain_check(at_kv("k", large).value.integer == large);
    plain_check(at_kv("k", size).type == AT_FIELD_UNSIGNED);
    plain_check(at_kv("k", real).type == AT_FIELD_DOUBLE);
    plain_check(at_kv("k", 0.5L).value.real == 0.5);
    plain_check(at_kv("k", "text").type == AT_FIELD_TEXT);
    plain_check(at_kv("k", nullptr).type == AT_FIELD_NULL);
    plain_check(at_kv("k", at_error_last()).type == AT_FIELD_ERROR);
    plain_check(at_kv("k", tree).type == AT_FIELD_JSON);
    plain_check(at_kv("k", borrowed).value.json == tree);
    plain_check(at_kv_bytes("k", &large, sizeof large).type == AT_FIELD_BYTES);
    plain_check(at_secret("k", large).type == AT_FIELD_REDACTED);
    plain_check(at_secret("k", "text").value.text == nullptr);
    json_decref(tree);
}

static void check_line() {
    at_logger_options options = {};
    options.memory_bytes = 4096;
    at_logger *logger = nullptr;
    plain_check(at_logger_create(&logger, &options) == AT_OK);
    json_t *tree = json_pack("{s:i}", "rows", 3);
    at_log_info(logger, "types", at_kv("tree", tree), at_secret("token", "s3cr3t"),
                at_kv_bytes("bytes", "\xff\x01", 2));
    json_decref(tree);
    plain_check(at_logger_flush(logger, AT_FOREVER) == AT_OK);
    char *lines = nullptr;
    plain_check(at_logger_memory_lines(logger, &lines) == AT_OK);
    json_t *line = json_loads(lines, JSON_REJECT_DUPLICATES, nullptr);
    plain_check(line != nullptr);
    json_t *rows = json_object_get(json_object_get(line, "tree"), "rows");
    plain_check(json_integer_value(rows) == 3);
    plain_check(std::strcmp(json_string_value(json_object_get(line, "bytes")), "ff01") == 0);
    plain_check(std::strstr(lines, "s3cr3t") == nullptr);
    json_decref(line);
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}

int main() {
    check_types();
    check_line();
    return 0;
}
