/* SPDX-License-Identifier: MIT
 *
 * Rule L3: idle workers sleep. User and system time of an idle pool and of its logger, after work
 * and before it, at most 5 ms over 10 s; 2 s are measured here. */
#include "support/plain.h"

#include <asynctools/asynctools.h>

#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

enum {
    measured_seconds = 2,
    limit_us = 1000, /* 5 ms over 10 s */
    attempts = 5,    /* workers that do not sleep take more each time; a busy machine does not */
};

static int64_t read_cpu_us(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static void pause_for(at_duration duration) {
    struct timespec rest = {.tv_sec = duration / AT_SECONDS(1),
                            .tv_nsec = duration % AT_SECONDS(1)};
    while (nanosleep(&rest, &rest) != 0)
        ;
}

static void check_idle(const char *when) {
    int64_t used = INT64_MAX;
    for (int i = 0; i < attempts && used > limit_us; i++) {
        int64_t before = read_cpu_us();
        pause_for(AT_SECONDS(measured_seconds));
        used = read_cpu_us() - before;
        fprintf(stderr, "%s: %lld us of CPU time in %d s\n", when, (long long)used,
                measured_seconds);
    }
    plain_check(used <= limit_us);
}

static void *give(void *argument) {
    return argument;
}

static void *wait_for_promise(void *future) {
    AT_TRY(at_future_wait(future, AT_FOREVER, NULL));
    return NULL;
}

/* Some of everything: outside and nested work, continuations, and waits that need spares. */
static void work(at_pool *pool) {
    for (int i = 0; i < 10000; i++)
        plain_check(at_pool_start(pool, give, NULL) == AT_OK);
    at_promise *promise;
    plain_check(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK);
    at_future *future = at_promise_future(promise);
    at_future *waiters[5];
    for (int i = 0; i < 5; i++)
        waiters[i] = at_pool_submit(pool, wait_for_promise, future);
    plain_check(at_future_wait(waiters[0], at_after(AT_MILLISECONDS(50)), NULL) ==
                AT_ERROR_TIMED_OUT);
    plain_check(at_promise_set(promise, NULL, NULL) == AT_OK);
    for (int i = 0; i < 5; i++) {
        plain_check(at_future_wait(waiters[i], at_after(AT_SECONDS(30)), NULL) == AT_OK);
        at_future_release(waiters[i]);
    }
    at_promise_destroy(promise);
    at_future_release(future);
}

int main(void) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    plain_skip("a sanitizer has threads of its own that take time");
#endif
    at_logger *logger;
    at_pool *pool;
    plain_check(at_logger_create(&logger, &(at_logger_options){.path = "/dev/null"}) == AT_OK);
    at_logger_set_default(logger);
    plain_check(at_pool_create(&pool, &(at_pool_options){.thread_count = 4}) == AT_OK);
    pause_for(AT_SECONDS(1.2)); /* the logger polls for a second after a line */
    check_idle("before work");
    work(pool);
    pause_for(AT_SECONDS(1.2)); /* spare threads end after a second */
    check_idle("after work");
    at_pool_destroy(pool);
    at_logger_destroy(logger);
    fprintf(stderr, "1 passed, 0 failed\n");
    return 0;
}
