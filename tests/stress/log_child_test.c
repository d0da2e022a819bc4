/* SPDX-License-Identifier: MIT
 *
 * Child loggers that come and go in many threads while levels change (rule J4): each line that was
 * logged is written or counted, each written line is JSON, and every logger ends with the level
 * that was set last. */
#include "support/test.h"

#include <asynctools/log.h>

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
enum { round_count = 300 };
#else
enum { round_count = 3000 };
#endif
enum { thread_count = 4, kept_count = 64 };

static at_logger *root;
static at_logger *kept[kept_count];
static atomic_bool stop;
static atomic_uint failures;

/* Makes a logger, one below it, logs and takes both back, one by one or together. */
static void *come_and_go(void *argument) {
    unsigned number = (unsigned)(uintptr_t)argument;
    for (unsigned round = 0; round < round_count; round++) {
        at_logger *outer;
        at_logger *inner;
        at_logger *parent = round % 3 ? root : kept[(number * 7 + round) % kept_count];
        if (at_logger_create_child(&outer, parent, &(at_logger_child_options){.name = "o"}) !=
                AT_OK ||
            at_logger_create_child(&inner, outer, &(at_logger_child_options){.name = "i"}) !=
                AT_OK) {
            atomic_fetch_add(&failures, 1);
            return NULL;
        }
        at_log_warn(outer, "stress.line", at_kv("thread", number));
        at_log_warn(inner, "stress.line", at_kv("round", round));
        at_log_trace(inner, "perhaps");
        if (round % 2)
            at_logger_destroy(inner);
        at_logger_destroy(outer);
    }
    return NULL;
}

static void *change_levels(void *unused) {
    (void)unused;
    for (unsigned round = 0; !atomic_load(&stop); round++) {
        at_log_level level = round % 2 ? AT_LOG_INFO : AT_LOG_WARN;
        at_logger *logger = round % 5 ? kept[round % kept_count] : root;
        if (at_logger_set_level(logger, round % 7 ? level : AT_LOG_DEFAULT) != AT_OK ||
            at_logger_set_levels(logger, round % 3 ? "warn,r.o=info" : NULL) != AT_OK)
            atomic_fetch_add(&failures, 1);
    }
    return NULL;
}

/* How many lines of the file have this event; each has to be JSON. */
static uint64_t count_lines(const char *path, const char *event) {
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    uint64_t count = 0;
    char line[8193];
    while (fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        cr_assert_not_null(object, "not JSON: %s", line);
        const char *found = json_string_value(json_object_get(object, "event"));
        count += found && strcmp(found, event) == 0;
        json_decref(object);
    }
    fclose(file);
    return count;
}

Test(log_child_stress, loggers_come_and_go_while_levels_change) {
    char path[] = "/tmp/log_stress_XXXXXX";
    close(mkstemp(path));
    cr_assert_eq(at_logger_create(&root, &(at_logger_options){.name = "r", .path = path}), AT_OK);
    for (size_t i = 0; i < kept_count; i++)
        cr_assert_eq(at_logger_create_child(&kept[i], i ? kept[i / 2] : root, NULL), AT_OK);
    pthread_t threads[thread_count];
    pthread_t changer;
    cr_assert_eq(pthread_create(&changer, NULL, change_levels, NULL), 0);
    for (uintptr_t i = 0; i < thread_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, (void *)i), 0);
    for (size_t i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&stop, true);
    pthread_join(changer, NULL);
    cr_expect_eq(atomic_load(&failures), 0);
    cr_expect_eq(at_logger_set_levels(root, NULL), AT_OK);
    for (size_t i = 0; i < kept_count; i++)
        cr_expect_eq(at_logger_set_level(kept[i], AT_LOG_DEFAULT), AT_OK);
    cr_expect_eq(at_logger_set_level(root, AT_LOG_DEBUG), AT_OK);
    for (size_t i = 0; i < kept_count; i++)
        cr_expect_eq(at_logger_level(kept[i]), AT_LOG_DEBUG);
    at_logger_statistics statistics;
    cr_assert_eq(at_logger_flush(root, at_after(AT_SECONDS(60))), AT_OK);
    at_logger_get_statistics(root, &statistics);
    at_logger_destroy(root);
    cr_expect_eq(count_lines(path, "perhaps"), 0);
    cr_expect_eq(count_lines(path, "stress.line"), statistics.written);
    cr_expect_eq(statistics.written + statistics.dropped[AT_LOG_WARN],
                 2 * thread_count * round_count);
    unlink(path);
}
