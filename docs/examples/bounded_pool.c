/* SPDX-License-Identifier: MIT */
/* A bounded queue: what to do when the pool has enough to do. */
#include <asynctools/asynctools.h>

#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static sem_t begun;
static sem_t gate;

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static void *hold_the_worker(void *unused) {
    sem_post(&begun);
    sem_wait(&gate); /* blocks the thread itself: the pool does not know */
    return unused;
}

static void *work(void *unused) {
    return unused;
}

int main(void) {
    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    at_pool *pool;
    at_pool_options options = {.thread_count = 1, .queue_bound = 2};
    expect(at_pool_create(&pool, &options) == AT_OK, "a pool");
    expect(at_pool_start(pool, hold_the_worker, NULL) == AT_OK, "room in the queue");
    sem_wait(&begun); /* it runs: the queue is empty */

    expect(at_pool_start(pool, work, NULL) == AT_OK, "room for one");
    expect(at_pool_start(pool, work, NULL) == AT_OK, "room for two");
    expect(at_pool_start(pool, work, NULL) == AT_ERROR_FULL, "no room for three");
    puts(at_error_message(at_error_last()));
    static int items[3];
    expect(at_pool_start_many(pool, work, AT_ITEMS(items, 3)) == AT_ERROR_FULL, "all or none");

    at_pool_audit_result audit;
    at_pool_audit(pool, &audit);
    expect(audit.running == 1 && audit.pending == 2, "one runs, two are queued");
    sem_post(&gate);
    at_pool_destroy(pool);
    return 0;
}
