/* SPDX-License-Identifier: MIT */
/* any: the first success. first: whatever completes first. */
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

/* The two ends of what three servers will have said. */
struct replies {
    at_promise *promises[3];
    at_future *futures[3];
};

static void ask(struct replies *replies, at_pool *pool) {
    for (int i = 0; i < 3; i++) {
        at_promise **promise = &replies->promises[i];
        expect(at_promise_create(promise, at_pool_executor(pool)) == AT_OK, "a promise");
        replies->futures[i] = at_promise_future(*promise);
    }
}

static void refuse(at_promise *promise) {
    (void)at_fail_status(AT_ERROR_UNAVAILABLE, "busy");
    expect(at_promise_fail(promise, at_error_take()) == AT_OK, "no other outcome");
}

static void hang_up(struct replies *replies) {
    for (int i = 0; i < 3; i++)
        at_promise_destroy(replies->promises[i]); /* who has not replied fails: nobody minds */
}

int main(void) {
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    struct replies replies;
    void *value;

    ask(&replies, pool);
    at_future *any = at_future_any(replies.futures, 3);
    refuse(replies.promises[0]); /* a failure decides nothing */
    expect(at_promise_set(replies.promises[2], "yes", NULL) == AT_OK, "a reply");
    expect(at_future_wait(any, AT_FOREVER, &value) == AT_OK, "a success");
    const at_winner *winner = value;
    expect(winner->index == 2 && strcmp(winner->value, "yes") == 0, "the third one's");
    at_future_release(any);
    hang_up(&replies);

    ask(&replies, pool);
    at_future *first = at_future_first(replies.futures, 3);
    refuse(replies.promises[1]); /* this is what came first */
    expect(at_future_wait(first, AT_FOREVER, NULL) == AT_ERROR_UNAVAILABLE, "a failure");
    at_future_release(first);
    hang_up(&replies);
    at_pool_destroy(pool);
    return 0;
}
