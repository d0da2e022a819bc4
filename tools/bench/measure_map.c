/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "clock.h"
#include "messages.h"
#include "peers/map.h"
#include "tasks.h"

#include <stdio.h>
#include <stdlib.h>

enum { ITEMS = 1000000, QUICK_SHARE = 50 };

static size_t list_maps(const struct benchmark_settings *settings, struct subject *subjects) {
    size_t count = 0;
    (void)settings;
    for (; map_peers[count]; count++)
        subjects[count] =
            (struct subject){.name = map_peers[count]->name,
                             .role = map_peers[count]->is_library ? SUBJECT_LIBRARY : SUBJECT_PEER,
                             .data = map_peers[count]};
    return count;
}

static uint64_t run_map(const struct map_peer *peer, void *pool, char *items, size_t count) {
    tasks_reset();
    uint64_t start = now_ns();
    peer->map(pool, tasks_run_empty, items, count);
    uint64_t time = now_ns() - start;
    if (tasks_counted() != count)
        give_up("%s has not called all of %zu items", peer->name, count);
    return time;
}

static bool measure_map(const struct subject *subject, const struct benchmark_settings *settings,
                        struct benchmark_sample *sample) {
    const struct map_peer *peer = subject->data;
    size_t count = settings->quick ? ITEMS / QUICK_SHARE : ITEMS;
    char *items = calloc(count, 1); /* only their addresses count */
    void *pool = peer->create(settings->most_workers, count);
    if (!items || !pool) {
        fprintf(stderr, "at-bench: cannot create %s\n", peer->name);
        return false;
    }
    (void)run_map(peer, pool, items, count / QUICK_SHARE);
    uint64_t cpu = tasks_cpu_ns();
    sample->values[0] = (double)run_map(peer, pool, items, count) / (double)count;
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)count;
    sample->iterations = count;
    peer->destroy(pool);
    free(items);
    return true;
}

const struct benchmark benchmark_map = {
    .name = "map",
    .help = "a million empty items, each called by its address, results kept, an item",
    .metrics = {{"time", "ns"}},
    .reference = {"asynctools map", "to map"},
    .list_subjects = list_maps,
    .measure = measure_map,
};
