/* SPDX-License-Identifier: MIT */
#include "base/topology.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { cache_levels = 8 }; /* "indexN" folders that are looked at */

/* Reads the number that a file begins with: the smallest CPU, if it holds a list. -1: none. */
static int read_first_number(const char *root, int cpu, const char *file) {
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/%s", root, cpu, file);
    if (length < 0 || (size_t)length >= sizeof path)
        return -1;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return -1;
    char text[16];
    ssize_t size = read(descriptor, text, sizeof text - 1);
    close(descriptor);
    if (size <= 0 || text[0] < '0' || text[0] > '9')
        return -1;
    text[size] = 0;
    long number = strtol(text, NULL, 10);
    return number <= INT_MAX ? (int)number : -1;
}

/* The cache of the highest level. */
static int read_last_cache(const char *root, int cpu) {
    int last_level = 0;
    int shared = -1;
    for (int index = 0; index < cache_levels; index++) {
        char file[48];
        snprintf(file, sizeof file, "cache/index%d/level", index);
        int level = read_first_number(root, cpu, file);
        if (level <= last_level)
            continue;
        last_level = level;
        snprintf(file, sizeof file, "cache/index%d/shared_cpu_list", index);
        shared = read_first_number(root, cpu, file);
    }
    return shared;
}

ati_cpu_place ati_cpu_place_of(const char *root, int cpu) {
    int saved_errno = errno;
    ati_cpu_place place = {
        .core = read_first_number(root, cpu, "topology/thread_siblings_list"),
        .cache = read_last_cache(root, cpu),
        .package = read_first_number(root, cpu, "topology/core_siblings_list"),
    };
    errno = saved_errno;
    return place;
}

static bool is_shared(int one, int other) {
    return one >= 0 && one == other;
}

int ati_cpu_distance(const ati_cpu_place *one, const ati_cpu_place *other) {
    if (is_shared(one->core, other->core))
        return 0;
    if (is_shared(one->cache, other->cache))
        return 1;
    return is_shared(one->package, other->package) ? 2 : 3;
}
