/* SPDX-License-Identifier: MIT
 *
 * The lock under more threads than cores: no two inside, nobody left asleep. */
#include "support/test.h"

#include "base/lock.h"

#include <pthread.h>
#include <sched.h>

enum { thread_count = 16, round_count = 50000 };

static ati_lock lock;
static long guarded_count; /* guarded by the lock */
static int inside;         /* guarded by the lock */
static _Atomic long overlap_count;
static _Atomic long tried_count;

static void enter_and_leave(int round) {
    if (inside != 0)
        atomic_fetch_add_explicit(&overlap_count, 1, memory_order_relaxed);
    inside++;
    guarded_count++;
    if (round % 1000 == 0)
        sched_yield(); /* lets the others find it held and sleep */
    inside--;
}

static void *acquire_often(void *unused) {
    (void)unused;
    for (int i = 0; i < round_count; i++) {
        ati_lock_acquire(&lock);
        enter_and_leave(i);
        ati_lock_release(&lock);
    }
    return NULL;
}

static void *try_often(void *unused) {
    (void)unused;
    for (int i = 0; i < round_count; i++) {
        if (!ati_lock_try(&lock))
            continue;
        enter_and_leave(i);
        ati_lock_release(&lock);
        atomic_fetch_add_explicit(&tried_count, 1, memory_order_relaxed);
    }
    return NULL;
}

static void run_threads(void *(*even)(void *), void *(*odd)(void *)) {
    pthread_t threads[thread_count];
    for (int i = 0; i < thread_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, i % 2 ? odd : even, NULL), 0);
    for (int i = 0; i < thread_count; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_expect_eq(overlap_count, 0);
    cr_expect_eq(lock.state, 0);
}

Test(lock_stress, one_at_a_time, .timeout = 200) {
    run_threads(acquire_often, acquire_often);
    cr_expect_eq(guarded_count, (long)thread_count * round_count);
}

Test(lock_stress, trying_among_acquiring, .timeout = 200) {
    run_threads(acquire_often, try_often);
    cr_expect_eq(guarded_count, (long)thread_count / 2 * round_count + tried_count);
}
