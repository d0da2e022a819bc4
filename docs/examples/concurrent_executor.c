/* SPDX-License-Identifier: MIT */
/* A function for each of many items, several at once, with progress. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { item_count = 40 };

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static void *process_item(void *argument) {
    const int *item = argument;
    AT_TRY(at_sleep(AT_MILLISECONDS(1))); /* waiting for something: holds no worker */
    if (*item % 10 == 7)
        return at_fail(AT_ERROR_INVALID, "%d has a seven at its end", *item);
    int *square = malloc(sizeof *square);
    if (!square)
        return at_fail(AT_ERROR_NO_MEMORY, "no memory for a square");
    *square = *item * *item;
    return at_return(square, free);
}

static void show_progress(size_t completed, size_t total, void *bar) {
    (void)bar;
    if (completed == total)
        printf("%zu of %zu\n", completed, total);
}

static at_status process_batch(at_pool *pool, at_logger *logger, int *items, at_outcome *outcomes) {
    at_concurrent_executor *executor;
    AT_TRY_STATUS(at_concurrent_executor_create(
        &executor, pool, &(at_concurrent_executor_options){.max_workers = 5}));
    at_status status = at_concurrent_executor_map(
        executor, process_item, AT_ITEMS(items, item_count), outcomes,
        &(at_map_options){.on_progress = show_progress, .progress_logger = logger});
    at_concurrent_executor_destroy(executor);
    return status;
}

int main(void) {
    at_pool *pool;
    at_logger *logger;
    int items[item_count];
    at_outcome outcomes[item_count];
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    expect(at_logger_create(&logger, NULL) == AT_OK, "a logger");
    for (int i = 0; i < item_count; i++)
        items[i] = i;

    expect(process_batch(pool, logger, items, outcomes) == AT_ERROR_INVALID, "a failure");
    puts(at_error_message(at_error_last())); /* the first, and the others with it */
    for (int i = 0; i < item_count; i++) {
        if (outcomes[i].status == AT_OK)
            expect(*(int *)outcomes[i].value == i * i, "a square in its place");
        else
            printf("%s, item %d\n", at_error_task(outcomes[i].error),
                   (int)at_error_item(outcomes[i].error)); /* process_item, item 7 */
    }
    at_outcomes_release(outcomes, item_count); /* drops the squares and the errors */

    at_logger_destroy(logger);
    at_pool_destroy(pool);
    return 0;
}
