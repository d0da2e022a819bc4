/* SPDX-License-Identifier: MIT */
#include "log/core.h"

#include "base/memory.h"

#include <string.h>

/* Each thread's rings, one for each logger that it writes to.
 *
 * A ring has two owners: its thread, which fills it, and its logger, which empties it. Whichever
 * goes first says so under the registry's lock (thread_gone, core = NULL); the other frees the
 * ring: the backend when it is drained, or the thread at its next look at its list. */

_Thread_local ati_log_thread ati_log_thread_current;

static pthread_key_t thread_end_key;

bool ati_log_never_wait(bool never) {
    bool before = ati_log_thread_current.never_waits;
    ati_log_thread_current.never_waits = never;
    return before;
}

bool ati_log_ring_init(ati_log_ring *ring, size_t size) {
    memset(ring, 0, sizeof *ring);
    ring->bytes = ati_allocate_aligned(size, ATI_CACHE_LINE);
    ring->size = size;
    if (!ring->bytes)
        return false;
    ati_byte_ring_init(&ring->ring, ring->bytes, size, sizeof(ati_log_record) + ATI_LINE_MAX);
    return true;
}

void ati_log_ring_deinit(ati_log_ring *ring) {
    ati_release(ring->bytes, ring->size);
    ring->bytes = NULL;
}

void ati_log_ring_destroy(ati_log_ring *ring) {
    ati_log_ring_deinit(ring);
    ati_release(ring, sizeof *ring);
}

/* Leaves a ring to its logger; under the registry's lock. */
static void abandon(ati_log_ring *ring) {
    ati_log_core *core = ring->core;
    /* ORDER log_ring.thread_gone: seq_cst. All lines come before it; and it comes before the look
     * whether the backend sleeps.
     * Pairs with: seq_cst in has_ended(). If relaxed: the ring is freed with lines in it. If
     * release: it is kept until the next line wakes the backend. */
    atomic_store_explicit(&ring->thread_gone, true, memory_order_seq_cst);
    ati_log_backend_wake(core, false);
}

/* Frees the rings whose logger has gone; leaves the others to theirs if the thread is `ending`. */
static void sort_out_rings(ati_log_thread *thread, bool ending) {
    ati_log_ring *kept = NULL;
    ati_log_ring *orphans = NULL;
    ati_lock_acquire(&ati_log_registry_lock);
    for (ati_log_ring *ring = thread->rings; ring;) {
        ati_log_ring *next = ring->next_of_thread;
        if (!ring->core) {
            ring->next_of_thread = orphans;
            orphans = ring;
        } else if (ending) {
            abandon(ring);
        } else {
            ring->next_of_thread = kept;
            kept = ring;
        }
        ring = next;
    }
    ati_lock_release(&ati_log_registry_lock);
    thread->rings = kept;
    thread->last = NULL;
    while (orphans) {
        ati_log_ring *next = orphans->next_of_thread;
        ati_log_ring_destroy(orphans);
        orphans = next;
    }
}

/* Runs when a thread ends. What it logs from now on goes into the shared ring. */
static void end_thread(void *thread) {
    ((ati_log_thread *)thread)->gone = true;
    sort_out_rings(thread, true);
}

bool ati_log_thread_prepare(void) {
    return pthread_key_create(&thread_end_key, end_thread) == 0;
}

void ati_log_thread_after_fork(void) {
    ati_log_thread *thread = &ati_log_thread_current;
    thread->line.length = 0; /* the thread has another id now */
    thread->last = NULL;
    thread->rings = NULL; /* its rings are their loggers' */
}

/* Whether the thread may go over from the shared ring to one of its own: only when its lines there
 * have been written, so that they stay in order. */
static bool may_leave_shared(ati_log_core *core) {
    ati_lock_acquire(&core->shared_lock);
    bool drained = ati_byte_ring_drained_spsc(&core->shared.ring);
    ati_lock_release(&core->shared_lock);
    return drained;
}

/* Counts one more ring, if there may be one. */
static bool count_ring(ati_log_core *core) {
    ati_lock_acquire(&ati_log_registry_lock);
    uint64_t count = atomic_load_explicit(&core->ring_count, memory_order_relaxed);
    bool allowed = count < core->ring_limit;
    if (allowed)
        atomic_store_explicit(&core->ring_count, count + 1, memory_order_relaxed);
    ati_lock_release(&ati_log_registry_lock);
    return allowed;
}

static void uncount_ring(ati_log_core *core) {
    ati_lock_acquire(&ati_log_registry_lock);
    uint64_t count = atomic_load_explicit(&core->ring_count, memory_order_relaxed);
    atomic_store_explicit(&core->ring_count, count - 1, memory_order_relaxed);
    ati_lock_release(&ati_log_registry_lock);
}

static ati_log_ring *create_ring(ati_log_thread *thread, ati_log_core *core, uint64_t id) {
    if (pthread_setspecific(thread_end_key, thread) != 0)
        return NULL;
    ati_log_ring *ring = ati_allocate_aligned(sizeof *ring, ATI_CACHE_LINE);
    if (!ring)
        return NULL;
    if (!ati_log_ring_init(ring, core->ring_size)) {
        ati_release(ring, sizeof *ring);
        return NULL;
    }
    ring->core_id = id;
    ring->core = core;
    ring->next_of_thread = thread->rings;
    thread->rings = ring;
    ati_lock_acquire(&ati_log_registry_lock);
    ring->next_of_core = atomic_load_explicit(&core->rings, memory_order_relaxed);
    /* ORDER log_core.rings: release. Publishes the ring with its bytes and its place in the list.
     * Pairs with: acquire in first_ring(). If relaxed: the backend follows pointers that are not
     * there yet. */
    atomic_store_explicit(&core->rings, ring, memory_order_release);
    ati_lock_release(&ati_log_registry_lock);
    return ring;
}

ati_log_ring *ati_log_thread_ring(ati_log_thread *thread, ati_log_core *core, uint64_t id) {
    for (ati_log_ring *ring = thread->rings; ring; ring = ring->next_of_thread)
        if (ring->core_id == id)
            return thread->last = ring;
    if (thread->gone ||
        atomic_load_explicit(&core->ring_count, memory_order_relaxed) >= core->ring_limit ||
        !may_leave_shared(core))
        return &core->shared;
    if (thread->rings)
        sort_out_rings(thread, false);
    if (!count_ring(core))
        return &core->shared;
    ati_log_ring *ring = create_ring(thread, core, id);
    if (!ring) {
        uncount_ring(core);
        return &core->shared;
    }
    return thread->last = ring;
}
