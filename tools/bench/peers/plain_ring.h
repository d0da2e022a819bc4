/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_PLAIN_RING_H
#define BENCH_PEERS_PLAIN_RING_H

#include <stdbool.h>
#include <stddef.h>

typedef void *(*plain_run_fn)(void *argument);

struct plain_task {
    plain_run_fn run;
    void *argument;
};

/* A queue that grows, first in, first out; no lock of its own. Zero is an empty one. */
struct plain_ring {
    struct plain_task *tasks; /* `capacity` is a power of two */
    size_t capacity;
    size_t head; /* of the next task to be taken; counts up for ever */
    size_t tail;
};

static inline size_t plain_ring_count(const struct plain_ring *ring) {
    return ring->tail - ring->head;
}

/* Doubles the room; false without memory. */
bool plain_ring_grow(struct plain_ring *ring);

static inline bool plain_ring_push(struct plain_ring *ring, struct plain_task task) {
    if (plain_ring_count(ring) == ring->capacity && !plain_ring_grow(ring))
        return false;
    ring->tasks[ring->tail++ & (ring->capacity - 1)] = task;
    return true;
}

/* There is one. */
static inline struct plain_task plain_ring_take(struct plain_ring *ring) {
    return ring->tasks[ring->head++ & (ring->capacity - 1)];
}

void plain_ring_deinit(struct plain_ring *ring);

#endif
