/* SPDX-License-Identifier: MIT */
#include "messages.h"
#include "plain_pool.h"
#include "serial.h"

#include <pthread.h>
#include <stdlib.h>

enum { BUCKETS = 16384 };

/* A strand as people write it in front of a pool: one mutex, one queue, one flag. A task of the
 * pool runs what is queued until nothing is left. */
struct plain_strand {
    struct plain_strand *next; /* in its bucket */
    long key;
    pthread_mutex_t lock; /* guards what follows */
    struct plain_ring queue;
    bool is_running;
};

/* Strands by key, which are never forgotten. */
struct plain_serial {
    struct plain_pool *pool;
    pthread_mutex_t lock; /* guards the buckets */
    struct plain_strand *buckets[BUCKETS];
};

static void *create(int workers) {
    struct plain_serial *serial = calloc(1, sizeof(*serial));
    if (!serial)
        return NULL;
    serial->pool = plain_pool_create(workers);
    if (!serial->pool) {
        free(serial);
        return NULL;
    }
    pthread_mutex_init(&serial->lock, NULL);
    return serial;
}

static struct plain_strand *add_strand(long key, struct plain_strand **bucket) {
    struct plain_strand *strand = calloc(1, sizeof(*strand));
    if (!strand)
        give_up("the plain pool is out of memory");
    pthread_mutex_init(&strand->lock, NULL);
    strand->key = key;
    strand->next = *bucket;
    *bucket = strand;
    return strand;
}

static struct plain_strand *find_strand(struct plain_serial *serial, long key) {
    struct plain_strand **bucket = &serial->buckets[(unsigned long)key % BUCKETS];
    pthread_mutex_lock(&serial->lock);
    struct plain_strand *strand = *bucket;
    while (strand && strand->key != key)
        strand = strand->next;
    if (!strand)
        strand = add_strand(key, bucket);
    pthread_mutex_unlock(&serial->lock);
    return strand;
}

static void *run_queued(void *argument) {
    struct plain_strand *strand = argument;
    pthread_mutex_lock(&strand->lock);
    while (plain_ring_count(&strand->queue) > 0) {
        struct plain_task task = plain_ring_take(&strand->queue);
        pthread_mutex_unlock(&strand->lock);
        task.run(task.argument);
        pthread_mutex_lock(&strand->lock);
    }
    strand->is_running = false;
    pthread_mutex_unlock(&strand->lock);
    return NULL;
}

static void submit(void *pool, long key, peer_run_fn run, void *argument) {
    struct plain_serial *serial = pool;
    struct plain_strand *strand = find_strand(serial, key);
    pthread_mutex_lock(&strand->lock);
    bool is_queued = plain_ring_push(&strand->queue, (struct plain_task){run, argument});
    bool begins = !strand->is_running;
    strand->is_running = true;
    pthread_mutex_unlock(&strand->lock);
    if (!is_queued || (begins && plain_pool_submit(serial->pool, run_queued, strand) != 0))
        give_up("the plain pool is out of memory");
}

static void destroy(void *pool) {
    struct plain_serial *serial = pool;
    plain_pool_destroy(serial->pool);
    for (int i = 0; i < BUCKETS; i++)
        for (struct plain_strand *strand = serial->buckets[i], *next; strand; strand = next) {
            next = strand->next;
            pthread_mutex_destroy(&strand->lock);
            plain_ring_deinit(&strand->queue);
            free(strand);
        }
    pthread_mutex_destroy(&serial->lock);
    free(serial);
}

const struct serial_peer serial_plain = {
    .name = "plain mutex pool and queues",
    .create = create,
    .submit = submit,
    .destroy = destroy,
};
