/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_TOPOLOGY_H
#define ASYNCTOOLS_BASE_TOPOLOGY_H

/* How near CPUs are to each other: which caches they share. */

/* Where a CPU is, by the smallest numbers of the CPUs with which it shares a core, its last cache
 * and a package; -1: unknown. */
typedef struct ati_cpu_place {
    int core;
    int cache;
    int package;
} ati_cpu_place;

enum { ATI_CPU_DISTANCES = 4 }; /* 0: one core, 1: one cache, 2: one package, 3: farther */

/* Reads where a CPU is. `root` stands before every path that is read: "" for the system's own
 * files. Keeps errno. */
ati_cpu_place ati_cpu_place_of(const char *root, int cpu);

/* Gives the distance of two CPUs, below ATI_CPU_DISTANCES; what is unknown is not shared. */
int ati_cpu_distance(const ati_cpu_place *one, const ati_cpu_place *other);

#endif
