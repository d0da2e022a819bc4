/* SPDX-License-Identifier: MIT */
/* A long computation that lets others have their turn, and one worker for all. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static bool has_ticked;

static void *tick(void *unused) {
    AT_TRY(at_sleep(AT_MILLISECONDS(5)));
    has_ticked = true;
    return unused;
}

/* Without at_check nothing else would happen on this worker until the end. */
static void *compute(void *result) {
    uint64_t sum = 0;
    AT_TRY(at_pool_start(at_pool_current(), tick, NULL));
    at_yield(); /* it sleeps now */
    while (!has_ticked) {
        for (int i = 0; i < 10000; i++)
            sum += (uint64_t)i * sum + 1;
        AT_TRY(at_check());
    }
    *(uint64_t *)result = sum;
    return result;
}

int main(void) {
    at_pool *pool;
    uint64_t sum;
    expect(at_pool_create(&pool, &(at_pool_options){.thread_count = 1}) == AT_OK, "a pool");
    at_future *computed = at_pool_submit(pool, compute, &sum);
    expect(at_future_wait(computed, AT_FOREVER, NULL) == AT_OK, "a sum");
    expect(at_check() == AT_OK, "outside tasks and operations it has nothing to say");
    at_future_release(computed);
    at_pool_destroy(pool);
    return 0;
}
