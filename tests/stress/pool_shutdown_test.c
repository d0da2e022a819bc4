/* SPDX-License-Identifier: MIT
 *
 * Rules Z1, S1 and S5: shutdown against threads that go on starting tasks. What was accepted runs,
 * what was refused does not, and the sums are exact. */
#include "support/tasks.h"
#include "support/test.h"

#include <pthread.h>

TestSuite(pool_shutdown_stress, .timeout = 200);

enum { outside_count = 6, pool_count = 60 };

struct load {
    at_pool *pool;
    pthread_barrier_t begin;
    struct tally tally;
    _Atomic int64_t accepted;
    _Atomic int64_t wrong;
};

/* Starts until it is refused. */
static void *start_until_closed(void *argument) {
    struct load *load = argument;
    int64_t accepted = 0;
    pthread_barrier_wait(&load->begin);
    for (;;) {
        at_status status = at_pool_start(load->pool, tally_run, &load->tally);
        if (status != AT_OK) {
            atomic_fetch_add(&load->wrong, status != AT_ERROR_CLOSED);
            break;
        }
        accepted++;
    }
    atomic_fetch_add(&load->accepted, accepted);
    return NULL;
}

Test(pool_shutdown_stress, accepted_tasks_run_and_refused_ones_do_not) {
    for (int round = 0; round < pool_count; round++) {
        struct load load = {.pool = create_pool(1 + round % 4)};
        pthread_t threads[outside_count];
        pthread_barrier_init(&load.begin, NULL, outside_count + 1);
        for (int i = 0; i < outside_count; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, start_until_closed, &load), 0);
        pthread_barrier_wait(&load.begin);
        while (tally_runs(&load.tally) < round)
            ;
        cr_assert_eq(at_pool_shutdown(load.pool, PATIENCE), AT_OK);
        int runs = tally_runs(&load.tally);
        for (int i = 0; i < outside_count; i++)
            pthread_join(threads[i], NULL);
        at_pool_audit_result audit = destroy_pool(load.pool);
        cr_assert_eq(load.wrong, 0);
        cr_assert_eq(runs, load.accepted, "shutdown returned before all had run");
        cr_assert_eq(tally_runs(&load.tally), load.accepted);
        cr_assert_eq(audit.accepted, (uint64_t)load.accepted);
        pthread_barrier_destroy(&load.begin);
    }
}

struct descent {
    struct tally *tally;
    at_task task;
    int left;
};

static void *descend(void *argument) {
    struct descent *descent = argument;
    tally_run(descent->tally);
    if (descent->left-- == 0)
        return NULL;
    AT_TRY(at_pool_start_task(at_pool_current(), &descent->task));
    return NULL;
}

/* Destroy right behind the last start: chains of tasks that go on starting one another. */
Test(pool_shutdown_stress, destroy_finishes_chains) {
    enum { chain_count = 20, length = 50 };
    for (int round = 0; round < pool_count; round++) {
        struct tally tally = {0};
        struct descent chains[chain_count];
        at_pool *pool = create_pool(1 + round % 5);
        for (int i = 0; i < chain_count; i++) {
            chains[i] = (struct descent){.tally = &tally, .left = length - 1};
            at_task_init(&chains[i].task, descend, &chains[i]);
            cr_assert_eq(at_pool_start_task(pool, &chains[i].task), AT_OK);
        }
        at_pool_destroy(pool);
        cr_assert_eq(tally_runs(&tally), chain_count * length);
    }
}

static void *count_then(void *value, void *tally) {
    tally_run(tally);
    return value;
}

static void *set_promise(void *promise) {
    at_status status = at_promise_set(promise, NULL, NULL);
    at_promise_destroy(promise);
    return (void *)(intptr_t)status;
}

/* A promise that is set while its pool is destroyed: each continuation runs or fails, once. */
Test(pool_shutdown_stress, continuations_run_or_fail) {
    for (int round = 0; round < 300; round++) {
        struct tally tally = {0};
        at_pool *pool = create_pool(2);
        at_future *source;
        at_promise *promise = create_promise(pool, &source);
        at_continuation_options options = {.context = &tally, .drop = tally_drop};
        at_future *future = at_future_then_with(source, count_then, &options);
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, set_promise, promise), 0);
        if (round % 2)
            while (!at_future_is_done(future) && round % 4 == 1)
                ;
        at_pool_destroy(pool);
        void *status = NULL;
        pthread_join(thread, &status);
        cr_assert_null(status);
        at_status outcome = at_future_wait(future, PATIENCE, NULL);
        cr_assert(outcome == AT_OK || outcome == AT_ERROR_CLOSED);
        cr_assert_eq(tally_runs(&tally), outcome == AT_OK);
        at_future_release(future);
        cr_assert_eq(tally_drops(&tally), 1);
    }
}
