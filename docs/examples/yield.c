/* SPDX-License-Identifier: MIT */
/* Two tasks that take turns on one worker. */
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

/* Both run on the same worker, one at a time: no lock is needed. */
static char order[16];
static int written;

static void *write_letters(void *letter) {
    for (int i = 0; i < 3; i++) {
        order[written++] = *(const char *)letter;
        at_yield();
    }
    return NULL;
}

static void *write_both(void *unused) {
    AT_TRY(at_pool_start(at_pool_current(), write_letters, "b"));
    (void)unused;
    return write_letters("a");
}

int main(void) {
    at_pool *pool;
    expect(at_pool_create(&pool, &(at_pool_options){.thread_count = 1}) == AT_OK, "a pool");
    expect(at_pool_start(pool, write_both, NULL) == AT_OK, "a start");
    expect(at_pool_shutdown(pool, at_after(AT_SECONDS(30))) == AT_OK, "the end");
    expect(strcmp(order, "ababab") == 0, "in turns");
    at_pool_destroy(pool);
    return 0;
}
