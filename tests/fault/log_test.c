/* SPDX-License-Identifier: MIT
 *
 * The logger without memory and without threads: every failure has its status, nothing is left
 * behind, and a line is never lost for want of memory. */
#include "support/fault.h"
#include "support/test.h"

#include "log/kept.h"
#include "log/logger.h"
#include "log/verbose.h"

#include <asynctools/log.h>
#include <asynctools/log_callback.h>
#include <asynctools/log_config.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

FAULT_INSTALL;

static char folder[] = "/tmp/at-log-fault-XXXXXX";
static char path[64]; /* app.log in it */

static void make_folder(void) {
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/app.log", folder);
}

static void remove_folder(void) {
    char name[80];
    unlink(path);
    for (int i = 1; i < 100; i++) {
        snprintf(name, sizeof name, "%s.%d", path, i);
        unlink(name);
    }
    cr_expect_eq(rmdir(folder), 0);
}

static void create_and_destroy(void *wanted) {
    struct fault_usage before = fault_usage();
    at_logger *logger = NULL;
    at_status status =
        at_logger_create(&logger, &(at_logger_options){.name = "test",
                                                       .levels = "info,test=debug",
                                                       .path = path,
                                                       .rotate_bytes = 8192,
                                                       .rotate_interval = AT_HOURS(1),
                                                       .rotate_count = 2,
                                                       .descriptor = STDERR_FILENO,
                                                       .use_journal = true,
                                                       .memory_bytes = 10000,
                                                       .redacted_keys = "password",
                                                       .sample_first = 100,
                                                       .use_stderr = true});
    if (fault_count() == 0) {
        cr_assert_eq(status, AT_OK);
        at_logger_destroy(logger);
    } else {
        cr_assert_eq(status, *(at_status *)wanted);
        cr_assert_null(logger);
    }
    at_error_clear();
    fault_check_leaks(before);
}

Test(log_fault, create_without_memory, .init = make_folder, .fini = remove_folder) {
    at_status wanted = AT_ERROR_NO_MEMORY;
    cr_expect_geq(fault_each(fault_memory, create_and_destroy, &wanted), 17);
}

static void create_a_child(void *root) {
    struct fault_usage before = fault_usage();
    at_logger *child = NULL;
    at_status status =
        at_logger_create_child(&child, root, &(at_logger_child_options){.name = "child"});
    cr_assert_eq(status, fault_count() == 0 ? AT_OK : AT_ERROR_NO_MEMORY);
    cr_assert_eq(child != NULL, fault_count() == 0);
    at_logger_destroy(child);
    at_error_clear();
    fault_check_leaks(before);
}

Test(log_fault, create_a_child_without_memory) {
    struct fault_usage before = fault_usage();
    at_logger *root;
    cr_assert_eq(at_logger_create(&root, &(at_logger_options){.path = "/dev/null"}), AT_OK);
    cr_expect_eq(fault_each(fault_memory, create_a_child, root), 1);
    at_logger_destroy(root);
    fault_check_leaks(before);
}

/* What does not succeed changes nothing. */
Test(log_fault, set_levels_without_memory) {
    struct fault_usage before = fault_usage();
    at_logger *root;
    cr_assert_eq(at_logger_create(&root, &(at_logger_options){.path = "/dev/null"}), AT_OK);
    fault_arm(fault_memory, 1);
    cr_expect_eq(at_logger_set_levels(root, "debug"), AT_ERROR_NO_MEMORY);
    cr_expect_eq(at_logger_set_levels(root, NULL), AT_OK);
    fault_disarm();
    cr_expect_eq(at_logger_level(root), AT_LOG_INFO);
    cr_expect_eq(at_logger_set_levels(root, "debug"), AT_OK);
    cr_expect_eq(at_logger_level(root), AT_LOG_DEBUG);
    at_logger_destroy(root);
    at_error_clear();
    fault_check_leaks(before);
}

static void create_from_file(void *config) {
    struct fault_usage before = fault_usage();
    at_logger *made = NULL;
    at_status status = at_logger_create_from_file(&made, config);
    cr_assert_eq(status, fault_count() == 0 ? AT_OK : AT_ERROR_NO_MEMORY);
    cr_assert_eq(made != NULL, fault_count() == 0);
    if (made)
        cr_assert_eq(at_logger_level(made), AT_LOG_DEBUG);
    at_logger_destroy(made);
    at_error_clear();
    fault_check_leaks(before);
}

Test(log_fault, create_from_file_without_memory, .init = make_folder, .fini = remove_folder) {
    char config[80];
    snprintf(config, sizeof config, "%s/log.json", folder);
    FILE *file = fopen(config, "w");
    cr_assert_not_null(file);
    fprintf(file,
            "{\"level\": \"debug\", \"levels\": {\"http\": \"warn\", \"jobs\": \"off\"},\n"
            " \"path\": \"%s\", \"rotate_bytes\": \"8 KiB\", \"rotate_interval\": \"1 h\",\n"
            " \"rotate_count\": 3, \"descriptor\": 2, \"use_stderr\": true,\n"
            " \"use_journal\": true, \"memory_bytes\": \"64 KiB\", \"sample_first\": 10,\n"
            " \"redacted_keys\": [\"password\", \"token\"]}\n",
            path);
    fclose(file);
    cr_expect_geq(fault_each(fault_memory, create_from_file, config), 20);
    unlink(config);
}

Test(log_fault, create_without_a_thread, .init = make_folder, .fini = remove_folder) {
    at_status wanted = AT_ERROR_SYSTEM;
    cr_expect_eq(fault_each(fault_thread, create_and_destroy, &wanted), 1);
}

static void keep_lines(void *root) {
    struct fault_usage before = fault_usage();
    ati_log_kept *kept = ati_log_kept_create(100000);
    if (kept) {
        ati_context_current()->kept_lines = kept;
        for (int i = 0; i < 50; i++)
            at_log_debug((at_logger *)root, "kept", at_kv("number", i));
        ati_log_kept_write(kept);
        ati_log_kept_destroy(kept);
    } else {
        cr_assert_gt(fault_count(), 0);
    }
    at_error_clear();
    fault_check_leaks(before);
}

/* Without memory fewer lines are kept. */
Test(log_fault, keep_lines_without_memory) {
    at_logger *root;
    cr_assert_eq(at_logger_create(&root, &(at_logger_options){.path = "/dev/null"}), AT_OK);
    at_log_info(root, "first"); /* the ring */
    ati_context *operation = ati_context_create(NULL, "work", AT_FOREVER, NULL, 0);
    operation->kept_level = AT_LOG_DEBUG;
    ati_log_verbose_add(AT_LOG_DEBUG);
    ati_context_exchange(operation);
    int64_t faults = fault_each(fault_memory, keep_lines, root);
    cr_expect_geq(faults, 3);
    ati_context_exchange(NULL);
    ati_log_verbose_remove(AT_LOG_DEBUG);
    ati_context_release(operation);
    cr_assert_eq(at_logger_flush(root, at_after(AT_SECONDS(20))), AT_OK);
    at_logger_statistics statistics;
    at_logger_get_statistics(root, &statistics);
    cr_expect_gt(statistics.written, 50);
    cr_expect_lt(statistics.written, 50 * (uint64_t)faults + 52);
    at_logger_destroy(root);
}

static at_logger *logger;

static void *log_lines(void *unused) {
    (void)unused;
    for (int i = 0; i < 3; i++)
        at_log_info(logger, "line", at_kv("number", i));
    return NULL;
}

/* A thread that gets no ring writes into the shared one. */
static void log_in_a_thread(void *unused) {
    (void)unused;
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, log_lines, NULL), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(20))), AT_OK);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    cr_assert_eq(statistics.ring_count, 0);
}

Test(log_fault, lines_are_written_without_memory) {
    struct fault_usage before = fault_usage();
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.path = "/dev/null"}), AT_OK);
    int64_t faults = fault_each(fault_memory, log_in_a_thread, NULL);
    cr_expect_eq(faults, 2);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    cr_expect_eq(statistics.written, 3 * (uint64_t)(faults + 1));
    at_logger_destroy(logger);
    at_error_clear();
    fault_check_leaks(before);
}

/* The memory sink without memory gives lines up and counts them. */
Test(log_fault, memory_sink_counts_what_it_cannot_keep) {
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 100000}), AT_OK);
    at_log_info(logger, "before");
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(20))), AT_OK);
    fault_arm_from(fault_memory, 1);
    for (int i = 0; i < 100; i++)
        at_log_info(logger, "line");
    cr_expect_eq(at_logger_flush(logger, at_after(AT_SECONDS(20))), AT_OK);
    char *lines = NULL;
    cr_expect_eq(at_logger_memory_lines(logger, &lines), AT_ERROR_NO_MEMORY);
    cr_expect_null(lines);
    fault_disarm();
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    cr_expect_eq(statistics.written, 101);
    cr_expect_gt(statistics.lost, 0);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_expect_not_null(strstr(lines, "before"));
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}

/* -- What sinks do without memory -- */

static size_t count_lines(const char *name) {
    char line[8194];
    size_t count = 0;
    FILE *file = fopen(name, "r");
    while (file && fgets(line, sizeof line, file))
        count += strstr(line, "\"line\"") != NULL;
    if (file)
        fclose(file);
    return count;
}

/* Nothing that rotates takes memory. */
Test(log_fault, rotation_without_memory, .init = make_folder, .fini = remove_folder) {
    enum { line_count = 1000 };
    cr_assert_eq(
        at_logger_create(
            &logger, &(at_logger_options){.path = path, .rotate_bytes = 8192, .rotate_count = 99}),
        AT_OK);
    at_log_info(logger, "ring");
    fault_arm_from(fault_memory, 1);
    for (int i = 0; i < line_count; i++)
        at_log_info(logger, "line", at_kv("number", i));
    cr_expect_eq(at_logger_flush(logger, at_after(AT_SECONDS(20))), AT_OK);
    fault_disarm();
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    cr_expect_gt(statistics.rotations, 5);
    cr_expect_eq(statistics.rotate_errors + statistics.write_errors + statistics.lost, 0);
    at_logger_destroy(logger);
    char name[80];
    size_t count = count_lines(path);
    for (int i = 1; i < 100; i++) {
        snprintf(name, sizeof name, "%s.%d", path, i);
        count += count_lines(name);
    }
    cr_expect_eq(count, line_count);
}

typedef struct listener {
    at_pool *pool;
    _Atomic int lines;
    _Atomic int dropped;
} listener;

static void hear(void *context, const char *line, size_t length) {
    static const char wanted[] = "\"event\":\"line\"";
    ((listener *)context)->lines += memmem(line, length, wanted, sizeof wanted - 1) != NULL;
}

static void drop_listener(void *context) {
    ((listener *)context)->dropped++;
}

static void start_logger(listener *it) {
    cr_assert_eq(at_pool_create(&it->pool, &(at_pool_options){.thread_count = 1}), AT_OK);
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.path = "/dev/null"}), AT_OK);
    at_log_info(logger, "ring");
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(20))), AT_OK);
}

static void end_logger(const listener *it) {
    at_logger_destroy(logger);
    cr_expect_eq(it->dropped, 1);
    at_pool_destroy(it->pool);
}

static at_status add_with_fault(listener *it, int64_t number) {
    struct fault_usage before = fault_usage();
    fault_arm(fault_memory, number);
    at_status status = at_logger_add_callback(logger, it->pool, hear, it,
                                              &(at_log_callback_options){.drop = drop_listener});
    fault_disarm();
    at_error_clear();
    if (status != AT_OK)
        fault_check_leaks(before);
    return status;
}

/* What could not be added leaves its context to the caller, and the logger as it was. */
static void *add_a_callback(void *unused) {
    listener it = {0};
    int64_t number = 1;
    start_logger(&it);
    for (at_status status; (status = add_with_fault(&it, number)) != AT_OK; number++) {
        cr_assert_eq(status, AT_ERROR_NO_MEMORY);
        at_log_info(logger, "line");
        cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(20))), AT_OK);
    }
    cr_expect_eq(number, 4);
    cr_expect_eq(it.lines + it.dropped, 0);
    at_log_info(logger, "line");
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(20))), AT_OK);
    cr_expect_eq(it.lines, 1);
    end_logger(&it);
    return unused;
}

/* Behind the first call, lines come to the function without memory too. */
static void *call_without_memory(void *unused) {
    listener it = {0};
    start_logger(&it);
    cr_assert_eq(add_with_fault(&it, 1000), AT_OK);
    at_log_info(logger, "line");
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(20))), AT_OK);
    fault_arm_from(fault_memory, 1);
    for (int i = 0; i < 200; i++) {
        at_log_info(logger, "line", at_kv("number", i));
        cr_expect_eq(at_logger_flush(logger, at_after(AT_SECONDS(20))), AT_OK);
    }
    fault_disarm();
    cr_expect_eq(it.lines, 201);
    end_logger(&it);
    return unused;
}

/* In a thread of its own, which takes what it has of rings with it. */
static void check_in_a_thread(void *(*run)(void *)) {
    struct fault_usage before = fault_usage();
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, run, NULL), 0);
    pthread_join(thread, NULL);
    fault_check_leaks(before);
}

Test(log_fault, add_a_callback_without_memory) {
    check_in_a_thread(add_a_callback);
}

Test(log_fault, callbacks_without_memory) {
    check_in_a_thread(call_without_memory);
}
