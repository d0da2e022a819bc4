/* SPDX-License-Identifier: MIT */
/* The error slot: which calls write it, and what "in flight" says. */
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

/* A status that is looked at and dealt with. at_error_put_in_flight says that it is not dealt with:
 * it does what AT_TRY does where more is to be done before the return. */
static void *open_pool(void *options) {
    at_pool *pool;
    at_status status = at_pool_create(&pool, options);
    if (status == AT_ERROR_INVALID) {
        printf("trying the defaults: %s\n", at_error_text(at_error_last()));
        status = at_pool_create(&pool, NULL);
    }
    if (status != AT_OK) {
        at_error_put_in_flight(status);
        return AT_FAILED;
    }
    return pool;
}

int main(void) {
    at_pool *pool = open_pool(&(at_pool_options){.thread_count = -7});
    expect(pool != AT_FAILED, "a pool");

    /* A call that succeeds leaves the slot as it was. */
    expect(strstr(at_error_text(at_error_last()), "thread_count: -7"), "the first call's error");

    /* To take the error is to have dealt with it. */
    at_error *error = at_error_take();
    expect(at_error_status(error) == AT_ERROR_INVALID, "its status");
    expect(at_error_last() == NULL, "an empty slot");
    at_error_release(error);

    /* There is always an answer, for NULL too. */
    expect(at_error_status(NULL) == AT_OK, "no error is AT_OK");
    expect(strcmp(at_error_message(NULL), "success") == 0, "in words");
    at_pool_destroy(pool);
    return 0;
}
