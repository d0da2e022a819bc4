/* SPDX-License-Identifier: MIT */
/* A continuation that runs at once, on the thread that completes its source. */
#include <asynctools/asynctools.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

/* Short, and without a wait: whoever completes the source is held up by it. */
static void *add_one(void *number, void *thread) {
    expect(pthread_equal(pthread_self(), *(pthread_t *)thread), "the thread that completes");
    ++*(int *)number;
    return number;
}

int main(void) {
    at_pool *pool;
    at_promise *promise;
    pthread_t here = pthread_self();
    int number = 0;
    at_continuation_options options = {.executor = at_executor_inline(), .context = &here};
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    expect(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK, "a promise");

    /* A long chain does not grow the stack: past 16 levels, links wait for the outermost. */
    at_future *chain = at_promise_future(promise);
    for (int i = 0; i < 100000; i++)
        chain = at_future_then_with(chain, add_one, &options);
    expect(!at_future_is_done(chain), "nothing yet");
    expect(at_promise_set(promise, &number, NULL) == AT_OK, "the first value");
    expect(at_future_is_done(chain) && number == 100000, "all has run inside at_promise_set");

    at_future_release(chain);
    at_promise_destroy(promise);
    at_pool_destroy(pool);
    return 0;
}
