/* SPDX-License-Identifier: MIT */
#include "group.h"
#include "messages.h"
#include "plain_ring.h"

#include <pthread.h>
#include <stdlib.h>

/* The bounded queue that people write themselves, with threads that take from it: one mutex, a
 * condition variable for room and one for work. A submit waits for room. */
struct plain_queue {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work_came;
    pthread_cond_t room_came;
    pthread_cond_t all_ended;
    struct plain_ring ring;
    size_t bound;
    int running_count;
    bool closing;
    int thread_count;
    pthread_t threads[];
};

static void *run_worker(void *argument) {
    struct plain_queue *queue = argument;
    pthread_mutex_lock(&queue->lock);
    for (;;) {
        while (plain_ring_count(&queue->ring) == 0 && !queue->closing)
            pthread_cond_wait(&queue->work_came, &queue->lock);
        if (plain_ring_count(&queue->ring) == 0)
            break;
        struct plain_task task = plain_ring_take(&queue->ring);
        queue->running_count++;
        pthread_mutex_unlock(&queue->lock);
        pthread_cond_signal(&queue->room_came);
        task.run(task.argument);
        pthread_mutex_lock(&queue->lock);
        queue->running_count--;
        if (queue->running_count == 0 && plain_ring_count(&queue->ring) == 0)
            pthread_cond_broadcast(&queue->all_ended);
    }
    pthread_mutex_unlock(&queue->lock);
    return NULL;
}

static void destroy(void *pool) {
    struct plain_queue *queue = pool;
    pthread_mutex_lock(&queue->lock);
    queue->closing = true;
    pthread_cond_broadcast(&queue->work_came);
    pthread_mutex_unlock(&queue->lock);
    for (int i = 0; i < queue->thread_count; i++)
        pthread_join(queue->threads[i], NULL);
    pthread_cond_destroy(&queue->all_ended);
    pthread_cond_destroy(&queue->room_came);
    pthread_cond_destroy(&queue->work_came);
    pthread_mutex_destroy(&queue->lock);
    plain_ring_deinit(&queue->ring);
    free(queue);
}

static void *create(int workers) {
    struct plain_queue *queue = calloc(1, sizeof(*queue) + (size_t)workers * sizeof(pthread_t));
    if (!queue)
        return NULL;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->work_came, NULL);
    pthread_cond_init(&queue->room_came, NULL);
    pthread_cond_init(&queue->all_ended, NULL);
    while (queue->thread_count < workers &&
           pthread_create(&queue->threads[queue->thread_count], NULL, run_worker, queue) == 0)
        queue->thread_count++;
    if (queue->thread_count == workers)
        return queue;
    destroy(queue);
    return NULL;
}

static void open_queue(void *pool, const struct group_bounds *bounds) {
    ((struct plain_queue *)pool)->bound = (size_t)bounds->queued;
}

static void submit(void *pool, peer_run_fn run, void *argument) {
    struct plain_queue *queue = pool;
    pthread_mutex_lock(&queue->lock);
    while (plain_ring_count(&queue->ring) >= queue->bound)
        pthread_cond_wait(&queue->room_came, &queue->lock);
    bool is_queued = plain_ring_push(&queue->ring, (struct plain_task){run, argument});
    pthread_mutex_unlock(&queue->lock);
    if (!is_queued)
        give_up("the plain queue is out of memory");
    pthread_cond_signal(&queue->work_came);
}

static void join(void *pool) {
    struct plain_queue *queue = pool;
    pthread_mutex_lock(&queue->lock);
    while (queue->running_count > 0 || plain_ring_count(&queue->ring) > 0)
        pthread_cond_wait(&queue->all_ended, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
}

const struct group_peer queue_plain = {
    .name = "plain bounded queue, waits",
    .create = create,
    .open = open_queue,
    .submit = submit,
    .join = join,
    .destroy = destroy,
};
