/* SPDX-License-Identifier: MIT */
/* What the pools of this process are doing, as one JSON document. */
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

static bool print_dump_with(const char *wanted) {
    char *text;
    expect(at_dump(&text) == AT_OK, "memory for the text");
    bool found = strstr(text, wanted) != NULL;
    if (found)
        puts(text);
    at_text_release(text);
    return found;
}

int main(void) {
    at_pool *pool;
    at_promise *promise;
    at_pool_options options = {.name = "press", .thread_count = 2};
    expect(at_pool_create(&pool, &options) == AT_OK, "a pool");
    expect(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK, "a promise");
    at_future *news = at_promise_future(promise);
    at_task_options reader = {.run = wait_for_news, .argument = news, .name = "reader"};
    expect(at_pool_start_with(pool, &reader) == AT_OK, "a task");

    /* Look until the task has got there. */
    while (!print_dump_with("\"task\":\"reader\""))
        ;

    expect(at_promise_set(promise, "good", NULL) == AT_OK, "the news");
    at_promise_destroy(promise);
    at_pool_destroy(pool);
    at_future_release(news);
    return 0;
}
