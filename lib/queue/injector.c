/* SPDX-License-Identifier: MIT */
/* Purpose: works on their way from any thread to any worker.
 *
 * Each shard is a linked list of blocks between two locks, one for the end that is pushed to and
 * one for the end that is taken from, so that producers and consumers never wait for each other
 * (M. M. Michael, M. L. Scott, "Simple, Fast, and Practical Non-Blocking and Blocking Concurrent
 * Queue Algorithms", PODC 1996: the two-lock queue, here with arrays for nodes). The locks are
 * tried, not waited for; a producer that finds every shard held waits for the last one, which has
 * an ordinary lock. Works travel by value in blocks: one cache line holds two, and the CPU fetches
 * the next line ahead, which a list of nodes defeats.
 *
 * A series of works that differ in their arguments only is two places, however long it is: a mark
 * with the count and the step, then the first work that is left of it. So a batch of a thousand
 * costs its producer as much as two works, and no memory that has never been touched.
 *
 * Cost of a push: two locked instructions, the lock and the store that publishes; the release of
 * the lock is a plain store.
 *
 * Fields: see injector.h. A work's place belongs to the holder of push_lock until `pushed` counts
 * it, then to the holder of take_lock until `taken` counts it. A block's `next` is written by the
 * holder of push_lock before any work behind it is counted. `series_pushed` counts a series before
 * `pushed` counts its works: who finds it equal to series_taken knows that the works counted in
 * `pushed` are in no series. While series_left is not 0, the place at head_index is that of the
 * series' next work; its argument moves on with each take.
 *
 * Invariants
 *   1. taken <= pushed; the places of works [taken, pushed) are written, and are not written again
 *      but for the argument of a series, by who takes from it.
 *   2. A mark and the work behind it are counted together: who finds one finds the other.
 *   3. head reaches tail only through counted works, so a block that head has left is nobody's,
 *      and may be handed back through `spare` or released.
 *   4. `pushed` is stored and read sequentially consistent: a producer that then sees nobody
 * asleep, and a worker that announced its sleep and then sees the shard empty, cannot both be
 * right.
 *
 * Progress: blocking in the small. A producer waits only when every shard is held, at most for the
 * preempted holders' sections of some ten nanoseconds; a consumer never waits.
 *
 * Checked by: tests/model/injector_model.c, tests/unit/injector_test.c,
 * tests/stress/injector_test.c. */
#include "queue/injector.h"

#include "base/memory.h"

#include <string.h>

enum {
    block_capacity = 127,  /* a block is a page with the allocator's own words */
    prefetch_distance = 6, /* works */
};

struct ati_injector_block {
    ati_injector_block *next; /* written under push_lock, read under take_lock */
    ati_work works[block_capacity];
};

bool ati_injector_init(ati_injector *injector, uint32_t shard_count) {
    size_t size = (shard_count + 1) * sizeof *injector->shards;
    injector->shards = ati_allocate_aligned(size, ATI_CACHE_LINE);
    if (!injector->shards)
        return false;
    memset(injector->shards, 0, size);
    injector->shard_count = shard_count;
    return true;
}

static void release_blocks(ati_injector_block *block) {
    while (block) {
        ati_injector_block *next = block->next;
        ati_release(block, sizeof *block);
        block = next;
    }
}

void ati_injector_deinit(ati_injector *injector) {
    for (uint32_t i = 0; i <= injector->shard_count; i++) {
        ati_injector_shard *shard = &injector->shards[i];
        ati_release(atomic_load_explicit(&shard->spare, memory_order_relaxed),
                    sizeof(ati_injector_block));
        release_blocks(shard->head);
    }
    ati_release(injector->shards, (injector->shard_count + 1) * sizeof *injector->shards);
    *injector = (ati_injector){0};
}

/* A number of the calling thread, spread well: the address of something it owns. */
static uint32_t number_thread(void) {
    static _Thread_local char own;
    return (uint32_t)(((uint64_t)(uintptr_t)&own * 0x9e3779b97f4a7c15u) >> 40);
}

ati_injector_shard *ati_injector_open(ati_injector *injector) {
    uint32_t mask = injector->shard_count - 1;
    uint32_t home = number_thread();
    for (uint32_t i = 0; i <= mask; i++) {
        ati_injector_shard *shard = &injector->shards[(home + i) & mask];
        if (ati_try_lock_acquire(&shard->push_lock))
            return shard;
    }
    ati_lock_acquire(&injector->last_lock);
    return &injector->shards[injector->shard_count];
}

void ati_injector_close(ati_injector *injector, ati_injector_shard *shard) {
    if (shard == &injector->shards[injector->shard_count])
        ati_lock_release(&injector->last_lock);
    else
        ati_try_lock_release(&shard->push_lock);
}

static ati_injector_block *get_block(ati_injector_shard *shard) {
    /* ORDER injector.spare: acquire. The consumer has read the last work of the block.
     * Pairs with: release in put_block(). If relaxed: a place is written while it is read. */
    ati_injector_block *block = atomic_exchange_explicit(&shard->spare, NULL, memory_order_acquire);
    if (!block)
        block = ati_allocate(sizeof *block);
    if (block)
        block->next = NULL;
    return block;
}

static void put_block(ati_injector_shard *shard, ati_injector_block *block) {
    /* ORDER injector.spare: acq_rel. Hands the block over, read to its end, and gets the one that
     * was there to release. Pairs with: acquire in get_block(). If relaxed: a place is written, or
     * released, while it is read. */
    block = atomic_exchange_explicit(&shard->spare, block, memory_order_acq_rel);
    ati_release(block, sizeof *block);
}

bool ati_injector_reserve(ati_injector_shard *shard, size_t places) {
    size_t room = shard->tail ? block_capacity - shard->tail_index : 0;
    if (places <= room)
        return true;
    ati_injector_block *first = NULL;
    ati_injector_block **end = &first;
    for (; room < places; room += block_capacity) {
        *end = get_block(shard);
        if (!*end) {
            release_blocks(first);
            return false;
        }
        end = &(*end)->next;
    }
    if (shard->tail) {
        shard->tail->next = first;
    } else {
        /* The first block of all: consumers look at head only once something is counted. */
        shard->tail = first;
        shard->head = first;
    }
    return true;
}

/* Marks the place before the first work of a series; never called. */
static void *mark_series(void *unused) {
    return unused;
}

/* What lies in that place, written and read as a work. */
typedef union series_mark {
    ati_work work;
    struct {
        void *(*run)(void *argument); /* mark_series */
        size_t count;
        size_t step;
    } series;
} series_mark;

_Static_assert(sizeof(series_mark) == sizeof(ati_work), "a mark is one place");

void ati_injector_write(ati_injector_shard *shard, const ati_work *work) {
    if (shard->tail_index == block_capacity) {
        shard->tail = shard->tail->next;
        shard->tail_index = 0;
    }
    ati_work *place = &shard->tail->works[shard->tail_index++];
    *place = *work;
    /* A consumer read the next lines last: ask for them before they are written. */
    __builtin_prefetch(place + prefetch_distance, 1);
}

void ati_injector_write_series(ati_injector_shard *shard, const ati_works *series) {
    /* Relaxed: who sees the works of the series counted sees this, too. */
    uint64_t pushed = atomic_load_explicit(&shard->series_pushed, memory_order_relaxed);
    atomic_store_explicit(&shard->series_pushed, pushed + 1, memory_order_relaxed);
    series_mark mark = {.work = {.run = mark_series}};
    mark.series.count = series->count;
    mark.series.step = series->step;
    ati_injector_write(shard, &mark.work);
    ati_injector_write(shard, series->first);
}

bool ati_injector_publish(ati_injector_shard *shard, size_t count) {
    uint64_t pushed = atomic_load_explicit(&shard->pushed, memory_order_relaxed) + count;
    /* ORDER injector.pushed: seq_cst. Publishes the works, and comes before the producer's look at
     * what was taken and who sleeps. Pairs with: seq_cst load in count_queued(). If release: a
     * worker falls asleep on work that its producer thinks it will find (invariant 4). */
    atomic_store_explicit(&shard->pushed, pushed, memory_order_seq_cst);
    /* ORDER injector.taken: seq_cst. At least what a worker saw that found the shard empty before.
     * Pairs with: seq_cst load in count_queued(). If relaxed: an empty shard looks full, and the
     * worker that fell asleep on it is not woken. */
    return pushed - atomic_load_explicit(&shard->taken, memory_order_seq_cst) == count;
}

static uint64_t count_queued(const ati_injector_shard *shard) {
    ati_injector_shard *mine = (ati_injector_shard *)shard;
    /* ORDER injector.taken: seq_cst. What had been pushed when `taken` was counted is seen below.
     * Pairs with: release in ati_injector_end_take(), seq_cst in ati_injector_publish(). If
     * relaxed: more is taken than pushed, or an edge is missed. */
    uint64_t taken = atomic_load_explicit(&mine->taken, memory_order_seq_cst);
    /* ORDER injector.pushed: seq_cst. Sees the works it counts.
     * Pairs with: seq_cst store in ati_injector_publish(). If relaxed: reads unwritten works, or
     * sleeps on work (invariant 4). */
    return atomic_load_explicit(&mine->pushed, memory_order_seq_cst) - taken;
}

/* Under take_lock, while a work is queued. */
static ati_work *find_place(ati_injector_shard *shard) {
    if (shard->head_index == block_capacity) {
        ati_injector_block *empty = shard->head;
        shard->head = empty->next;
        shard->head_index = 0;
        put_block(shard, empty);
    }
    return &shard->head->works[shard->head_index];
}

static size_t find_mark(const ati_work *works, size_t count) {
    size_t index = 0;
    while (index < count && works[index].run != mark_series)
        index++;
    return index;
}

/* Under take_lock. Those of one block, which lie one behind the other, or those of a series. */
static bool find_works(ati_injector_shard *shard, size_t limit, ati_works *works) {
    uint64_t queued = count_queued(shard);
    if (queued == 0)
        return false;
    size_t count = queued < limit ? (size_t)queued : limit;
    ati_work *place = find_place(shard);
    bool has_series =
        atomic_load_explicit(&shard->series_pushed, memory_order_relaxed) != shard->series_taken;
    if (has_series && shard->series_left == 0 && place->run == mark_series) {
        series_mark mark = {.work = *place};
        shard->series_left = mark.series.count;
        shard->series_step = mark.series.step;
        shard->series_taken++;
        shard->head_index++;
        place = find_place(shard);
    }
    bool in_series = shard->series_left > 0;
    size_t here = in_series ? shard->series_left : block_capacity - shard->head_index;
    if (count > here)
        count = here;
    if (has_series && !in_series)
        count = find_mark(place, count);
    shard->queued = queued;
    *works = (ati_works){place, count, in_series ? shard->series_step : 0};
    return true;
}

ati_injector_shard *ati_injector_begin_take(ati_injector *injector, uint32_t first, size_t limit,
                                            ati_works *works) {
    uint32_t total = injector->shard_count + 1;
    for (uint32_t i = 0; i < total; i++) {
        ati_injector_shard *shard = &injector->shards[(first + i) % total];
        if (count_queued(shard) == 0 || !ati_try_lock_acquire(&shard->take_lock))
            continue;
        if (find_works(shard, limit, works))
            return shard;
        ati_try_lock_release(&shard->take_lock);
    }
    return NULL;
}

/* Leaves the first `count` works behind that find_works has found. */
static void pass_works(ati_injector_shard *shard, size_t count) {
    if (shard->series_left == 0) {
        shard->head_index += (uint32_t)count;
        return;
    }
    shard->series_left -= count;
    if (shard->series_left == 0) {
        shard->head_index++;
        return;
    }
    ati_work *next = &shard->head->works[shard->head_index];
    next->argument = (char *)next->argument + count * shard->series_step;
}

bool ati_injector_end_take(ati_injector_shard *shard, size_t count) {
    bool more = shard->queued > count;
    pass_works(shard, count);
    uint64_t taken = atomic_load_explicit(&shard->taken, memory_order_relaxed) + count;
    /* ORDER injector.taken: release. Comes after the load of `pushed` that allowed it, and after
     * the works were published elsewhere. Pairs with: seq_cst load in count_queued(). If relaxed:
     * more is taken than pushed, or a work is seen nowhere. */
    atomic_store_explicit(&shard->taken, taken, memory_order_release);
    ati_try_lock_release(&shard->take_lock);
    return more;
}

uint64_t ati_injector_shard_size(const ati_injector_shard *shard) {
    return count_queued(shard);
}

uint64_t ati_injector_size(const ati_injector *injector) {
    uint64_t size = 0;
    for (uint32_t i = 0; i <= injector->shard_count; i++)
        size += count_queued(&injector->shards[i]);
    return size;
}

uint64_t ati_injector_pushed(const ati_injector *injector) {
    uint64_t pushed = 0;
    for (uint32_t i = 0; i <= injector->shard_count; i++)
        pushed += atomic_load_explicit(&injector->shards[i].pushed, memory_order_relaxed);
    return pushed;
}

bool ati_injector_is_empty(const ati_injector *injector) {
    for (uint32_t i = 0; i <= injector->shard_count; i++)
        if (count_queued(&injector->shards[i]) != 0)
            return false;
    return true;
}

void ati_injector_settle(ati_injector *injector) {
    for (uint32_t i = 0; i < injector->shard_count; i++)
        ati_try_lock_settle(&injector->shards[i].push_lock);
    ati_lock_acquire(&injector->last_lock);
    ati_lock_release(&injector->last_lock);
}
