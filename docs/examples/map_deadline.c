/* SPDX-License-Identifier: MIT */
/* A map that ends early: at its caller's deadline, or at the first failure. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { item_count = 1000 };

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static void *take_long(void *item) {
    AT_TRY(at_sleep(AT_MILLISECONDS(5)));
    return item;
}

static void *fail(void *item) {
    (void)item;
    return at_fail(AT_ERROR_UNAVAILABLE, "nobody is there");
}

static size_t count_cancelled(const at_outcome *outcomes) {
    size_t count = 0;
    for (size_t i = 0; i < item_count; i++)
        count += outcomes[i].status == AT_ERROR_CANCELLED;
    return count;
}

int main(void) {
    static char items[item_count];
    static at_outcome outcomes[item_count];
    at_pool *pool;
    at_concurrent_executor *executor;
    at_status status = AT_OK;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    expect(at_concurrent_executor_create(&executor, pool, NULL) == AT_OK, "an executor");

    AT_TIMEOUT(scope, AT_MILLISECONDS(20)) {
        status = at_concurrent_executor_map(executor, take_long, AT_ITEMS(items, item_count),
                                            outcomes, NULL);
    }
    expect(status == AT_ERROR_TIMED_OUT, "not all in 20 milliseconds");
    expect(count_cancelled(outcomes) > 0, "some were not begun");
    at_outcomes_release(outcomes, item_count);

    status = at_concurrent_executor_map(executor, fail, AT_ITEMS(items, item_count), outcomes,
                                        &(at_map_options){.fail_fast = true});
    expect(status == AT_ERROR_UNAVAILABLE, "the failure that stopped it");
    expect(count_cancelled(outcomes) > 0, "some were not begun");
    at_outcomes_release(outcomes, item_count);

    at_concurrent_executor_destroy(executor);
    at_pool_destroy(pool);
    return 0;
}
