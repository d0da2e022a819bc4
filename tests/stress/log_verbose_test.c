/* SPDX-License-Identifier: MIT
 *
 * Operations with levels of their own that come and go in many threads, while levels change and
 * what nobody asks for is taken back (rule J4): no line of such an operation is stopped, and no
 * other line is written. */
#include "support/test.h"

#include "base/context.h"
#include "log/verbose.h"

#include <asynctools/log.h>

#include <pthread.h>
#include <stdatomic.h>

#if defined(__SANITIZE_THREAD__)
enum { round_count = 5000 };
#else
enum { round_count = 50000 };
#endif
enum { thread_count = 4 };

static at_logger *loggers[thread_count];
static atomic_bool stop;
static atomic_uint failures;

static void *work(void *argument) {
    unsigned number = (unsigned)(uintptr_t)argument;
    for (unsigned round = 0; round < round_count; round++) {
        at_logger *logger = loggers[(number + round) % thread_count];
        at_log_level level = round % 3 ? AT_LOG_DEBUG : AT_LOG_TRACE;
        ati_context *operation = ati_context_create(NULL, "work", AT_FOREVER, NULL, 0);
        if (!operation) {
            atomic_fetch_add(&failures, 1);
            break;
        }
        operation->log_level = (int8_t)level;
        ati_log_verbose_add(level);
        ati_context_exchange(operation);
        if (!at_log_enabled(logger, level))
            atomic_fetch_add(&failures, 1);
        ati_context_exchange(NULL);
        ati_log_verbose_remove(level);
        ati_context_release(operation);
        at_log_debug(logger, "unwanted");
    }
    return NULL;
}

static void *settle(void *unused) {
    (void)unused;
    while (!atomic_load(&stop))
        ati_log_verbose_settle(INT64_MAX);
    return NULL;
}

static void *change_levels(void *unused) {
    (void)unused;
    for (unsigned round = 0; !atomic_load(&stop); round++)
        if (at_logger_set_level(loggers[round % thread_count],
                                round % 7 ? AT_LOG_WARN : AT_LOG_INFO) != AT_OK)
            atomic_fetch_add(&failures, 1);
    return NULL;
}

Test(log_verbose_stress, operations_that_come_and_go) {
    cr_assert_eq(at_logger_create(&loggers[0], &(at_logger_options){.memory_bytes = 10000}), AT_OK);
    for (int i = 1; i < thread_count; i++)
        cr_assert_eq(at_logger_create_child(&loggers[i], loggers[i - 1], NULL), AT_OK);
    pthread_t threads[thread_count];
    pthread_t settler;
    pthread_t changer;
    cr_assert_eq(pthread_create(&settler, NULL, settle, NULL), 0);
    cr_assert_eq(pthread_create(&changer, NULL, change_levels, NULL), 0);
    for (uintptr_t i = 0; i < thread_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&stop, true);
    pthread_join(settler, NULL);
    pthread_join(changer, NULL);
    cr_expect_eq(atomic_load(&failures), 0);
    ati_log_verbose_settle(INT64_MAX);
    cr_expect_not(at_log_enabled(loggers[0], AT_LOG_DEBUG));
    at_logger_statistics statistics;
    cr_assert_eq(at_logger_flush(loggers[0], at_after(AT_SECONDS(60))), AT_OK);
    at_logger_get_statistics(loggers[0], &statistics);
    cr_expect_eq(statistics.written, 0);
    at_logger_destroy(loggers[0]);
}
