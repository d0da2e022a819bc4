/* SPDX-License-Identifier: MIT
 *
 * Default loggers that come and go while a pool has something to say (rule J4): nobody who writes a
 * line of the library has a logger that is destroyed. */
#include "support/fixture.h"
#include "support/test.h"

#include "log/default_logger.h"

#include <asynctools/error.h>
#include <asynctools/log.h>
#include <asynctools/sleep.h>

#include <sched.h>
#include <string.h>

TestSuite(log_default, .timeout = 200);

#if defined(__SANITIZE_THREAD__)
enum { round_count = 100 };
#else
enum { round_count = 1000 };
#endif

static at_logger *quiet; /* between the others */
static atomic_bool stop;
static atomic_uint said;

static void *fail(void *argument) {
    (void)argument;
    atomic_fetch_add(&said, 1);
    return at_fail(AT_ERROR_IO, "nobody looks");
}

static void *leave_errors(void *argument) {
    for (unsigned started = 0; !atomic_load(&stop);) {
        if (started - atomic_load(&said) < 10) {
            at_future_release(at_pool_submit(pool, fail, argument));
            started++;
        }
        at_yield();
    }
    return NULL;
}

/* Until the pool has said something more, the logger is the default one. */
static void serve(void) {
    at_logger *logger;
    at_logger *child;
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 8192}), AT_OK);
    cr_assert_eq(at_logger_create_child(&child, logger, NULL), AT_OK);
    at_logger_set_default(child);
    for (unsigned before = atomic_load(&said); atomic_load(&said) < before + 2;)
        sched_yield();
    at_logger_set_default(logger);
    at_logger_destroy(child);
    for (unsigned before = atomic_load(&said); atomic_load(&said) < before + 2;)
        sched_yield();
    at_logger_set_default(quiet);
    at_logger_destroy(logger);
}

Test(log_default, loggers_come_and_go, .init = begin_with_pool, .fini = end_with_pool) {
    cr_assert_eq(at_logger_create(&quiet, &(at_logger_options){.memory_bytes = 8192}), AT_OK);
    at_logger_set_default(quiet);
    change_pool(3);
    at_future *future = at_pool_submit(pool, leave_errors, NULL);
    for (int round = 0; round < round_count; round++)
        serve();
    atomic_store(&stop, true);
    cr_assert_eq(at_future_wait(future, AT_FOREVER, NULL), AT_OK);
    at_future_release(future);
    end_pool();
    at_logger_destroy(quiet);
}

static at_logger *held;

static void *destroy(void *logger) {
    at_logger_destroy(logger);
    return NULL;
}

/* Who has taken it has it until it is given back, also one below what is destroyed. */
Test(log_default, a_logger_that_is_taken_is_there) {
    at_logger *root;
    cr_assert_eq(at_logger_create(&root, &(at_logger_options){.memory_bytes = 8192}), AT_OK);
    cr_assert_eq(at_logger_create_child(&held, root, NULL), AT_OK);
    at_logger_set_default(held);
    cr_expect_eq(ati_default_logger_take(), held);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, destroy, root), 0);
    while (at_logger_default())
        sched_yield();
    at_log_info(held, "line");
    char *lines;
    cr_assert_eq(at_logger_flush(held, AT_FOREVER), AT_OK);
    cr_assert_eq(at_logger_memory_lines(held, &lines), AT_OK);
    cr_expect(strstr(lines, "\"event\":\"line\""));
    at_logger_memory_release(lines);
    cr_expect_null(ati_default_logger_take());
    ati_default_logger_give_back(NULL);
    ati_default_logger_give_back(held);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}
