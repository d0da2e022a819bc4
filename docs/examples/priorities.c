/* SPDX-License-Identifier: MIT */
/* Priorities: what is run first when there is more to run than workers. */
#include <asynctools/asynctools.h>

#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char order[8];
static int noted;

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static void *note(void *kind) {
    order[noted++] = *(const char *)kind; /* the pool has one worker */
    return NULL;
}

static void *start_another(void *pool) {
    expect(at_pool_start(pool, note, "h") == AT_OK, "it inherits the priority of this task");
    return NULL;
}

static void *hold_the_worker(void *gate) {
    sem_wait(gate);
    return NULL;
}

int main(void) {
    sem_t gate;
    sem_init(&gate, 0, 0);
    at_pool *pool;
    expect(at_pool_create(&pool, &(at_pool_options){.thread_count = 1}) == AT_OK, "a pool");
    at_future *held = at_pool_submit(pool, hold_the_worker, &gate);

    at_task_options report = {.run = note, .argument = "l", .priority = AT_PRIORITY_LOW};
    at_task_options request = {.run = note, .argument = "n"};
    at_task_options urgent = {.run = start_another, .argument = pool, .priority = AT_PRIORITY_HIGH};
    expect(at_pool_start_with(pool, &report) == AT_OK, "room");
    expect(at_pool_start_with(pool, &request) == AT_OK, "room");
    expect(at_pool_start_with(pool, &urgent) == AT_OK, "room");

    sem_post(&gate);
    expect(at_future_wait(held, AT_FOREVER, NULL) == AT_OK, "the worker goes on");
    at_future_release(held);
    at_pool_destroy(pool);
    expect(strcmp(order, "hnl") == 0, "high before normal before low");
    puts(order);
    return 0;
}
