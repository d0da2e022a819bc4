/* SPDX-License-Identifier: MIT */
/* A part of a function with a deadline, and what is started in it; cleaning up afterwards. */
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

/* Would take a minute: the sleep ends when the scope does. */
static void *ask_server(void *question) {
    AT_TRY(at_sleep(AT_SECONDS(60)));
    return question;
}

static at_status ask(at_pool *pool, void **answer) {
    at_future *reply = NULL;
    at_status status = AT_OK;
    AT_TIMEOUT(scope, AT_MILLISECONDS(20)) {
        reply = at_pool_submit(pool, ask_server, "how long?");
        status = at_future_wait(reply, AT_FOREVER, answer);
    }
    at_future_release(reply);
    return status;
}

/* Whoever is cancelled may still want to say goodbye. */
static at_status say_goodbye(void) {
    at_status status = AT_OK;
    AT_SHIELD(scope, AT_SECONDS(1)) {
        status = at_sleep(AT_MILLISECONDS(1));
    }
    return status;
}

static uint64_t add_some(uint64_t *numbers, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += ++numbers[i];
    return sum;
}

/* Uses a buffer of its thread, so no other task may run there meanwhile. */
static uint64_t sum_until_stopped(void) {
    static _Thread_local uint64_t numbers[1000];
    uint64_t sum = 0;
    while (!at_is_cancelled())
        sum += add_some(numbers, 1000);
    return sum;
}

static void *serve(void *unused) {
    at_status status = at_sleep(AT_SECONDS(60));
    if (status == AT_ERROR_CANCELLED)
        status = say_goodbye();
    AT_TRY(status);
    return unused;
}

int main(void) {
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    void *answer;
    expect(ask(pool, &answer) == AT_ERROR_TIMED_OUT, "no answer in time");

    AT_TIMEOUT(scope, AT_MILLISECONDS(5)) {
        expect(sum_until_stopped() > 0, "a sum");
    }
    expect(!at_is_cancelled(), "nothing outside");

    /* The same by calls, under a token by which others can end it. */
    at_scope scope;
    at_scope_begin(&scope, &(at_scope_options){.timeout = AT_SECONDS(60)});
    at_token *token = at_token_retain(at_scope_token(&scope));
    expect(at_token_current() == token, "the scope that runs");
    expect(at_token_deadline(token) <= at_after(AT_SECONDS(60)), "a minute at most");
    at_future *served = at_pool_submit(pool, serve, NULL);
    expect(at_token_cancel(token) == AT_OK, "for the first time");
    expect(at_check() == AT_ERROR_CANCELLED, "this thread is in it as well");
    expect(at_scope_end(&scope) == AT_ERROR_CANCELLED, "the scope to say so");
    expect(at_check() == AT_OK, "nothing afterwards");
    at_status status = at_future_wait(served, AT_FOREVER, NULL);
    expect(status == AT_OK || status == AT_ERROR_CANCELLED, "a goodbye, or it never began");
    at_future_release(served);

    at_cancel_reason reason = at_token_reason(token);
    expect(strcmp(at_cancel_reason_name(reason), "AT_CANCEL_EXPLICIT") == 0, "a reason");
    at_token_release(token);
    at_pool_destroy(pool);
    return 0;
}
