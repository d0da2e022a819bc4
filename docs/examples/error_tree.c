/* SPDX-License-Identifier: MIT */
/* What several tasks have failed with: one error, the others with it, printed and logged as one. */
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

static void *fetch(void *page) {
    int number = *(int *)page;
    if (number % 3 == 0) {
        at_fail(AT_ERROR_TIMED_OUT, "no answer");
        return at_fail_from(at_error_take(), AT_ERROR_UNAVAILABLE, "no page %d", number);
    }
    return page;
}

int main(void) {
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    int pages[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    at_gather_options options = {.policy = AT_TASK_MANAGER_COLLECT}; /* each ends by itself */
    at_status status = at_gather(pool, fetch, AT_ITEMS(pages, 9), NULL, &options);
    expect(status == AT_ERROR_UNAVAILABLE, "three pages are missing");

    const at_error *error = at_error_last();
    at_error_print(error, stdout);
    expect(at_error_other_count(error) == 2, "two others");
    expect(at_error_item(error) % 3 == 2, "the place of the item among the nine");
    at_log_error(at_logger_default(), "pages_missing", at_kv_error(error));
    at_pool_destroy(pool);
    return 0;
}
