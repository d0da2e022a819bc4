/* SPDX-License-Identifier: MIT */
#include "base/lock.h"

#include "base/clock.h"

/* Looks this often before it sleeps: a section lasts some tens of nanoseconds unless its holder was
 * preempted, and then looking is of no use. */
enum { look_count = 40 };

/* Between two looks of ati_try_lock_settle(). */
static const at_duration settle_nap = AT_MICROSECONDS(50);

bool ati_lock_acquire_until(ati_lock *lock, at_deadline deadline) {
    for (int i = 0; i < look_count; i++) {
        if (atomic_load_explicit(&lock->state, memory_order_relaxed) == 0 && ati_lock_try(lock))
            return true;
        ati_cpu_relax();
    }
    for (bool in_time = true;; in_time = ati_futex_wait(&lock->state, 2, deadline)) {
        /* ORDER lock.state: acquire. Sees what the last holder wrote.
         * Pairs with: release in ati_lock_release(). If relaxed: the section reads stale data. */
        if (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) == 0)
            return true;
        if (!in_time)
            return false;
    }
}

void ati_lock_wait(ati_lock *lock) {
    ati_lock_acquire_until(lock, AT_FOREVER);
}

void ati_try_lock_settle(ati_try_lock *lock) {
    while (!ati_try_lock_acquire(lock))
        ati_futex_wait(&lock->held, 1, ati_monotonic_ns() + settle_nap);
    ati_try_lock_release(lock);
}
