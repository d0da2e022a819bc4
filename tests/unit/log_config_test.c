/* SPDX-License-Identifier: MIT
 *
 * Loggers of files (rule J4: levels changeable at run time): what values mean, and that errors name
 * the file, the line and the key. */
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/at-log-config-XXXXXX";

static void write_bytes(const char *bytes, size_t length) {
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int file = mkstemp(path);
    cr_assert(file >= 0 && write(file, bytes, length) == (ssize_t)length);
    close(file);
}

static at_status create(at_logger **logger, const char *text) {
    write_bytes(text, strlen(text));
    at_status status = at_logger_create_from_file(logger, path);
    unlink(path);
    return status;
}

static at_status configure(at_logger *logger, const char *text) {
    write_bytes(text, strlen(text));
    at_status status = at_logger_configure(logger, path);
    unlink(path);
    return status;
}

/* Whether the last error begins with the file and then says `what`. */
static bool says(const char *what) {
    const char *message = at_error_text(at_error_last());
    size_t length = strlen(path);
    bool well =
        strncmp(message, path, length) == 0 && strncmp(message + length, what, strlen(what)) == 0;
    if (!well)
        fprintf(stderr, "expected %s, got %s\n", what, message);
    return well;
}

static void expect_refusal(const char *text, const char *what) {
    at_logger *logger = NULL;
    cr_assert_eq(create(&logger, text), AT_ERROR_INVALID, "%s", text);
    cr_assert(says(what), "%s", text);
    cr_assert_null(logger);
}

Test(log_config, a_file_has_the_options) {
    at_logger *logger;
    cr_assert_eq(create(&logger, "{\"name\": \"shop\", \"level\": \"debug\",\n"
                                 " \"memory_bytes\": \"64 KiB\", \"ring_bytes\": 65536,\n"
                                 " \"use_stderr\": false, \"max_ring_bytes\": \"none\"}"),
                 AT_OK);
    cr_assert_eq(at_logger_level(logger), AT_LOG_DEBUG);
    at_log_debug(logger, "one");
    char *lines;
    cr_assert_eq(at_logger_flush(logger, AT_FOREVER), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_assert(strstr(lines, "\"event\":\"one\",\"logger\":\"shop\""));
    at_logger_memory_release(lines);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    cr_assert_eq(statistics.ring_count, 0); /* none but the shared one */
    at_logger_destroy(logger);
}

Test(log_config, an_empty_object_has_all_defaults) {
    at_logger *logger;
    cr_assert_eq(create(&logger, " {} \n"), AT_OK);
    cr_assert_eq(at_logger_level(logger), AT_LOG_INFO);
    at_logger_destroy(logger);
}

Test(log_config, stderr_is_not_asked_for_twice) {
    at_logger *logger;
    cr_assert_eq(create(&logger, "{\"no_stderr\": true}"), AT_OK);
    at_logger_destroy(logger);
    expect_refusal("{\"use_stderr\": true,\n\"no_stderr\": true}", ":2: `no_stderr`");
}

Test(log_config, what_is_no_json_is_named_by_its_line) {
    expect_refusal("", ":1: ");
    expect_refusal("{\n\"name\": \"a\",\n}", ":3: ");
    expect_refusal("{\n\n\"level\": debug}", ":3: ");
    expect_refusal("{} {}", ":1: ");
    expect_refusal("[1]", ":1: expected an object");
    expect_refusal("{\"name\": \"a\",\n\"name\": \"b\"}", ":2: ");
    expect_refusal("{\"name\": \"\xff\"}", ":1: ");
}

Test(log_config, unknown_keys_are_named) {
    expect_refusal("{\"level\": \"info\",\n\n \"nmae\": \"a\"}", ":3: `nmae`: there is no such");
    expect_refusal("{\"\": 1}", ":1: ``: there is no such");
    expect_refusal("{\"reserved\": 1}", ":1: `reserved`: there is no such");
}

Test(log_config, values_of_the_wrong_kind_are_named) {
    expect_refusal("{\"name\": \"}{,\\\"\",\n\"level\": \"loud\"}",
                   ":2: `level`: expected a level");
    expect_refusal("{\"level\": \"unknown\"}", ":1: `level`: expected a level");
    expect_refusal("{\"level\": 3}", ":1: `level`: expected a level");
    expect_refusal("{\"name\": 7}", ":1: `name`: expected a text");
    expect_refusal("{\"name\": null}", ":1: `name`: expected a text");
    expect_refusal("{\"use_stderr\": 1}", ":1: `use_stderr`: expected true or false");
    expect_refusal("{\"use_journal\": \"yes\"}", ":1: `use_journal`: expected true or false");
    expect_refusal("{\"memory_bytes\":\n -1}", ":1: `memory_bytes`: expected a number of bytes");
    expect_refusal("{\"memory_bytes\": 1.5}", ":1: `memory_bytes`: expected");
    expect_refusal("{\"memory_bytes\": \"64 kib\"}", ":1: `memory_bytes`: expected");
    expect_refusal("{\"memory_bytes\": \"64  KiB\"}", ":1: `memory_bytes`: expected");
    expect_refusal("{\"memory_bytes\": \"KiB\"}", ":1: `memory_bytes`: expected");
    expect_refusal("{\"memory_bytes\": \"64\"}", ":1: `memory_bytes`: expected");
    expect_refusal("{\"memory_bytes\": \"\"}", ":1: `memory_bytes`: expected");
    expect_refusal("{\"memory_bytes\": \"99999999999 GiB\"}", ":1: `memory_bytes`: expected");
    expect_refusal("{\"memory_bytes\": \"99999999999999999999 B\"}", ":1: `memory_bytes`");
    expect_refusal("{\"levels\": [\"info\"]}", ":1: `levels`: expected");
    expect_refusal("{\"levels\": {\"http\": 1}}", ":1: `levels`: expected");
    expect_refusal("{\"levels\": {\"http\": \"debug,db=off\"}}", ":1: `levels`: expected");
    expect_refusal("{\"levels\": {\"\": \"db=off\"}}", ":1: `levels`: expected");
    expect_refusal("{\"levels\": {\"http,db\": \"off\"}}", ":1: `levels`: expected");
}

Test(log_config, durations_counts_and_lists) {
    expect_refusal("{\"rotate_interval\": 10}", ":1: `rotate_interval`: expected a text such as");
    expect_refusal("{\"rotate_interval\": \"10\"}", ":1: `rotate_interval`: expected");
    expect_refusal("{\"rotate_interval\": \"10 KiB\"}", ":1: `rotate_interval`: expected");
    expect_refusal("{\"rotate_interval\": \"999999999999 d\"}", ":1: `rotate_interval`: expected");
    expect_refusal("{\"rotate_interval\": \"10 ms\", \"path\": \"/dev/null\"}",
                   ":1: `rotate_interval` ");
    expect_refusal("{\"rotate_count\": \"5\"}", ":1: `rotate_count`: expected a number, ");
    expect_refusal("{\"rotate_count\": true}", ":1: `rotate_count`: expected");
    expect_refusal("{\"redacted_keys\": {\"a\": \"b\"}}", ":1: `redacted_keys`: expected a text");
    expect_refusal("{\"redacted_keys\": [\"a\", 1]}", ":1: `redacted_keys`: expected a text");
    at_logger *logger;
    cr_assert_eq(create(&logger, "{\"path\": \"/dev/null\", \"rotate_interval\": \"1 d\",\n"
                                 "\"rotate_bytes\": \"1GiB\", \"rotate_count\": \"unlimited\",\n"
                                 "\"memory_bytes\": 65536,\n"
                                 "\"redacted_keys\": [\"password\", \"token\"]}"),
                 AT_OK);
    at_log_info(logger, "one", at_kv("token", 5), at_kv("user.password", "x"), at_kv("a", 1));
    char *lines;
    cr_assert_eq(at_logger_flush(logger, AT_FOREVER), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_assert(strstr(lines, "\"token\":\"[REDACTED]\",\"user.password\":\"[REDACTED]\",\"a\":1"));
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}

Test(log_config, a_list_may_be_long) {
    enum { KEYS = 1000 };
    static char text[KEYS * 16 + 100] = "{\"memory_bytes\": 65536, \"redacted_keys\": [\"first\"";
    char *to = text + strlen(text);
    for (int i = 0; i < KEYS; i++)
        to += sprintf(to, ", \"secret%d\"", i);
    strcpy(to, "]}");
    at_logger *logger;
    cr_assert_eq(create(&logger, text), AT_OK);
    at_log_info(logger, "one", at_kv("first", 5), at_kv("secret999", 6));
    char *lines;
    cr_assert_eq(at_logger_flush(logger, AT_FOREVER), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_assert(strstr(lines, "\"first\":\"[REDACTED]\",\"secret999\":\"[REDACTED]\""));
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}

Test(log_config, what_create_refuses_has_its_line_too) {
    expect_refusal("{\n\"name\": \"a\",\n\"ring_bytes\": 5}", ":3: `ring_bytes` is not a power");
    expect_refusal("{\"memory_bytes\": \"2 GiB\"}", ":1: `memory_bytes` is not between");
    expect_refusal("{\"levels\":\n {\"http\": \"loud\"}}",
                   ":1: `levels`: \"http=loud\" is neither");
    at_logger *logger = NULL;
    cr_assert_eq(create(&logger, "{\"level\": \"info\",\n \"path\": \"/nowhere/at/all\"}"),
                 AT_ERROR_NOT_FOUND);
    cr_assert(says(":2: cannot open `path` /nowhere/at/all: No such file"));
}

Test(log_config, files_that_cannot_be_read) {
    at_logger *logger = NULL;
    cr_assert_eq(at_logger_create_from_file(&logger, "/nowhere/log.json"), AT_ERROR_NOT_FOUND);
    cr_assert_str_eq(at_error_text(at_error_last()),
                     "/nowhere/log.json: No such file or directory");
    cr_assert_eq(at_logger_create_from_file(&logger, "/tmp"), AT_ERROR_IO);
    cr_assert_eq(at_logger_create_from_file(&logger, "/dev/zero"), AT_ERROR_IO);
    cr_assert_str_eq(at_error_text(at_error_last()), "/dev/zero: is not a regular file");
    write_bytes("", 0);
    cr_assert(unlink(path) == 0 && mkfifo(path, 0600) == 0); /* that nobody writes to */
    cr_assert_eq(at_logger_create_from_file(&logger, path), AT_ERROR_IO);
    unlink(path);
    write_bytes("{}", 2);
    cr_assert_eq(truncate(path, 1024 * 1024 + 1), 0);
    cr_assert_eq(at_logger_create_from_file(&logger, path), AT_ERROR_INVALID);
    cr_assert(says(": has more than 1 MiB"));
    unlink(path);
    write_bytes("{}\0{}", 5);
    cr_assert_eq(at_logger_create_from_file(&logger, path), AT_ERROR_INVALID);
    cr_assert_null(logger);
    unlink(path);
}

Test(log_config, levels_change_at_run_time) {
    at_logger *logger, *child;
    cr_assert_eq(create(&logger, "{\"name\": \"shop\", \"levels\": \"shop=warn\"}"), AT_OK);
    cr_assert_eq(at_logger_create_child(&child, logger, &(at_logger_child_options){.name = "http"}),
                 AT_OK);
    cr_assert_eq(at_logger_level(child), AT_LOG_WARN);
    cr_assert_eq(configure(logger, "{\"level\": \"error\", \"path\": \"/elsewhere\",\n"
                                   " \"levels\": {\"shop.http\": \"trace\"}}"),
                 AT_OK);
    cr_assert_eq(at_logger_level(logger), AT_LOG_ERROR);
    cr_assert_eq(at_logger_level(child), AT_LOG_TRACE);
    /* As in create, a rule for the name counts more than `level`. */
    cr_assert_eq(configure(logger, "{\"level\": \"error\", \"levels\": \"debug\"}"), AT_OK);
    cr_assert_eq(at_logger_level(logger), AT_LOG_DEBUG);
    cr_assert_eq(configure(logger, "{}"), AT_OK);
    cr_assert_eq(at_logger_level(logger), AT_LOG_INFO);
    cr_assert_eq(at_logger_level(child), AT_LOG_INFO);
    at_logger_destroy(logger);
}

Test(log_config, redaction_changes_at_run_time) {
    at_logger *logger;
    cr_assert_eq(create(&logger, "{\"memory_bytes\": 65536, \"redacted_keys\": \"a\"}"), AT_OK);
    cr_assert_eq(configure(logger, "{\"redacted_keys\": [\"b\"]}"), AT_OK);
    at_log_info(logger, "one", at_kv("a", 1), at_kv("b", 2));
    cr_assert_eq(configure(logger, "{}"), AT_OK);
    at_log_info(logger, "two", at_kv("a", 3), at_kv("b", 4));
    char *lines;
    cr_assert_eq(at_logger_flush(logger, AT_FOREVER), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_assert(strstr(lines, "\"a\":1,\"b\":\"[REDACTED]\"") && strstr(lines, "\"a\":3,\"b\":4"));
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}

Test(log_config, sampling_changes_at_run_time) {
    at_logger *logger;
    cr_assert_eq(
        create(&logger,
               "{\"sample_first\": 1, \"sample_interval\": \"1 h\",\n\"memory_bytes\": 65536}"),
        AT_OK);
    for (int i = 0; i < 10; i++)
        at_log_info(logger, "often");
    cr_assert_eq(configure(logger, "{\"level\": \"info\"}"), AT_OK);
    for (int i = 0; i < 10; i++)
        at_log_info(logger, "often");
    at_logger_statistics statistics;
    cr_assert_eq(at_logger_flush(logger, AT_FOREVER), AT_OK);
    at_logger_get_statistics(logger, &statistics);
    cr_assert_eq(statistics.written, 11);
    at_logger_destroy(logger);
    expect_refusal("{\"sample_first\": \"many\"}", ":1: `sample_first`: expected a number");
    expect_refusal("{\"descriptor\": -1}", ":1: `descriptor`: expected the number");
    expect_refusal("{\"descriptor\": 4294967297}", ":1: `descriptor`: expected the number");
}

Test(log_config, a_file_that_is_refused_changes_nothing) {
    at_logger *logger;
    cr_assert_eq(create(&logger, "{\"level\": \"debug\"}"), AT_OK);
    static const char *const texts[] = {
        "{\"level\": \"error\"",
        "{\"level\": \"error\", \"colour\": 1}",
        "{\"level\": \"error\", \"ring_bytes\": 5}",
        "{\"level\": \"error\", \"levels\": \"loud\"}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cr_assert_eq(configure(logger, texts[i]), AT_ERROR_INVALID, "%s", texts[i]);
        cr_assert(says(":1: "), "%s", texts[i]);
        cr_assert_eq(at_logger_level(logger), AT_LOG_DEBUG);
    }
    cr_assert_eq(at_logger_configure(logger, "/nowhere/log.json"), AT_ERROR_NOT_FOUND);
    at_logger_destroy(logger);
}
