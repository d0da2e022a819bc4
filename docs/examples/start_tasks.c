/* SPDX-License-Identifier: MIT */
/* Tasks whose value nobody wants: started one by one, many at once, and by other tasks. */
#include <asynctools/asynctools.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static _Atomic int sum;

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s: %s\n", what, at_error_message(at_error_last()));
        exit(1);
    }
}

static void *add(void *number) {
    atomic_fetch_add(&sum, *(int *)number);
    return NULL;
}

/* Owns its argument once it runs. */
static void *add_and_free(void *number) {
    add(number);
    free(number);
    return NULL;
}

/* A task starts further ones; they are accepted even if the pool has been closed meanwhile. */
static void *add_three_times(void *number) {
    for (int i = 0; i < 3; i++)
        AT_TRY(at_pool_start(at_pool_current(), add, number));
    return NULL;
}

int main(void) {
    at_pool *pool;
    expect(at_pool_create(&pool, &(at_pool_options){.name = "sums", .thread_count = 2}) == AT_OK,
           "a pool");
    static int numbers[100];
    for (int i = 0; i < 100; i++)
        numbers[i] = i;
    int *owned = malloc(sizeof *owned);
    expect(owned, "memory");
    *owned = 1000;

    expect(at_pool_start(pool, add_three_times, &numbers[99]) == AT_OK, "one task");
    expect(at_pool_start_many(pool, add, AT_ITEMS(numbers, 100)) == AT_OK, "a hundred tasks");
    at_task_options options = {
        .run = add_and_free, .argument = owned, .drop = free, .name = "add a thousand"};
    at_status status = at_pool_start_with(pool, &options);
    if (status != AT_OK)
        free(owned); /* a call that gives a status takes its argument on AT_OK only */
    expect(status == AT_OK, "one more");

    /* Waits for all of them, and for what they start. */
    expect(at_pool_shutdown(pool, at_after(AT_SECONDS(30))) == AT_OK, "the end of all tasks");
    expect(atomic_load(&sum) == 3 * 99 + 99 * 100 / 2 + 1000, "the sum");
    expect(at_pool_start(pool, add, &numbers[1]) == AT_ERROR_CLOSED, "a closed pool");
    at_pool_destroy(pool);
    return 0;
}
