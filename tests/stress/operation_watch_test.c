/* SPDX-License-Identifier: MIT
 *
 * Operations come and go on several threads and workers while two watches look every millisecond
 * (rules O2, S3): each line at most once, none after the end of its operation, and the logger of an
 * operation may go as soon as that has ended. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
enum { round_count = 40 };
#else
enum { round_count = 150 };
#endif

enum { thread_count = 4, watch_count = 2, scope_count = 100, handed_count = 16 };

TestSuite(operation_watch_stress, .timeout = 200);

static at_pool *pool;

/* Operations that pass to another thread, which ends them. */
static _Atomic(at_operation *) handed[handed_count];

static void hand_on(unsigned round) {
    /* Not the logger of the operation around it, which may end before it does. */
    const at_operation_options options = {
        .logger = at_logger_default(), .timeout = 1, .end_level = AT_LOG_DEBUG};
    at_operation *mine = at_operation_begin("handed", &options);
    at_operation_end(atomic_exchange(&handed[round % handed_count], mine));
}

static size_t count_lines(const char *lines, const char *text) {
    size_t count = 0;
    for (const char *at = lines; (at = strstr(at, text)); at++)
        count++;
    return count;
}

/* An operation with a logger of its own, which goes with it. */
static void use_own_logger(void) {
    at_logger *logger;
    at_logger_options options = {.memory_bytes = 65536, .max_ring_bytes = AT_NONE};
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    AT_OPERATION(operation, "own", .logger = logger, .slow = 1, .timeout = 1) {
        int64_t began = at_clock_now(at_clock_current());
        while (at_clock_now(at_clock_current()) < began + AT_MICROSECONDS(1500))
            hand_on(0);
    }
    char *lines;
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_expect_leq(count_lines(lines, "\"own.slow\""), 1);
    cr_expect_leq(count_lines(lines, "\"own.overdue\""), 1);
    cr_expect_eq(count_lines(lines, "\"own.failed\"") + count_lines(lines, "\"own.completed\""), 1);
    const char *completed = strstr(lines, "\"own.completed\"");
    cr_expect(completed && !strchr(strchr(completed, '\n') + 1, '\n'), "%s", lines);
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}

static void *work(void *unused) {
    for (unsigned round = 0; round < round_count; round++) {
        for (int i = 0; i < scope_count; i++)
            AT_OPERATION(operation, "scope", .timeout = 1, .end_level = AT_LOG_DEBUG) {
                hand_on(round + (unsigned)i);
            }
        use_own_logger();
    }
    return unused;
}

static void *sleep_inside(void *unused) {
    AT_OPERATION(operation, "task", .slow = 1, .end_level = AT_LOG_DEBUG) {
        AT_TRY(at_sleep(AT_MILLISECONDS(3)));
    }
    return unused;
}

static void *start_and_end_watches(void *unused) {
    for (int round = 0; round < round_count; round++) {
        at_operation_watch *watches[watch_count];
        at_operation_watch_options options = {.interval = AT_MILLISECONDS(1)};
        for (int i = 0; i < watch_count; i++)
            cr_assert_eq(at_operation_watch_create(&watches[i], pool, &options), AT_OK);
        for (int i = 0; i < 100; i++)
            cr_assert_eq(at_pool_start(pool, sleep_inside, NULL), AT_OK);
        cr_assert_eq(at_sleep(AT_MILLISECONDS(4)), AT_OK);
        char *text;
        cr_assert_eq(at_dump(&text), AT_OK);
        at_text_release(text);
        for (int i = 0; i < watch_count; i++)
            at_operation_watch_destroy(watches[i]);
    }
    return unused;
}

Test(operation_watch_stress, operations_come_and_go) {
    pthread_t threads[thread_count];
    at_logger *logger;
    at_logger_options options = {.memory_bytes = 1 << 20};
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    at_logger_set_default(logger);
    pool = create_pool(2);
    for (int i = 0; i < thread_count - 1; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, work, NULL), 0);
    cr_assert_eq(pthread_create(&threads[thread_count - 1], NULL, start_and_end_watches, NULL), 0);
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < handed_count; i++)
        at_operation_end(atomic_exchange(&handed[i], NULL));
    destroy_pool(pool);
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    char *lines;
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_expect_gt(count_lines(lines, ".overdue\"") + count_lines(lines, ".slow\""), 0);
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}
