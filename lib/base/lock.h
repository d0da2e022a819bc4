/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_LOCK_H
#define ASYNCTOOLS_BASE_LOCK_H

/* A mutex of four bytes, zero-initialised, for short sections of our own code (never user code).
 * Source: U. Drepper, "Futexes Are Tricky", 2011, mutex 2.
 * States: 0 free, 1 held, 2 held and somebody may sleep. */
#include "base/atomic.h"
#include "base/futex.h"

#include <stdbool.h>

typedef struct ati_lock {
    _Atomic uint32_t state;
} ati_lock;

void ati_lock_wait(ati_lock *lock); /* the slow path of ati_lock_acquire */

/* Gives up at `deadline` of CLOCK_MONOTONIC. True: the lock is held. */
bool ati_lock_acquire_until(ati_lock *lock, at_deadline deadline);

static inline bool ati_lock_try(ati_lock *lock) {
    uint32_t expected = 0;
    /* ORDER lock.state: acquire. Sees what the last holder wrote.
     * Pairs with: release in ati_lock_release(). If relaxed: the section reads stale data. */
    return atomic_compare_exchange_strong_explicit(&lock->state, &expected, 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline void ati_lock_acquire(ati_lock *lock) {
    if (!ati_lock_try(lock))
        ati_lock_wait(lock);
}

static inline void ati_lock_release(ati_lock *lock) {
    /* ORDER lock.state: release. Publishes what the section wrote.
     * Pairs with: acquire in ati_lock_try() and ati_lock_acquire_until(). If relaxed: the next
     * holder reads stale data. */
    if (atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2)
        ati_futex_wake(&lock->state, 1);
}

#endif
