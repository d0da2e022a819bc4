/* SPDX-License-Identifier: MIT */
/* Two tasks that wait for each other: one is told, and both end. */
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

struct pair {
    at_future *told; /* both futures are known */
    at_future *futures[2];
    at_status statuses[2];
};

static void *wait_for(struct pair *pair, int self) {
    AT_TRY(at_future_wait(pair->told, AT_FOREVER, NULL));
    pair->statuses[self] = at_future_wait(pair->futures[1 - self], AT_FOREVER, NULL);
    return NULL;
}

static void *bake(void *pair) { /* cannot begin without the flour */
    return wait_for(pair, 0);
}

static void *buy_flour(void *pair) { /* cannot pay before the bread is sold */
    return wait_for(pair, 1);
}

int main(void) {
    at_pool *pool;
    at_promise *promise;
    struct pair pair = {0};
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    expect(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK, "a promise");
    pair.told = at_promise_future(promise);
    pair.futures[0] = at_pool_submit(pool, bake, &pair);
    pair.futures[1] = at_pool_submit(pool, buy_flour, &pair);
    expect(at_promise_set(promise, NULL, NULL) == AT_OK, "both know");
    for (int i = 0; i < 2; i++)
        expect(at_future_wait(pair.futures[i], AT_FOREVER, NULL) == AT_OK, "an end");
    expect((pair.statuses[0] == AT_ERROR_DEADLOCK) != (pair.statuses[1] == AT_ERROR_DEADLOCK),
           "one of them was told");
    for (int i = 0; i < 2; i++)
        at_future_release(pair.futures[i]);
    at_future_release(pair.told);
    at_promise_destroy(promise);
    at_pool_destroy(pool);
    return 0;
}
