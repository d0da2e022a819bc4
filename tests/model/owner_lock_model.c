/* SPDX-License-Identifier: MIT
 *
 * lib/base/owner_lock.c: the owner and its visitors are never in a section at once, and each sees
 * what was written in the one before. */
#include "model.h"

#define ati_cpu_relax() break
#include "base/lock.c"
#include "base/owner_lock.c"

enum { preemptions = 3, stale_reads = 2 };
#include "lock_harness.h"

typedef struct guarded_lock {
    ati_owner_lock lock;
    uint32_t count;
} guarded_lock;

static guarded_lock *shared;
static bool is_unequal;

bool ati_barrier_is_unequal(void) {
    return is_unequal;
}

void ati_heavy_barrier(void) {
    atomic_thread_fence(memory_order_seq_cst);
}

static void set_up(void) {
    shared = model_allocate(sizeof *shared, _Alignof(guarded_lock));
    is_unequal = true;
    ati_owner_lock_init(&shared->lock);
    guard(&shared->count);
}

static void set_up_equal(void) {
    set_up();
    is_unequal = false;
    ati_owner_lock_init(&shared->lock);
}

/* A visitor has been there, and the owner's next section but one is the last by the long way. */
static void set_up_shared(void) {
    set_up();
    atomic_init(&shared->lock.is_shared, 1);
    shared->lock.visit_count = alone_after - 1;
}

static void check_count(void) {
    check_sum();
    model_check(ati_lock_try(&shared->lock.lock));
    model_check(atomic_load_explicit(&shared->lock.inside, memory_order_relaxed) == 0);
}

static void enter(void) {
    ati_owner_lock_acquire(&shared->lock);
    count();
    ati_owner_lock_release(&shared->lock);
}

static void enter_twice(void) {
    enter();
    enter();
}

static void visit(void) {
    ati_owner_lock_visit(&shared->lock);
    count();
    ati_owner_lock_leave(&shared->lock);
}

static void visit_twice(void) {
    visit();
    visit();
}

static const model_case cases[] = {
    CASE("owner and visitor", enter_twice, visit),
    CASE("owner and two visits", enter_twice, visit_twice),
    CASE("owner and two visitors", enter_twice, visit, visit),
    CASE_FROM("the owner is alone again", set_up_shared, enter_twice, visit),
    CASE_FROM("the owner is alone again, two visits", set_up_shared, enter_twice, visit_twice),
    CASE_FROM("equal barriers", set_up_equal, enter_twice, visit_twice),
    MUTANT("ati_light_barrier", "fence", "", seq_cst, relaxed, enter, visit),
    MUTANT("ati_heavy_barrier", "fence", "", seq_cst, relaxed, enter, visit),
    MUTANT("ati_owner_lock_release", "store", "&lock->inside", release, relaxed, enter, visit),
    MUTANT("owner_is_inside", "load", "&lock->inside", acquire, relaxed, enter, visit),
};

int main(int argument_count, char **arguments) {
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
