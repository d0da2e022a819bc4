/* SPDX-License-Identifier: MIT */
/* all and all_settled: many results in one. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { count = 4 };

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static void *halve(void *number) {
    int *mine = number;
    if (*mine % 2 != 0)
        return at_fail(AT_ERROR_INVALID, "%d is odd", *mine);
    *mine /= 2;
    return mine;
}

static void *add_up(void *outcomes, void *context) {
    const at_outcome *each = outcomes; /* in argument order */
    int *sum = context;
    for (int i = 0; i < count; i++)
        *sum += *(int *)each[i].value;
    return sum;
}

int main(void) {
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    at_future *futures[count];

    /* All have to succeed. The result takes the sources over, and holds their values. */
    int even[count] = {2, 4, 6, 8}, sum = 0;
    at_pool_submit_many(pool, halve, AT_ITEMS(even, count), futures);
    at_future *total = at_future_then(at_future_all(futures, count), add_up, &sum);
    expect(at_future_wait(total, AT_FOREVER, NULL) == AT_OK && sum == 10, "1 + 2 + 3 + 4");
    at_future_release(total);

    /* One that fails fails the result, once all have completed. */
    int mixed[count] = {2, 3, 4, 5};
    at_pool_submit_many(pool, halve, AT_ITEMS(mixed, count), futures);
    at_future *all = at_future_all(futures, count);
    expect(at_future_wait(all, AT_FOREVER, NULL) == AT_ERROR_INVALID, "a failure");
    puts(at_error_message(at_future_error(all)));
    at_future_release(all);

    /* all_settled keeps every outcome, and succeeds. */
    int again[count] = {2, 3, 4, 5}, failed = 0;
    at_pool_submit_many(pool, halve, AT_ITEMS(again, count), futures);
    at_future *settled = at_future_all_settled(futures, count);
    void *value;
    expect(at_future_wait(settled, AT_FOREVER, &value) == AT_OK, "success");
    for (int i = 0; i < count; i++)
        failed += ((at_outcome *)value)[i].status != AT_OK;
    expect(failed == 2, "two failures");
    at_future_release(settled);
    at_pool_destroy(pool);
    return 0;
}
