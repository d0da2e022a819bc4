/* SPDX-License-Identifier: MIT */
/* Purpose: what a thread changes all the time, others may look at, and the thread hardly pays.
 *
 * Fields
 *   inside     written by the owner: 1 in a section by the short way.
 *   is_shared  written under `lock`: set by a visitor, reset by the owner when visitors have not
 *              come for a while. While it is set, all take `lock`.
 *
 * States: alone -visit-> shared -acquire_long, many times-> alone
 *
 * Invariants
 *   1. The owner sets `inside`, light barrier, reads is_shared. A visitor sets is_shared, heavy
 *      barrier, reads `inside`. One of the two sees the other: the owner then takes the long way,
 *      or the visitor waits until it has gone.
 *   2. While is_shared is set, and the visitor who has set it has found `inside` at 0 since, the
 *      owner enters only under `lock`.
 *   3. The owner resets is_shared under `lock`, so the next visitor sets it anew.
 *
 * Progress: blocking. A visitor waits for a section that was begun before; the owner for `lock`,
 * under which visitors pass their barrier.
 *
 * Source: the bias of a lock to one thread follows K. Kawachiya, A. Koseki, T. Onodera, "Lock
 * Reservation", OOPSLA 2002, with the unequal barrier in the place of their stopped thread.
 *
 * Checked by: tests/model/owner_lock_model.c, tests/unit/owner_lock_test.c. */
#include "base/owner_lock.h"

#include "base/clock.h"

enum {
    alone_after = 64, /* sections of the owner that no visitor came between */
    wait_looks = 40,  /* before a visitor sleeps: the owner was preempted */
};

static const at_duration visitor_nap = AT_MICROSECONDS(50);

void ati_owner_lock_init(ati_owner_lock *lock) {
    *lock = (ati_owner_lock){0};
    atomic_init(&lock->is_shared, !ati_barrier_is_unequal());
}

void ati_owner_lock_acquire_long(ati_owner_lock *lock) {
    /* ORDER owner_lock.inside: release. Publishes what the sections before wrote.
     * Pairs with: acquire in owner_is_inside(). If relaxed: right by C17, where a thread's own
     * later stores go on with its release; not by later standards. */
    atomic_store_explicit(&lock->inside, 0, memory_order_release);
    ati_lock_acquire(&lock->lock);
    if (++lock->visit_count == alone_after && ati_barrier_is_unequal())
        atomic_store_explicit(&lock->is_shared, 0, memory_order_relaxed);
}

static bool owner_is_inside(ati_owner_lock *lock) {
    /* ORDER owner_lock.inside: acquire. Sees what the owner's section wrote.
     * Pairs with: release in ati_owner_lock_release() and ati_owner_lock_acquire_long(). If
     * relaxed: the visitor reads stale data. */
    return atomic_load_explicit(&lock->inside, memory_order_acquire) != 0;
}

static void wait_for_owner(ati_owner_lock *lock) {
    for (int i = 0; i < wait_looks && owner_is_inside(lock); i++)
        ati_cpu_relax();
    while (owner_is_inside(lock))
        (void)ati_futex_wait(&lock->inside, 1, ati_monotonic_ns() + visitor_nap);
}

void ati_owner_lock_visit(ati_owner_lock *lock) {
    ati_lock_acquire(&lock->lock);
    lock->visit_count = 0;
    if (atomic_load_explicit(&lock->is_shared, memory_order_relaxed) != 0)
        return;
    atomic_store_explicit(&lock->is_shared, 1, memory_order_relaxed);
    ati_heavy_barrier();
    wait_for_owner(lock);
}

void ati_owner_lock_leave(ati_owner_lock *lock) {
    ati_lock_release(&lock->lock);
}
