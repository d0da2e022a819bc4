/* SPDX-License-Identifier: MIT
 *
 * Rules X2, C3, C4, F1 and S5: many threads cancel, wait for, continue, race and release the same
 * futures while they complete. Each value is dropped once, each wait ends, nothing leaks. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/sleep.h>

#include <stdint.h>

FAULT_INSTALL;

TestSuite(future_cancel_stress, .timeout = 200);

enum {
    racer_count = 8,
#ifdef __SANITIZE_THREAD__
    round_count = 400,
#else
    round_count = 3000,
#endif
};

struct race {
    at_pool *pool;
    at_future *future;
    at_promise *promise; /* of what the future comes from, or NULL */
    struct tally value;
    int round;
};

static struct race races[round_count];
static pthread_barrier_t begin, end;
static _Atomic int failures;

/* -- What is raced for --------------------------------------------------------------------------
 */

static void *give(void *race) {
    return at_return(&((struct race *)race)->value, tally_drop);
}

static void *sleep_long(void *race) {
    AT_TRY(at_sleep(AT_SECONDS(1000)));
    return race;
}

static void *check_for_ever(void *race) {
    (void)race;
    for (;;)
        AT_TRY(at_check());
}

static void *pass_on(void *value, void *context) {
    (void)context;
    return value;
}

static void *go_on(void *argument) {
    struct race *race = argument;
    return at_return_future(at_pool_submit(race->pool, race->round % 3 ? sleep_long : give, race));
}

static void look_on(const at_outcome *outcome, void *context) {
    (void)outcome;
    (void)context;
}

static at_future *make(struct race *race) {
    at_pool *pool = race->pool;
    at_future *source = NULL;
    switch (race->round % 8) {
    case 0:
        return at_pool_submit(pool, give, race);
    case 1:
        return at_future_then(at_pool_submit(pool, sleep_long, race), pass_on, NULL);
    case 2:
        return at_future_then(at_future_then(at_pool_submit(pool, give, race), pass_on, NULL),
                              pass_on, NULL);
    case 3:
        return at_pool_submit(pool, go_on, race);
    case 4:
        race->promise = create_promise(pool, &source);
        return at_future_then(source, pass_on, NULL);
    case 5: {
        at_future *sources[3] = {
            at_pool_submit(pool, give, race), at_pool_submit(pool, sleep_long, race),
            at_future_then(at_pool_submit(pool, sleep_long, race), pass_on, NULL)};
        return at_future_all(sources, 3);
    }
    case 6:
        return at_future_with_timeout(at_pool_submit(pool, sleep_long, race),
                                      at_after(AT_MICROSECONDS(race->round % 100)));
    default:
        return at_future_finally(at_pool_submit(pool, check_for_ever, race), look_on, NULL);
    }
}

/* -- The racers ---------------------------------------------------------------------------------
 */

static void wait_any(at_future *future) {
    at_status status = at_future_wait(future, AT_FOREVER, NULL);
    if (status != AT_OK && status != AT_ERROR_CANCELLED && status != AT_ERROR_TIMED_OUT &&
        status != AT_ERROR_ABANDONED)
        atomic_fetch_add(&failures, 1);
    at_future_release(future);
}

static void act(struct race *race, int number) {
    at_future *future = at_future_retain(race->future);
    switch ((number + race->round / 8) % racer_count) {
    case 0:
    case 1:
        at_future_cancel(future);
        at_future_release(future);
        break;
    case 2:
        wait_any(future);
        break;
    case 3:
        wait_any(at_future_then(future, pass_on, NULL));
        break;
    case 4: {
        at_future *then = at_future_then(future, pass_on, NULL);
        at_future_ignore(then);
        at_future_cancel(then);
        at_future_release(then);
        break;
    }
    case 5: {
        at_future *sources[2] = {future, at_future_retain(race->future)};
        wait_any(at_future_first(sources, 2));
        break;
    }
    case 6:
        wait_any(at_future_with_timeout(future, at_after(AT_MICROSECONDS(50))));
        break;
    default:
        if (race->promise && at_promise_set(race->promise, &race->value, tally_drop) != AT_OK)
            at_error_clear();
        at_future_release(future);
    }
}

static void *run_racer(void *number) {
    for (int round = 0; round < round_count; round++) {
        pthread_barrier_wait(&begin);
        act(&races[round], (int)(intptr_t)number);
        pthread_barrier_wait(&end);
    }
    at_error_clear();
    return NULL;
}

static void race_on(int64_t thread_count) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(thread_count);
    pthread_t threads[racer_count];
    pthread_barrier_init(&begin, NULL, racer_count + 1);
    pthread_barrier_init(&end, NULL, racer_count + 1);
    for (intptr_t i = 0; i < racer_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, run_racer, (void *)i), 0);
    for (int round = 0; round < round_count; round++) {
        struct race *race = &races[round];
        race->pool = pool;
        race->round = round;
        race->future = make(race);
        at_future_ignore(race->future);
        pthread_barrier_wait(&begin);
        pthread_barrier_wait(&end);
        at_future_cancel(race->future);
        at_future_release(race->future);
        at_promise_destroy(race->promise);
    }
    for (int i = 0; i < racer_count; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&begin);
    pthread_barrier_destroy(&end);
    destroy_pool(pool);
    cr_expect_eq(failures, 0);
    for (int round = 0; round < round_count; round++)
        cr_assert_leq(tally_drops(&races[round].value), 1, "round %d", round);
    fault_check_leaks(before);
}

Test(future_cancel_stress, two_workers) {
    race_on(2);
}

/* More threads than cores. */
Test(future_cancel_stress, sixteen_workers) {
    race_on(16);
}

/* -- Circles ------------------------------------------------------------------------------------
 */

/* Two futures that go on with each other: a mistake that is not seen where the first has so many
 * followers. */
enum { follower_count = 16, circle_count = round_count / 2 };

struct circle {
    struct race sources[2]; /* only their futures */
    at_promise *promises[2];
    at_future *followers[follower_count];
};
static struct circle circle;
static _Atomic int at_once; /* how many have come to the line; both leave it together */

static void *go_on_with_other(void *value, void *index) {
    (void)value;
    return at_return_future(at_future_retain(circle.sources[1 - (intptr_t)index].future));
}

/* Each is a continuation of a promise; the second has gone on when the first does. */
static void make_circle(at_pool *pool) {
    for (intptr_t i = 0; i < 2; i++) {
        at_future *source;
        circle.promises[i] = create_promise(pool, &source);
        circle.sources[i].future = at_future_then(source, go_on_with_other, (void *)i);
    }
    for (int i = 0; i < follower_count; i++)
        circle.followers[i] =
            at_future_then(at_future_retain(circle.sources[0].future), pass_on, NULL);
    for (int i = 1; i >= 0; i--) {
        cr_assert_eq(at_promise_set(circle.promises[i], NULL, NULL), AT_OK);
        at_future *passed = at_pool_submit(pool, give, &circle.sources[i]);
        wait_value(passed); /* the only worker has done what was before */
        at_future_release(passed);
    }
}

static void *cancel_half(void *index) {
    for (int round = 0; round < circle_count; round++) {
        pthread_barrier_wait(&begin);
        atomic_fetch_add(&at_once, 1);
        while (atomic_load(&at_once) < 2 * (round + 1))
            continue;
        at_future_cancel(circle.sources[(intptr_t)index].future);
        pthread_barrier_wait(&end);
    }
    return NULL;
}

/* They take the locks of both in opposite order. */
Test(future_cancel_stress, circles) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(1);
    pthread_t threads[2];
    pthread_barrier_init(&begin, NULL, 3);
    pthread_barrier_init(&end, NULL, 3);
    for (intptr_t i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, cancel_half, (void *)i), 0);
    for (int round = 0; round < circle_count; round++) {
        make_circle(pool);
        pthread_barrier_wait(&begin);
        pthread_barrier_wait(&end);
        for (int i = 0; i < follower_count; i++) {
            expect_outcome(circle.followers[i], AT_ERROR_CANCELLED);
            at_future_release(circle.followers[i]);
        }
        for (int i = 0; i < 2; i++) {
            expect_outcome(circle.sources[i].future, AT_ERROR_CANCELLED);
            at_future_release(circle.sources[i].future);
            at_promise_destroy(circle.promises[i]);
        }
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&begin);
    pthread_barrier_destroy(&end);
    destroy_pool(pool);
    fault_check_leaks(before);
}
