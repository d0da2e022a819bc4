/* SPDX-License-Identifier: MIT */
/* Ends what the library does not know of: here a thread that reads from a pipe. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

/* On the thread that cancels. */
static void hang_up(void *write_end) {
    close(*(int *)write_end);
}

struct reader {
    int ends[2];
    at_token *token;
};

static void *read_until_end(void *argument) {
    struct reader *reader = argument;
    char bytes[100];
    at_cancel_callback callback;
    at_cancel_callback_register(&callback, reader->token, hang_up, &reader->ends[1]);
    at_blocking_begin();
    while (read(reader->ends[0], bytes, sizeof bytes) > 0)
        continue;
    at_blocking_end();
    at_cancel_callback_unregister(&callback); /* from here on it is not running */
    return NULL;
}

int main(void) {
    at_pool *pool;
    struct reader reader;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    expect(pipe(reader.ends) == 0, "a pipe");
    expect(at_token_create(&reader.token, NULL) == AT_OK, "a token");
    at_future *read = at_pool_submit(pool, read_until_end, &reader);
    expect(at_token_cancel(reader.token) == AT_OK, "for the first time");
    expect(at_token_cancel(reader.token) == AT_ERROR_ALREADY, "it stays cancelled");
    expect(at_future_wait(read, AT_FOREVER, NULL) == AT_OK, "the end");
    at_future_release(read);
    at_token_release(reader.token);
    close(reader.ends[0]);
    at_pool_destroy(pool);
    return 0;
}
