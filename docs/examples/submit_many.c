/* SPDX-License-Identifier: MIT */
/* Many tasks with one call, and their results in the same order. */
#include <asynctools/asynctools.h>

#include <stdio.h>

enum { count = 100 };

/* Each task gets the address of its item, and leaves the result there. */
static void *square(void *number) {
    *(long *)number *= *(long *)number;
    return number;
}

int main(void) {
    at_pool *pool;
    if (at_pool_create(&pool, NULL) != AT_OK)
        return 1;
    static long numbers[count];
    for (long i = 0; i < count; i++)
        numbers[i] = i;
    at_future *futures[count];
    at_pool_submit_many(pool, square, AT_ITEMS(numbers, count), futures);

    int wrong = 0;
    for (long i = 0; i < count; i++) {
        void *value;
        if (at_future_wait(futures[i], AT_FOREVER, &value) != AT_OK) {
            fprintf(stderr, "%s\n", at_error_message(at_error_last()));
            wrong++;
        } else if (*(long *)value != i * i) {
            wrong++;
        }
        at_future_release(futures[i]);
    }
    at_pool_destroy(pool);
    return wrong == 0 ? 0 : 1;
}
