/* SPDX-License-Identifier: MIT */
#include "library.h"
#include "map.h"

#include <asynctools/concurrent_executor.h>

#include <stdlib.h>
#include <string.h>

struct library_map {
    at_pool *pool;
    at_concurrent_executor *executor;
    size_t completed; /* as the last call of on_progress has said */
    at_outcome outcomes[];
};

static void *create(int workers, size_t count) {
    size_t bytes = sizeof(struct library_map) + count * sizeof(at_outcome);
    struct library_map *map = malloc(bytes);
    if (!map)
        return NULL;
    memset(map, 0xff, bytes); /* touches the pages */
    map->pool = library_create_pool(workers);
    library_expect(at_concurrent_executor_create(&map->executor, map->pool, NULL));
    return map;
}

static void destroy(void *pool) {
    struct library_map *map = pool;
    at_concurrent_executor_destroy(map->executor);
    at_pool_destroy(map->pool);
    free(map);
}

static void call_all(void *pool, peer_run_fn run, char *items, size_t count) {
    struct library_map *map = pool;
    library_expect(at_concurrent_executor_map(map->executor, run, AT_ITEMS(items, count),
                                              map->outcomes, NULL));
}

static void note_progress(size_t completed, size_t total, void *context) {
    (void)total;
    ((struct library_map *)context)->completed = completed;
}

static void call_all_with_progress(void *pool, peer_run_fn run, char *items, size_t count) {
    struct library_map *map = pool;
    library_expect(at_concurrent_executor_map(
        map->executor, run, AT_ITEMS(items, count), map->outcomes,
        &(at_map_options){.on_progress = note_progress, .context = map}));
    if (map->completed != count)
        give_up("the last progress is %zu of %zu items", map->completed, count);
}

const struct map_peer map_library = {
    .name = "asynctools map",
    .is_library = true,
    .create = create,
    .map = call_all,
    .destroy = destroy,
};

const struct map_peer map_library_progress = {
    .name = "asynctools map with progress",
    .is_library = true,
    .create = create,
    .map = call_all_with_progress,
    .destroy = destroy,
};
