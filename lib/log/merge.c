/* SPDX-License-Identifier: MIT */
#include "log/core.h"

#include "base/futex.h"

#include <limits.h>
#include <string.h>

/* The backend's way from the rings to the sinks.
 *
 * A merge looks once at every ring and takes what is there by then, always the line of the lowest
 * order among the first lines of all rings. So the lines of one ring stay in order whatever the
 * clock does, and two lines of different threads change places only if the one with the earlier
 * time had not been committed when the merge looked at its ring.
 *
 * The shared ring is looked at first: a thread that ends writes to its own ring, then to the shared
 * one, and whoever sees the second line must see the first. */

static bool has_ended(ati_log_ring *ring) {
    /* ORDER log_ring.thread_gone: seq_cst. Whoever sees it sees the thread's last line; and a
     * backend that first announced its sleep sees it if the thread did not see the announcement.
     * Pairs with: seq_cst in abandon(). If relaxed: the ring is freed with lines in it. If acquire:
     * the ring is kept while the backend sleeps. */
    return atomic_load_explicit(&ring->thread_gone, memory_order_seq_cst);
}

static ati_log_ring *first_ring(ati_log_core *core) {
    /* ORDER log_core.rings: acquire. Sees the ring's bytes and its place in the list.
     * Pairs with: release in create_ring(). If relaxed: the backend follows pointers that are not
     * there yet. */
    return atomic_load_explicit(&core->rings, memory_order_acquire);
}

/* Gives room back to the ring's thread. Wakes it if it waits, but not before half of the ring is
 * free, so that it can go on for a while. */
static void give_room_back(ati_log_ring *ring) {
    ati_byte_ring_release_spsc(&ring->ring);
    if (ati_byte_ring_left_spsc(&ring->ring) > ring->size / 2)
        return;
    /* ORDER log_ring.room_wanted: seq_cst. Comes behind the release of the room.
     * Pairs with: seq_cst in put_copy_until(). If weaker: neither side sees the other, and the
     * thread sleeps until its deadline beside an empty ring. */
    if (atomic_load_explicit(&ring->room_wanted, memory_order_seq_cst) != 0) {
        atomic_store_explicit(&ring->room_wanted, 0, memory_order_relaxed);
        ati_futex_wake(&ring->room_wanted, INT_MAX);
    }
}

static bool comes_before(const ati_log_source *a, const ati_log_source *b) {
    return a->order < b->order;
}

/* Lets the source at `place` sink to where it belongs in the heap. */
static void sift_down(ati_log_source *heap, size_t count, size_t place) {
    ati_log_source moving = heap[place];
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= count)
            break;
        if (child + 1 < count && comes_before(&heap[child + 1], &heap[child]))
            child++;
        if (!comes_before(&heap[child], &moving))
            break;
        heap[place] = heap[child];
        place = child;
    }
    heap[place] = moving;
}

static const ati_log_record *front_record(const ati_log_ring *ring, size_t *size) {
    return ati_byte_ring_front_spsc(&ring->ring, size);
}

/* Adds a ring to the sources if it has lines; gives its bytes. */
static uint64_t add_source(ati_log_core *core, size_t *count, ati_log_ring *ring, unsigned *fill) {
    uint64_t bytes = ati_byte_ring_look_spsc(&ring->ring);
    size_t size;
    const ati_log_record *record = front_record(ring, &size);
    if (!record)
        return 0;
    core->sources[*count] = (ati_log_source){record->order, ring};
    (*count)++;
    unsigned share = (unsigned)(bytes * 256 / ring->size);
    if (share > *fill)
        *fill = share;
    return bytes;
}

/* Gives the batch to the sinks. Room goes back first, so that callers need not wait for the sinks.
 */
static void write_batch(ati_log_core *core, size_t source_count) {
    for (size_t i = 0; i < source_count; i++)
        give_room_back(core->sources[i].ring);
    if (core->output_size == 0)
        return;
    ati_lock_acquire(&core->write_lock);
    ati_log_give_to_sinks(core, NULL, core->output, core->output_size);
    ati_counter_add(&core->written, core->output_lines);
    ati_counter_add(&core->bytes, core->output_size);
    ati_lock_release(&core->write_lock);
    core->output_size = 0;
    core->output_lines = 0;
}

/* Moves lines from the first source to the batch while they come before all others. */
static void move_run(ati_log_core *core, size_t source_count) {
    ati_log_source *first = &core->sources[0];
    int64_t bound = INT64_MAX;
    for (size_t i = 1; i < source_count && i < 3; i++)
        if (core->sources[i].order < bound)
            bound = core->sources[i].order;
    size_t size;
    const ati_log_record *record = front_record(first->ring, &size);
    do {
        size_t length = size - sizeof *record;
        if (core->output_size + length > ATI_LOG_OUTPUT_SIZE)
            write_batch(core, source_count);
        memcpy(core->output + core->output_size, record->line, length);
        core->output_size += length;
        core->output_lines++;
        ati_byte_ring_step_spsc(&first->ring->ring);
        record = front_record(first->ring, &size);
    } while (record && record->order <= bound);
    first->order = record ? record->order : INT64_MAX;
}

/* Takes the rings of threads that have ended and whose lines are written out of the list. */
static void free_ended_rings(ati_log_core *core) {
    ati_log_ring *ended = NULL;
    ati_lock_acquire(&ati_log_registry_lock);
    ati_log_ring *previous = NULL;
    for (ati_log_ring *ring = first_ring(core); ring;) {
        ati_log_ring *next = ring->next_of_core;
        if (has_ended(ring) && ati_byte_ring_look_spsc(&ring->ring) == 0) {
            if (previous)
                previous->next_of_core = next;
            else
                atomic_store_explicit(&core->rings, next, memory_order_relaxed);
            for (int level = 0; level < AT_LOG_OFF; level++)
                atomic_fetch_add_explicit(&core->dropped[level],
                                          ati_counter_read(&ring->dropped[level]),
                                          memory_order_relaxed);
            uint64_t count = atomic_load_explicit(&core->ring_count, memory_order_relaxed);
            atomic_store_explicit(&core->ring_count, count - 1, memory_order_relaxed);
            ring->next_of_core = ended;
            ended = ring;
        } else {
            previous = ring;
        }
        ring = next;
    }
    ati_lock_release(&ati_log_registry_lock);
    while (ended) {
        ati_log_ring *next = ended->next_of_core;
        ati_log_ring_destroy(ended);
        ended = next;
    }
}

uint64_t ati_log_merge(ati_log_core *core, unsigned *fill) {
    size_t count = 0;
    bool any_ended = false;
    *fill = 0;
    uint64_t taken = add_source(core, &count, &core->shared, fill);
    for (ati_log_ring *ring = first_ring(core); ring; ring = ring->next_of_core) {
        any_ended |= has_ended(ring);
        taken += add_source(core, &count, ring, fill);
    }
    for (size_t place = count / 2; place-- > 0;)
        sift_down(core->sources, count, place);
    while (count > 0) {
        move_run(core, count);
        if (core->sources[0].order == INT64_MAX) {
            give_room_back(core->sources[0].ring);
            core->sources[0] = core->sources[--count];
        }
        if (count > 0)
            sift_down(core->sources, count, 0);
    }
    write_batch(core, 0);
    if (any_ended)
        free_ended_rings(core);
    return taken;
}

bool ati_log_merge_idle(ati_log_core *core) {
    if (ati_byte_ring_look_spsc(&core->shared.ring) != 0)
        return false;
    for (ati_log_ring *ring = first_ring(core); ring; ring = ring->next_of_core)
        if (has_ended(ring) || ati_byte_ring_look_spsc(&ring->ring) != 0)
            return false;
    return true;
}
