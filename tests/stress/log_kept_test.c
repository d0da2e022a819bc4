/* SPDX-License-Identifier: MIT
 *
 * Several threads keep lines in one buffer while another writes it and loggers come and go (rule
 * J4): each line is written once, or counted as lost or dropped, and each written line is JSON. */
#include "support/test.h"

#include "log/kept.h"
#include "log/logger.h"
#include "log/verbose.h"

#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
enum { line_count = 5000 };
#else
enum { line_count = 50000 };
#endif
enum { thread_count = 4 };

static at_logger *logger;
static ati_context *operation;
static atomic_bool stop;
static atomic_uint failures;
static atomic_int progress; /* lines of the first writer */

static void *keep_lines(void *argument) {
    int number = (int)(intptr_t)argument;
    ati_context_exchange(operation);
    for (int i = 0; i < line_count; i++) {
        at_log_debug(logger, "kept.line", at_kv("writer", number), at_kv("line", i));
        if (number == 0)
            atomic_store_explicit(&progress, i + 1, memory_order_relaxed);
    }
    ati_context_exchange(NULL);
    return NULL;
}

static void await_progress(int lines) {
    while (atomic_load_explicit(&progress, memory_order_relaxed) < lines)
        sched_yield();
}

static void *write_lines(void *unused) {
    (void)unused;
    while (!atomic_load(&stop))
        ati_log_kept_write(operation->kept_lines);
    return NULL;
}

/* Keeps lines for a logger that goes before they are written, or while they are. */
static void *come_and_go(void *unused) {
    (void)unused;
    while (!atomic_load(&stop)) {
        at_logger *own;
        if (at_logger_create(&own, &(at_logger_options){.path = "/dev/null"}) != AT_OK) {
            atomic_fetch_add(&failures, 1);
            return NULL;
        }
        ati_context_exchange(operation);
        for (int i = 0; i < 20; i++)
            at_log_debug(own, "other.line");
        ati_context_exchange(NULL);
        at_logger_destroy(own);
    }
    return NULL;
}

/* What is in the file. */
typedef struct findings {
    uint64_t lines;
    uint64_t lost; /* by log.kept_lines_lost, also those of loggers that have gone */
    uint64_t dropped;
    uint64_t disorder;
} findings;

static findings read_lines(const char *path) {
    findings found = {0};
    int last[thread_count];
    memset(last, -1, sizeof last);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    char line[8193];
    while (fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        cr_assert_not_null(object, "not JSON: %s", line);
        const char *event = json_string_value(json_object_get(object, "event"));
        if (strcmp(event, "kept.line") == 0) {
            int thread = (int)json_integer_value(json_object_get(object, "writer"));
            int number = (int)json_integer_value(json_object_get(object, "line"));
            found.lines++;
            found.disorder += number <= last[thread];
            last[thread] = number;
        } else if (strcmp(event, "log.kept_lines_lost") == 0) {
            found.lost += (uint64_t)json_integer_value(json_object_get(object, "lines"));
        }
        json_decref(object);
    }
    fclose(file);
    return found;
}

/* Gives what it says when all is written. The operation loses its buffer. */
static at_logger_statistics end_logger(void) {
    at_logger_statistics statistics;
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(60))), AT_OK);
    at_logger_get_statistics(logger, &statistics);
    at_logger_destroy(logger);
    ati_log_verbose_remove(AT_LOG_DEBUG);
    ati_log_kept_destroy(operation->kept_lines);
    return statistics;
}

static void check(at_logger_options options, size_t bound, bool with_others) {
    char path[] = "/tmp/log_kept_XXXXXX";
    close(mkstemp(path));
    options.path = path;
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    operation = ati_context_create(NULL, "work", AT_FOREVER, NULL, 0);
    operation->kept_level = AT_LOG_DEBUG;
    operation->kept_lines = ati_log_kept_create(bound);
    cr_assert_eq(at_logger_set_level(logger, AT_LOG_INFO), AT_OK);
    ati_log_verbose_add(AT_LOG_DEBUG);
    pthread_t threads[thread_count];
    pthread_t writer;
    pthread_t other;
    cr_assert_eq(pthread_create(&writer, NULL, write_lines, NULL), 0);
    if (with_others)
        cr_assert_eq(pthread_create(&other, NULL, come_and_go, NULL), 0);
    for (intptr_t i = 0; i < thread_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, keep_lines, (void *)i), 0);
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&stop, true);
    pthread_join(writer, NULL);
    if (with_others)
        pthread_join(other, NULL);
    ati_log_kept_write(operation->kept_lines);
    at_logger_statistics statistics = end_logger();
    ati_context_release(operation);
    findings found = read_lines(path);
    unlink(path);
    cr_expect_eq(atomic_load(&failures), 0);
    cr_expect_eq(found.disorder, 0);
    cr_expect_gt(found.lines, 0);
    uint64_t sum = found.lines + found.lost + statistics.dropped[AT_LOG_DEBUG];
    if (!with_others)
        cr_expect(sum >= (uint64_t)thread_count * line_count, "%d of %d", (int)sum,
                  thread_count * line_count);
}

/* Two buffers, one handed on to the other, end while lines come: each line is somewhere. */
static void end_while_lines_come(size_t bound) {
    char path[] = "/tmp/log_kept_XXXXXX";
    close(mkstemp(path));
    at_logger_options options = {.path = path, .ring_bytes = 1 << 22};
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    cr_assert_eq(at_logger_set_level(logger, AT_LOG_INFO), AT_OK);
    operation = ati_context_create(NULL, "work", AT_FOREVER, NULL, 0);
    operation->kept_level = AT_LOG_DEBUG;
    operation->kept_lines = ati_log_kept_create(bound);
    ati_log_kept *outer = ati_log_kept_create(bound);
    ati_log_verbose_add(AT_LOG_DEBUG);
    pthread_t threads[thread_count];
    atomic_store(&progress, 0);
    for (intptr_t i = 0; i < thread_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, keep_lines, (void *)i), 0);
    await_progress(line_count / 10);
    ati_log_kept_hand_on(operation->kept_lines, outer, AT_LOG_DEBUG);
    await_progress(line_count / 5);
    ati_log_kept_end(outer, true);
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    at_logger_statistics statistics = end_logger();
    ati_log_kept_destroy(outer);
    ati_context_release(operation);
    findings found = read_lines(path);
    unlink(path);
    uint64_t sum = found.lines + found.lost + statistics.dropped[AT_LOG_DEBUG];
    cr_expect(sum >= (uint64_t)thread_count * line_count, "%d of %d", (int)sum,
              thread_count * line_count);
}

Test(log_kept_stress, buffers_end_while_lines_come) {
    end_while_lines_come(1 << 20);
    end_while_lines_come(10000);
}

Test(log_kept_stress, threads_keep_while_another_writes) {
    check((at_logger_options){.ring_bytes = 1 << 22}, 1 << 20, false);
}

Test(log_kept_stress, little_room) {
    check((at_logger_options){.ring_bytes = 32768}, 10000, false);
}

Test(log_kept_stress, loggers_come_and_go) {
    check((at_logger_options){.ring_bytes = 1 << 22}, 1 << 18, true);
}
