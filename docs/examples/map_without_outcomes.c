/* SPDX-License-Identifier: MIT */
/* A map whose outcomes nobody wants, but for whether all went well. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { item_count = 100 };

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static void *save(void *item) {
    if (*(char *)item)
        return at_fail(AT_ERROR_IO, "no room on the disk");
    char *receipt = malloc(16);
    return receipt ? at_return(receipt, free) : at_fail(AT_ERROR_NO_MEMORY, "no memory");
}

int main(void) {
    char items[item_count] = {[7] = 1, [30] = 1, [99] = 1};
    at_pool *pool;
    at_concurrent_executor *executor;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    expect(at_concurrent_executor_create(&executor, pool, NULL) == AT_OK, "an executor");

    at_status status =
        at_concurrent_executor_map(executor, save, AT_ITEMS(items, item_count), NULL, NULL);
    expect(status == AT_ERROR_IO, "not all were saved");
    expect(at_error_other_count(at_error_last()) == 2, "item 7, and two others");
    at_error_print(at_error_last(), stdout);

    at_concurrent_executor_destroy(executor);
    at_pool_destroy(pool);
    return 0;
}
