/* SPDX-License-Identifier: MIT
 *
 * Values that are not to be seen (rule J4): by the names of their keys, wherever they stand. */
#include "support/log_line.h"
#include "support/test.h"

#include "base/error.h"
#include "log/core.h"
#include "log/logger.h"

#include <asynctools/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ati_redaction *list;

static void use(const char *names) {
    cr_assert_eq(ati_redaction_create(&list, "test", names), AT_OK);
    line_redaction = list;
}

static void end_use(void) {
    line_redaction = NULL;
    ati_redaction_destroy(list);
}

static bool has(const char *key) {
    return ati_redaction_has(list, key, strlen(key));
}

Test(log_redaction, keys_of_the_list) {
    use(" password,TOKEN ,http.Authorization,n\xc3\xa4me");
    static const char *const hidden[] = {"password",    "PassWord",           "user.password",
                                         "a.b.Token",   "password_2",         "x.token_17",
                                         "n\xc3\xa4me", "http.authorization", "password_2_3"};
    static const char *const seen[] = {
        "",       "passwor", "passwords", "password.x", "xtoken", "authorization",
        "token_", "token_x", "_2",        ".",          "token.", "http"};
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        cr_expect(has(hidden[i]), "%s", hidden[i]);
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        cr_expect_not(has(seen[i]), "%s", seen[i]);
    end_use();
}

Test(log_redaction, names_with_a_number_are_names) {
    use("key_2");
    cr_expect(has("key_2"));
    cr_expect(has("key_2_2"));
    cr_expect_not(has("key"));
    cr_expect_not(has("key_3"));
    end_use();
}

Test(log_redaction, lists_that_are_none) {
    char longest[65] = "";
    memset(longest, 'k', 64);
    static const char *const bad[] = {",", "a,,b", "a,", " ", "a\nb", "a\"", "\\", "\xff", "a\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        at_logger *logger = NULL;
        const at_logger_options options = {.memory_bytes = 4096, .redacted_keys = bad[i]};
        cr_expect_eq(at_logger_create(&logger, &options), AT_ERROR_INVALID, "%s", bad[i]);
        cr_expect_null(logger);
        cr_expect_not_null(strstr(at_error_text(at_error_last()), "`redacted_keys`"));
    }
    cr_expect_eq(ati_redaction_create(&list, "test", longest), AT_ERROR_INVALID);
    longest[63] = '\0';
    use(longest);
    cr_expect(has(longest));
    end_use();
    use("");
    cr_expect_null(list);
    use(NULL);
    cr_expect_null(list);
}

Test(log_redaction, fields_of_every_type) {
    use("a,b,c,d,e,f,g");
    json_t *tree = json_pack("{s:s}", "x", "SECRET");
    at_status status = at_fail_status(AT_ERROR_IO, "SECRET");
    cr_assert_eq(status, AT_ERROR_IO);
    json_t *object = LINE_ENCODE(
        "types", at_kv("a", "SECRET"), at_kv("b", 4711), at_kv("c", 47.25),
        at_kv_bytes("d", "G", 1), at_kv("e", tree), at_kv("f", at_error_last()),
        ati_field_encoded("g", "\"SECRET\"", 8), at_kv("a", "SECRET"), at_kv("rows", 1));
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "a_2"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        cr_expect_str_eq(line_text(object, keys[i]), "[REDACTED]", "%s in %s", keys[i], line_bytes);
    cr_expect_null(strstr(line_bytes, "SECRET"));
    cr_expect_eq(json_integer_value(json_object_get(object, "rows")), 1);
    json_decref(object);
    json_decref(tree);
    end_use();
}

Test(log_redaction, keys_within_values) {
    use("token,message");
    json_t *tree = json_pack("{s:s, s:[{s:i, s:{s:s}}], s:s}", "Token", "SECRET", "list", "x.token",
                             1, "deep", "token", "SECRET", "free", "seen");
    const char encoded[] =
        "{\"token\":[{\"a\":\"SECRET\"},1],\"b\":{\"c\":\"\\\"token\",\"token\":{}}}";
    at_status status = at_fail_status(AT_ERROR_IO, "SECRET");
    cr_assert_eq(status, AT_ERROR_IO);
    json_t *object = LINE_ENCODE("nested", at_kv("tree", tree),
                                 ati_field_encoded("encoded", encoded, sizeof encoded - 1),
                                 at_kv_error(at_error_last()));
    json_t *wanted =
        json_pack("{s:s, s:[{s:s, s:{s:s}}], s:s}", "Token", "[REDACTED]", "list", "x.token",
                  "[REDACTED]", "deep", "token", "[REDACTED]", "free", "seen");
    cr_expect(json_equal(json_object_get(object, "tree"), wanted), "%s", line_bytes);
    json_decref(wanted);
    wanted = json_pack("{s:s, s:{s:s, s:s}}", "token", "[REDACTED]", "b", "c", "\"token", "token",
                       "[REDACTED]");
    cr_expect(json_equal(json_object_get(object, "encoded"), wanted), "%s", line_bytes);
    cr_expect_str_eq(line_text(object, "error.message"), "[REDACTED]");
    cr_expect_str_eq(line_text(object, "error.status"), "AT_ERROR_IO");
    cr_expect_null(strstr(line_bytes, "SECRET"));
    json_decref(wanted);
    json_decref(object);
    json_decref(tree);
    end_use();
}

/* What was encoded before anybody knew of the list. */
Test(log_redaction, fields_of_an_operation) {
    use("token");
    const char fields[] = ",\"user.token\":\"SECRET\",\"token_2\":{\"a\":\"SECRET\"},"
                          "\"tree\":[{\"token\":\"SECRET\",\"b\":1}],\"shard\":3";
    ati_context *own = ati_context_create(NULL, "work", AT_FOREVER, fields, sizeof fields - 1);
    line_operation = own;
    json_t *object = LINE_ENCODE("context", at_kv("rows", 1));
    cr_expect_str_eq(line_text(object, "user.token"), "[REDACTED]");
    cr_expect_str_eq(line_text(object, "token_2"), "[REDACTED]");
    cr_expect_eq(json_integer_value(json_object_get(object, "shard")), 3);
    cr_expect_null(strstr(line_bytes, "SECRET"));
    json_decref(object);
    line_operation = NULL;
    ati_context_release(own);
    end_use();
}

/* However full the line is, it is one, and no value is seen. */
Test(log_redaction, there_is_room_or_none) {
    use("t");
    static char filler[8192];
    memset(filler, 'x', sizeof filler);
    const char encoded[] = "{\"t\":7,\"u\":[{\"t\":7},{\"t\":7},{\"t\":7}]}";
    json_t *tree = json_loads(encoded, 0, NULL);
    for (size_t size = 5500; size < 7300; size++) {
        json_t *object =
            LINE_ENCODE("full", at_kv_text("a", filler, 3000), at_kv_text("b", filler, size - 3000),
                        ati_field_encoded("c", encoded, sizeof encoded - 1), at_kv("d", tree),
                        at_kv("t", 7), at_kv("x.t", filler));
        cr_expect_null(strstr(line_bytes, "\"t\":7"));
        json_decref(object);
    }
    json_decref(tree);
    end_use();
}

/* A list may be replaced while lines are written. */
Test(log_redaction, a_logger_changes_its_list) {
    at_logger *logger = NULL;
    const at_logger_options options = {.memory_bytes = 65536, .redacted_keys = "first"};
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    static const char *const lists[] = {"second", "first", NULL, "second", "first", "bad\"", ""};
    at_log_info(logger, "event", at_kv("first", 1), at_kv("second", 2));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        at_status status = ati_log_core_redact(logger->core, "test", lists[i]);
        cr_expect_eq(status, i == 5 ? AT_ERROR_INVALID : AT_OK);
        at_log_info(logger, "event", at_kv("first", 1), at_kv("second", 2));
    }
    cr_assert_eq(at_logger_flush(logger, AT_FOREVER), AT_OK);
    char *lines;
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    static const char *const wanted[] = {
        "\"first\":\"[REDACTED]\",\"second\":2", "\"first\":1,\"second\":\"[REDACTED]\"",
        "\"first\":\"[REDACTED]\",\"second\":2", "\"first\":1,\"second\":2",
        "\"first\":1,\"second\":\"[REDACTED]\"", "\"first\":\"[REDACTED]\",\"second\":2",
        "\"first\":\"[REDACTED]\",\"second\":2", "\"first\":1,\"second\":2"};
    const char *at = lines;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const char *end = strchr(at, '\n');
        const char *found = strstr(at, wanted[i]);
        cr_expect(found && found < end, "%zu: %s", i, at);
        at = end + 1;
    }
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}

static at_error *error_with(const char *text) {
    at_status status = at_fail_status(AT_ERROR_IO, "%s", text);
    cr_assert_eq(status, AT_ERROR_IO);
    return at_error_take();
}

/* One member of an error may be hidden, and its value is not always a text. */
Test(log_redaction, members_of_an_error) {
    at_error *item = ati_error_of_item(error_with("first"), 4711);
    ati_error_add_other(item, ati_error_of_item(error_with("SECRET"), 4712));
    use("item");
    json_t *object = LINE_ENCODE("error", at_kv("error", item));
    cr_expect_str_eq(line_text(object, "error.item"), "[REDACTED]");
    cr_expect_null(strstr(line_bytes, "471"), "%s", line_bytes);
    cr_expect_not_null(strstr(line_bytes, "SECRET"));
    json_decref(object);
    end_use();
    static const char *const names[] = {"others", "error.others"};
    for (size_t i = 0; i < 2; i++) {
        use(names[i]);
        object = LINE_ENCODE("error", at_kv("error", item));
        cr_expect_str_eq(line_text(object, "error.others"), "[REDACTED]");
        cr_expect_null(strstr(line_bytes, "SECRET"), "%s", line_bytes);
        json_decref(object);
        end_use();
    }
    at_error_release(item);
}

/* Children encode their fields once: whatever they are, the value is not seen later either. */
Test(log_redaction, fields_of_a_child) {
    at_logger *logger = NULL;
    at_logger *child = NULL;
    const at_logger_options options = {.memory_bytes = 65536, .redacted_keys = "password,db"};
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    at_status status = at_fail_status(AT_ERROR_IO, "SECRET");
    cr_assert_eq(status, AT_ERROR_IO);
    char longer[600]; /* encoded, the first part is cut within the key */
    char key[200];
    memset(longer, '\x01', sizeof longer);
    strcpy(longer + 500, ".password_2");
    memset(key, 'k', sizeof key);
    strcpy(key + 140, ".db");
    const at_field fields[] = {at_kv(longer, "SECRET"), at_kv_error_as(key, at_error_last()),
                               at_kv_error_as("db", at_error_last()),
                               at_kv_error_as("a.DB", at_error_last()), at_kv("rows", 3)};
    const at_logger_child_options child_options = {.fields = fields, .field_count = 5};
    cr_assert_eq(at_logger_create_child(&child, logger, &child_options), AT_OK);
    at_log_info(child, "child");
    cr_assert_eq(at_logger_flush(logger, AT_FOREVER), AT_OK);
    char *lines;
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_expect_null(strstr(lines, "SECRET"), "%s", lines);
    cr_expect_not_null(strstr(lines, "\"db.message\":\"[REDACTED]\""), "%s", lines);
    cr_expect_not_null(strstr(lines, ".password_2\":\"[REDACTED]\""), "%s", lines);
    cr_expect_not_null(strstr(lines, "\"rows\":3"), "%s", lines);
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}
