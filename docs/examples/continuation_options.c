/* SPDX-License-Identifier: MIT */
/* Continuations on another pool, with a context that is owned, a name, and for cancellation. */
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

static void *load(void *unused) {
    (void)unused;
    return "rows";
}

static void *draw(void *rows, void *screen) {
    expect(at_pool_current() == screen, "the screen's own pool");
    return at_fail(AT_ERROR_UNSUPPORTED, "cannot draw %s", (const char *)rows);
}

static void add_line(const at_outcome *outcome, void *text) {
    strcat(text, outcome->status == AT_OK ? "drawn" : "failed");
    printf("%s\n", (char *)text);
}

static void *start_again(const at_error *error, void *context) {
    expect(at_error_status(error) == AT_ERROR_CANCELLED, "a cancellation");
    return context;
}

int main(void) {
    at_pool *work, *screen;
    expect(at_pool_create(&work, NULL) == AT_OK, "a pool for work");
    expect(at_pool_create(&screen, &(at_pool_options){.thread_count = 1}) == AT_OK, "another");
    char *text = calloc(1, 32); /* owned by the continuation, which drops it in any case */
    expect(text, "memory");

    at_continuation_options on_screen = {
        .executor = at_pool_executor(screen), .context = screen, .name = "draw the rows"};
    at_future *drawn = at_future_then_with(at_pool_submit(work, load, NULL), draw, &on_screen);
    at_continuation_options with_text = {.context = text, .drop = free};
    at_future *noted = at_future_finally_with(drawn, add_line, &with_text);
    expect(at_future_wait(noted, AT_FOREVER, NULL) == AT_ERROR_UNSUPPORTED, "draw's failure");
    expect(strcmp(at_error_task(at_future_error(noted)), "draw the rows") == 0, "its name");
    at_future_release(noted);

    /* A cancelled source passes a recover by, unless it asks for it. */
    at_promise *promise;
    expect(at_promise_create(&promise, at_pool_executor(work)) == AT_OK, "a promise");
    at_continuation_options cancelled_too = {.context = "again", .on_cancelled = true};
    at_future *again =
        at_future_recover_with(at_promise_future(promise), start_again, &cancelled_too);
    (void)at_fail_status(AT_ERROR_CANCELLED, "the user went away");
    expect(at_promise_fail(promise, at_error_take()) == AT_OK, "cancelled");
    void *value;
    expect(at_future_wait(again, AT_FOREVER, &value) == AT_OK, "recovered");
    expect(strcmp(value, "again") == 0, "its value");
    at_promise_destroy(promise);
    at_future_release(again);
    at_pool_destroy(screen);
    at_pool_destroy(work);
    return 0;
}
