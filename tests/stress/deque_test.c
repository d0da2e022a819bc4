/* SPDX-License-Identifier: MIT
 *
 * One owner against more thieves than cores: each work is taken exactly once. */
#include "support/test.h"

#include "queue/deque.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { thief_count = 6, work_count = 300000 };

static ati_deque deque;
static _Atomic unsigned char *taken; /* how often each work was taken */
static _Atomic bool stopped;

static void take(const ati_work *work) {
    uintptr_t number = (uintptr_t)work->argument;
    unsigned char times = (uintptr_t)work->context == ~number ? 1 : 100; /* 100: a torn work */
    atomic_fetch_add_explicit(&taken[number], times, memory_order_relaxed);
}

static void *steal_until_stopped(void *unused) {
    (void)unused;
    ati_work work;
    while (!atomic_load_explicit(&stopped, memory_order_acquire))
        if (ati_deque_steal(&deque, &work) == ATI_STEAL_DONE)
            take(&work);
        else
            sched_yield();
    return NULL;
}

/* Pushes in bursts and pops most of them again, so that owner and thieves meet at the last one. */
static bool push_and_pop(void) {
    ati_work work;
    for (uintptr_t number = 0; number < work_count;) {
        for (uintptr_t burst = number % 7 + 1; burst > 0 && number < work_count; burst--) {
            work = (ati_work){.argument = (void *)number, .context = (void *)~number};
            if (!ati_deque_push(&deque, &work, 1))
                return false;
            number++;
        }
        for (int i = 0; i < 4 && ati_deque_pop(&deque, &work); i++)
            take(&work);
    }
    while (ati_deque_pop(&deque, &work))
        take(&work);
    return true;
}

Test(deque_stress, each_work_is_taken_once) {
    taken = calloc(work_count, 1);
    cr_assert_not_null((void *)taken);
    pthread_t thieves[thief_count];
    for (int i = 0; i < thief_count; i++)
        cr_assert_eq(pthread_create(&thieves[i], NULL, steal_until_stopped, NULL), 0);
    cr_assert(push_and_pop());
    while (ati_deque_size(&deque) > 0)
        sched_yield();
    atomic_store_explicit(&stopped, true, memory_order_release);
    for (int i = 0; i < thief_count; i++)
        pthread_join(thieves[i], NULL);
    for (size_t i = 0; i < work_count; i++)
        cr_assert_eq(taken[i], 1, "work %zu was taken %d times", i, taken[i]);
    ati_deque_deinit(&deque);
    free((void *)taken);
}
