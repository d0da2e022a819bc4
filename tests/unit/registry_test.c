/* SPDX-License-Identifier: MIT
 *
 * Rule Z3: what parts of the library add to the dump is in it, while it is there. And the writer of
 * JSON texts that they use. */
#include "support/test.h"

#include "base/registry.h"

#include <asynctools/dump.h>
#include <asynctools/memory.h>
#include <asynctools/version.h>

#include <jansson.h>
#include <string.h>
#include <unistd.h>

TestSuite(registry, .timeout = 200);

static json_t *dump(void) {
    char *text = NULL;
    cr_assert_eq(at_dump(&text), AT_OK);
    json_error_t error;
    json_t *document = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(document, "%s: %s", error.text, text);
    at_text_release(text);
    return document;
}

struct thing {
    ati_registry_entry entry;
    int number;
};

static void write_thing(ati_registry_entry *entry, ati_json *json) {
    ati_json_begin_object(json, NULL);
    ati_json_integer(json, "number", ((struct thing *)entry)->number);
    ati_json_end_object(json);
}

static int number_at(json_t *document, const char *section, size_t index) {
    json_t *array = json_object_get(document, section);
    return (int)json_integer_value(json_object_get(json_array_get(array, index), "number"));
}

Test(registry, of_nothing) {
    json_t *document = dump();
    cr_expect_str_eq(json_string_value(json_object_get(document, "asynctools")), at_version());
    cr_expect_eq(json_integer_value(json_object_get(document, "process_id")), getpid());
    cr_expect_gt(json_integer_value(json_object_get(document, "monotonic_ns")), 0);
    cr_expect_eq(json_object_size(document), 3);
    json_decref(document);
}

Test(registry, sections_hold_what_was_added) {
    struct thing things[4];
    for (int i = 0; i < 4; i++) {
        things[i] = (struct thing){
            .entry = {.section = i % 2 ? "odd" : "even", .write = write_thing}, .number = i};
        ati_registry_add(&things[i].entry);
    }
    json_t *document = dump();
    cr_expect_eq(json_array_size(json_object_get(document, "even")), 2);
    cr_expect_eq(json_array_size(json_object_get(document, "odd")), 2);
    cr_expect_eq(number_at(document, "even", 1), 2);
    cr_expect_eq(number_at(document, "odd", 0), 1);
    json_decref(document);
    ati_registry_remove(&things[0].entry);
    ati_registry_remove(&things[3].entry);
    document = dump();
    cr_expect_eq(json_array_size(json_object_get(document, "even")), 1);
    cr_expect_eq(json_array_size(json_object_get(document, "odd")), 1);
    cr_expect_eq(number_at(document, "even", 0), 2);
    json_decref(document);
    ati_registry_remove(&things[2].entry);
    ati_registry_remove(&things[1].entry);
    document = dump();
    cr_expect_eq(json_object_size(document), 3);
    json_decref(document);
}

/* Every kind of value, deep and long enough for the text to grow often, with bytes that are no
 * UTF-8. */
Test(registry, writer_of_json) {
    static char bytes[256];
    for (int i = 1; i < 256; i++)
        bytes[i - 1] = (char)i;
    ati_json json = {0};
    ati_json_begin_object(&json, NULL);
    ati_json_text(&json, "\"key\"\n", bytes);
    ati_json_text(&json, "none", NULL);
    ati_json_integer(&json, "least", INT64_MIN);
    ati_json_unsigned(&json, "most", INT64_MAX);
    ati_json_bool(&json, "yes", true);
    ati_json_bool(&json, "no", false);
    ati_json_begin_array(&json, "empty");
    ati_json_end_array(&json);
    ati_json_begin_array(&json, "list");
    for (int i = 0; i < 10000; i++) {
        ati_json_begin_array(&json, NULL);
        ati_json_integer(&json, NULL, i);
        ati_json_text(&json, NULL, "text");
        ati_json_null(&json, NULL);
        ati_json_end_array(&json);
    }
    ati_json_end_array(&json);
    ati_json_end_object(&json);
    char *text = NULL;
    cr_assert_eq(ati_json_finish(&json, "a test", &text), AT_OK);
    json_error_t error;
    json_t *document = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(document, "%s", error.text);
    cr_expect(json_is_string(json_object_get(document, "\"key\"\n")));
    cr_expect(json_is_null(json_object_get(document, "none")));
    cr_expect_eq(json_integer_value(json_object_get(document, "least")), INT64_MIN);
    cr_expect_eq(json_integer_value(json_object_get(document, "most")), INT64_MAX);
    cr_expect(json_is_true(json_object_get(document, "yes")));
    cr_expect(json_is_false(json_object_get(document, "no")));
    cr_expect_eq(json_array_size(json_object_get(document, "empty")), 0);
    json_t *list = json_object_get(document, "list");
    cr_assert_eq(json_array_size(list), 10000);
    for (size_t i = 0; i < 10000; i++)
        cr_assert_eq(json_integer_value(json_array_get(json_array_get(list, i), 0)), (int)i);
    json_decref(document);
    at_text_release(text);
}
