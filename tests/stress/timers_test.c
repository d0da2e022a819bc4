/* SPDX-License-Identifier: MIT
 *
 * Threads that set, remove and fire timers on their stacks: a timer that has been removed is not
 * touched any more, and fires at most once. */
#include "support/test.h"

#include "base/random.h"
#include "pool/timers.h"

#include <pthread.h>
#include <sched.h>

enum { setter_count = 4, runner_count = 2, round_count = 30000, span = 64 };

static ati_timers timers;
static _Atomic int64_t now;
static _Atomic int setters_left = setter_count;
static _Atomic int wrong;
static _Atomic uint64_t fired_count, removed_count;

typedef struct short_lived {
    ati_pool_timer timer; /* first */
    _Atomic int fired;
    uint32_t mark;
} short_lived;

static const uint32_t alive = 0x600dcafe;

static void fire(ati_pool_timer *timer) {
    short_lived *it = (short_lived *)timer;
    if (it->mark != alive ||
        atomic_load_explicit(&now, memory_order_relaxed) < it->timer.timer.expiry)
        atomic_store(&wrong, 1);
    atomic_fetch_add(&it->fired, 1);
}

static void *set_and_remove(void *argument) {
    uint64_t seed = (uintptr_t)argument;
    for (int round = 0; round < round_count; round++) {
        short_lived it = {.timer.fire = fire, .mark = alive};
        uint64_t random = ati_random_step(&seed);
        int64_t delay = (int64_t)(random % span);
        ati_timers_add(&timers, &it.timer,
                       atomic_load_explicit(&now, memory_order_relaxed) + delay);
        for (uint64_t i = random >> 32 & 3; i > 0; i--)
            sched_yield();
        bool removed = ati_timers_remove(&timers, &it.timer);
        int fired = atomic_load(&it.fired);
        if (fired != !removed)
            atomic_store(&wrong, 1);
        atomic_fetch_add(removed ? &removed_count : &fired_count, 1);
        *(volatile uint32_t *)&it.mark = 0;
    }
    atomic_fetch_sub(&setters_left, 1);
    return NULL;
}

static void *run(void *unused) {
    (void)unused;
    while (atomic_load(&setters_left) > 0) {
        ati_expired expired;
        int64_t reached = atomic_fetch_add(&now, 1) + 1;
        if (ati_timers_run(&timers, reached, &expired) != 0)
            atomic_store(&wrong, 1);
        sched_yield();
    }
    return NULL;
}

Test(timers_stress, a_removed_timer_is_not_touched_any_more) {
    ati_timers_init(&timers);
    pthread_t threads[setter_count + runner_count];
    for (uintptr_t i = 0; i < setter_count + runner_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, i < setter_count ? set_and_remove : run,
                                    (void *)(i + 1)),
                     0);
    for (int i = 0; i < setter_count + runner_count; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(atomic_load(&wrong), 0);
    cr_expect_eq(ati_timers_next(&timers) == AT_FOREVER || timers.wheel.levels == 0, true);
    cr_expect_gt(atomic_load(&fired_count), 0);
    cr_expect_gt(atomic_load(&removed_count), 0);
}
