/* SPDX-License-Identifier: MIT */
/* Ending in order: a shutdown with a deadline, and an account of every task. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static void *wait_for_news(void *news) {
    AT_TRY(at_future_wait(news, AT_FOREVER, NULL));
    return NULL;
}

static void *fail(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_UNAVAILABLE, "as planned");
}

int main(void) {
    at_pool *pool;
    at_promise *promise;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    expect(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK, "a promise");
    at_future *news = at_promise_future(promise);
    expect(at_pool_start(pool, wait_for_news, news) == AT_OK, "a task that waits");
    at_future *failure = at_pool_submit(pool, fail, NULL);
    expect(at_future_wait(failure, AT_FOREVER, NULL) == AT_ERROR_UNAVAILABLE, "one that fails");
    at_future_release(failure);

    /* The deadline passes; the pool stays closed, and its tasks go on. */
    at_status status = at_pool_shutdown(pool, at_after(AT_MILLISECONDS(20)));
    expect(status == AT_ERROR_TIMED_OUT, "a task is left");
    expect(at_promise_set(promise, "good", NULL) == AT_OK, "the news");
    expect(at_pool_shutdown(pool, at_after(AT_SECONDS(30))) == AT_OK, "the end");

    at_pool_audit_result audit;
    at_pool_audit(pool, &audit);
    expect(audit.balanced && audit.accepted == 2, "every task accounted for");
    expect(audit.succeeded == 1 && audit.failed == 1, "one of each");
    expect(audit.pending + audit.running == 0, "nothing left");
    at_promise_destroy(promise);
    at_future_release(news);
    at_pool_destroy(pool);
    return 0;
}
