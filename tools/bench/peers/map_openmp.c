/* SPDX-License-Identifier: MIT */
#include "map.h"

#include <stdlib.h>
#include <string.h>

/* The thread that calls is one of the workers. */
struct openmp_map {
    int workers;
    void *results[];
};

static void *create(int workers, size_t count) {
    size_t bytes = sizeof(struct openmp_map) + count * sizeof(void *);
    struct openmp_map *map = malloc(bytes);
    if (!map)
        return NULL;
    memset(map, 0xff, bytes); /* touches the pages */
    map->workers = workers;
    return map;
}

static void call_all(void *pool, peer_run_fn run, char *items, size_t count) {
    struct openmp_map *map = pool;
#pragma omp parallel for schedule(dynamic) num_threads(map->workers)
    for (size_t i = 0; i < count; i++)
        map->results[i] = run(items + i);
}

const struct map_peer map_openmp = {
    .name = "OpenMP for, dynamic (libgomp)",
    .create = create,
    .map = call_all,
    .destroy = free,
};
