/* SPDX-License-Identifier: MIT
 *
 * A logger's file is moved away and opened anew, or rotated, while threads log (rule J4): each line
 * is in one file, whole. */
#include "support/test.h"

#include <asynctools/log.h>

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { thread_count = 2, line_count = 20000, move_count = 30 };

static char folder[] = "/tmp/log_reopen_XXXXXX";
static char path[64];
static at_logger *logger;

static void make_folder(void) {
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/app.log", folder);
}

static void start_in_folder(const at_logger_options *options) {
    at_logger_options own = *options;
    own.path = path;
    own.ring_bytes = 1 << 20;
    cr_assert_eq(at_logger_create(&logger, &own), AT_OK, "%s", at_error_message(at_error_last()));
}

static void start(const at_logger_options *options) {
    make_folder();
    start_in_folder(options);
}

/* What a file has; to be freed. */
static char *read_file(const char *name) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = fopen(name, "r");
    cr_assert_not_null(file, "%s", name);
    cr_assert_gt(getdelim(&text, &size, '\0', file), 0);
    fclose(file);
    return text;
}

static void *write_lines(void *argument) {
    for (int i = 0; i < line_count; i++) {
        at_log_info(logger, "line", at_kv("writer", (int)(intptr_t)argument), at_kv("n", i));
        if (i % 1000 == 999 && at_logger_flush(logger, at_after(AT_SECONDS(60))) != AT_OK)
            return logger;
    }
    return NULL;
}

/* Counts the lines of a file, which all have to be whole, and removes it. */
static void count_lines(const char *name, int found[thread_count]) {
    FILE *file = fopen(name, "r");
    cr_assert_not_null(file, "%s", name);
    char line[8193];
    while (fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        cr_assert(object && line[strlen(line) - 1] == '\n', "%s", name);
        found[json_integer_value(json_object_get(object, "writer"))]++;
        json_decref(object);
    }
    fclose(file);
    unlink(name);
}

/* Counts the lines of all files. */
static void expect_all_lines(void) {
    int found[thread_count] = {0};
    char name[80];
    count_lines(path, found);
    for (int number = 1; snprintf(name, sizeof name, "%s.%d", path, number) > 0; number++) {
        if (access(name, F_OK) != 0)
            break;
        count_lines(name, found);
    }
    for (int i = 0; i < thread_count; i++)
        cr_expect_eq(found[i], line_count, "%d", found[i]);
    rmdir(folder);
}

static void log_from_threads(void (*meanwhile)(void)) {
    pthread_t threads[thread_count];
    for (intptr_t i = 0; i < thread_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, write_lines, (void *)i), 0);
    if (meanwhile)
        meanwhile();
    for (int i = 0; i < thread_count; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        cr_expect_null(failed);
    }
}

/* What logrotate does: it moves the file and says so. */
static void move_files(void) {
    char name[80];
    for (int number = 1; number <= move_count; number++) {
        snprintf(name, sizeof name, "%s.%d", path, number);
        cr_assert_eq(rename(path, name), 0);
        at_logger_reopen(logger);
        cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(60))), AT_OK);
        cr_assert_eq(access(path, F_OK), 0); /* the flush has waited for it */
    }
}

Test(log_reopen, no_line_is_lost_under_load) {
    start(&(at_logger_options){0});
    log_from_threads(move_files);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    cr_expect_eq(statistics.rotate_errors, 0);
    at_logger_destroy(logger);
    expect_all_lines();
}

Test(log_reopen, no_line_is_lost_by_rotation) {
    start(&(at_logger_options){.rotate_bytes = 100000, .rotate_count = AT_UNLIMITED});
    log_from_threads(NULL);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    cr_expect_gt(statistics.rotations, 20);
    cr_expect_eq(statistics.rotate_errors, 0);
    at_logger_destroy(logger);
    expect_all_lines();
}

/* The logger's thread sleeps, and wakes for it. */
Test(log_reopen, a_logger_that_is_idle_opens_its_file_too) {
    start(&(at_logger_options){0});
    char name[80];
    snprintf(name, sizeof name, "%s.1", path);
    cr_assert_eq(rename(path, name), 0);
    at_logger_reopen(logger);
    while (access(path, F_OK) != 0)
        usleep(1000);
    at_logger_destroy(logger);
    unlink(name);
    unlink(path);
    rmdir(folder);
}

Test(log_reopen, a_failure_is_in_the_old_file) {
    start(&(at_logger_options){0});
    char name[80];
    snprintf(name, sizeof name, "%s.1", path);
    cr_assert_eq(rename(path, name), 0);
    cr_assert_eq(mkdir(path, 0700), 0);
    at_logger_reopen(logger);
    at_log_info(logger, "line", at_kv("writer", 0));
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(60))), AT_OK);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    cr_expect_eq(statistics.rotate_errors, 1);
    cr_assert_eq(rmdir(path), 0);
    at_logger_destroy(logger);
    char *text = read_file(name);
    cr_expect_not_null(strstr(text, "\"event\":\"line\""));
    cr_expect_not_null(strstr(text, "\"event\":\"log.rotate_failed\""));
    free(text);
    unlink(name);
    rmdir(folder);
}

/* Root's, in a folder where nobody may remove files of others. */
Test(log_reopen, an_old_file_that_cannot_be_removed_is_reported_apart) {
    if (geteuid() != 0)
        return;
    make_folder();
    char name[80];
    snprintf(name, sizeof name, "%s.7", path);
    FILE *file = fopen(name, "w");
    cr_assert(file && fclose(file) == 0);
    cr_assert(chmod(folder, 01777) == 0 && seteuid(65534) == 0);
    start_in_folder(&(at_logger_options){.rotate_bytes = 8192, .rotate_count = AT_NONE});
    for (int n = 0; n < 120; n++) /* one rotation: a second one would remove what the first says */
        at_log_info(logger, "line", at_kv("n", n));
    at_logger_destroy(logger);
    cr_assert_eq(seteuid(0), 0);
    char *text = read_file(path);
    cr_expect_not_null(strstr(text, "\"event\":\"log.remove_failed\",\"sink\":\"file\""));
    cr_expect_null(strstr(text, "\"event\":\"log.rotate_failed\""));
    free(text);
    unlink(name);
    unlink(path);
    rmdir(folder);
}
