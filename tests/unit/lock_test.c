/* SPDX-License-Identifier: MIT
 *
 * The lock and the futex calls below it, one thread at a time or two. */
#include "support/test.h"

#include "base/lock.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

Test(lock, is_free_when_zero) {
    ati_lock lock = {0};
    cr_expect(ati_lock_try(&lock));
    cr_expect_not(ati_lock_try(&lock));
    ati_lock_release(&lock);
    ati_lock_acquire(&lock);
    cr_expect_not(ati_lock_try(&lock));
    ati_lock_release(&lock);
    cr_expect_eq(lock.state, 0);
    cr_expect_eq(sizeof lock, 4);
}

struct shared {
    ati_lock lock;
    int value; /* guarded by the lock */
};

static void *set_value(void *argument) {
    struct shared *shared = argument;
    ati_lock_acquire(&shared->lock);
    shared->value++;
    ati_lock_release(&shared->lock);
    return NULL;
}

/* A thread that sleeps for the lock is woken by the release. */
Test(lock, release_wakes_a_sleeper, .timeout = 200) {
    struct shared shared = {0};
    pthread_t thread;
    ati_lock_acquire(&shared.lock);
    cr_assert_eq(pthread_create(&thread, NULL, set_value, &shared), 0);
    while (atomic_load_explicit(&shared.lock.state, memory_order_relaxed) != 2)
        ati_cpu_relax();
    cr_expect_eq(shared.value, 0);
    ati_lock_release(&shared.lock);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_expect_eq(shared.value, 1);
    cr_expect(ati_lock_try(&shared.lock));
}

/* Several sleepers are woken one after the other, none is forgotten. */
Test(lock, release_wakes_all_sleepers_in_the_end, .timeout = 200) {
    enum { count = 8 };
    struct shared shared = {0};
    pthread_t threads[count];
    ati_lock_acquire(&shared.lock);
    for (int i = 0; i < count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, set_value, &shared), 0);
    while (atomic_load_explicit(&shared.lock.state, memory_order_relaxed) != 2)
        ati_cpu_relax();
    ati_lock_release(&shared.lock);
    for (int i = 0; i < count; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_expect_eq(shared.value, count);
}

Test(futex, another_value_does_not_sleep, .timeout = 200) {
    _Atomic uint32_t word = 1;
    cr_expect(ati_futex_wait(&word, 0, AT_FOREVER));
}

Test(futex, deadline_ends_the_sleep, .timeout = 200) {
    _Atomic uint32_t word = 0;
    at_deadline deadline = at_after(AT_MILLISECONDS(5));
    while (ati_futex_wait(&word, 0, deadline))
        ;
    cr_expect_geq(at_clock_now(at_clock_real()), deadline);
}

/* A deadline that has passed looks once and returns, however long ago it was. */
Test(futex, deadline_in_the_past_does_not_sleep, .timeout = 200) {
    static const at_deadline deadlines[] = {0, 1, -1, INT64_MIN};
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
        _Atomic uint32_t word = 0;
        while (ati_futex_wait(&word, 0, deadlines[i]))
            ;
    }
}

static void *wake(void *argument) {
    _Atomic uint32_t *word = argument;
    atomic_store_explicit(word, 1, memory_order_release);
    ati_futex_wake(word, 1);
    return NULL;
}

Test(futex, wake_ends_the_sleep, .timeout = 200) {
    _Atomic uint32_t word = 0;
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, wake, &word), 0);
    while (atomic_load_explicit(&word, memory_order_acquire) == 0)
        cr_expect(ati_futex_wait(&word, 0, INT64_MAX - 1));
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

Test(futex, keeps_errno, .timeout = 200) {
    _Atomic uint32_t word = 0;
    errno = 77;
    ati_futex_wait(&word, 1, AT_FOREVER);
    ati_futex_wait(&word, 0, 0);
    ati_futex_wake(&word, 1);
    cr_expect_eq(errno, 77);
}
