/* SPDX-License-Identifier: MIT
 *
 * Rule Q1 under a crowd: pools that come and go, threads that bind and unbind, promises, blocking
 * calls and holds, all on one clock. Every sleep is exact whoever else is there, and time never
 * goes backwards. Meant for the sanitizers. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/blocking.h>
#include <asynctools/sleep.h>
#include <asynctools/virtual_clock.h>

#include <sched.h>

TestSuite(virtual_clock_stress, .timeout = 200);

enum { round_count = 60, task_count = 20, step_count = 10, actor_count = 4 };

struct world {
    at_clock *clock;
    _Atomic int64_t shown; /* the latest time that anybody has seen */
    _Atomic int faults;
};

static void check(struct world *world, bool holds) {
    if (!holds)
        atomic_fetch_add(&world->faults, 1);
}

static int64_t look(struct world *world) {
    int64_t before = atomic_load(&world->shown);
    int64_t now = at_clock_now(world->clock);
    check(world, now >= before);
    while (before < now && !atomic_compare_exchange_weak(&world->shown, &before, now))
        ;
    return now;
}

/* Only inside: time stands still before and after. */
static void sleep_exactly(struct world *world, at_duration duration) {
    int64_t began = look(world);
    check(world, at_sleep(duration) == AT_OK);
    check(world, look(world) == began + duration);
}

static void *sleep_once(void *world) {
    sleep_exactly(world, AT_MINUTES(7));
    return NULL;
}

static void *sleep_and_block(void *argument) {
    struct world *world = argument;
    for (int i = 1; i <= step_count; i++)
        sleep_exactly(world, AT_SECONDS(i) + i);
    (void)at_blocking_call(sleep_once, world);
    return NULL;
}

struct handover {
    struct world *world;
    at_promise *promise;
    at_future *future;
};

static void *set_later(void *argument) {
    struct handover *handover = argument;
    sleep_exactly(handover->world, AT_HOURS(1));
    check(handover->world, at_promise_set(handover->promise, NULL, NULL) == AT_OK);
    return NULL;
}

/* A task sets the promise that this bound thread waits for: no time passes in between. */
static void hand_over(struct world *world, at_pool *pool) {
    struct handover handover = {.world = world};
    if (at_promise_create(&handover.promise, at_pool_executor(pool)) != AT_OK)
        return;
    handover.future = at_promise_future(handover.promise);
    int64_t began = look(world);
    at_future *setter = at_pool_submit(pool, set_later, &handover);
    at_status early = at_future_wait(handover.future, began + AT_MINUTES(1), NULL);
    check(world, early == AT_ERROR_TIMED_OUT && look(world) == began + AT_MINUTES(1));
    check(world, at_future_wait(handover.future, began + AT_HOURS(2), NULL) == AT_OK);
    check(world, look(world) == began + AT_HOURS(1));
    check(world, at_future_wait(setter, AT_FOREVER, NULL) == AT_OK);
    at_future_release(setter);
    at_future_release(handover.future);
    at_promise_destroy(handover.promise);
}

static void *act(void *argument) {
    struct world *world = argument;
    for (int round = 0; round < round_count; round++) {
        at_pool *pool = NULL;
        const at_pool_options options = {.thread_count = 1 + round % 3, .clock = world->clock};
        if (round % 4 == 0) /* unbound: somebody else's task may be the only one inside */
            at_clock_bind(NULL);
        else
            at_clock_bind(world->clock);
        check(world, at_pool_create(&pool, &options) == AT_OK);
        for (int i = 0; i < task_count; i++)
            check(world, at_pool_start(pool, sleep_and_block, world) == AT_OK);
        if (round % 4 != 0)
            hand_over(world, pool);
        if (round % 5 == 0) {
            at_virtual_clock_hold(world->clock);
            int64_t held = look(world);
            sched_yield();
            check(world, look(world) == held);
            at_virtual_clock_release(world->clock);
        }
        if (round % 4 != 0)
            sleep_exactly(world, AT_SECONDS(1));
        at_pool_destroy(pool);
    }
    return NULL; /* bound: the end of the thread unbinds it */
}

Test(virtual_clock_stress, pools_and_threads) {
    struct world world = {0};
    pthread_t actors[actor_count];
    cr_assert_eq(at_virtual_clock_create(&world.clock), AT_OK);
    for (int i = 0; i < actor_count; i++)
        cr_assert_eq(pthread_create(&actors[i], NULL, act, &world), 0);
    for (int i = 0; i < actor_count; i++)
        pthread_join(actors[i], NULL);
    cr_expect_eq(world.faults, 0);
    cr_expect_gt(at_clock_now(world.clock), AT_HOURS(round_count / 2));
    at_virtual_clock_destroy(world.clock);
}

static void *wait_for_any_moment(void *argument) {
    struct handover *handover = argument;
    at_clock_bind(handover->world->clock);
    at_deadline deadline = at_after(AT_SECONDS(1));
    at_status status = at_future_wait(handover->future, deadline, NULL);
    check(handover->world, status == AT_OK || look(handover->world) == deadline);
    return NULL;
}

/* A wake from outside races with the deadline. */
Test(virtual_clock_stress, wakes_and_deadlines) {
    struct world world = {0};
    cr_assert_eq(at_virtual_clock_create(&world.clock), AT_OK);
    at_pool *pool = create_pool(1);
    for (int round = 0; round < 2000; round++) {
        struct handover handover = {.world = &world};
        pthread_t waiter;
        handover.promise = create_promise(pool, &handover.future);
        cr_assert_eq(pthread_create(&waiter, NULL, wait_for_any_moment, &handover), 0);
        for (int i = 0; i < round % 50; i++)
            sched_yield();
        cr_assert_eq(at_promise_set(handover.promise, NULL, NULL), AT_OK);
        pthread_join(waiter, NULL);
        at_promise_destroy(handover.promise);
        at_future_release(handover.future);
    }
    cr_expect_eq(world.faults, 0);
    at_pool_destroy(pool);
    at_virtual_clock_destroy(world.clock);
}
