/* SPDX-License-Identifier: MIT */
/* Purpose: blocks of one size, allocated on one thread and released on another, for a few
 * nanoseconds each.
 *
 * Source: J. Bonwick, J. Adams, "Magazines and Vmem", USENIX 2001. A thread has two magazines, each
 * an array of free blocks. It takes from and puts into the one that is loaded, exchanges the two
 * when that is empty or full, and only when both are, it exchanges one with the depot. So a lock is
 * taken once for many blocks. An array, not a list: the next blocks are known without reading the
 * one at hand, whose lines another CPU wrote last, and can be fetched ahead.
 *
 * What is kept is bounded: two magazines a thread, and in the depot `depot_limit` filled ones and
 * as many empty ones. What is more goes back to free. A thread that ends leaves its blocks to the
 * depot.
 *
 * The depot's lock is tried, not waited for: whoever finds it held asks malloc. So nobody waits for
 * a thread that was preempted, and the child of a fork, in which the lock may stay held for ever,
 * goes on without the depot.
 *
 * Checked by: tests/unit/block_cache_test.c, tests/stress/block_cache_test.c. */
#include "base/block_cache.h"

#include "base/lock.h"
#include "base/thread_end.h"

#include <stdbool.h>
#include <stdlib.h>

enum {
    magazine_room = 62, /* blocks: a magazine has 512 bytes */
    depot_limit = 256,  /* magazines of a kind: 2 MB of blocks */
    fetch_ahead = 6,    /* blocks */
};

typedef struct magazine {
    struct magazine *below; /* in the depot */
    size_t count;
    void *blocks[magazine_room];
} magazine;

/* What a thread has. */
static _Thread_local struct {
    magazine *loaded;
    magazine *other;
    bool left; /* the thread is ending: nothing is kept for it any more */
} own;

static struct {
    ati_try_lock lock; /* guards the following; tried, never waited for */
    magazine *filled;  /* with one block at least */
    magazine *emptied;
    size_t filled_count;
    size_t emptied_count;
} depot;

/* -- The depot -- */

/* Puts a magazine back, filled or empty. False: there is no room, or somebody else is there. */
static bool put_magazine(magazine *given) {
    if (!ati_try_lock_acquire(&depot.lock))
        return false;
    magazine **top = given->count > 0 ? &depot.filled : &depot.emptied;
    size_t *count = given->count > 0 ? &depot.filled_count : &depot.emptied_count;
    bool has_room = *count < depot_limit;
    if (has_room) {
        given->below = *top;
        *top = given;
        ++*count;
    }
    ati_try_lock_release(&depot.lock);
    return has_room;
}

/* Gives a magazine, or NULL. */
static magazine *get_magazine(bool filled) {
    if (!ati_try_lock_acquire(&depot.lock))
        return NULL;
    magazine **top = filled ? &depot.filled : &depot.emptied;
    magazine *given = *top;
    if (given) {
        *top = given->below;
        --*(filled ? &depot.filled_count : &depot.emptied_count);
    }
    ati_try_lock_release(&depot.lock);
    return given;
}

static void free_magazine(magazine *given) {
    while (given->count > 0)
        free(given->blocks[--given->count]);
    free(given);
}

/* Leaves a magazine to others, or to malloc. */
static void leave_magazine(magazine *given) {
    if (given && !put_magazine(given))
        free_magazine(given);
}

size_t ati_block_cache_size(void) {
    size_t size = 0;
    while (!ati_try_lock_acquire(&depot.lock))
        ati_cpu_relax();
    for (const magazine *filled = depot.filled; filled; filled = filled->below)
        size += filled->count;
    ati_try_lock_release(&depot.lock);
    return size;
}

size_t ati_block_cache_empty_magazines(void) {
    while (!ati_try_lock_acquire(&depot.lock))
        ati_cpu_relax();
    size_t count = depot.emptied_count;
    ati_try_lock_release(&depot.lock);
    return count;
}

/* -- The thread -- */

static void leave_cache(void) {
    own.left = true;
    leave_magazine(own.loaded);
    leave_magazine(own.other);
    own.loaded = NULL;
    own.other = NULL;
}

/* Whether the thread may have magazines: they are taken from it when it ends. */
static bool may_keep(void) {
    static _Thread_local ati_thread_end end = {.end = leave_cache};
    return !own.left && ati_thread_end_add(&end);
}

static void exchange_magazines(void) {
    magazine *loaded = own.loaded;
    own.loaded = own.other;
    own.other = loaded;
}

/* Loads a magazine with a block in it. False: there is none. */
static bool load_filled(void) {
    if (own.other && own.other->count > 0) {
        exchange_magazines();
        return true;
    }
    magazine *filled = may_keep() ? get_magazine(true) : NULL;
    if (!filled)
        return false;
    leave_magazine(own.other); /* empty */
    own.other = own.loaded;
    own.loaded = filled;
    return true;
}

/* Loads a magazine with room for a block. False: there is none to be had. */
static bool load_emptied(void) {
    if (own.other && own.other->count < magazine_room) {
        exchange_magazines();
        return true;
    }
    if (!may_keep())
        return false;
    magazine *emptied = get_magazine(false);
    if (!emptied) {
        emptied = malloc(sizeof *emptied);
        if (!emptied)
            return false;
        emptied->count = 0;
    }
    leave_magazine(own.other); /* full */
    own.other = own.loaded;
    own.loaded = emptied;
    return true;
}

void *ati_block_allocate(void) {
    magazine *loaded = own.loaded;
    if (!loaded || loaded->count == 0) {
        if (!load_filled())
            return aligned_alloc(ATI_BLOCK_ALIGNMENT, ATI_BLOCK_SIZE);
        loaded = own.loaded;
    }
    void *block = loaded->blocks[--loaded->count];
    if (loaded->count >= fetch_ahead) {
        char *next = loaded->blocks[loaded->count - fetch_ahead];
        __builtin_prefetch(next, 1);
        __builtin_prefetch(next + ATI_BLOCK_ALIGNMENT, 1);
    }
    return block;
}

void ati_block_release(void *block) {
    magazine *loaded = own.loaded;
    if (!loaded || loaded->count == magazine_room) {
        if (!load_emptied()) {
            free(block);
            return;
        }
        loaded = own.loaded;
    }
    loaded->blocks[loaded->count++] = block;
}
