/* SPDX-License-Identifier: MIT */
/* A thousand tasks that sleep, on one thread. */
#include <asynctools/asynctools.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

/* Asks again a little later each time, and holds no thread meanwhile. */
static void *ask_until_ready(void *argument) {
    _Atomic int *left = argument;
    for (at_duration pause = AT_MILLISECONDS(1); pause <= AT_MILLISECONDS(4); pause *= 2)
        AT_TRY(at_sleep(pause));
    atomic_fetch_sub(left, 1);
    return NULL;
}

int main(void) {
    enum { count = 1000 };
    at_pool *pool;
    _Atomic int left = count;
    expect(at_pool_create(&pool, &(at_pool_options){.thread_count = 1}) == AT_OK, "a pool");
    for (int i = 0; i < count; i++)
        expect(at_pool_start(pool, ask_until_ready, &left) == AT_OK, "a start");
    expect(at_pool_shutdown(pool, at_after(AT_SECONDS(30))) == AT_OK, "the end");
    expect(left == 0, "all have slept");
    expect(at_sleep(AT_MILLISECONDS(1)) == AT_OK, "a plain thread sleeps itself");
    at_pool_destroy(pool);
    return 0;
}
