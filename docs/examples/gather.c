/* SPDX-License-Identifier: MIT */
/* One function for many items, at most five at a time. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s: %s\n", what, at_error_message(at_error_last()));
        exit(1);
    }
}

static void *process_item(void *item) {
    int *number = item;
    AT_TRY(at_sleep(AT_MILLISECONDS(1)));
    *number *= *number;
    return number;
}

static void *wait_for_answer(void *item) {
    AT_TRY(at_sleep(AT_SECONDS(1000)));
    return item;
}

/* A deadline around it ends the items, and they are awaited. */
static void gather_in_time(at_pool *pool, int *items, size_t n) {
    at_status status = AT_OK;
    AT_TIMEOUT(scope, AT_MILLISECONDS(20)) {
        status = at_gather(pool, wait_for_answer, AT_ITEMS(items, n), NULL, NULL);
    }
    expect(status == AT_ERROR_TIMED_OUT, "no answer in time");
}

int main(void) {
    enum { n = 20 };
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    int items[n];
    for (int i = 0; i < n; i++)
        items[i] = i;

    at_outcome outcomes[n];
    at_status status = at_gather(pool, process_item, AT_ITEMS(items, n), outcomes,
                                 &(at_gather_options){.limit = 5});
    expect(status == AT_OK, "all of them");
    for (int i = 0; i < n; i++)
        expect(*(int *)outcomes[i].value == i * i, "outcomes in the order of the items");
    at_outcomes_release(outcomes, n);
    gather_in_time(pool, items, n);
    at_pool_destroy(pool);
    return 0;
}
