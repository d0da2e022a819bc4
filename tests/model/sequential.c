/* SPDX-License-Identifier: MIT
 *
 * The order of the sequentially consistent accesses. C11 wants one total order of them that agrees
 * with happens-before and with the order of stores to each location, and in which a load comes
 * before every such store that is newer than what it read. It need not be the order of execution:
 * a load may read what is older than a store executed before, unless something forces that store
 * to come first. So what is kept is which accesses each access has to come after; a load may read
 * whatever closes no circle. */
#include "engine.h"

enum { access_limit = 256, never = -1 };

typedef struct set {
    uint64_t words[access_limit / 64];
} set;

typedef struct access {
    int location;
    int read;    /* time of the message, or never */
    int written; /* time of the message, or never */
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

/* Whether an access has to come before a new one, which is not written down yet. `acquired`: what
 * the new one takes over by its read, or NULL. */
static bool comes_before(const access *earlier, const access *added, const view *acquired) {
    const view *seen = memory_view();
    if (earlier->clock <= seen->clock[earlier->thread] ||
        (acquired && earlier->clock <= acquired->clock[earlier->thread]))
        return true;
    if (earlier->location != added->location || added->written == never)
        return false;
    return earlier->written != never || earlier->read != never;
}

static void find_before(access *added, const view *acquired) {
    for (int i = 0; i < access_count; i++)
        if (comes_before(&accesses[i], added, acquired)) {
            insert(&added->before, i);
            unite(&added->before, &accesses[i].before);
        }
}

static bool is_newer(const access *other, const access *reader) {
    return other->location == reader->location && other->written != never &&
           other->written > reader->read;
}

bool sequential_allows_read(int location, int time, const view *acquired) {
    access reader = {.location = location, .read = time, .written = never};
    find_before(&reader, acquired);
    for (int i = 0; i < access_count; i++)
        if (is_newer(&accesses[i], &reader) && contains(&reader.before, i))
            return false;
    return true;
}

void sequential_add(int location, int read, int written) {
    if (access_count == access_limit)
        model_fail("too many sequentially consistent accesses");
    int thread = threads_current();
    access *added = &accesses[access_count];
    *added = (access){.location = location,
                      .read = read,
                      .written = written,
                      .thread = thread,
                      .clock = memory_view()->clock[thread]};
    find_before(added, NULL);
    insert(&added->before, access_count); /* itself */
    if (read != never)
        for (int i = 0; i < access_count; i++)
            if (is_newer(&accesses[i], added))
                for (int k = 0; k < access_count; k++)
                    if (k == i || contains(&accesses[k].before, i))
                        unite(&accesses[k].before, &added->before);
    access_count++;
}
