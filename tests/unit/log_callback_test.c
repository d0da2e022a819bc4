/* SPDX-License-Identifier: MIT
 *
 * The callback sink (rules J2, J4): lines in order, on the pool, copied, bounded; it may log and be
 * slow; logger and pool may end in either order. */
#include "support/test.h"

#include "log/logger.h"

#include <asynctools/clock.h>
#include <asynctools/future.h>
#include <asynctools/log_callback.h>
#include <asynctools/promise.h>

#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

typedef struct reader {
    at_logger *logger;
    _Atomic int lines;   /* whole, with the next number */
    _Atomic int bad;     /* others */
    _Atomic int outside; /* calls outside of the pool */
    _Atomic int dropped; /* times that it was released */
    _Atomic int echoes;
    uint64_t fatal_lines; /* of the flood */
    _Atomic int flush_status;
    pthread_mutex_t gate; /* held: the calls are stuck */
} reader;

static at_pool *pool;
static at_logger *logger;
static reader it = {.gate = PTHREAD_MUTEX_INITIALIZER};

static void read_line(void *context, const char *line, size_t length) {
    reader *mine = context;
    pthread_mutex_lock(&mine->gate);
    pthread_mutex_unlock(&mine->gate);
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    json_t *n = json_object_get(object, "n");
    if (object && line[length - 1] == '\n' && n && json_integer_value(n) == mine->lines)
        mine->lines++;
    else
        mine->bad++;
    if (at_pool_current() != pool)
        mine->outside++;
    json_decref(object);
}

static void drop_reader(void *context) {
    ((reader *)context)->dropped++;
}

static void start_on(const at_pool_options *pool_options, at_log_callback_fn call,
                     int64_t queue_bytes) {
    cr_assert_eq(at_pool_create(&pool, pool_options), AT_OK);
    cr_assert_eq(at_logger_create(
                     &logger, &(at_logger_options){.memory_bytes = 1 << 20, .ring_bytes = 1 << 20}),
                 AT_OK);
    it.logger = logger;
    cr_assert_eq(at_logger_add_callback(
                     logger, pool, call, &it,
                     &(at_log_callback_options){.queue_bytes = queue_bytes, .drop = drop_reader}),
                 AT_OK);
}

static void start(at_log_callback_fn call, int64_t queue_bytes) {
    start_on(&(at_pool_options){.thread_count = 2}, call, queue_bytes);
}

static void log_lines(int first, int last) {
    for (int n = first; n < last; n++)
        at_log_info(logger, "line", at_kv("n", n));
}

static at_status flush(void) {
    return at_logger_flush(logger, at_after(AT_SECONDS(60)));
}

static uint64_t lost(void) {
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    return statistics.lost;
}

Test(log_callback, lines_come_in_order_and_flush_waits_for_them) {
    start(read_line, 0);
    for (int i = 0; i < 1000; i += 100) {
        log_lines(i, i + 100);
        cr_expect_eq(flush(), AT_OK);
        cr_expect_eq(it.lines, i + 100);
    }
    cr_expect_eq(it.bad, 0);
    cr_expect_eq(it.outside, 0);
    at_logger_destroy(logger);
    cr_expect_eq(it.dropped, 1);
    at_pool_destroy(pool);
}

Test(log_callback, a_slow_one_holds_nothing_up_and_its_losses_are_counted) {
    start(read_line, 8192);
    pthread_mutex_lock(&it.gate);
    log_lines(0, 400);
    cr_expect_eq(at_logger_flush(logger, at_after(AT_MILLISECONDS(20))), AT_ERROR_TIMED_OUT);
    char *lines; /* the other sink has them all */
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_expect_not_null(strstr(lines, "\"n\":399"));
    at_logger_memory_release(lines);
    pthread_mutex_unlock(&it.gate);
    cr_expect_eq(flush(), AT_OK);
    cr_expect_gt(lost(), 0);
    cr_expect_eq((uint64_t)(it.lines + it.bad), 400 - lost()); /* bad: behind those that are lost */
    at_logger_destroy(logger);
    cr_expect_eq(it.dropped, 1);
    at_pool_destroy(pool);
}

/* It logs a line for each line, for ever: a flush ends all the same. */
static void echo(void *context, const char *line, size_t length) {
    reader *mine = context;
    (void)line;
    (void)length;
    mine->echoes++;
    mine->flush_status = at_logger_flush(mine->logger, AT_FOREVER);
    at_log_warn(mine->logger, "echo");
}

Test(log_callback, it_may_log) {
    start(echo, 0);
    log_lines(0, 10);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(flush(), AT_OK);
    cr_expect_geq(it.echoes, 10);
    cr_expect_eq(it.flush_status, AT_ERROR_DEADLOCK);
    at_pool_destroy(pool); /* which ends it */
    at_logger_destroy(logger);
    cr_expect_eq(it.dropped, 1);
}

enum { flood_lines = 10000 };

/* Logs more than its thread's ring has room for, once. The backend may make some room before it
 * waits for its sinks. */
static void flood(void *context, const char *line, size_t length) {
    reader *mine = context;
    (void)line;
    (void)length;
    if (mine->echoes++ > 0)
        return;
    pthread_mutex_lock(&mine->gate);
    for (int i = 0; i < flood_lines; i++) {
        at_log_warn(mine->logger, "flood", at_kv("n", i));
        at_log_error(mine->logger, "flood", at_kv("n", i));
    }
    at_logger_statistics statistics;
    do {
        at_log_fatal(mine->logger, "flood");
        mine->fatal_lines++;
        at_logger_get_statistics(mine->logger, &statistics);
    } while (statistics.dropped[AT_LOG_FATAL] == 0);
    pthread_mutex_unlock(&mine->gate);
}

/* Nothing empties the rings meanwhile. Each line would wait for room for 10 ms, the last for 5 s.
 */
Test(log_callback, what_it_logs_never_waits) {
    start(flood, 0);
    pthread_mutex_lock(&it.gate);
    log_lines(0, 1);
    while (it.echoes == 0)
        cr_assert_eq(at_logger_flush(logger, at_after(AT_MILLISECONDS(10))), AT_ERROR_TIMED_OUT);
    ati_lock_acquire(&logger->core->write_lock);
    at_deadline begin = at_clock_now(at_clock_real());
    pthread_mutex_unlock(&it.gate);
    at_logger_statistics statistics = {0};
    for (; statistics.dropped[AT_LOG_FATAL] == 0; sched_yield())
        at_logger_get_statistics(logger, &statistics);
    cr_expect_lt(at_clock_now(at_clock_real()) - begin, AT_SECONDS(15));
    ati_lock_release(&logger->core->write_lock);
    cr_expect_eq(flush(), AT_OK);
    at_logger_get_statistics(logger, &statistics);
    uint64_t dropped = statistics.dropped[AT_LOG_WARN] + statistics.dropped[AT_LOG_ERROR];
    cr_expect_gt(statistics.dropped[AT_LOG_WARN], 0);
    cr_expect_gt(statistics.dropped[AT_LOG_ERROR], 0);
    cr_expect_eq(statistics.written + dropped + statistics.dropped[AT_LOG_FATAL],
                 1 + 2 * flood_lines + it.fatal_lines);
    at_logger_destroy(logger);
    at_pool_destroy(pool);
}

enum { most_echoes = 300 };

/* The next line is there before it returns, so that its queue is never empty. */
static void echo_on(void *context, const char *line, size_t length) {
    reader *mine = context;
    (void)line;
    (void)length;
    if (++mine->echoes >= most_echoes)
        return;
    at_logger_statistics statistics;
    at_log_info(mine->logger, "echo");
    do {
        sched_yield();
        at_logger_get_statistics(mine->logger, &statistics);
    } while (statistics.written <= (uint64_t)mine->echoes);
}

static void *note_echoes(void *argument) {
    *(int *)argument = it.echoes;
    return NULL;
}

static void start_echoes(void) {
    start_on(&(at_pool_options){.thread_count = 1}, echo_on, 0);
    at_log_info(logger, "first");
    while (it.echoes == 0)
        sched_yield();
}

Test(log_callback, others_have_their_turn_while_lines_come) {
    start_echoes();
    int echoes = most_echoes;
    at_future *noted = at_pool_submit(pool, note_echoes, &echoes);
    cr_expect_eq(at_future_wait(noted, AT_FOREVER, NULL), AT_OK);
    cr_expect_lt(echoes, most_echoes);
    at_future_release(noted);
    at_pool_destroy(pool); /* which ends it */
    at_logger_destroy(logger);
}

Test(log_callback, a_shutdown_ends_it_while_lines_come) {
    start_echoes();
    cr_expect_eq(at_pool_shutdown(pool, AT_FOREVER), AT_OK);
    cr_expect_lt(it.echoes, most_echoes);
    cr_expect_eq(flush(), AT_OK);
    cr_expect_eq(lost(), 1); /* the last of them */
    at_pool_destroy(pool);
    at_logger_destroy(logger);
}

/* -- In tasks of its pool, whose only worker they hold -- */

static void run_on_one_worker(at_run_fn run, int64_t max_spares) {
    start_on(&(at_pool_options){.thread_count = 1, .max_spares = max_spares}, read_line, 0);
    at_future *ran = at_pool_submit(pool, run, NULL);
    cr_expect_eq(at_future_wait(ran, AT_FOREVER, NULL), AT_OK);
    at_future_release(ran);
    at_pool_destroy(pool);
}

static void *flush_in_a_task(void *unused) {
    log_lines(0, 10);
    it.flush_status = flush();
    it.echoes = it.lines;
    return unused;
}

Test(log_callback, a_task_of_its_pool_may_flush) {
    run_on_one_worker(flush_in_a_task, 0);
    cr_expect_eq(it.flush_status, AT_OK);
    cr_expect_eq(it.echoes, 10);
    at_logger_destroy(logger);
}

Test(log_callback, a_flush_that_would_wait_for_itself_is_refused) {
    run_on_one_worker(flush_in_a_task, AT_NONE);
    cr_expect_eq(it.flush_status, AT_ERROR_DEADLOCK);
    at_logger_destroy(logger);
}

static void *end_in_a_task(void *unused) {
    at_log_fatal(logger, "line", at_kv("n", 0));
    it.echoes = it.lines;
    return unused;
}

Test(log_callback, a_task_of_its_pool_may_log_a_fatal_line) {
    run_on_one_worker(end_in_a_task, 0);
    cr_expect_eq(it.echoes, 1);
    at_logger_destroy(logger);
}

static void *destroy_in_a_task(void *unused) {
    log_lines(0, 10);
    at_logger_destroy(logger);
    it.echoes = it.lines;
    return unused;
}

Test(log_callback, a_task_of_its_pool_may_destroy_the_logger) {
    run_on_one_worker(destroy_in_a_task, 0);
    cr_expect_eq(it.echoes, 10);
    cr_expect_eq(it.dropped, 1);
}

/* -- Ends -- */

Test(log_callback, the_pool_may_end_first) {
    start(read_line, 0);
    log_lines(0, 10);
    cr_expect_eq(flush(), AT_OK);
    at_pool_destroy(pool);
    log_lines(10, 30);
    cr_expect_eq(flush(), AT_OK);
    cr_expect_eq(lost(), 20);
    cr_expect_eq(it.lines, 10);
    at_logger_destroy(logger);
    cr_expect_eq(it.dropped, 1);
}

static void report(void) {
    ati_lock_acquire(&logger->core->write_lock);
    ati_log_report(logger->core, true);
    ati_lock_release(&logger->core->write_lock);
}

static int count_in_memory(const char *text) {
    int count = 0;
    char *lines;
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    for (const char *at = lines; (at = strstr(at, text)); at++)
        count++;
    at_logger_memory_release(lines);
    return count;
}

Test(log_callback, that_the_pool_has_gone_is_said_once) {
    start(read_line, 0);
    at_pool_destroy(pool);
    for (int i = 0; i < 30; i += 10) {
        log_lines(i, i + 10);
        cr_expect_eq(flush(), AT_OK);
        report();
    }
    cr_expect_eq(lost(), 30);
    cr_expect_eq(count_in_memory("\"log.lines_lost\""), 1);
    cr_expect_eq(count_in_memory("\"lost\":10,\"reason\":\"its pool is shut down\""), 1);
    at_logger_destroy(logger);
}

Test(log_callback, the_logger_may_end_with_lines_to_deliver) {
    start(read_line, 0);
    log_lines(0, 1000);
    at_logger_destroy(logger); /* waits for the calls */
    cr_expect_eq(it.lines, 1000);
    cr_expect_eq(it.dropped, 1);
    at_pool_destroy(pool);
}

Test(log_callback, a_call_that_is_stuck_outlives_the_logger) {
    start(read_line, 0);
    pthread_mutex_lock(&it.gate);
    log_lines(0, 10);
    cr_expect_eq(at_logger_flush(logger, at_after(AT_MILLISECONDS(20))), AT_ERROR_TIMED_OUT);
    at_logger_destroy(logger);
    cr_expect_eq(it.dropped, 0);
    pthread_mutex_unlock(&it.gate);
    at_pool_destroy(pool); /* waits for the call */
    cr_expect_eq(it.lines, 1);
    cr_expect_eq(it.dropped, 1);
}

Test(log_callback, it_may_be_the_only_sink) {
    cr_assert_eq(at_pool_create(&pool, NULL), AT_OK);
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.no_stderr = true}), AT_OK);
    cr_expect_eq(ati_log_sink_count(logger->core), 0);
    log_lines(0, 10);
    cr_expect_eq(flush(), AT_OK);
    cr_assert_eq(at_logger_add_callback(logger, pool, read_line, &it, NULL), AT_OK);
    log_lines(0, 10);
    cr_expect_eq(flush(), AT_OK);
    cr_expect_eq(it.lines, 10);
    at_logger_destroy(logger);
    at_pool_destroy(pool);
}

Test(log_callback, bad_options_are_refused_by_name) {
    start(read_line, 0);
    cr_expect_eq(at_logger_add_callback(logger, pool, read_line, &it,
                                        &(at_log_callback_options){.queue_bytes = 8191}),
                 AT_ERROR_INVALID);
    cr_expect_not_null(strstr(at_error_text(at_error_last()), "queue_bytes"));
    at_status status = AT_OK;
    for (int i = 0; i < 8 && status == AT_OK; i++)
        status = at_logger_add_callback(logger, pool, read_line, &it, NULL);
    cr_expect_eq(status, AT_ERROR_FULL);
    at_logger_destroy(logger);
    at_pool_destroy(pool);
    cr_expect_eq(it.dropped, 1);
}
