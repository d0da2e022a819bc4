/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "messages.h"
#include "tasks.h"
#include "timer.h"

#include <asynctools/future.h>
#include <asynctools/pool.h>
#include <asynctools/sleep.h>
#include <asynctools/timer.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

static void expect(at_status status) {
    if (status != AT_OK)
        give_up("%s", at_error_message(at_error_last()));
}

/* A task that sleeps. */

static void *create_pool(int workers, long count) {
    at_pool *pool;
    (void)count;
    expect(at_pool_create(&pool, &(at_pool_options){.thread_count = workers}));
    return pool;
}

static void *sleep_one_ms(void *argument) {
    uint64_t start = now_ns();
    expect(at_sleep(AT_MILLISECONDS(1)));
    *(int64_t *)argument = (int64_t)(now_ns() - start) - 1000000;
    return NULL;
}

static int64_t wait_in_task(void *timers) {
    int64_t late_ns;
    at_future *future = at_pool_submit(timers, sleep_one_ms, &late_ns);
    expect(at_future_wait(future, AT_FOREVER, NULL));
    at_future_release(future);
    return late_ns;
}

static void destroy_pool(void *timers) {
    at_pool_destroy(timers);
}

/* Timers, whose tasks run on a pool. */

struct pool_timers {
    at_pool *pool;
    int workers;
    long count;
    pthread_mutex_t gate; /* held from hold_back to expire */
    sem_t fired;
    uint64_t fired_ns;
    at_timer single;
    at_timer timers[];
};

static void *note_time(void *argument) {
    struct pool_timers *self = argument;
    self->fired_ns = now_ns();
    sem_post(&self->fired);
    return NULL;
}

static void *create_timers(int workers, long count) {
    struct pool_timers *self = calloc(1, sizeof(*self) + (size_t)count * sizeof(self->timers[0]));
    if (!self)
        return NULL;
    self->pool = create_pool(workers, count);
    self->workers = workers;
    self->count = count;
    pthread_mutex_init(&self->gate, NULL);
    sem_init(&self->fired, 0, 0);
    at_timer_init(&self->single, self->pool, note_time, self);
    for (long i = 0; i < count; i++)
        at_timer_init(&self->timers[i], self->pool, tasks_run_empty, NULL);
    return self;
}

static void insert(void *timers, const uint32_t *delays_ms) {
    struct pool_timers *self = timers;
    at_deadline now = at_after(0);
    for (long i = 0; i < self->count; i++)
        expect(at_timer_start(&self->timers[i], now + AT_MILLISECONDS(delays_ms[i])));
}

static void cancel(void *timers) {
    struct pool_timers *self = timers;
    for (long i = 0; i < self->count; i++)
        if (!at_timer_cancel(&self->timers[i]))
            give_up("a timer could not be cancelled");
}

static void *wait_at_gate(void *argument) {
    struct pool_timers *self = argument;
    sem_post(&self->fired);
    pthread_mutex_lock(&self->gate);
    pthread_mutex_unlock(&self->gate);
    return NULL;
}

/* Keeps all workers from their work, in a way that the pool does not know of. */
static void hold_back(void *timers) {
    struct pool_timers *self = timers;
    tasks_reset();
    pthread_mutex_lock(&self->gate);
    for (int i = 0; i < self->workers; i++)
        expect(at_pool_start(self->pool, wait_at_gate, self));
    for (int i = 0; i < self->workers; i++)
        sem_wait(&self->fired);
}

static long expire(void *timers) {
    struct pool_timers *self = timers;
    pthread_mutex_unlock(&self->gate);
    tasks_wait((uint64_t)self->count);
    return self->count;
}

static int64_t wait_for_timer(void *timers) {
    struct pool_timers *self = timers;
    uint64_t start = now_ns();
    expect(at_timer_start(&self->single, at_after(AT_MILLISECONDS(1))));
    sem_wait(&self->fired);
    return (int64_t)(self->fired_ns - start) - 1000000;
}

static void destroy_timers(void *timers) {
    struct pool_timers *self = timers;
    at_timer_unregister(&self->single);
    for (long i = 0; i < self->count; i++)
        at_timer_unregister(&self->timers[i]);
    at_pool_destroy(self->pool);
    sem_destroy(&self->fired);
    pthread_mutex_destroy(&self->gate);
    free(self);
}

const struct timer_peer timer_library = {
    .name = "asynctools at_timer",
    .is_library = true,
    .create = create_timers,
    .insert = insert,
    .cancel = cancel,
    .hold_back = hold_back,
    .expire = expire,
    .wait_one_ms = wait_for_timer,
    .destroy = destroy_timers,
};

const struct timer_peer timer_library_sleep = {
    .name = "asynctools at_sleep",
    .is_library = true,
    .create = create_pool,
    .wait_one_ms = wait_in_task,
    .destroy = destroy_pool,
};
