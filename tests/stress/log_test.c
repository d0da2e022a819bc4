/* SPDX-License-Identifier: MIT
 *
 * Many threads and one logger (rules J1 to J3): each line that was logged is written or counted as
 * dropped, each written line is JSON, and the lines of a thread are in order. */
#include "support/test.h"

#include <asynctools/log.h>

#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
enum { line_count = 20000 };
#else
enum { line_count = 100000 };
#endif

typedef struct writer {
    pthread_t thread;
    at_logger *logger;
    int number;
    int lines;
    at_log_level level;
} writer;

static void *write_lines(void *argument) {
    const writer *self = argument;
    for (int i = 0; i < self->lines; i++) {
        if (self->level == AT_LOG_WARN)
            at_log_warn(self->logger, "stress.line", at_kv("writer", self->number),
                        at_kv("line", i), at_kv("ratio", i / 7.0),
                        at_kv("text", "some \"quoted\"\ttext"), at_kv_bool("even", i % 2 == 0));
        else
            at_log_info(self->logger, "stress.line", at_kv("writer", self->number),
                        at_kv("line", i), at_kv("ratio", i / 7.0),
                        at_kv("text", "some \"quoted\"\ttext"), at_kv_bool("even", i % 2 == 0));
    }
    return NULL;
}

/* What was found in the file. */
typedef struct findings {
    uint64_t lines;
    uint64_t bad;      /* not JSON */
    uint64_t disorder; /* a line of a writer before an earlier one of it */
    uint64_t reports;  /* log.dropped */
    uint64_t reported; /* lines that they say were dropped */
} findings;

static void read_lines(const char *path, int writer_count, findings *found) {
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    int *last = malloc((size_t)writer_count * sizeof *last);
    for (int i = 0; i < writer_count; i++)
        last[i] = -1;
    memset(found, 0, sizeof *found);
    char line[8193];
    while (fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        json_t *number = json_object_get(object, "writer");
        if (!object) {
            found->bad++;
        } else if (number) {
            int writer_number = (int)json_integer_value(number);
            int line_number = (int)json_integer_value(json_object_get(object, "line"));
            found->lines++;
            if (line_number <= last[writer_number])
                found->disorder++;
            last[writer_number] = line_number;
        } else {
            found->reports++;
            found->reported += (uint64_t)json_integer_value(json_object_get(object, "dropped"));
        }
        json_decref(object);
    }
    fclose(file);
    free(last);
}

static uint64_t dropped_in_all(const at_logger_statistics *statistics) {
    uint64_t sum = 0;
    for (int level = 0; level < AT_LOG_OFF; level++)
        sum += statistics->dropped[level];
    return sum;
}

/* Starts the threads in waves of `together`. */
static void run_writers(at_logger *logger, int count, int together, int lines, at_log_level level) {
    writer *writers = calloc((size_t)count, sizeof *writers);
    for (int start = 0; start < count; start += together) {
        for (int i = start; i < start + together; i++) {
            writers[i] = (writer){.logger = logger, .number = i, .lines = lines, .level = level};
            cr_assert_eq(pthread_create(&writers[i].thread, NULL, write_lines, &writers[i]), 0);
        }
        for (int i = start; i < start + together; i++)
            pthread_join(writers[i].thread, NULL);
    }
    free(writers);
}

static void check(at_logger_options options, int count, int together, int lines,
                  at_log_level level) {
    char path[] = "/tmp/log_stress_XXXXXX";
    int descriptor = mkstemp(path);
    cr_assert_geq(descriptor, 0);
    close(descriptor);
    options.path = path;
    at_logger *logger;
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    run_writers(logger, count, together, lines, level);
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(60))), AT_OK);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    at_logger_destroy(logger);
    findings found;
    read_lines(path, count, &found);
    unlink(path);
    uint64_t sent = (uint64_t)count * (uint64_t)lines;
    cr_expect_eq(found.bad, 0);
    cr_expect_eq(found.disorder, 0);
    cr_expect_eq(found.lines, statistics.written);
    cr_expect_eq(statistics.written + dropped_in_all(&statistics), sent);
    cr_expect_eq(found.reported, dropped_in_all(&statistics));
    cr_expect_eq(statistics.lost, 0);
}

Test(log_stress, info_lines_are_written_or_counted) {
    check((at_logger_options){0}, 4, 4, line_count, AT_LOG_INFO);
}

Test(log_stress, warnings_wait_for_room) {
    check((at_logger_options){.ring_bytes = 32768}, 4, 4, line_count / 2, AT_LOG_WARN);
}

Test(log_stress, threads_share_one_ring) {
    check((at_logger_options){.max_ring_bytes = AT_NONE}, 4, 4, line_count / 4, AT_LOG_INFO);
}

Test(log_stress, some_threads_share_one_ring) {
    check((at_logger_options){.max_ring_bytes = 2 * 256 * 1024}, 64, 8, line_count / 64,
          AT_LOG_INFO);
}

static at_logger *interrupted;
static volatile sig_atomic_t handler_calls;

static void log_in_handler(int signal_number) {
    (void)signal_number;
    at_log_info(interrupted, "stress.handler");
    handler_calls++;
}

/* A handler that interrupts a log call must not write into the half-made line: its own line is
 * dropped and counted. Where it interrupts something else, its line is written. */
Test(log_stress, handler_logs_while_its_thread_logs) {
    char path[] = "/tmp/log_stress_XXXXXX";
    close(mkstemp(path));
    cr_assert_eq(
        at_logger_create(&interrupted, &(at_logger_options){.path = path, .ring_bytes = 1 << 24}),
        AT_OK);
    at_log_info(interrupted, "stress.first"); /* makes the ring: no handler may interrupt that */
    signal(SIGALRM, log_in_handler);
    const struct itimerval often = {{0, 200}, {0, 200}};
    setitimer(ITIMER_REAL, &often, NULL);
    writer self = {.logger = interrupted, .lines = line_count, .level = AT_LOG_INFO};
    write_lines(&self);
    const struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    cr_assert_eq(at_logger_flush(interrupted, at_after(AT_SECONDS(60))), AT_OK);
    at_logger_statistics statistics;
    at_logger_get_statistics(interrupted, &statistics);
    at_logger_destroy(interrupted);
    findings found;
    read_lines(path, 1, &found);
    unlink(path);
    cr_expect_eq(found.bad, 0);
    cr_expect_eq(found.disorder, 0);
    cr_expect_eq(statistics.written + dropped_in_all(&statistics),
                 (uint64_t)line_count + 1 + (uint64_t)handler_calls);
}

Test(log_stress, threads_that_come_and_go) {
    check((at_logger_options){0}, 1000, 10, 20, AT_LOG_WARN);
}

/* Each wave of threads has rings of its own, which are there no more when its lines are written. */
Test(log_stress, rings_are_given_back) {
    enum { wave_count = 10, together = 100, lines = 20 };
    char path[] = "/tmp/log_stress_XXXXXX";
    close(mkstemp(path));
    at_logger *logger;
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.path = path}), AT_OK);
    at_logger_statistics statistics;
    for (int wave = 0; wave < wave_count; wave++) {
        run_writers(logger, together, together, lines, AT_LOG_INFO);
        for (int i = 0; i < 2; i++) /* the first ends with the lines, perhaps before the rings go */
            cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(60))), AT_OK);
        at_logger_get_statistics(logger, &statistics);
        cr_assert_eq(statistics.ring_count, 0);
        cr_assert_eq(statistics.written, (uint64_t)(wave + 1) * together * lines);
    }
    at_logger_destroy(logger);
    FILE *file = fopen(path, "r");
    char line[8193];
    uint64_t count = 0;
    for (; fgets(line, sizeof line, file); count++) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        cr_assert_not_null(object, "%s", line);
        json_decref(object);
    }
    fclose(file);
    unlink(path);
    cr_expect_eq(count, statistics.written);
}
