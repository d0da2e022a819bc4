/* SPDX-License-Identifier: MIT */
#include "plain_ring.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 1024 };

bool plain_ring_grow(struct plain_ring *ring) {
    size_t count = plain_ring_count(ring);
    size_t capacity = ring->capacity > 0 ? 2 * ring->capacity : FIRST_CAPACITY;
    struct plain_task *tasks = malloc(capacity * sizeof(*tasks));
    if (!tasks)
        return false;
    for (size_t i = 0; i < count; i++)
        tasks[i] = ring->tasks[(ring->head + i) & (ring->capacity - 1)];
    free(ring->tasks);
    *ring = (struct plain_ring){.tasks = tasks, .capacity = capacity, .tail = count};
    return true;
}

void plain_ring_deinit(struct plain_ring *ring) {
    free(ring->tasks);
}
