/* SPDX-License-Identifier: MIT */
/* A bounded queue in front of a pool: ten at once, a hundred queued, results in order. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { work_count = 500 };

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static void *process_work_item(void *item) {
    AT_TRY(at_sleep(AT_MICROSECONDS(100))); /* waiting for something: holds no worker */
    if ((intptr_t)item == 17)
        return at_fail(AT_ERROR_UNAVAILABLE, "seventeen does not answer");
    return item;
}

static at_status process_queue(at_pool *pool, at_outcome **outcomes, size_t *count) {
    at_task_pool *workers = NULL;
    at_status status = at_task_pool_create(
        &workers, pool, &(at_task_pool_options){.pool_size = 10, .queue_size = 100});
    for (intptr_t item = 0; status == AT_OK && item < work_count; item++)
        status = at_task_pool_submit(workers, process_work_item, (void *)item); /* waits for room */
    if (status == AT_OK)
        status = at_task_pool_gather_results(workers, outcomes, count);
    at_task_pool_destroy(workers);
    return status;
}

int main(void) {
    at_pool *pool;
    at_outcome *outcomes = NULL;
    size_t count = 0;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    expect(process_queue(pool, &outcomes, &count) == AT_OK, "all gathered");
    expect(count == work_count, "an outcome of each");
    for (size_t i = 0; i < count; i++) {
        if (outcomes[i].status != AT_OK)
            puts(at_error_message(outcomes[i].error));
        else
            expect(outcomes[i].value == (void *)i, "in the order of the submits");
    }
    at_task_pool_results_release(outcomes, count);
    at_pool_destroy(pool);
    return 0;
}
