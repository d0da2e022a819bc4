/* SPDX-License-Identifier: MIT
 *
 * Loggers (rules J2 to J4): options, levels, flush, memory, rings, what happens when a sink is
 * stuck. */
#include "support/test.h"

#include "base/clock.h"

#include <asynctools/log.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static at_logger *create(const at_logger_options *options) {
    at_logger *logger;
    cr_assert_eq(at_logger_create(&logger, options), AT_OK, "%s",
                 at_error_message(at_error_last()));
    return logger;
}

static at_logger *create_in_memory(void) {
    return create(&(at_logger_options){.memory_bytes = 1 << 20});
}

static void flush(at_logger *logger) {
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(30))), AT_OK);
}

/* What the logger has in memory, flushed. */
static char *lines_of(at_logger *logger) {
    flush(logger);
    char *lines;
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    return lines;
}

static uint64_t count(const char *text, const char *part) {
    uint64_t found = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        found++;
    return found;
}

/* How many lines in memory have `part`. */
static uint64_t count_lines(at_logger *logger, const char *part) {
    char *lines = lines_of(logger);
    uint64_t found = count(lines, part);
    at_logger_memory_release(lines);
    return found;
}

static at_logger_statistics statistics_of(at_logger *logger) {
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    return statistics;
}

Test(log_logger, bad_options_are_refused_by_name) {
    static const struct {
        at_logger_options options;
        const char *member;
    } cases[] = {
        {{.level = (at_log_level)-1}, "level"},
        {{.level = (at_log_level)8}, "level"},
        {{.path = ""}, "path"},
        {{.descriptor = -1}, "descriptor"},
        {{.descriptor = 12345}, "descriptor"},
        {{.path = "/dev/null", .rotate_bytes = 8191}, "rotate_bytes"},
        {{.path = "/dev/null", .rotate_bytes = -1}, "rotate_bytes"},
        {{.rotate_bytes = 8192}, "rotate_bytes"},
        {{.path = "/dev/null", .rotate_interval = AT_SECONDS(1) - 1}, "rotate_interval"},
        {{.path = "/dev/null", .rotate_interval = -1}, "rotate_interval"},
        {{.rotate_interval = AT_HOURS(1)}, "rotate_interval"},
        {{.path = "/dev/null", .rotate_count = -2}, "rotate_count"},
        {{.path = "/dev/null", .rotate_count = 100000}, "rotate_count"},
        {{.rotate_count = 1}, "rotate_count"},
        {{.memory_bytes = -1}, "memory_bytes"},
        {{.use_stderr = true, .no_stderr = true}, "no_stderr"},
        {{.memory_bytes = INT64_MAX}, "memory_bytes"},
        {{.ring_bytes = 65537}, "ring_bytes"},
        {{.ring_bytes = 16384}, "ring_bytes"},
        {{.ring_bytes = -1}, "ring_bytes"},
        {{.ring_bytes = INT64_MAX}, "ring_bytes"},
        {{.max_ring_bytes = -2}, "max_ring_bytes"},
        {{.max_ring_bytes = INT64_MAX}, "max_ring_bytes"},
        {{.reserved = {0, 0, 0, 1}}, "reserved"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_logger *logger = (at_logger *)&logger;
        cr_expect_eq(at_logger_create(&logger, &cases[i].options), AT_ERROR_INVALID);
        cr_expect_eq((void *)logger, (void *)&logger);
        cr_expect_not_null(strstr(at_error_text(at_error_last()), cases[i].member));
    }
}

Test(log_logger, file_that_cannot_be_opened) {
    at_logger *logger = NULL;
    cr_expect_eq(at_logger_create(&logger, &(at_logger_options){.path = "/nowhere/at/all.log"}),
                 AT_ERROR_NOT_FOUND);
    cr_expect_eq(at_logger_create(&logger, &(at_logger_options){.path = "/tmp"}), AT_ERROR_IO);
    cr_expect_null(logger);
}

Test(log_logger, level_can_change) {
    at_logger *logger = create_in_memory();
    cr_expect_eq(at_logger_level(logger), AT_LOG_INFO);
    at_log_debug(logger, "one");
    at_log_info(logger, "two");
    cr_expect_eq(at_logger_set_level(logger, AT_LOG_TRACE), AT_OK);
    at_log_trace(logger, "three");
    cr_expect_eq(at_logger_set_level(logger, AT_LOG_ERROR), AT_OK);
    at_log_warn(logger, "four");
    at_log_error(logger, "five");
    cr_expect_eq(at_logger_set_level(logger, AT_LOG_OFF), AT_OK);
    at_log_fatal(logger, "six");
    cr_expect_eq(at_logger_set_level(logger, (at_log_level)8), AT_ERROR_INVALID);
    cr_expect_eq(at_logger_level(logger), AT_LOG_OFF);
    cr_expect_eq(at_logger_set_level(logger, AT_LOG_DEFAULT), AT_OK);
    cr_expect_eq(at_logger_level(logger), AT_LOG_INFO);
    char *lines = lines_of(logger);
    cr_expect_null(strstr(lines, "\"event\":\"one\""));
    cr_expect_not_null(strstr(lines, "\"level\":\"info\",\"event\":\"two\""));
    cr_expect_not_null(strstr(lines, "\"level\":\"trace\",\"event\":\"three\""));
    cr_expect_null(strstr(lines, "four"));
    cr_expect_not_null(strstr(lines, "\"level\":\"error\",\"event\":\"five\""));
    cr_expect_null(strstr(lines, "six"));
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}

static int evaluations;

static int evaluate(void) {
    return ++evaluations;
}

Test(log_logger, arguments_are_evaluated_once_and_only_when_the_level_is_on) {
    at_logger *logger = create_in_memory();
    at_log_debug(logger, "off", at_kv("n", evaluate()));
    at_log_info(NULL, "off", at_kv("n", evaluate()));
    cr_expect_eq(evaluations, 0);
    if (evaluations == 0)
        at_log_info(logger, "on", at_kv("n", evaluate()), at_kv("m", evaluate()));
    else
        at_log_info(logger, "else");
    cr_expect_eq(evaluations, 2);
    at_logger_destroy(logger);
}

Test(log_logger, default_logger_goes_with_its_logger) {
    cr_expect_null(at_logger_default());
    at_logger *logger = create_in_memory();
    at_logger *other = create_in_memory();
    at_logger_set_default(logger);
    cr_expect_eq(at_logger_default(), logger);
    at_logger_destroy(other);
    cr_expect_eq(at_logger_default(), logger);
    at_logger_destroy(logger);
    cr_expect_null(at_logger_default());
    at_logger_destroy(NULL);
}

Test(log_logger, call_leaves_errno_and_the_error_slot_alone) {
    at_logger *logger = create_in_memory();
    at_status status = at_fail_status(AT_ERROR_FULL, "mine");
    cr_assert_eq(status, AT_ERROR_FULL);
    errno = 4711;
    at_log_fatal(logger, "event");
    cr_expect_eq(errno, 4711);
    cr_expect_str_eq(at_error_text(at_error_last()), "mine");
    at_logger_destroy(logger);
}

Test(log_logger, name_and_thread_are_in_each_line) {
    at_logger *logger = create(&(at_logger_options){.name = "a \"b\"\n", .memory_bytes = 1 << 16});
    pthread_setname_np(pthread_self(), "worker-3");
    at_log_info(logger, "event");
    char *lines = lines_of(logger);
    char thread[64];
    snprintf(thread, sizeof thread,
             ",\"thread\":\"worker-3/%d\",\"source\":\"log_logger_test.c:", gettid());
    cr_expect_not_null(strstr(lines, ",\"logger\":\"a \\\"b\\\"\\n\""));
    cr_expect_not_null(strstr(lines, thread), "%s", lines);
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}

Test(log_logger, memory_keeps_the_last_lines) {
    at_logger *logger = create(&(at_logger_options){.memory_bytes = 10000});
    for (int i = 0; i < 1000; i++) {
        at_log_info(logger, "event", at_kv("number", i));
        if (i % 100 == 0)
            flush(logger);
    }
    char *lines = lines_of(logger);
    cr_expect_leq(strlen(lines), 10000);
    cr_expect_geq(strlen(lines), 5000);
    cr_expect_eq(lines[0], '{');
    cr_expect_not_null(strstr(lines, "\"number\":999,"));
    at_logger_memory_release(lines);
    at_logger_memory_clear(logger);
    cr_expect_eq(count_lines(logger, "event"), 0);
    at_log_info(logger, "again");
    cr_expect_eq(count_lines(logger, "again"), 1);
    at_logger_destroy(logger);
}

Test(log_logger, memory_smaller_than_a_line_keeps_nothing) {
    at_logger *logger = create(&(at_logger_options){.memory_bytes = 10});
    at_log_info(logger, "event");
    char *lines = lines_of(logger);
    cr_expect_str_eq(lines, "");
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}

Test(log_logger, without_memory_there_are_no_lines) {
    at_logger *logger = create(&(at_logger_options){.path = "/dev/null"});
    char *lines = NULL;
    cr_expect_eq(at_logger_memory_lines(logger, &lines), AT_ERROR_NOT_FOUND);
    cr_expect_null(lines);
    at_logger_memory_clear(logger);
    at_logger_destroy(logger);
}

Test(log_logger, fatal_is_written_when_the_call_returns) {
    at_logger *logger = create_in_memory();
    at_log_info(logger, "before");
    at_log_fatal(logger, "end", at_kv("n", 1));
    char *lines;
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_expect_lt(strstr(lines, "before"), strstr(lines, "\"level\":\"fatal\",\"event\":\"end\""));
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}

static void fill_pipe(int end) {
    static const char bytes[4096];
    fcntl(end, F_SETFL, O_NONBLOCK);
    while (write(end, bytes, sizeof bytes) > 0) {
    }
    fcntl(end, F_SETFL, 0);
}

/* Takes out of a pipe what makes room for the lines that wait for it, but not for those in the
 * ring, when much of the time has passed. */
static void *make_room_late(void *from) {
    char bytes[4096];
    nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
    cr_assert_gt(read(*(int *)from, bytes, sizeof bytes), 0);
    return NULL;
}

/* Rule J2: five seconds at most, for room and for the sinks together. */
Test(log_logger, fatal_waits_once) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    fill_pipe(ends[1]);
    at_logger *logger =
        create(&(at_logger_options){.descriptor = ends[1], .ring_bytes = 32 * 1024});
    at_log_info(logger, "first");
    cr_expect_eq(at_logger_flush(logger, at_after(AT_MILLISECONDS(20))), AT_ERROR_TIMED_OUT);
    while (statistics_of(logger).dropped[AT_LOG_INFO] == 0)
        at_log_info(logger, "filler");
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, make_room_late, &ends[0]), 0);
    int64_t begun = ati_monotonic_ns();
    at_log_fatal(logger, "end");
    cr_expect_lt(ati_monotonic_ns() - begun, AT_MILLISECONDS(7000));
    cr_expect_eq(statistics_of(logger).dropped[AT_LOG_FATAL], 0); /* there was room */
    cr_assert_eq(pthread_join(thread, NULL), 0);
    close(ends[0]);
    at_logger_destroy(logger);
    close(ends[1]);
}

static void *write_a_line(void *logger) {
    at_log_info(logger, "short_lived");
    return NULL;
}

static void run_thread(void *(*run)(void *), void *argument) {
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, run, argument), 0);
    pthread_join(thread, NULL);
}

Test(log_logger, rings_are_given_back_when_threads_end) {
    at_logger *logger = create_in_memory();
    for (int i = 0; i < 100; i++)
        run_thread(write_a_line, logger);
    flush(logger);
    cr_expect_eq(statistics_of(logger).ring_count, 0);
    cr_expect_eq(count_lines(logger, "short_lived"), 100);
    at_logger_destroy(logger);
}

Test(log_logger, one_thread_and_many_loggers) {
    enum { logger_count = 20 };
    at_logger *loggers[logger_count];
    for (int i = 0; i < logger_count; i++)
        loggers[i] = create_in_memory();
    for (int round = 0; round < 5; round++)
        for (int i = 0; i < logger_count; i++)
            at_log_info(loggers[i], "event");
    for (int i = 0; i < logger_count; i += 2)
        at_logger_destroy(loggers[i]);
    for (int i = 1; i < logger_count; i += 2) {
        at_log_info(loggers[i], "event");
        cr_expect_eq(count_lines(loggers[i], "event\":\"event"), 6);
        cr_expect_eq(statistics_of(loggers[i]).ring_count, 1);
    }
    for (int i = 0; i < logger_count; i += 2)
        loggers[i] = create_in_memory();
    for (int i = 0; i < logger_count; i++) {
        at_log_info(loggers[i], "again");
        cr_expect_eq(count_lines(loggers[i], "again"), 1);
        at_logger_destroy(loggers[i]);
    }
}

Test(log_logger, thread_outlives_the_logger) {
    for (int i = 0; i < 50; i++) {
        at_logger *logger = create_in_memory();
        at_log_info(logger, "event");
        at_logger_destroy(logger);
    }
}

static pthread_key_t late_key;
static at_logger *late_logger;

/* A destructor of thread-local storage that runs once more than the logger's own. */
static void log_late(void *rounds) {
    at_log_info(late_logger, "late", at_kv("rounds", (int)(intptr_t)rounds));
    if ((intptr_t)rounds > 1)
        pthread_setspecific(late_key, (void *)((intptr_t)rounds - 1));
}

static void *log_until_the_end(void *unused) {
    (void)unused;
    at_log_info(late_logger, "early");
    pthread_setspecific(late_key, (void *)3);
    return NULL;
}

Test(log_logger, thread_logs_while_its_storage_goes) {
    cr_assert_eq(pthread_key_create(&late_key, log_late), 0);
    late_logger = create_in_memory();
    for (int i = 0; i < 20; i++)
        run_thread(log_until_the_end, NULL);
    flush(late_logger);
    cr_expect_eq(statistics_of(late_logger).ring_count, 0);
    cr_expect_eq(count_lines(late_logger, "\"early\""), 20);
    char *lines = lines_of(late_logger);
    cr_expect_eq(count(lines, "\"late\""), 60);
    const char *three = strstr(lines, "\"rounds\":3");
    const char *one = strstr(lines, "\"rounds\":1");
    cr_expect(three != NULL && one != NULL && three < one);
    at_logger_memory_release(lines);
    at_logger_destroy(late_logger);
}

/* -- A sink that is stuck: a full pipe -- */

typedef struct stuck_pipe {
    int ends[2];
    char path[64];
    at_logger *logger;
} stuck_pipe;

static void open_stuck_pipe(stuck_pipe *pipe_sink, int64_t ring_bytes) {
    cr_assert_eq(pipe2(pipe_sink->ends, O_CLOEXEC), 0);
    snprintf(pipe_sink->path, sizeof pipe_sink->path, "/proc/self/fd/%d", pipe_sink->ends[1]);
    fcntl(pipe_sink->ends[1], F_SETFL, O_NONBLOCK);
    static char zeros[4096];
    while (write(pipe_sink->ends[1], zeros, sizeof zeros) > 0)
        ;
    while (write(pipe_sink->ends[1], zeros, 1) > 0)
        ;
    pipe_sink->logger =
        create(&(at_logger_options){.path = pipe_sink->path, .ring_bytes = ring_bytes});
}

/* Reads until the last writer has closed the pipe; gives what was not a zero. */
static void *read_pipe(void *argument) {
    const stuck_pipe *pipe_sink = argument;
    static char text[1 << 21];
    size_t size = 0;
    char chunk[4096];
    ssize_t result;
    while ((result = read(pipe_sink->ends[0], chunk, sizeof chunk)) > 0)
        for (ssize_t i = 0; i < result; i++)
            if (chunk[i] != '\0' && size < sizeof text - 1)
                text[size++] = chunk[i];
    return text;
}

/* Lets the pipe run empty, destroys the logger and gives what it wrote. */
static char *end_stuck_pipe(stuck_pipe *pipe_sink) {
    pthread_t reader;
    cr_assert_eq(pthread_create(&reader, NULL, read_pipe, pipe_sink), 0);
    at_logger_destroy(pipe_sink->logger);
    close(pipe_sink->ends[1]);
    void *text;
    pthread_join(reader, &text);
    close(pipe_sink->ends[0]);
    return text;
}

/* Logs until lines are dropped although the backend had its chance, many times: it is stuck, and
 * the ring is full. Gives how many lines were taken. */
static uint64_t fill(at_logger *logger) {
    enum { CHANCES = 20 };
    uint64_t sent = 0;
    uint64_t dropped = 0;
    uint64_t taken;
    for (int left = CHANCES; left > 0; left = taken > 0 ? CHANCES : left - 1) {
        uint64_t sent_before = sent;
        uint64_t dropped_before = dropped;
        while (dropped == dropped_before) {
            at_log_info(logger, "fill", at_kv("line", sent));
            sent++;
            dropped = statistics_of(logger).dropped[AT_LOG_INFO];
        }
        taken = sent - sent_before - (dropped - dropped_before);
        cr_assert_eq(at_logger_flush(logger, at_after(AT_MILLISECONDS(5))), AT_ERROR_TIMED_OUT);
    }
    return sent - dropped;
}

Test(log_logger, flush_ends_at_its_deadline) {
    stuck_pipe pipe_sink;
    open_stuck_pipe(&pipe_sink, 0);
    at_log_info(pipe_sink.logger, "event");
    cr_expect_eq(at_logger_flush(pipe_sink.logger, at_after(AT_MILLISECONDS(20))),
                 AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_logger_flush(pipe_sink.logger, 0), AT_ERROR_TIMED_OUT);
    cr_expect_eq(count(end_stuck_pipe(&pipe_sink), "\"event\":\"event\""), 1);
}

Test(log_logger, full_ring_drops_by_level_and_says_so) {
    stuck_pipe pipe_sink;
    open_stuck_pipe(&pipe_sink, 32768);
    at_logger *logger = pipe_sink.logger;
    uint64_t taken = fill(logger);
    uint64_t dropped = statistics_of(logger).dropped[AT_LOG_INFO];
    for (int i = 0; i < 1000; i++)
        at_log_info(logger, "more");
    int64_t start = ati_monotonic_ns();
    at_log_warn(logger, "warn");
    int64_t warned = ati_monotonic_ns();
    at_log_error(logger, "error");
    cr_expect_geq(warned - start, AT_MILLISECONDS(9));
    at_logger_statistics statistics = statistics_of(logger);
    cr_expect_eq(statistics.dropped[AT_LOG_INFO], dropped + 1000);
    cr_expect_eq(statistics.dropped[AT_LOG_WARN], 1);
    cr_expect_eq(statistics.dropped[AT_LOG_ERROR], 1);
    const char *text = end_stuck_pipe(&pipe_sink);
    cr_expect_eq(count(text, "\"event\":\"fill\""), taken);
    cr_expect_eq(count(text, "\"event\":\"more\""), 0);
    char report[160];
    snprintf(report, sizeof report,
             "\"level\":\"warn\",\"event\":\"log.dropped\",\"dropped\":%" PRIu64
             ",\"info\":%" PRIu64 ",\"warn\":1,\"error\":1,",
             dropped + 1002, dropped + 1000);
    cr_expect_not_null(strstr(text, report), "%s", report);
}

Test(log_logger, waiting_warning_is_written_when_there_is_room) {
    stuck_pipe pipe_sink;
    open_stuck_pipe(&pipe_sink, 32768);
    fill(pipe_sink.logger);
    pthread_t reader;
    cr_assert_eq(pthread_create(&reader, NULL, read_pipe, &pipe_sink), 0);
    flush(pipe_sink.logger);
    at_log_warn(pipe_sink.logger, "warn");
    at_logger_destroy(pipe_sink.logger);
    close(pipe_sink.ends[1]);
    void *text;
    pthread_join(reader, &text);
    close(pipe_sink.ends[0]);
    cr_expect_eq(count(text, "\"event\":\"warn\""), 1);
}
