/* SPDX-License-Identifier: MIT */
#include "operation/tracker_ring.h"

#include "base/clock.h"
#include "base/memory.h"

#include <string.h>

/* The last events of a tracker, in a few rings. A thread that records looks for a ring whose
 * `writer` is free, beginning with the one that it had last: so threads that record at the same
 * time soon have a ring each, and one that is stopped inside keeps that ring alone from the others.
 *
 *            claim()                    write_words()                 head + 1
 *     free ----------> being written ---------------> written whole ----------> in snapshots
 *       ^                                                                            |
 *       +------- slot_count events later the slot is overwritten: version changes ---+
 *
 * head      events written; by the holder of `writer`
 * version   the first word of a slot, the number of its event (from 1); by the holder
 * words     the others; by the holder
 * epoch     counts snapshots; by readers
 *
 * 1. Event n is in slot (n - 1) % slot_count. If head >= n and the version of that slot is n after
 *    its words were read, they were those of event n: the holder changes the version before the
 *    first word, and a reader that sees a new word sees that version (a sequence lock:
 *    H.-J. Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?", 2012).
 * 2. Orders and epochs only grow within a ring.
 * 3. What is in a snapshot, and what happened before it, is in that snapshot. The snapshot counts
 *    `epoch` up from e, then passes the heavy barrier, then reads the heads, and leaves out what is
 *    of a later epoch than e. Event X has happened before Y, and Y's writer has read e: it has
 *    passed the light barrier before that, so the heavy one came later, and X's head is seen. Where
 *    the barriers do not work, Y's writer reads e by a read-modify-write, which publishes X to the
 *    one that counts up.
 * 4. A snapshot is what its walk has merged, by order, until it met an event that was overwritten:
 *    all events that are newer than the oldest one are there.
 *
 * Writing is wait-free; reading too, as a walk ends where it is overtaken.
 * Checked by: tests/model/tracker_ring_model.c, tests/unit/tracker_ring_test.c,
 * tests/stress/tracker_test.c */

static size_t ring_size(const ati_tracker_rings *rings) {
    return sizeof(ati_tracker_ring) + rings->slot_count * rings->slot_words * sizeof(uint64_t);
}

static ati_tracker_ring *create_ring(const ati_tracker_rings *rings) {
    ati_tracker_ring *ring = ati_allocate_aligned(ring_size(rings), ATI_CACHE_LINE);
    if (!ring)
        return NULL;
    atomic_init(&ring->writer.held, 0);
    atomic_init(&ring->head, 0); /* and nobody reads a slot that was not written */
    return ring;
}

bool ati_tracker_rings_init(ati_tracker_rings *rings, uint64_t event_count, size_t member_bytes,
                            uint32_t ring_count) {
    memset(rings, 0, sizeof *rings);
    rings->slot_count = 1;
    while (rings->slot_count < event_count + event_count / 2)
        rings->slot_count *= 2; /* so that a snapshot has time to read the oldest */
    rings->kept_count = event_count;
    rings->slot_words = 1 + ATI_RING_EVENT_WORDS + member_bytes / sizeof(uint64_t);
    rings->ring_count = ring_count;
    rings->is_unequal = ati_barrier_is_unequal();
    ati_tracker_ring *first = create_ring(rings);
    atomic_init(&rings->rings[0], first);
    return first;
}

void ati_tracker_rings_deinit(ati_tracker_rings *rings) {
    for (uint32_t i = 0; i < rings->ring_count; i++)
        ati_release(atomic_load_explicit(&rings->rings[i], memory_order_relaxed), ring_size(rings));
}

static ati_tracker_ring *load_ring(const ati_tracker_rings *rings, uint32_t index) {
    /* ORDER tracker.rings: acquire. Sees the ring empty, or what was written since.
     * Pairs with: release in make_ring(). If relaxed: an uninitialised ring is read. */
    return atomic_load_explicit(&((ati_tracker_rings *)rings)->rings[index], memory_order_acquire);
}

/* Gives the ring at `index`, which may be another thread's work; NULL without memory. */
static ati_tracker_ring *make_ring(ati_tracker_rings *rings, uint32_t index) {
    ati_tracker_ring *made = create_ring(rings);
    if (!made)
        return NULL;
    ati_tracker_ring *other = NULL;
    /* ORDER tracker.rings: acq_rel. Publishes the empty ring, or sees that of another thread.
     * Pairs with: acquire in load_ring(). If relaxed: an uninitialised ring is used. */
    if (atomic_compare_exchange_strong_explicit(&rings->rings[index], &other, made,
                                                memory_order_acq_rel, memory_order_acquire))
        return made;
    ati_release(made, ring_size(rings));
    return other;
}

/* Gives a ring, with its `writer` held; NULL: all are in use. */
static ati_tracker_ring *claim(ati_tracker_rings *rings, uint32_t *home) {
    for (uint32_t i = 0; i < rings->ring_count; i++) {
        uint32_t index = (*home + i) & (rings->ring_count - 1);
        ati_tracker_ring *ring = load_ring(rings, index);
        if (__builtin_expect(!ring, 0))
            ring = make_ring(rings, index);
        if (ring && ati_try_lock_acquire(&ring->writer)) {
            *home = index;
            return ring;
        }
    }
    return NULL;
}

/* -- Writing -- */

static inline void store_word(_Atomic uint64_t *word, uint64_t value) {
    /* ORDER tracker.word: release. Comes after the version of the slot.
     * Pairs with: acquire in load_word(). If relaxed: a reader takes words of two events for one.
     */
    atomic_store_explicit(word, value, memory_order_release);
}

/* 1 to 7 bytes, the first the lowest, of which `length` in all end at `bytes` + count. */
static inline uint64_t load_tail(const char *bytes, size_t count, size_t length) {
    uint64_t word = 0;
    if (length >= sizeof word) {
        memcpy(&word, bytes + count - sizeof word, sizeof word);
        return word >> (8 * (sizeof word - count));
    }
    for (size_t i = 0; i < count; i++)
        word |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
    return word;
}

static inline void write_words(_Atomic uint64_t *slot, const ati_ring_event *event,
                               const char *members) {
    uint64_t words[ATI_RING_EVENT_WORDS];
    memcpy(words, event, sizeof words);
    for (int i = 0; i < ATI_RING_EVENT_WORDS; i++)
        store_word(&slot[i], words[i]);
    slot += ATI_RING_EVENT_WORDS;
    size_t left = event->members_length;
    for (; left >= sizeof(uint64_t); left -= sizeof(uint64_t), members += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, members, sizeof word);
        store_word(slot++, word);
    }
    if (left > 0)
        store_word(slot, load_tail(members, left, event->members_length));
}

static inline _Atomic uint64_t *slot_of(const ati_tracker_rings *rings,
                                        const ati_tracker_ring *ring, uint64_t number) {
    uint64_t slot = (number - 1) & (rings->slot_count - 1);
    return &((ati_tracker_ring *)ring)->words[slot * rings->slot_words];
}

/* The light half of the barrier, and what comes behind it. */
static uint64_t read_epoch(ati_tracker_rings *rings) {
    if (rings->is_unequal) {
        ati_light_barrier();
        return atomic_load_explicit(&rings->epoch, memory_order_relaxed);
    }
    /* ORDER tracker.epoch: release. Publishes the events that happened before this one.
     * Pairs with: acquire in begin_epoch(). If relaxed: a snapshot has an event without one that
     * happened before it. */
    return atomic_fetch_add_explicit(&rings->epoch, 0, memory_order_release);
}

void ati_tracker_rings_write(ati_tracker_rings *rings, uint32_t *home, ati_ring_event *event,
                             const char *members) {
    ati_tracker_ring *ring = claim(rings, home);
    if (!ring) {
        ati_counter_add_shared(&rings->lost, 1);
        return;
    }
    event->epoch = read_epoch(rings);
    event->order = ati_ticks();
    uint64_t number = atomic_load_explicit(&ring->head, memory_order_relaxed) + 1;
    _Atomic uint64_t *slot = slot_of(rings, ring, number);
    atomic_store_explicit(slot, number, memory_order_relaxed);
    write_words(slot + 1, event, members);
    /* ORDER tracker.head: release. Publishes the event.
     * Pairs with: acquire in begin_cursor(). If relaxed: a reader takes an older event, or none,
     * for this one. */
    atomic_store_explicit(&ring->head, number, memory_order_release);
    ati_try_lock_release(&ring->writer);
}

/* -- Reading -- */

/* Counts the epochs up, and gives that which has ended; then the heavy half of the barrier. */
static uint64_t begin_epoch(ati_tracker_rings *rings) {
    /* ORDER tracker.epoch: acquire. Sees what happened before the events of the epoch, where there
     * is no heavy half.
     * Pairs with: release in read_epoch(). If relaxed: a snapshot has an event without one that
     * happened before it. */
    uint64_t epoch = atomic_fetch_add_explicit(&rings->epoch, 1, memory_order_acquire);
    if (rings->is_unequal)
        ati_heavy_barrier();
    return epoch;
}

void ati_tracker_rings_clear(ati_tracker_rings *rings) {
    uint64_t epoch = atomic_fetch_add_explicit(&rings->epoch, 1, memory_order_relaxed);
    atomic_store_explicit(&rings->floor, epoch + 1, memory_order_relaxed);
    atomic_store_explicit(&rings->lost.value, 0, memory_order_relaxed);
}

static inline uint64_t load_word(const _Atomic uint64_t *word) {
    /* ORDER tracker.word: acquire. Who sees a word of a newer event sees the newer version.
     * Pairs with: release in store_word(). If relaxed: words of two events are taken for one. */
    return atomic_load_explicit((_Atomic uint64_t *)word, memory_order_acquire);
}

/* Whether the slot still holds event `number`, after its words were read. */
static inline bool is_whole(const _Atomic uint64_t *slot, uint64_t number) {
    return atomic_load_explicit((_Atomic uint64_t *)slot, memory_order_relaxed) == number;
}

enum {
    attempts = 16, /* to begin a walk before its first event is overwritten */
    word_of_order = 1 + offsetof(ati_ring_event, order) / sizeof(uint64_t),
    word_of_epoch = 1 + offsetof(ati_ring_event, epoch) / sizeof(uint64_t),
};

/* What a look at the event before `cursor->next` finds. */
typedef enum found {
    found_event,
    found_later, /* it is not in the snapshot: recorded after its begin */
    found_end,   /* there is none any more */
    found_overwritten,
} found;

static found look(const ati_ring_walk *walk, ati_ring_cursor *cursor) {
    if (cursor->next == 1)
        return found_end;
    uint64_t number = cursor->next - 1;
    const _Atomic uint64_t *slot = slot_of(walk->rings, cursor->ring, number);
    uint64_t epoch = load_word(&slot[word_of_epoch]);
    uint64_t order = load_word(&slot[word_of_order]);
    if (!is_whole(slot, number))
        return found_overwritten;
    if (epoch > walk->last_epoch)
        return found_later;
    cursor->order = order;
    return epoch < walk->floor ? found_end : found_event;
}

/* Finds the newest event of a ring that is in the snapshot. */
static found begin_cursor(const ati_ring_walk *walk, ati_ring_cursor *cursor,
                          const ati_tracker_ring *ring) {
    found what;
    /* ORDER tracker.head: acquire. Sees the events that were written.
     * Pairs with: release in ati_tracker_rings_write(). If relaxed: reads slots that are not
     * written yet. */
    uint64_t head = atomic_load_explicit(&((ati_tracker_ring *)ring)->head, memory_order_acquire);
    *cursor = (ati_ring_cursor){.ring = ring, .next = head + 1};
    while ((what = look(walk, cursor)) == found_later)
        cursor->next--;
    return what;
}

/* False: a whole round of a ring went by meanwhile. */
static bool begin_cursors(ati_ring_walk *walk) {
    walk->count = 0;
    for (uint32_t i = 0; i < walk->rings->ring_count; i++) {
        const ati_tracker_ring *ring = load_ring(walk->rings, i);
        found what = ring ? begin_cursor(walk, &walk->cursors[walk->count], ring) : found_end;
        if (what == found_overwritten)
            return false;
        if (what == found_event)
            walk->count++;
    }
    return true;
}

void ati_ring_walk_begin(ati_ring_walk *walk, ati_tracker_rings *rings) {
    *walk = (ati_ring_walk){.rings = rings, .left = rings->kept_count};
    for (int i = 0; i < attempts; i++) {
        walk->floor = atomic_load_explicit(&rings->floor, memory_order_relaxed);
        walk->last_epoch = begin_epoch(rings);
        if (begin_cursors(walk))
            return;
    }
    walk->is_over = true;
}

/* False: it has been overwritten. */
static bool read_event(const ati_ring_walk *walk, const ati_ring_cursor *cursor,
                       ati_ring_event *event, char *members) {
    uint64_t number = cursor->next - 1;
    const _Atomic uint64_t *slot = slot_of(walk->rings, cursor->ring, number);
    uint64_t words[ATI_RING_EVENT_WORDS];
    for (int i = 0; i < ATI_RING_EVENT_WORDS; i++)
        words[i] = load_word(&slot[1 + i]);
    memcpy(event, words, sizeof words);
    size_t room = walk->rings->slot_words - 1 - ATI_RING_EVENT_WORDS;
    size_t count = (event->members_length + sizeof(uint64_t) - 1) / sizeof(uint64_t);
    if (count > room)
        count = room; /* it is torn, and found so below */
    for (size_t i = 0; i < count; i++, members += sizeof(uint64_t)) {
        uint64_t word = load_word(&slot[1 + ATI_RING_EVENT_WORDS + i]);
        memcpy(members, &word, sizeof word);
    }
    return is_whole(slot, number);
}

static ati_ring_cursor *newest(ati_ring_walk *walk) {
    ati_ring_cursor *best = &walk->cursors[0];
    for (uint32_t i = 1; i < walk->count; i++)
        if (walk->cursors[i].order > best->order)
            best = &walk->cursors[i];
    return best;
}

bool ati_ring_walk_next(ati_ring_walk *walk, ati_ring_event *event, char *members) {
    if (walk->is_over || walk->count == 0 || walk->left == 0)
        return false;
    ati_ring_cursor *cursor = newest(walk);
    if (!read_event(walk, cursor, event, members)) {
        walk->is_over = true;
        return false;
    }
    walk->left--;
    cursor->next--;
    switch (look(walk, cursor)) {
    case found_event:
        break;
    case found_end:
        *cursor = walk->cursors[--walk->count];
        break;
    default:
        walk->is_over = true;
    }
    return true;
}
