/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_LOCK_H
#define ASYNCTOOLS_BASE_LOCK_H

/* A mutex of four bytes, zero-initialised, for short sections of our own code (never user code).
 * Source: U. Drepper, "Futexes Are Tricky", 2011, mutex 2.
 * States: 0 free, 1 held, 2 held and somebody may sleep.
 * Checked by: tests/model/lock_model.c, tests/unit/lock_test.c, tests/stress/lock_test.c. */
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

/* A lock that is tried, never waited for: its release is a plain store. Zero-initialised. */
typedef struct ati_try_lock {
    _Atomic uint32_t held;
} ati_try_lock;

static inline bool ati_try_lock_acquire(ati_try_lock *lock) {
    uint32_t expected = 0;
    /* ORDER try_lock.held: acquire. Sees what the last holder wrote.
     * Pairs with: release in ati_try_lock_release(). If relaxed: the section reads stale data. */
    return atomic_load_explicit(&lock->held, memory_order_relaxed) == 0 &&
           atomic_compare_exchange_strong_explicit(&lock->held, &expected, 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline void ati_try_lock_release(ati_try_lock *lock) {
    /* ORDER try_lock.held: release. Publishes what the section wrote; the last access to the lock.
     * Pairs with: acquire in ati_try_lock_acquire(). If relaxed: the next holder reads stale
     * data. */
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}

/* Waits until a section that has begun before is over, as if it held the lock once itself. Naps:
 * for ends of life, not for work. */
void ati_try_lock_settle(ati_try_lock *lock);

#endif
