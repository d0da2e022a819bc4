/* SPDX-License-Identifier: MIT */
/* Stops what nobody wants any more: by hand, and by a deadline. */
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

static void *download(void *unused) {
    AT_TRY(at_sleep(AT_SECONDS(60)));
    return unused;
}

static void *parse(void *bytes, void *unused) {
    (void)unused;
    return bytes;
}

/* The last one that wants the download takes it along. */
static void cancel(at_pool *pool) {
    at_future *bytes = at_pool_submit(pool, download, NULL);
    at_future *parsed = at_future_then(at_future_retain(bytes), parse, NULL);
    at_future *also_parsed = at_future_then(at_future_retain(bytes), parse, NULL);
    at_future_cancel(parsed);
    expect(!at_future_is_done(bytes), "somebody wants it still");
    at_future_cancel(also_parsed);
    expect(at_future_wait(bytes, AT_FOREVER, NULL) == AT_ERROR_CANCELLED, "nobody does");
    at_future_release(parsed);
    at_future_release(also_parsed);
    at_future_release(bytes);
}

/* So does a deadline. */
static void time_out(at_pool *pool) {
    at_future *bytes = at_pool_submit(pool, download, NULL);
    at_future *in_time =
        at_future_with_timeout(at_future_retain(bytes), at_after(AT_MILLISECONDS(20)));
    expect(at_future_wait(in_time, AT_FOREVER, NULL) == AT_ERROR_TIMED_OUT, "it takes longer");
    expect(at_future_wait(bytes, AT_FOREVER, NULL) == AT_ERROR_CANCELLED, "and was stopped");
    at_future_release(in_time);
    at_future_release(bytes);
}

int main(void) {
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    cancel(pool);
    time_out(pool);
    at_pool_destroy(pool);
    return 0;
}
