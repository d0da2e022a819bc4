/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_OWNER_LOCK_H
#define ASYNCTOOLS_BASE_OWNER_LOCK_H

/* A lock that one thread, its owner, takes all the time and others hardly ever: the owner needs no
 * locked instruction while nobody else comes. See owner_lock.c. */
#include "base/atomic.h"
#include "base/barrier.h"
#include "base/lock.h"

#include <stdbool.h>

typedef struct ati_owner_lock {
    _Atomic uint32_t inside;    /* the owner is, by the short way, or looks whether it may */
    _Atomic uint32_t is_shared; /* the owner takes the long way; written under `lock` */
    ati_lock lock;
    uint32_t visit_count; /* of the owner, by the long way since the last visitor; under `lock` */
} ati_owner_lock;

/* Where barriers are not unequal the owner always takes the long way. */
void ati_owner_lock_init(ati_owner_lock *lock);

void ati_owner_lock_acquire_long(ati_owner_lock *lock); /* of ati_owner_lock_acquire */

/* For the owner. */
static inline void ati_owner_lock_acquire(ati_owner_lock *lock) {
    atomic_store_explicit(&lock->inside, 1, memory_order_relaxed);
    ati_light_barrier();
    if (__builtin_expect(atomic_load_explicit(&lock->is_shared, memory_order_relaxed) != 0, 0))
        ati_owner_lock_acquire_long(lock);
}

static inline void ati_owner_lock_release(ati_owner_lock *lock) {
    if (__builtin_expect(atomic_load_explicit(&lock->inside, memory_order_relaxed) == 0, 0))
        ati_lock_release(&lock->lock);
    else
        /* ORDER owner_lock.inside: release. Publishes what the section wrote.
         * Pairs with: acquire in owner_is_inside(). If relaxed: a visitor reads stale data. */
        atomic_store_explicit(&lock->inside, 0, memory_order_release);
}

/* For all others. It costs some ten microseconds where the owner was alone for long. */
void ati_owner_lock_visit(ati_owner_lock *lock);
void ati_owner_lock_leave(ati_owner_lock *lock);

#endif
