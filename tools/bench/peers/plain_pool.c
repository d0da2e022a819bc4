/* SPDX-License-Identifier: MIT */
#include "plain_pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* `lock` guards everything below it. */
struct plain_pool {
    pthread_mutex_t lock;
    pthread_cond_t work_came;
    pthread_cond_t all_done;
    struct plain_ring queue;
    int running_count;
    bool closing;
    int thread_count;
    pthread_t threads[];
};

static void *run_worker(void *argument) {
    struct plain_pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (plain_ring_count(&pool->queue) == 0 && !pool->closing)
            pthread_cond_wait(&pool->work_came, &pool->lock);
        if (plain_ring_count(&pool->queue) == 0)
            break;
        struct plain_task task = plain_ring_take(&pool->queue);
        pool->running_count++;
        pthread_mutex_unlock(&pool->lock);
        task.run(task.argument);
        pthread_mutex_lock(&pool->lock);
        pool->running_count--;
        if (pool->running_count == 0 && plain_ring_count(&pool->queue) == 0)
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
    bool has_room = plain_ring_grow(&pool->queue);
    for (int i = 0; has_room && i < thread_count; i++) {
        if (pthread_create(&pool->threads[i], NULL, run_worker, pool) != 0)
            break;
        pool->thread_count++;
    }
    if (pool->thread_count < thread_count) {
        plain_pool_destroy(pool);
        return NULL;
    }
    return pool;
}

int plain_pool_submit(struct plain_pool *pool, plain_run_fn run, void *argument) {
    pthread_mutex_lock(&pool->lock);
    bool is_queued = plain_ring_push(&pool->queue, (struct plain_task){run, argument});
    pthread_mutex_unlock(&pool->lock);
    if (!is_queued)
        return -1;
    /* Costs a load when nobody sleeps. */
    pthread_cond_signal(&pool->work_came);
    return 0;
}

void plain_pool_wait(struct plain_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    while (pool->running_count > 0 || plain_ring_count(&pool->queue) > 0)
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
    plain_ring_deinit(&pool->queue);
    free(pool);
}
