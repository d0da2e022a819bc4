/* SPDX-License-Identifier: MIT */
/* Purpose: a worker that is pinned to a CPU steals from workers on CPUs near it first, whose caches
 * hold what the stolen task works on: from those of its own core, then of its last cache, then of
 * its package, then from the others. Within one distance it begins at a random one.
 *
 * Workers that are not pinned move between CPUs as the kernel likes, so there is nothing to know.
 */
#include "pool/placement.h"

#include "base/memory.h"

#include <sched.h>
#include <stdlib.h>

/* Gives the CPUs that the workers may run on. */
static int find_cpus(const at_pool *pool, int *cpus, int limit) {
    int count = 0;
    if (pool->options.cpu_count > 0) {
        for (; count < pool->options.cpu_count && count < limit; count++)
            cpus[count] = pool->options.cpus[count];
        return count;
    }
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && count < limit; cpu++)
        if (CPU_ISSET((size_t)cpu, &set))
            cpus[count++] = cpu;
    return count;
}

static size_t order_size(const at_pool *pool) {
    return (pool->thread_count - 1) * sizeof(uint32_t);
}

/* The other workers by their distance. */
static bool order_victims(at_pool *pool, uint32_t index, const ati_cpu_place *places) {
    ati_worker *worker = pool->workers[index];
    worker->victims = ati_allocate(order_size(pool));
    if (!worker->victims)
        return false;
    uint32_t count = 0;
    for (int distance = 0; distance < ATI_CPU_DISTANCES; distance++) {
        for (uint32_t i = 0; i < pool->thread_count; i++)
            if (i != index && ati_cpu_distance(&places[index], &places[i]) == distance)
                worker->victims[count++] = i;
        worker->victim_ends[distance] = count;
    }
    return true;
}

bool ati_placement_init(at_pool *pool) {
    if (!pool->options.pins_threads)
        return true;
    int cpus[CPU_SETSIZE];
    int cpu_count = find_cpus(pool, cpus, CPU_SETSIZE);
    if (cpu_count == 0)
        return true;
    size_t size = pool->thread_count * sizeof(ati_cpu_place);
    ati_cpu_place *places = ati_allocate(size);
    if (!places)
        return false;
    for (uint32_t i = 0; i < pool->thread_count; i++) {
        pool->workers[i]->cpu = cpus[i % (uint32_t)cpu_count];
        places[i] = ati_cpu_place_of("", pool->workers[i]->cpu);
    }
    bool ordered = true;
    for (uint32_t i = 0; ordered && pool->thread_count > 1 && i < pool->thread_count; i++)
        ordered = order_victims(pool, i, places);
    ati_release(places, size);
    return ordered;
}

void ati_placement_deinit(at_pool *pool) {
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++)
        if (pool->workers[i]->victims)
            ati_release(pool->workers[i]->victims, order_size(pool));
}
