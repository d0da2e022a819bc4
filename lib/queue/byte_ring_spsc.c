/* SPDX-License-Identifier: MIT */
#include "queue/byte_ring_spsc.h"

#include "base/check.h"
#include "base/prefetch.h"

#include <string.h>

/* Lamport's ring of one producer and one consumer ("Specifying Concurrent Program Modules", 1983),
 * with records of bytes and with each side's last look at the other kept (Lee, Bu and
 * Chandranmenon, "A Lock-Free, Cache-Efficient Shared Ring Buffer", 2009).
 *
 * Positions only grow; position & mask is an offset. A record is a head of 8 bytes (its size) and
 * its bytes, rounded up to 8. A record starts at an offset of at most last_start = size - (a
 * longest record), so it never runs over the end; when the next start would lie behind last_start,
 * both sides go on at the next multiple of size. Both compute that from the same numbers.
 *
 *              reserve, commit (producer)
 *      free ------------------------------> filled
 *        ^                                    |
 *        +------------------------------------+
 *              step, release (consumer)
 *
 * 1. head <= front <= seen_tail <= tail, and seen_head <= head.
 * 2. tail - head <= size. A record is written only where tail + record <= seen_head + size. The
 * jump to the next multiple keeps it: with head in the same lap, the multiple is one lap from head
 * at most; with head in the lap before, tail + record <= head + size means that the end offset is
 * at most head's, which is at most last_start, and there is no jump.
 * 3. Bytes in [head, tail) are written by nobody; bytes outside belong to the producer.
 *
 * Wait-free on both sides. Checked by: tests/model/byte_ring_model.c, tests/unit/byte_ring_test.c,
 * tests/stress/byte_ring_test.c
 */

enum {
    record_head_size = 8,
    fetched_ahead = 256, /* bytes: a usual record */
};

static uint64_t record_size(size_t size) {
    return record_head_size + (((uint64_t)size + 7) & ~(uint64_t)7);
}

/* The start of the record after one of `size` bytes at `position`. */
static uint64_t next_start(const ati_byte_ring *ring, uint64_t position, size_t size) {
    position += record_size(size);
    if ((position & ring->mask) > ring->last_start)
        position = (position | ring->mask) + 1;
    return position;
}

void ati_byte_ring_init(ati_byte_ring *ring, void *bytes, size_t size, size_t record_max) {
    ATI_ASSERT((size & (size - 1)) == 0 && size >= 2 * record_size(record_max));
    memset(ring, 0, sizeof *ring);
    ring->bytes = bytes;
    ring->mask = size - 1;
    ring->last_start = size - record_size(record_max);
}

static void look_at_head(ati_byte_ring *ring) {
    /* ORDER byte_ring.head: seq_cst. The consumer has read what it released; and a producer that
     * first announced that it waits sees a release that did not see the announcement.
     * Pairs with: seq_cst in ati_byte_ring_release_spsc(). If relaxed: bytes are overwritten while
     * they are read. If acquire: a producer waits for room that is there. */
    ring->seen_head = atomic_load_explicit(&ring->head, memory_order_seq_cst);
}

/* Lines that the consumer has read come from its CPU: asked for one record before they are needed,
 * they are there. At the end of the ring that asks for a few lines behind it, which does no harm.
 */
static void fetch_ahead(const ati_byte_ring *ring, uint64_t tail) {
    const unsigned char *ahead = ring->bytes + ((tail + fetched_ahead) & ring->mask);
    for (int i = 0; i < fetched_ahead; i += ATI_CACHE_LINE)
        ati_prefetch_to_write(ahead + i);
}

void *ati_byte_ring_reserve_spsc(ati_byte_ring *ring, size_t size) {
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t end = tail + record_size(size);
    if (end - ring->seen_head > ring->mask + 1) {
        look_at_head(ring);
        if (end - ring->seen_head > ring->mask + 1)
            return NULL;
    }
    fetch_ahead(ring, tail);
    return ring->bytes + (tail & ring->mask) + record_head_size;
}

void ati_byte_ring_commit_spsc(ati_byte_ring *ring, size_t size) {
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t record = size;
    memcpy(ring->bytes + (tail & ring->mask), &record, sizeof record);
    /* ORDER byte_ring.tail: release. Publishes the record.
     * Pairs with: acquire in ati_byte_ring_look_spsc(). If relaxed: the consumer reads an unwritten
     * record. */
    atomic_store_explicit(&ring->tail, next_start(ring, tail, size), memory_order_release);
}

bool ati_byte_ring_half_full_spsc(ati_byte_ring *ring) {
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - ring->seen_head <= ring->mask / 2)
        return false;
    look_at_head(ring);
    return tail - ring->seen_head > ring->mask / 2;
}

bool ati_byte_ring_drained_spsc(ati_byte_ring *ring) {
    look_at_head(ring);
    return ring->seen_head == atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

uint64_t ati_byte_ring_look_spsc(ati_byte_ring *ring) {
    /* ORDER byte_ring.tail: acquire. Sees the records before it.
     * Pairs with: release in ati_byte_ring_commit_spsc(). If relaxed: reads unwritten records. */
    ring->seen_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return ring->seen_tail - ring->front;
}

const void *ati_byte_ring_front_spsc(const ati_byte_ring *ring, size_t *size) {
    if (ring->front == ring->seen_tail)
        return NULL;
    const unsigned char *record = ring->bytes + (ring->front & ring->mask);
    uint64_t record_bytes;
    memcpy(&record_bytes, record, sizeof record_bytes);
    *size = (size_t)record_bytes;
    return record + record_head_size;
}

void ati_byte_ring_step_spsc(ati_byte_ring *ring) {
    size_t size;
    if (ati_byte_ring_front_spsc(ring, &size))
        ring->front = next_start(ring, ring->front, size);
}

void ati_byte_ring_release_spsc(ati_byte_ring *ring) {
    /* ORDER byte_ring.head: seq_cst. The records were read before their room is given back; and it
     * comes before the consumer's look whether the producer waits.
     * Pairs with: seq_cst in look_at_head(). If relaxed: bytes are overwritten while
     * they are read. If release: a producer waits for room that is there. */
    atomic_store_explicit(&ring->head, ring->front, memory_order_seq_cst);
}

/* -- Looking on -- */

ati_byte_ring_view ati_byte_ring_look_on(ati_byte_ring *ring) {
    ati_byte_ring_view view = {.ring = ring, .position = ring->front};
    /* ORDER byte_ring.end: acquire. Sees the records before it.
     * Pairs with: the store of `tail` in ati_byte_ring_commit_spsc(). If relaxed: unwritten records
     * are read. */
    view.end = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return view;
}

/* Whether what was read at the view's position before this call had not been released by then. */
static bool still_holds(ati_byte_ring_view *view) {
    /* ORDER byte_ring.still: acq_rel. Stays behind the reads of the record, which a load would not:
     * it adds nothing, and is an update for that alone (H.-J. Boehm, "Can Seqlocks Get Along With
     * Programming Language Memory Models?", 2012).
     * Pairs with: the store of `head` in ati_byte_ring_release_spsc(). If relaxed: half of a record
     * and half of the one that took its room pass for one. */
    uint64_t head = atomic_fetch_add_explicit(&view->ring->head, 0, memory_order_acq_rel);
    if (head <= view->position)
        return true;
    view->position = head;
    return false;
}

size_t ati_byte_ring_copy_next(ati_byte_ring_view *view, void *copy, size_t room) {
    while (view->position < view->end) {
        const unsigned char *record = view->ring->bytes + (view->position & view->ring->mask);
        uint64_t size;
        memcpy(&size, record, sizeof size);
        size_t copied = size < room ? (size_t)size : room;
        memcpy(copy, record + record_head_size, copied);
        if (still_holds(view)) {
            view->position = next_start(view->ring, view->position, copied);
            return copied;
        }
    }
    return 0;
}
