/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "messages.h"
#include "timer.h"

#include <asynctools/asynctools.h>

#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

/* One worker, as an event loop has one thread. Each timer starts a task. */
struct pool_timers {
    at_pool *pool;
    long count;
    long fired; /* written by the worker alone */
    uint64_t fired_ns;
    sem_t entered; /* the worker is held */
    sem_t opened;
    sem_t all_fired;
    at_timer timers[];
};

static void *count_one(void *argument) {
    struct pool_timers *self = argument;
    if (++self->fired == self->count)
        sem_post(&self->all_fired);
    return NULL;
}

static void *note_time(void *argument) {
    struct pool_timers *self = argument;
    self->fired_ns = now_ns();
    sem_post(&self->all_fired);
    return NULL;
}

static void *create(int workers, long count) {
    (void)workers;
    struct pool_timers *self = calloc(1, sizeof(*self) + (size_t)count * sizeof(self->timers[0]));
    at_pool_options options = {.thread_count = 1, .name = "timers"};
    if (!self || at_pool_create(&self->pool, &options) != AT_OK) {
        free(self);
        return NULL;
    }
    self->count = count;
    sem_init(&self->entered, 0, 0);
    sem_init(&self->opened, 0, 0);
    sem_init(&self->all_fired, 0, 0);
    for (long i = 0; i < count; i++)
        at_timer_init(&self->timers[i], self->pool, count == 1 ? note_time : count_one, self);
    return self;
}

static void insert(void *timers, const uint32_t *delays_ms) {
    struct pool_timers *self = timers;
    int64_t now = at_after(0);
    for (long i = 0; i < self->count; i++)
        if (at_timer_start(&self->timers[i], now + AT_MILLISECONDS(delays_ms[i])) != AT_OK)
            give_up("the pool refused a timer");
}

static void cancel(void *timers) {
    struct pool_timers *self = timers;
    for (long i = 0; i < self->count; i++)
        if (!at_timer_cancel(&self->timers[i]))
            give_up("a timer could not be cancelled");
}

static void wait_for(sem_t *semaphore) {
    while (sem_wait(semaphore) != 0)
        ;
}

static void *hold(void *argument) {
    struct pool_timers *self = argument;
    sem_post(&self->entered);
    wait_for(&self->opened);
    return NULL;
}

/* The worker is held meanwhile. */
static void pass(void *timers, uint32_t ms) {
    struct pool_timers *self = timers;
    if (at_pool_start(self->pool, hold, self) != AT_OK)
        give_up("the pool refused a task");
    wait_for(&self->entered);
    (void)at_sleep(AT_MILLISECONDS(ms));
}

static long expire(void *timers) {
    struct pool_timers *self = timers;
    self->fired = 0;
    sem_post(&self->opened);
    wait_for(&self->all_fired);
    return self->fired;
}

static int64_t wait_one_ms(void *timers) {
    struct pool_timers *self = timers;
    uint64_t start = now_ns();
    if (at_timer_start(&self->timers[0], at_after(AT_MILLISECONDS(1))) != AT_OK)
        give_up("the pool refused a timer");
    wait_for(&self->all_fired);
    return (int64_t)(self->fired_ns - start) - 1000000;
}

static void destroy(void *timers) {
    struct pool_timers *self = timers;
    at_pool_destroy(self->pool);
    sem_destroy(&self->entered);
    sem_destroy(&self->opened);
    sem_destroy(&self->all_fired);
    free(self);
}

const struct timer_peer timer_library = {
    .name = "asynctools",
    .is_library = true,
    .create = create,
    .insert = insert,
    .cancel = cancel,
    .pass = pass,
    .expire = expire,
    .wait_one_ms = wait_one_ms,
    .destroy = destroy,
};
