/* SPDX-License-Identifier: MIT
 *
 * Rules G1, G2 and S5: more threads than CPUs start, run, cancel and join children. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/sleep.h>
#include <asynctools/task_manager.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

TestSuite(task_manager_stress, .timeout = 200);

/* Waits for how it ends, and lets it go. */
static void expect_end(at_future *future, at_status status) {
    expect_outcome(future, status);
    at_future_release(future);
}

enum { workers = 16, producers = 6, rounds = 60, per_round = 400 };

static void *give_owned(void *tally) {
    tally_run(tally);
    return at_return(tally, tally_drop);
}

struct producer {
    at_task_manager *manager;
    struct tally *tally;
    _Atomic int *refused;
};

static void *produce(void *context) {
    struct producer *producer = context;
    for (int i = 0; i < per_round; i++)
        if (at_task_manager_start(producer->manager, give_owned, producer->tally) != AT_OK)
            atomic_fetch_add(producer->refused, 1);
    return NULL;
}

/* A join may end while others still start: what is accepted has run when the last join ends. */
Test(task_manager_stress, g1_starts_race_a_join) {
    at_pool *pool = create_pool(workers);
    for (int round = 0; round < rounds; round++) {
        at_task_manager *manager;
        at_task_manager_options options = {.max_concurrent = 1 + round % 7,
                                           .no_outcomes = round % 2};
        cr_assert_eq(at_task_manager_create(&manager, pool, &options), AT_OK);
        struct tally tally = {0};
        _Atomic int refused = 0;
        struct producer producer = {manager, &tally, &refused};
        pthread_t threads[producers];
        for (int i = 0; i < producers; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, produce, &producer), 0);
        cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_OK);
        for (int i = 0; i < producers; i++)
            pthread_join(threads[i], NULL);
        cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_OK);
        at_task_manager_destroy(manager);
        cr_assert_eq(tally_runs(&tally) + atomic_load(&refused), producers * per_round);
        cr_assert_eq(tally_drops(&tally), tally_runs(&tally));
    }
    destroy_pool(pool);
}

struct counting {
    at_task_manager *manager;
    _Atomic bool is_over;
    _Atomic int wrong;
};

static void *count_all_the_time(void *context) {
    struct counting *counting = context;
    at_task_manager_counts counts;
    uint64_t ended = 0;
    while (!atomic_load(&counting->is_over)) {
        at_task_manager_count(counting->manager, &counts);
        uint64_t ended_now = counts.succeeded + counts.failed + counts.cancelled;
        if (counts.started != counts.queued + counts.running + ended_now || ended_now < ended ||
            counts.running > 3)
            atomic_fetch_add(&counting->wrong, 1);
        ended = ended_now;
    }
    return NULL;
}

static void *end_somehow(void *number) {
    switch ((intptr_t)number % 4) {
    case 0:
        return at_fail(AT_ERROR_IO, "on purpose");
    case 1:
        return at_fail(AT_ERROR_CANCELLED, "on purpose");
    default:
        return number;
    }
}

static void *start_some(void *context) {
    struct counting *counting = context;
    for (intptr_t i = 0; i < 20 * per_round; i++)
        if (at_task_manager_start(counting->manager, end_somehow, (void *)i) != AT_OK)
            atomic_fetch_add(&counting->wrong, 1);
    return NULL;
}

/* Each child is counted in one place, at every moment; chunks go while others are written. */
Test(task_manager_stress, g1_counts_add_up_at_every_moment) {
    at_pool *pool = create_pool(workers);
    for (int keeps = 0; keeps < 2; keeps++) {
        struct counting counting = {0};
        at_task_manager_options options = {
            .max_concurrent = 3, .policy = AT_TASK_MANAGER_COLLECT, .no_outcomes = !keeps};
        cr_assert_eq(at_task_manager_create(&counting.manager, pool, &options), AT_OK);
        pthread_t threads[producers];
        pthread_t counter;
        cr_assert_eq(pthread_create(&counter, NULL, count_all_the_time, &counting), 0);
        for (int i = 0; i < producers; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, start_some, &counting), 0);
        for (int i = 0; i < producers; i++)
            pthread_join(threads[i], NULL);
        cr_assert_eq(at_task_manager_join(counting.manager, PATIENCE), AT_ERROR_IO);
        atomic_store(&counting.is_over, true);
        pthread_join(counter, NULL);
        at_task_manager_counts counts;
        at_task_manager_count(counting.manager, &counts);
        const uint64_t quarter = (uint64_t)producers * 20 * per_round / 4;
        cr_expect_eq(counts.failed, quarter);
        cr_expect_eq(counts.cancelled, quarter);
        cr_expect_eq(counts.succeeded, 2 * quarter);
        cr_expect_eq(atomic_load(&counting.wrong), 0);
        at_task_manager_destroy(counting.manager);
    }
    destroy_pool(pool);
}

static void *fail_some(void *number) {
    if ((intptr_t)number == per_round / 2)
        return at_fail(AT_ERROR_IO, "on purpose");
    AT_TRY(at_sleep(AT_MICROSECONDS(50)));
    return NULL;
}

/* Managers inside tasks, each cancelled by a failure of one child while others start, wait, end. */
static void *manage(void *wrong) {
    at_task_manager *manager;
    at_task_manager_options options = {.max_concurrent = 20};
    AT_TRY(at_task_manager_create(&manager, at_pool_current(), &options));
    for (intptr_t i = 0; i < per_round; i++)
        if (at_task_manager_start(manager, fail_some, (void *)i) != AT_OK)
            atomic_fetch_add((_Atomic int *)wrong, 1);
    at_outcome outcomes[per_round];
    if (at_task_manager_gather(manager, outcomes, per_round) != AT_ERROR_IO ||
        outcomes[per_round / 2].status != AT_ERROR_IO)
        atomic_fetch_add((_Atomic int *)wrong, 1);
    at_outcomes_release(outcomes, per_round);
    at_task_manager_destroy(manager);
    return NULL;
}

Test(task_manager_stress, g2_a_failure_races_the_rest) {
    at_pool *pool = create_pool(workers);
    _Atomic int wrong = 0;
    at_future *futures[rounds];
    for (int i = 0; i < rounds; i++)
        futures[i] = at_pool_submit(pool, manage, &wrong);
    for (int i = 0; i < rounds; i++)
        expect_end(futures[i], AT_OK);
    cr_assert_eq(atomic_load(&wrong), 0);
    destroy_pool(pool);
}

static void *sleep_shortly(void *unused) {
    (void)unused;
    AT_TRY(at_sleep(AT_SECONDS(1000)));
    return NULL;
}

static void *cancel_it(void *manager) {
    (void)at_task_manager_cancel(manager);
    return NULL;
}

Test(task_manager_stress, g1_a_cancel_races_the_starts) {
    at_pool *pool = create_pool(workers);
    for (int round = 0; round < rounds; round++) {
        at_task_manager *manager;
        cr_assert_eq(at_task_manager_create(&manager, pool, NULL), AT_OK);
        pthread_t canceller;
        for (int i = 0; i < 100; i++)
            cr_assert_eq(at_task_manager_start(manager, sleep_shortly, NULL), AT_OK);
        cr_assert_eq(pthread_create(&canceller, NULL, cancel_it, manager), 0);
        for (int i = 0; i < 100; i++)
            cr_assert_eq(at_task_manager_start(manager, sleep_shortly, NULL), AT_OK);
        cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_ERROR_CANCELLED);
        pthread_join(canceller, NULL);
        at_task_manager_destroy(manager);
    }
    destroy_pool(pool);
}

static void *end_or_wait(void *number) {
    if ((intptr_t)number % 3 == 0)
        AT_TRY(at_sleep(AT_SECONDS(1000)));
    return number;
}

/* Each submitted child is cancelled alone while it is queued, begins, waits or ends. */
Test(task_manager_stress, c4_cancels_race_submitted_children) {
    at_pool *pool = create_pool(workers);
    for (int round = 0; round < rounds; round++) {
        at_task_manager *manager;
        at_task_manager_options options = {.max_concurrent = 8, .no_outcomes = round % 2};
        cr_assert_eq(at_task_manager_create(&manager, pool, &options), AT_OK);
        at_future *futures[per_round];
        for (intptr_t i = 0; i < per_round; i++)
            futures[i] = at_task_manager_submit(manager, end_or_wait, (void *)i);
        for (int i = 0; i < per_round; i++) {
            at_future_cancel(futures[i]);
            at_future_release(futures[i]);
        }
        at_status status = at_task_manager_join(manager, PATIENCE);
        cr_assert(status == AT_ERROR_CANCELLED || status == AT_OK);
        at_task_manager_destroy(manager);
    }
    destroy_pool(pool);
}
