/* SPDX-License-Identifier: MIT
 *
 * Threads and tasks that set, move, cancel and unregister the same timers: each start leads to one
 * run or one cancellation, and nothing is touched after an unregister. */
#include "support/tasks.h"
#include "support/test.h"

#include "base/random.h"

#include <asynctools/sleep.h>
#include <asynctools/timer.h>

#include <stdlib.h>

enum { user_count = 6, round_count = 3000, timers_each = 4 };

static at_pool *pool;
static _Atomic int64_t started, run_count, cancelled;
static _Atomic int wrong;

typedef struct counted {
    at_timer timer;
    _Atomic int runs;
    at_deadline moment; /* of the earliest start that can still count */
} counted;

static void *count_run(void *argument) {
    counted *it = argument;
    atomic_fetch_add(&it->runs, 1);
    atomic_fetch_add(&run_count, 1);
    return NULL;
}

static at_deadline choose_moment(uint64_t random) {
    return at_after((at_duration)(random >> 8) % AT_MICROSECONDS(100) - AT_MICROSECONDS(20));
}

/* A start that moves a timer replaces the one before. */
static void use(counted *it, uint64_t random) {
    switch (random % 4) {
    case 0:
        if (at_timer_cancel(&it->timer))
            atomic_fetch_add(&cancelled, 1);
        break;
    case 1:
        at_yield();
        break;
    default:
        if (at_timer_cancel(&it->timer))
            atomic_fetch_add(&cancelled, 1);
        if (at_timer_start(&it->timer, choose_moment(random)) != AT_OK)
            atomic_store(&wrong, 1);
        atomic_fetch_add(&started, 1);
        break;
    }
}

static void *use_timers(void *argument) {
    uint64_t seed = (uintptr_t)argument;
    for (int round = 0; round < round_count / timers_each; round++) {
        counted *timers = calloc(timers_each, sizeof *timers);
        if (!timers)
            return at_fail(AT_ERROR_NO_MEMORY, "no memory");
        for (int i = 0; i < timers_each; i++)
            at_timer_init(&timers[i].timer, pool, count_run, &timers[i]);
        for (int i = 0; i < 8 * timers_each; i++)
            use(&timers[i % timers_each], ati_random_step(&seed));
        for (int i = 0; i < timers_each; i++) {
            if (at_timer_cancel(&timers[i].timer))
                atomic_fetch_add(&cancelled, 1);
            at_timer_unregister(&timers[i].timer);
        }
        memset(timers, 0xa5, timers_each * sizeof *timers);
        free(timers);
    }
    return NULL;
}

static void expect_balance(void) {
    cr_expect_eq(atomic_load(&wrong), 0);
    cr_expect_eq(atomic_load(&started), atomic_load(&run_count) + atomic_load(&cancelled));
    cr_expect_gt(atomic_load(&run_count), 0);
    cr_expect_gt(atomic_load(&cancelled), 0);
}

Test(timer_stress, threads_use_timers) {
    pool = create_pool(3);
    pthread_t threads[user_count];
    for (uintptr_t i = 0; i < user_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, use_timers, (void *)(i + 1)), 0);
    for (int i = 0; i < user_count; i++)
        pthread_join(threads[i], NULL);
    destroy_pool(pool);
    expect_balance();
}

Test(timer_stress, tasks_use_timers) {
    pool = create_pool(3);
    for (uintptr_t i = 0; i < user_count; i++)
        cr_assert_eq(at_pool_start(pool, use_timers, (void *)(i + 1)), AT_OK);
    destroy_pool(pool);
    expect_balance();
}

/* -- One timer, many users -- */

static at_timer shared;
static _Atomic int starts_left = 20000;

static void *count_shared(void *unused) {
    (void)unused;
    atomic_fetch_add(&run_count, 1);
    return NULL;
}

static void *use_shared(void *argument) {
    uint64_t seed = (uintptr_t)argument;
    while (atomic_fetch_sub(&starts_left, 1) > 0) {
        uint64_t random = ati_random_step(&seed);
        if (random % 3 == 0)
            (void)at_timer_cancel(&shared);
        else if (at_timer_start(&shared, choose_moment(random)) != AT_OK)
            atomic_store(&wrong, 1);
        if (random % 7 == 0)
            at_yield();
    }
    return NULL;
}

Test(timer_stress, many_move_one_timer) {
    pool = create_pool(2);
    at_timer_init(&shared, pool, count_shared, NULL);
    pthread_t threads[3];
    for (uintptr_t i = 0; i < 3; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, use_shared, (void *)(i + 1)), 0);
        cr_assert_eq(at_pool_start(pool, use_shared, (void *)(i + 11)), AT_OK);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    int64_t before = atomic_load(&run_count);
    cr_assert_eq(at_timer_start(&shared, 0), AT_OK);
    while (atomic_load(&run_count) == before)
        at_yield();
    at_timer_unregister(&shared);
    cr_expect(!at_timer_cancel(&shared));
    destroy_pool(pool);
    cr_expect_eq(atomic_load(&wrong), 0);
}

/* -- A pool that ends while its last timers are cancelled -- */

static void *cancel_shared(void *unused) {
    (void)unused;
    return at_timer_cancel(&shared) ? NULL : &shared;
}

Test(timer_stress, the_last_timer_is_cancelled_while_the_pool_ends) {
    for (int round = 0; round < 300; round++) {
        pool = create_pool(1);
        at_timer_init(&shared, pool, count_shared, NULL);
        cr_assert_eq(at_timer_start(&shared, at_after(AT_HOURS(1))), AT_OK);
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, cancel_shared, NULL), 0);
        at_pool_destroy(pool);
        void *failed;
        pthread_join(thread, &failed);
        cr_assert_null(failed);
    }
}
