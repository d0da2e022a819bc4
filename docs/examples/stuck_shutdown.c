/* SPDX-License-Identifier: MIT */
/* A shutdown that reaches its deadline says what it is waiting for. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int main(void) {
    at_pool *pool;
    at_promise *promise;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    expect(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK, "a promise");
    at_future *news = at_promise_future(promise);
    at_task_options reader = {.run = wait_for_news, .argument = news, .name = "reader"};
    expect(at_pool_start_with(pool, &reader) == AT_OK, "a task");

    /* ... still has tasks: reader (worker 0, in at_future_wait for 0.1 s, from stuck_shutdown.c:30)
     */
    at_status status = at_pool_shutdown(pool, at_after(AT_MILLISECONDS(100)));
    expect(status == AT_ERROR_TIMED_OUT, "a task is left");
    const char *message = at_error_message(at_error_last());
    expect(strstr(message, "reader (worker ") != NULL, "its name");
    fprintf(stderr, "%s\n", message);

    expect(at_promise_set(promise, "good", NULL) == AT_OK, "the news");
    expect(at_pool_shutdown(pool, at_after(AT_SECONDS(30))) == AT_OK, "the end");
    at_promise_destroy(promise);
    at_future_release(news);
    at_pool_destroy(pool);
    return 0;
}
