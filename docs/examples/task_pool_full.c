/* SPDX-License-Identifier: MIT */
/* What a task pool does when its queue is full, and with items that have waited too long. */
#include <asynctools/asynctools.h>

#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static sem_t begun;
static at_promise *gate;

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

/* Keeps the only place of its task pool until the gate is opened. */
static void *hold_the_place(void *opened) {
    sem_post(&begun);
    AT_TRY(at_future_wait(opened, AT_FOREVER, NULL));
    return NULL;
}

static void *work(void *argument) {
    return argument;
}

/* Owns what it is given, and gives it back as its value. */
static void *keep(void *bytes) {
    return at_return(bytes, free);
}

static void show(at_task_pool *workers) {
    at_outcome *outcomes;
    size_t count;
    expect(at_task_pool_gather_results(workers, &outcomes, &count) == AT_OK, "outcomes");
    for (size_t i = 0; i < count; i++)
        printf(" %s", at_status_name(outcomes[i].status));
    puts("");
    at_task_pool_results_release(outcomes, count);
}

/* One item runs, one is queued: the third finds the queue full. */
static at_status submit_three(at_pool *pool, at_task_pool_policy policy) {
    at_task_pool *workers;
    at_task_pool_options options = {.pool_size = 1, .queue_size = 1, .when_full = policy};
    expect(at_promise_create(&gate, at_pool_executor(pool)) == AT_OK, "a promise");
    at_future *opened = at_promise_future(gate);
    expect(at_task_pool_create(&workers, pool, &options) == AT_OK, "a task pool");
    expect(at_task_pool_submit(workers, hold_the_place, opened) == AT_OK, "a place");
    sem_wait(&begun);
    expect(at_task_pool_submit(workers, work, NULL) == AT_OK, "room in the queue");
    expect(at_task_pool_try_submit(workers, work, NULL) == AT_ERROR_FULL, "none any more");
    at_status status = at_task_pool_submit(workers, work, NULL);

    at_task_pool_statistics now;
    at_task_pool_get_statistics(workers, &now);
    printf("%llu submitted, %llu queued, %llu dropped, %llu refused:",
           (unsigned long long)now.submitted, (unsigned long long)now.queued,
           (unsigned long long)now.dropped, (unsigned long long)now.refused);
    expect(at_promise_set(gate, NULL, NULL) == AT_OK, "open");
    show(workers);
    at_task_pool_destroy(workers);
    at_future_release(opened);
    at_promise_destroy(gate);
    return status;
}

/* An item that owns its argument: run or dropped, once. It may wait in the queue for a while. */
static void submit_owned(at_pool *pool) {
    at_task_pool *workers;
    at_task_pool_options options = {.pool_size = 2, .expiry = AT_SECONDS(5)};
    expect(at_task_pool_create(&workers, pool, &options) == AT_OK, "a task pool");
    at_task_options owned = {
        .run = keep, .argument = malloc(16), .drop = free, .name = "owner of 16 bytes"};
    expect(at_task_pool_submit_with(workers, &owned) == AT_OK, "accepted");
    expect(at_task_pool_join(workers, at_after(AT_SECONDS(10))) == AT_OK, "an end");
    show(workers); /* drops the value */
    at_task_pool_destroy(workers);
}

int main(void) {
    sem_init(&begun, 0, 0);
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    expect(submit_three(pool, AT_TASK_POOL_REFUSE) == AT_ERROR_FULL, "refused");
    expect(submit_three(pool, AT_TASK_POOL_RUN_IN_CALLER) == AT_OK, "run here");
    expect(submit_three(pool, AT_TASK_POOL_DROP_NEWEST) == AT_OK, "dropped");
    expect(submit_three(pool, AT_TASK_POOL_DROP_OLDEST) == AT_OK, "the other was dropped");
    submit_owned(pool);
    at_pool_destroy(pool);
    return 0;
}
