/* SPDX-License-Identifier: MIT */
#include "base/lock.h"

/* Looks this often before it sleeps: a section lasts some tens of nanoseconds unless its holder was
 * preempted, and then looking is of no use. */
enum { look_count = 40 };

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
