/* SPDX-License-Identifier: MIT */
#include "log/core.h"

#include "base/futex.h"

#include <string.h>

/* Finished lines that are copied into a ring. */

void ati_log_drop(ati_log_core *core, ati_log_ring *ring, at_log_level level) {
    if (ring && ring != &core->shared)
        ati_counter_add(&ring->dropped[level], 1);
    else
        atomic_fetch_add_explicit(&core->dropped[level], 1, memory_order_relaxed);
}

/* If there is room. */
static bool put_copy(ati_log_core *core, ati_log_ring *ring, const ati_log_record *record,
                     size_t size) {
    bool shared = ring == &core->shared;
    if (shared)
        ati_lock_acquire(&core->shared_lock);
    void *room = ati_byte_ring_reserve_spsc(&ring->ring, size);
    if (room) {
        memcpy(room, record, size);
        ati_byte_ring_commit_spsc(&ring->ring, size);
    }
    if (shared)
        ati_lock_release(&core->shared_lock);
    return room != NULL;
}

/* Waits for room in a ring until `deadline`; true: the record is in. */
static bool put_copy_until(ati_log_core *core, ati_log_ring *ring, const ati_log_record *record,
                           size_t size, at_deadline deadline) {
    for (bool in_time = true; in_time;) {
        /* ORDER log_ring.room_wanted: seq_cst. Comes before the look for room.
         * Pairs with: seq_cst in give_room_back(). If weaker: neither side sees the other, and the
         * thread sleeps until its deadline beside an empty ring. */
        atomic_store_explicit(&ring->room_wanted, 1, memory_order_seq_cst);
        if (put_copy(core, ring, record, size))
            return true;
        ati_log_backend_wake(core, true);
        in_time = ati_futex_wait(&ring->room_wanted, 1, deadline);
    }
    return put_copy(core, ring, record, size);
}

bool ati_log_put_record(ati_log_core *core, ati_log_ring *ring, const ati_log_record *record,
                        size_t size, at_log_level level, at_deadline deadline) {
    if (!put_copy(core, ring, record, size) &&
        !(deadline != 0 && put_copy_until(core, ring, record, size, deadline))) {
        ati_log_drop(core, ring, level);
        return false;
    }
    ati_log_backend_wake(core, true);
    return true;
}
