/* SPDX-License-Identifier: MIT */
#include "plain_pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 1024 };

struct plain_task {
    plain_run_fn run;
    void *argument;
};

/* `lock` guards everything below it. */
struct plain_pool {
    pthread_mutex_t lock;
    pthread_cond_t work_came;
    pthread_cond_t all_done;
    struct plain_task *ring; /* `capacity` is a power of two */
    size_t capacity;
    size_t head; /* of the next task to run; counts up for ever */
    size_t tail;
    int running_count;
    bool closing;
    int thread_count;
    pthread_t threads[];
};

static void *run_worker(void *argument) {
    struct plain_pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->head == pool->tail && !pool->closing)
            pthread_cond_wait(&pool->work_came, &pool->lock);
        if (pool->head == pool->tail)
            break;
        struct plain_task task = pool->ring[pool->head++ & (pool->capacity - 1)];
        pool->running_count++;
        pthread_mutex_unlock(&pool->lock);
        task.run(task.argument);
        pthread_mutex_lock(&pool->lock);
        pool->running_count--;
        if (pool->running_count == 0 && pool->head == pool->tail)
            pthread_cond_broadcast(&pool->all_done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

struct plain_pool *plain_pool_create(int thread_count) {
    struct plain_pool *pool = calloc(1, sizeof(*pool) + (size_t)thread_count * sizeof(pthread_t));
    if (!pool)
        return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work_came, NULL);
    pthread_cond_init(&pool->all_done, NULL);
    pool->capacity = FIRST_CAPACITY;
    pool->ring = malloc(pool->capacity * sizeof(*pool->ring));
    for (int i = 0; pool->ring && i < thread_count; i++) {
        if (pthread_create(&pool->threads[i], NULL, run_worker, pool) != 0)
            break;
        pool->thread_count++;
    }
    if (pool->thread_count < thread_count || !pool->ring) {
        plain_pool_destroy(pool);
        return NULL;
    }
    return pool;
}

static bool grow_ring(struct plain_pool *pool) {
    size_t count = pool->tail - pool->head;
    struct plain_task *ring = malloc(2 * pool->capacity * sizeof(*ring));
    if (!ring)
        return false;
    for (size_t i = 0; i < count; i++)
        ring[i] = pool->ring[(pool->head + i) & (pool->capacity - 1)];
    free(pool->ring);
    pool->ring = ring;
    pool->capacity *= 2;
    pool->head = 0;
    pool->tail = count;
    return true;
}

int plain_pool_submit(struct plain_pool *pool, plain_run_fn run, void *argument) {
    pthread_mutex_lock(&pool->lock);
    if (pool->tail - pool->head == pool->capacity && !grow_ring(pool)) {
        pthread_mutex_unlock(&pool->lock);
        return -1;
    }
    pool->ring[pool->tail++ & (pool->capacity - 1)] = (struct plain_task){run, argument};
    pthread_mutex_unlock(&pool->lock);
    /* Costs a load when nobody sleeps. */
    pthread_cond_signal(&pool->work_came);
    return 0;
}

void plain_pool_wait(struct plain_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    while (pool->running_count > 0 || pool->head != pool->tail)
        pthread_cond_wait(&pool->all_done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void plain_pool_destroy(struct plain_pool *pool) {
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work_came);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->all_done);
    pthread_cond_destroy(&pool->work_came);
    pthread_mutex_destroy(&pool->lock);
    free(pool->ring);
    free(pool);
}
