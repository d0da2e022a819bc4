/* SPDX-License-Identifier: MIT */
#include "group.h"
#include "messages.h"
#include "plain_pool.h"

#include <pthread.h>
#include <stdlib.h>

/* A limit as people write it in front of a pool: one mutex, one queue, one count. A task of the
 * pool runs what is queued until nothing is left; there are as many of them as the limit allows. */
struct plain_group {
    struct plain_pool *pool;
    long limit;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t all_ended;
    struct plain_ring queue;
    long running_count;
};

static void *create(int workers) {
    struct plain_group *group = calloc(1, sizeof(*group));
    if (!group)
        return NULL;
    group->pool = plain_pool_create(workers);
    if (!group->pool) {
        free(group);
        return NULL;
    }
    pthread_mutex_init(&group->lock, NULL);
    pthread_cond_init(&group->all_ended, NULL);
    return group;
}

static void open_group(void *pool, const struct group_bounds *bounds) {
    ((struct plain_group *)pool)->limit = bounds->running;
}

static void *run_queued(void *argument) {
    struct plain_group *group = argument;
    pthread_mutex_lock(&group->lock);
    while (plain_ring_count(&group->queue) > 0) {
        struct plain_task task = plain_ring_take(&group->queue);
        pthread_mutex_unlock(&group->lock);
        task.run(task.argument);
        pthread_mutex_lock(&group->lock);
    }
    group->running_count--;
    if (group->running_count == 0)
        pthread_cond_broadcast(&group->all_ended);
    pthread_mutex_unlock(&group->lock);
    return NULL;
}

static void submit(void *pool, peer_run_fn run, void *argument) {
    struct plain_group *group = pool;
    pthread_mutex_lock(&group->lock);
    bool is_queued = plain_ring_push(&group->queue, (struct plain_task){run, argument});
    bool begins = group->running_count < group->limit;
    group->running_count += begins;
    pthread_mutex_unlock(&group->lock);
    if (!is_queued || (begins && plain_pool_submit(group->pool, run_queued, group) != 0))
        give_up("the plain pool is out of memory");
}

static void join(void *pool) {
    struct plain_group *group = pool;
    pthread_mutex_lock(&group->lock);
    while (group->running_count > 0)
        pthread_cond_wait(&group->all_ended, &group->lock);
    pthread_mutex_unlock(&group->lock);
}

static void destroy(void *pool) {
    struct plain_group *group = pool;
    plain_pool_destroy(group->pool);
    pthread_cond_destroy(&group->all_ended);
    pthread_mutex_destroy(&group->lock);
    plain_ring_deinit(&group->queue);
    free(group);
}

const struct group_peer group_plain = {
    .name = "plain mutex pool with a count",
    .create = create,
    .open = open_group,
    .submit = submit,
    .join = join,
    .destroy = destroy,
};
