/* SPDX-License-Identifier: MIT */
/* What a wait can say: the outcome, too late, would never end, too many wait already. */
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

/* Waits in a task for tasks of its own: with one worker it runs them on its own stack. */
static void *count_down(void *number) {
    int *left = number;
    if (--*left == 0)
        return left;
    at_future *rest = at_pool_submit(at_pool_current(), count_down, left);
    at_status status = at_future_wait(rest, AT_FOREVER, NULL);
    at_future_release(rest);
    AT_TRY(status);
    return left;
}

/* Gets its own future from outside, and waits for it: an error, not a standstill. */
static void *wait_for_myself(void *sent) {
    void *myself;
    AT_TRY(at_future_wait(sent, AT_FOREVER, &myself));
    AT_TRY(at_future_wait(myself, AT_FOREVER, NULL));
    return NULL;
}

int main(void) {
    at_pool *pool;
    at_promise *promise;
    expect(at_pool_create(&pool, &(at_pool_options){.thread_count = 1}) == AT_OK, "a pool");
    expect(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK, "a promise");
    at_future *sent = at_promise_future(promise);
    at_future *waiter = at_pool_submit(pool, wait_for_myself, sent);

    /* A deadline is absolute. A wait that ends by it leaves the future as it is. */
    expect(at_future_wait(waiter, at_after(AT_MILLISECONDS(5)), NULL) == AT_ERROR_TIMED_OUT,
           "nothing in 5 ms");
    expect(at_future_wait(waiter, 0, NULL) == AT_ERROR_TIMED_OUT, "0: a look");
    expect(!at_future_is_done(waiter), "the same question");
    expect(at_promise_set(promise, waiter, NULL) == AT_OK, "its own future");
    expect(at_future_wait(waiter, AT_FOREVER, NULL) == AT_ERROR_DEADLOCK, "a deadlock");
    puts(at_error_message(at_error_last()));

    int left = 40;
    at_future *counted = at_pool_submit(pool, count_down, &left);
    expect(at_future_wait(counted, AT_FOREVER, NULL) == AT_OK && left == 0, "nested waits");
    at_future_release(counted);
    at_future_release(waiter);
    at_future_release(sent);
    at_promise_destroy(promise);
    at_pool_destroy(pool);
    return 0;
}
