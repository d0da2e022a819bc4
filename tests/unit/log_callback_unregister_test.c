/* SPDX-License-Identifier: MIT
 *
 * at_log_callback_unregister (rule J4): a function that gets lines is taken away, at any moment; it
 * is not called any more, its context is dropped once, and its place is free again. */
#include "support/test.h"

#include "log/logger.h"

#include <asynctools/clock.h>
#include <asynctools/log_callback.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

typedef struct listener {
    at_logger *logger;
    _Atomic int calls;   /* that have begun */
    _Atomic int heard;   /* that have ended, and the context was there still */
    _Atomic int dropped; /* times that it was released */
    _Atomic int status;
    pthread_mutex_t gate; /* held: the calls are stuck */
} listener;

static at_pool *pool;
static at_logger *logger;
static listener it = {.gate = PTHREAD_MUTEX_INITIALIZER};
static const at_log_callback_options small = {.queue_bytes = 8192};

static void hear(void *context, const char *line, size_t length) {
    listener *mine = context;
    (void)line;
    (void)length;
    mine->calls++;
    pthread_mutex_lock(&mine->gate);
    pthread_mutex_unlock(&mine->gate);
    mine->heard += mine->dropped == 0;
}

static void drop_listener(void *context) {
    ((listener *)context)->dropped++;
}

static at_status add(at_log_callback_fn call) {
    const at_log_callback_options options = {.drop = drop_listener, .queue_bytes = 16384};
    return at_logger_add_callback(logger, pool, call, &it, &options);
}

static at_status take_away(at_log_callback_fn call) {
    return at_log_callback_unregister(logger, call, &it);
}

static void start(int thread_count, at_log_callback_fn call) {
    cr_assert_eq(at_pool_create(&pool, &(at_pool_options){.thread_count = thread_count}), AT_OK);
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 1 << 20}), AT_OK);
    it.logger = logger;
    cr_assert_eq(add(call), AT_OK);
}

static void log_lines(void) {
    for (int n = 0; n < 10; n++)
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

Test(log_callback_unregister, it_is_not_called_any_more) {
    start(2, hear);
    log_lines();
    cr_expect_eq(flush(), AT_OK);
    cr_expect_eq(at_log_callback_unregister(logger, hear, NULL), AT_ERROR_NOT_FOUND);
    cr_expect_eq(take_away(hear), AT_OK);
    cr_expect_eq(it.dropped, 1);
    cr_expect_eq(take_away(hear), AT_ERROR_NOT_FOUND);
    at_pool_destroy(pool);
    log_lines();
    cr_expect_eq(flush(), AT_OK);
    cr_expect_eq(it.calls, 10);
    cr_expect_eq(lost(), 0);
    at_logger_destroy(logger);
    cr_expect_eq(it.dropped, 1);
}

Test(log_callback_unregister, its_place_is_free_again) {
    start(2, hear);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(take_away(hear), AT_OK);
        cr_assert_eq(it.dropped, i + 1);
        it.dropped = 0;
        cr_assert_eq(add(hear), AT_OK);
        log_lines();
        cr_assert_eq(flush(), AT_OK);
        cr_assert_eq(it.heard, (i + 1) * 10);
        cr_assert_eq(ati_log_sink_count(logger->core), 2);
        it.dropped = i + 1;
    }
    at_logger_destroy(logger);
    cr_expect_eq(it.dropped, 21);
    at_pool_destroy(pool);
}

static void *take_away_and_look(void *unused) {
    it.status = take_away(hear);
    it.status = it.status == AT_OK && it.heard == 1 && it.dropped == 1;
    return unused;
}

Test(log_callback_unregister, a_call_that_is_under_way_is_waited_for) {
    start(2, hear);
    pthread_mutex_lock(&it.gate);
    log_lines();
    while (it.calls == 0)
        sched_yield();
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, take_away_and_look, NULL), 0);
    while (!ati_log_sink_end(logger->core->sinks[1]))
        sched_yield();
    cr_expect_eq(take_away(hear), AT_ERROR_NOT_FOUND);
    cr_expect_eq(it.dropped, 0);
    pthread_mutex_unlock(&it.gate);
    pthread_join(thread, NULL);
    cr_expect_eq(it.status, 1);
    at_pool_destroy(pool);
    cr_expect_eq(it.calls, 1);
    cr_expect_eq(lost(), 9);
    at_logger_destroy(logger);
    cr_expect_eq(it.dropped, 1);
}

static void *hold_worker(void *unused) {
    it.status = 1;
    pthread_mutex_lock(&it.gate);
    pthread_mutex_unlock(&it.gate);
    return unused;
}

static void expect_report(const char *what) {
    ati_lock_acquire(&logger->core->write_lock);
    ati_log_report(logger->core, true);
    ati_lock_release(&logger->core->write_lock);
    char *lines;
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_expect_not_null(strstr(lines, what));
    at_logger_memory_release(lines);
}

/* Its task is queued behind another one: there is no call to wait for. */
Test(log_callback_unregister, what_waits_in_the_pool_is_not_waited_for) {
    start(1, hear);
    pthread_mutex_lock(&it.gate);
    cr_assert_eq(at_pool_start(pool, hold_worker, NULL), AT_OK);
    while (it.status == 0)
        sched_yield();
    log_lines();
    cr_expect_eq(at_logger_flush(logger, at_after(AT_MILLISECONDS(20))), AT_ERROR_TIMED_OUT);
    cr_expect_eq(take_away(hear), AT_OK);
    cr_expect_eq(it.dropped, 1);
    cr_expect_eq(flush(), AT_OK);
    cr_expect_eq(lost(), 10);
    expect_report("\"lost\":10,\"reason\":\"it was taken away\"");
    cr_assert_eq(at_logger_add_callback(logger, pool, hear, &it, &small), AT_OK);
    cr_expect_eq(ati_log_sink_count(logger->core), 3); /* the place is not free yet */
    log_lines();
    pthread_mutex_unlock(&it.gate);
    cr_expect_eq(flush(), AT_OK);
    cr_expect_eq(it.calls, 10);
    at_logger_destroy(logger);
    at_pool_destroy(pool);
    cr_expect_eq(it.dropped, 1);
}

static void hear_once(void *context, const char *line, size_t length) {
    listener *mine = context;
    (void)line;
    (void)length;
    mine->status = at_log_callback_unregister(mine->logger, hear_once, mine);
    mine->heard += mine->dropped == 0;
}

Test(log_callback_unregister, it_may_take_itself_away) {
    start(2, hear_once);
    it.status = 1;
    log_lines();
    while (it.dropped == 0)
        sched_yield();
    cr_expect_eq(it.status, AT_OK);
    cr_expect_eq(flush(), AT_OK);
    at_pool_destroy(pool);
    cr_expect_eq(it.heard, 1);
    cr_expect_eq(lost(), 9);
    at_logger_destroy(logger);
    cr_expect_eq(it.dropped, 1);
}

enum { changes = 200 };

static void *change(void *unused) {
    for (int i = 0; i < changes; i++) {
        while (take_away(hear) != AT_OK)
            sched_yield();
        cr_assert_eq(add(hear), AT_OK);
    }
    return unused;
}

static void *log_until_told(void *told) {
    while (!atomic_load((atomic_bool *)told))
        at_log_info(logger, "line");
    return NULL;
}

Test(log_callback_unregister, it_comes_and_goes_while_lines_come) {
    atomic_bool told = false;
    pthread_t writer;
    pthread_t changers[2];
    start(2, hear);
    cr_assert_eq(pthread_create(&writer, NULL, log_until_told, &told), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&changers[i], NULL, change, NULL), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(changers[i], NULL);
    atomic_store(&told, true);
    pthread_join(writer, NULL);
    cr_expect_eq(it.dropped, 2 * changes);
    at_logger_destroy(logger);
    cr_expect_eq(it.dropped, 2 * changes + 1);
    at_pool_destroy(pool);
}
