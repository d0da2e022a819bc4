/* SPDX-License-Identifier: MIT
 *
 * The lock that is its owner's most of the time. */
#include "support/test.h"

#include "base/owner_lock.h"

#include <pthread.h>
#include <stdbool.h>

enum { sections = 100000, visits = 2000, visitor_count = 2, many = 1000 };

static struct {
    ati_owner_lock lock;
    uint64_t count; /* guarded by the lock */
    _Atomic uint32_t is_over;
} shared;

static bool is_shared(void) {
    return atomic_load_explicit(&shared.lock.is_shared, memory_order_relaxed) != 0;
}

static void enter(void) {
    ati_owner_lock_acquire(&shared.lock);
    shared.count++;
    ati_owner_lock_release(&shared.lock);
}

static void visit(void) {
    ati_owner_lock_visit(&shared.lock);
    shared.count++;
    ati_owner_lock_leave(&shared.lock);
}

/* After a visit the owner takes the long way for a while, and no longer. */
Test(owner_lock, is_alone_again_some_time_after_a_visit) {
    ati_owner_lock_init(&shared.lock);
    cr_expect_eq(is_shared(), !ati_barrier_is_unequal());
    enter();
    visit();
    cr_expect(is_shared());
    enter();
    cr_expect(is_shared());
    for (int i = 0; i < many; i++)
        enter();
    cr_expect_eq(is_shared(), !ati_barrier_is_unequal());
    visit();
    cr_expect(is_shared());
}

static void *visit_often(void *unused) {
    for (int i = 0; i < visits; i++)
        visit();
    atomic_fetch_add_explicit(&shared.is_over, 1, memory_order_relaxed);
    return unused;
}

/* Nobody's section is lost, whichever way the owner takes. */
Test(owner_lock, one_at_a_time, .timeout = 200) {
    pthread_t threads[visitor_count];
    uint64_t entered = 0;
    shared.count = 0;
    ati_owner_lock_init(&shared.lock);
    for (int i = 0; i < visitor_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, visit_often, NULL), 0);
    while (entered < sections ||
           atomic_load_explicit(&shared.is_over, memory_order_relaxed) < visitor_count) {
        enter();
        entered++;
    }
    for (int i = 0; i < visitor_count; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_expect_eq(shared.count, entered + (uint64_t)visitor_count * visits);
}
