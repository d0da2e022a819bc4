/* SPDX-License-Identifier: MIT
 *
 * The order of the sequentially consistent accesses. There is one total order of them, which agrees
 * with happens-before (C17) and with the coherence of each location (C++20, which says what
 * compilers do on x86 and ARMv8: what read an older message comes before what wrote or read a newer
 * one). It need not be the order of execution: a load may read what is older than a store executed
 * before, unless something forces that store to come first. So what is kept is which accesses each
 * access has to come after; a load may read whatever closes no circle. */
#include "engine.h"

enum { access_limit = 384 };

typedef struct set {
    uint64_t words[access_limit / 64];
} set;

typedef struct access {
    int location;
    int time; /* of the message written, or else read */
    bool writes;
    int thread;
    uint16_t clock;
    set before;
} access;

static access accesses[access_limit];
static int access_count;

static bool contains(const set *looked_at, int number) {
    return looked_at->words[number / 64] >> (number % 64) & 1;
}

static void insert(set *into, int number) {
    into->words[number / 64] |= (uint64_t)1 << (number % 64);
}

static void unite(set *into, const set *from) {
    for (int i = 0; i < access_limit / 64; i++)
        into->words[i] |= from->words[i];
}

void sequential_begin_execution(void) {
    access_count = 0;
}

/* By coherence: whether one access to a location has to come before another. */
static bool is_older(const access *one, const access *other) {
    if (one->location != other->location)
        return false;
    return one->time < other->time || (one->time == other->time && one->writes && !other->writes);
}

/* By happens-before, for an access that is about to be done and takes over `acquired` by its read,
 * if that is given. */
static bool has_happened(const access *earlier, const view *acquired) {
    return earlier->clock <= memory_view()->clock[earlier->thread] ||
           (acquired && earlier->clock <= acquired->clock[earlier->thread]);
}

static void find_before(access *added, const view *acquired) {
    for (int i = 0; i < access_count; i++)
        if (has_happened(&accesses[i], acquired) || is_older(&accesses[i], added)) {
            insert(&added->before, i);
            unite(&added->before, &accesses[i].before);
        }
}

bool sequential_allows_read(int location, int time, const view *acquired) {
    access reader = {.location = location, .time = time};
    find_before(&reader, acquired);
    for (int i = 0; i < access_count; i++)
        if (is_older(&reader, &accesses[i]) && contains(&reader.before, i))
            return false;
    return true;
}

void sequential_add(int location, int time, bool writes) {
    if (access_count == access_limit)
        model_fail("too many sequentially consistent accesses");
    int thread = threads_current();
    access *added = &accesses[access_count];
    *added = (access){.location = location,
                      .time = time,
                      .writes = writes,
                      .thread = thread,
                      .clock = memory_view()->clock[thread]};
    find_before(added, NULL);
    set with_added = added->before;
    insert(&with_added, access_count);
    for (int i = 0; i < access_count; i++)
        if (is_older(added, &accesses[i]))
            for (int k = 0; k < access_count; k++)
                if (k == i || contains(&accesses[k].before, i))
                    unite(&accesses[k].before, &with_added);
    access_count++;
}
