/* SPDX-License-Identifier: MIT
 *
 * lib/base/lock.c: one thread at a time, who sees what the last one wrote; nobody sleeps on a free
 * lock. */
#include "model.h"

/* One look at a held lock before the sleep, where the library takes forty: leaves the loop. */
#define ati_cpu_relax() break
#include "base/lock.c"

enum { preemptions = MODEL_UNBOUNDED, stale_reads = MODEL_UNBOUNDED };
#include "lock_harness.h"

typedef struct guarded_locks {
    ati_lock lock;
    ati_try_lock try_lock;
    _Atomic uint32_t is_over;
    _Atomic uint32_t is_closed;
    uint32_t count;
} guarded_locks;

static guarded_locks *shared;
static void set_up(void) {
    shared = model_allocate(sizeof *shared, _Alignof(guarded_locks));
    guard(&shared->count);
}

static void check_count(void) {
    check_sum();
    model_check(ati_lock_try(&shared->lock));
    model_check(ati_try_lock_acquire(&shared->try_lock));
}

/* -- The lock -- */

static void lock_once(void) {
    ati_lock_acquire(&shared->lock);
    count();
    ati_lock_release(&shared->lock);
}

static void lock_twice(void) {
    lock_once();
    lock_once();
}

static void try_once(void) {
    if (!ati_lock_try(&shared->lock))
        return;
    count();
    ati_lock_release(&shared->lock);
}

/* Holds the lock until the other has given up; the other's deadline passes. */
static void hold(void) {
    ati_lock_acquire(&shared->lock);
    while (atomic_load_explicit(&shared->is_over, memory_order_relaxed) == 0)
        ati_futex_wait(&shared->is_over, 0, AT_FOREVER);
    count();
    ati_lock_release(&shared->lock);
}

static void give_up(void) {
    if (ati_lock_acquire_until(&shared->lock, 1)) {
        count();
        ati_lock_release(&shared->lock);
    }
    atomic_store_explicit(&shared->is_over, 1, memory_order_relaxed);
    ati_futex_wake(&shared->is_over, 1);
}

/* -- The lock that is only tried -- */

static void section(void) {
    if (!ati_try_lock_acquire(&shared->try_lock))
        return;
    if (atomic_load_explicit(&shared->is_closed, memory_order_relaxed) == 0)
        count();
    ati_try_lock_release(&shared->try_lock);
}

static void two_sections(void) {
    section();
    section();
}

/* After the settle, no section that saw it open is under way or begins. */
static void close_and_settle(void) {
    atomic_store_explicit(&shared->is_closed, 1, memory_order_relaxed);
    ati_try_lock_settle(&shared->try_lock);
    count();
}

static const model_case cases[] = {
    {.name = "two lock once, futex returns early",
     .setup = set_up,
     .threads = {lock_once, lock_once},
     .check = check_count,
     .preemptions = MODEL_UNBOUNDED,
     .stale_reads = MODEL_UNBOUNDED,
     .early_returns = 2},
    CASE("two lock, one twice", lock_once, lock_twice),
    CASE("two lock twice", lock_twice, lock_twice),
    CASE("three lock", lock_once, lock_once, lock_once),
    CASE("two lock, one tries", lock_once, lock_once, try_once),
    CASE("deadline", hold, give_up),
    {.name = "deadline, and one waits",
     .setup = set_up,
     .threads = {hold, give_up, lock_once},
     .check = check_count,
     .preemptions = 3,
     .stale_reads = 2},
    CASE("two try", two_sections, two_sections),
    CASE("three try", section, section, section),
    CASE("settle", two_sections, close_and_settle),
    CASE("settle beside two", section, section, close_and_settle),
    MUTANT("ati_lock_release", "exchange", "&lock->state", release, relaxed, lock_once, lock_once),
    MUTANT("ati_lock_try", "compare_exchange", "&lock->state", acquire, relaxed, lock_once,
           lock_once),
    MUTANT("ati_lock_acquire_until", "exchange", "&lock->state", acquire, relaxed, lock_once,
           lock_once),
    MUTANT("ati_try_lock_release", "store", "&lock->held", release, relaxed, section, section),
    MUTANT("ati_try_lock_acquire", "compare_exchange", "&lock->held", acquire, relaxed, section,
           section),
};

int main(int argument_count, char **arguments) {
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
