/* SPDX-License-Identifier: MIT
 *
 * Rules W1, W3 and W4: one wait, woken before it begins or while it lasts, by whoever it may be. */
#include "pool/waiter.h"

#include "pool/worker.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/sleep.h>

TestSuite(waiter, .timeout = 200);

/* One wait and what is seen of it. */
struct wait {
    ati_waiter waiter;
    at_pool *pool;
    at_deadline deadline;
    bool woken;
    bool woken_again;
    int written_by_waker; /* plain: published by the wake */
    int seen;
    _Atomic bool begun;
};

static void *wake(void *argument) {
    struct wait *wait = argument;
    wait->written_by_waker = 17;
    ati_waiter_wake(&wait->waiter);
    return NULL;
}

static void *wait_once(void *argument) {
    struct wait *wait = argument;
    atomic_store(&wait->begun, true);
    wait->woken = ati_waiter_wait(&wait->waiter, wait->deadline);
    wait->seen = wait->written_by_waker;
    return NULL;
}

static void prepare(struct wait *wait, at_pool *pool) {
    *wait = (struct wait){.pool = pool, .deadline = AT_FOREVER};
    ati_waiter_init(&wait->waiter, "test", NULL);
}

static void run_task(at_pool *pool, at_run_fn run, struct wait *wait) {
    at_future *future = at_pool_submit(pool, run, wait);
    wait_value(future);
    at_future_release(future);
}

static void *wake_and_wait(void *argument) {
    wake(argument);
    return wait_once(argument);
}

/* Woken before it waits: in a task and in a thread. */
Test(waiter, woken_before) {
    struct wait wait;
    at_pool *pool = create_pool(1);
    prepare(&wait, pool);
    run_task(pool, wake_and_wait, &wait);
    cr_expect(wait.woken);
    prepare(&wait, NULL);
    wait.deadline = 0;
    wake_and_wait(&wait);
    cr_expect(wait.woken);
    destroy_pool(pool);
}

static void *start_waker_and_wait(void *argument) {
    struct wait *wait = argument;
    if (at_pool_start(at_pool_current(), wake, wait) != AT_OK)
        return NULL;
    return wait_once(wait);
}

/* By a task of the same worker: there is no other. */
Test(waiter, woken_by_the_same_worker) {
    at_pool *pool = create_pool(1);
    for (int i = 0; i < 100; i++) {
        struct wait wait;
        prepare(&wait, pool);
        run_task(pool, start_waker_and_wait, &wait);
        cr_assert(wait.woken && wait.seen == 17);
    }
    destroy_pool(pool);
}

static void wake_when_begun(struct wait *wait, void *(*way)(void *), at_pool *other) {
    while (!atomic_load(&wait->begun))
        sched_yield();
    if (other)
        run_task(other, way, wait);
    else
        way(wait);
}

/* By a worker of another pool, and by a plain thread; task and thread wait. */
Test(waiter, woken_by_others) {
    at_pool *pool = create_pool(1);
    at_pool *other = create_pool(1);
    for (int i = 0; i < 200; i++) {
        struct wait wait;
        prepare(&wait, pool);
        at_future *future = at_pool_submit(pool, wait_once, &wait);
        wake_when_begun(&wait, wake, i % 2 ? other : NULL);
        wait_value(future);
        at_future_release(future);
        cr_assert(wait.woken && wait.seen == 17);
        pthread_t thread;
        prepare(&wait, NULL);
        cr_assert_eq(pthread_create(&thread, NULL, wait_once, &wait), 0);
        wake_when_begun(&wait, wake, i % 2 ? other : NULL);
        pthread_join(thread, NULL);
        cr_assert(wait.woken && wait.seen == 17);
    }
    destroy_pool(other);
    destroy_pool(pool);
}

static void *time_out_and_wait_again(void *argument) {
    struct wait *wait = argument;
    at_deadline deadline = at_after(AT_MILLISECONDS(5));
    wait->woken = ati_waiter_wait(&wait->waiter, deadline);
    wait->deadline = at_clock_now(at_clock_current()) - deadline;
    wake(wait);
    wait->woken_again = ati_waiter_wait(&wait->waiter, AT_FOREVER);
    return NULL;
}

/* By its deadline, never early; after that it can be woken still. */
Test(waiter, ended_by_its_deadline) {
    struct wait wait;
    at_pool *pool = create_pool(1);
    prepare(&wait, pool);
    run_task(pool, time_out_and_wait_again, &wait);
    cr_expect(!wait.woken && wait.woken_again);
    cr_expect_geq(wait.deadline, 0);
    prepare(&wait, NULL);
    time_out_and_wait_again(&wait);
    cr_expect(!wait.woken && wait.woken_again);
    cr_expect_geq(wait.deadline, 0);
    destroy_pool(pool);
}

/* A wait whose deadline has passed already ends all the same, as one that was not woken. */
static void *wait_past(void *argument) {
    struct wait *wait = argument;
    wait->woken = ati_waiter_wait(&wait->waiter, 1);
    return NULL;
}

Test(waiter, deadline_in_the_past) {
    struct wait wait;
    at_pool *pool = create_pool(1);
    prepare(&wait, pool);
    wait.woken = true;
    run_task(pool, wait_past, &wait);
    cr_expect_not(wait.woken);
    prepare(&wait, NULL);
    wait.woken = true;
    wait_past(&wait);
    cr_expect_not(wait.woken);
    destroy_pool(pool);
}

/* The stack that a waiter lay on is used again at once: a wake that looks at the waiter after it
 * has set it going would see something else. */
struct relay {
    _Atomic(ati_waiter *) waiter;
    int rounds;
};

static __attribute__((noinline)) void wait_in_frame(struct relay *relay) {
    ati_waiter waiter;
    ati_waiter_init(&waiter, "test", NULL);
    atomic_store(&relay->waiter, &waiter);
    while (!ati_waiter_wait(&waiter, at_after(20000)))
        ;
}

static __attribute__((noinline)) void overwrite_frame(void) {
    volatile unsigned char block[2 * sizeof(ati_waiter)];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = 0xff;
}

static void *wait_often(void *argument) {
    struct relay *relay = argument;
    for (int i = 0; i < relay->rounds; i++) {
        wait_in_frame(relay);
        overwrite_frame();
    }
    return NULL;
}

static void wake_often(struct relay *relay) {
    for (int i = 0; i < relay->rounds; i++) {
        ati_waiter *waiter;
        while (!(waiter = atomic_exchange(&relay->waiter, NULL)))
            sched_yield();
        ati_waiter_wake(waiter);
    }
}

Test(waiter, is_not_touched_once_it_goes_on) {
    struct relay relay = {.rounds = 20000};
    pthread_t thread;
    at_pool *pool = create_pool(1);
    cr_assert_eq(pthread_create(&thread, NULL, wait_often, &relay), 0);
    wake_often(&relay);
    pthread_join(thread, NULL);
    at_future *future = at_pool_submit(pool, wait_often, &relay);
    wake_often(&relay);
    wait_value(future);
    at_future_release(future);
    destroy_pool(pool);
}
