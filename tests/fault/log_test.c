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
#include <asynctools/log_config.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

FAULT_INSTALL;

static void create_and_destroy(void *wanted) {
    struct fault_usage before = fault_usage();
    at_logger *logger = NULL;
    at_status status = at_logger_create(&logger, &(at_logger_options){.name = "test",
                                                                      .levels = "info,test=debug",
                                                                      .path = "/dev/null",
                                                                      .memory_bytes = 10000,
                                                                      .redacted_keys = "password",
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

Test(log_fault, create_without_memory) {
    at_status wanted = AT_ERROR_NO_MEMORY;
    cr_expect_geq(fault_each(fault_memory, create_and_destroy, &wanted), 10);
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

static void create_from_file(void *path) {
    struct fault_usage before = fault_usage();
    at_logger *made = NULL;
    at_status status = at_logger_create_from_file(&made, path);
    cr_assert_eq(status, fault_count() == 0 ? AT_OK : AT_ERROR_NO_MEMORY);
    cr_assert_eq(made != NULL, fault_count() == 0);
    if (made)
        cr_assert_eq(at_logger_level(made), AT_LOG_DEBUG);
    at_logger_destroy(made);
    at_error_clear();
    fault_check_leaks(before);
}

Test(log_fault, create_from_file_without_memory) {
    static const char text[] = "{\"level\": \"debug\", \"path\": \"/dev/null\"}";
    char path[] = "/tmp/at-log-fault-XXXXXX";
    int file = mkstemp(path);
    cr_assert(file >= 0 && write(file, text, sizeof text - 1) == (ssize_t)sizeof text - 1);
    close(file);
    cr_expect_geq(fault_each(fault_memory, create_from_file, path), 8);
    unlink(path);
}

Test(log_fault, create_without_a_thread) {
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
