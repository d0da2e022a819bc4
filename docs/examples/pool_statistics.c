/* SPDX-License-Identifier: MIT */
/* What a pool has done, and how long it took. */
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

static void *count_up(void *number) {
    ++*(int *)number;
    return NULL;
}

int main(void) {
    static int numbers[10000];
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    expect(at_pool_start_many(pool, count_up, AT_ITEMS(numbers, 10000)) == AT_OK, "tasks");
    expect(at_pool_shutdown(pool, at_after(AT_SECONDS(30))) == AT_OK, "their end");

    at_pool_statistics statistics;
    at_pool_get_statistics(pool, &statistics);
    expect(statistics.executed == 10000, "all of them counted");
    expect(statistics.suspended == 0, "none that waits");
    expect(statistics.queue_wait.count > 0, "some of them measured");
    printf("half of the tasks waited for less than %lld ns, one of a thousand for more than %lld\n",
           (long long)statistics.queue_wait.median, (long long)statistics.queue_wait.p999);

    char *text; /* the same for programs */
    expect(at_pool_get_statistics_json(pool, &text) == AT_OK, "memory for the text");
    puts(text);
    at_text_release(text);
    at_pool_destroy(pool);
    return 0;
}
