/* SPDX-License-Identifier: MIT
 *
 * Rules W1, B1 and H0: no memory for a stack, no thread for a blocking call, no spares at all. A
 * wait then holds its thread, and a call is made in place; neither fails. */
#include "pool/waiter.h"
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/blocking.h>
#include <asynctools/sleep.h>

#include <sched.h>
#include <stdint.h>

FAULT_INSTALL;

/* What a sanitizer starts for itself comes with the first thread. */
static void start_first_thread(void) {
    pthread_t thread;
    struct tally tally = {0};
    cr_assert_eq(pthread_create(&thread, NULL, tally_run, &tally), 0);
    pthread_join(thread, NULL);
}

TestSuite(wait_fault, .init = start_first_thread, .timeout = 200);

struct held {
    at_promise *promise;
    at_future *future;
    pthread_t waiter;
    pthread_t setter;
    int64_t faults;
};

static void *set(void *argument) {
    struct held *held = argument;
    held->setter = pthread_self();
    AT_TRY(at_promise_set(held->promise, NULL, NULL));
    return NULL;
}

static void *wait_without_memory(void *argument) {
    struct held *held = argument;
    held->waiter = pthread_self();
    AT_TRY(at_pool_start(at_pool_current(), set, held));
    fault_arm(fault_memory, 2); /* the first is for an operation of its own, which can be missed */
    at_status status = at_future_wait(held->future, PATIENCE, NULL);
    held->faults = fault_count();
    fault_disarm();
    AT_TRY(status);
    return NULL;
}

static void run_task(at_pool *pool, at_run_fn run, void *argument) {
    at_future *future = at_pool_submit(pool, run, argument);
    wait_value(future);
    at_future_release(future);
}

/* The wait holds its thread, and a spare does the worker's work. */
Test(wait_fault, no_memory_for_a_stack) {
    struct held held = {0};
    at_pool *pool = create_pool(1);
    held.promise = create_promise(pool, &held.future);
    run_task(pool, wait_without_memory, &held);
    cr_expect_eq(held.faults, 1);
    cr_expect_not(pthread_equal(held.waiter, held.setter));
    at_future_release(held.future);
    at_promise_destroy(held.promise);
    destroy_pool(pool);
}

static void *sleep_and_yield_without_memory(void *count) {
    AT_TRY(at_pool_start(at_pool_current(), tally_run, count));
    fault_arm_from(fault_memory, 1);
    at_yield();
    at_status status = at_sleep(AT_MILLISECONDS(1));
    fault_disarm();
    AT_TRY(status);
    return NULL;
}

/* A sleep holds its thread too; a yield returns. */
Test(wait_fault, no_memory_for_a_sleep) {
    struct tally tally = {0};
    at_pool *pool = NULL;
    at_pool_options options = {.thread_count = 1, .max_spares = AT_NONE};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    run_task(pool, sleep_and_yield_without_memory, &tally);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 1);
}

/* Two that wake each other, while others wait. */
enum { round_count = 200 };

struct rounds {
    ati_waiter waiters[2][round_count];
    ati_waiter others[80];
    int other_count;
    struct tally waiting;
};

static void *answer(void *argument) {
    struct rounds *rounds = argument;
    tally_run(&rounds->waiting);
    for (int i = 0; i < round_count; i++) {
        ati_waiter_wait(&rounds->waiters[1][i], AT_FOREVER);
        ati_waiter_wake(&rounds->waiters[0][i]);
    }
    return NULL;
}

static void *wait_beside(void *argument) {
    struct rounds *rounds = argument;
    int index = tally_runs(&rounds->waiting) - 1;
    tally_run(&rounds->waiting);
    ati_waiter_wait(&rounds->others[index], AT_FOREVER);
    return NULL;
}

static void *ask_without_memory(void *argument) {
    struct rounds *rounds = argument;
    fault_arm_from(fault_memory, 1);
    for (int i = 0; i < round_count; i++) {
        ati_waiter_wake(&rounds->waiters[1][i]);
        ati_waiter_wait(&rounds->waiters[0][i], AT_FOREVER);
    }
    fault_disarm();
    for (int i = 0; i < rounds->other_count; i++)
        ati_waiter_wake(&rounds->others[i]);
    return NULL;
}

static void wait_beside_others(struct rounds *rounds, int other_count) {
    at_pool *pool = NULL;
    at_pool_options options = {.thread_count = 1, .max_spares = AT_NONE};
    *rounds = (struct rounds){.other_count = other_count};
    for (int i = 0; i < round_count; i++) {
        ati_waiter_init(&rounds->waiters[0][i], "test", NULL);
        ati_waiter_init(&rounds->waiters[1][i], "test", NULL);
    }
    for (int i = 0; i < other_count; i++)
        ati_waiter_init(&rounds->others[i], "test", NULL);
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    cr_assert_eq(at_pool_start(pool, answer, rounds), AT_OK);
    for (int i = 0; i < other_count; i++)
        cr_assert_eq(at_pool_start(pool, wait_beside, rounds), AT_OK);
    while (tally_runs(&rounds->waiting) < 1 + other_count)
        sched_yield();
    cr_assert_eq(at_pool_start(pool, ask_without_memory, rounds), AT_OK);
    destroy_pool(pool);
}

/* A worker without a stack to spare goes on with a task that is ready, even where something else
 * should have its turn: that task may be the one that ends the wait. Stacks are made many at a
 * time, so the number of those in use decides whether the next one needs memory. */
Test(wait_fault, no_memory_while_another_is_ready) {
    static struct rounds rounds;
    for (int count = 0; count < 80; count++)
        wait_beside_others(&rounds, count);
}

/* -- Many waits while memory comes and goes --------------------------------------------------- */

static void *wait_for(void *future) {
    AT_TRY(at_future_wait(future, PATIENCE, NULL));
    return NULL;
}

static void wait_in_many(void *unused) {
    (void)unused;
    enum { count = 300 };
    at_pool *pool = NULL;
    at_pool_options options = {.thread_count = 2};
    if (at_pool_create(&pool, &options) != AT_OK) {
        cr_assert_gt(fault_count(), 0);
        return;
    }
    at_promise *promise = NULL;
    at_future *future = NULL;
    if (at_promise_create(&promise, at_pool_executor(pool)) == AT_OK) {
        future = at_promise_future(promise);
        for (int i = 0; i < count; i++)
            cr_assert(at_pool_start(pool, wait_for, future) == AT_OK || fault_count() > 0);
        cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    }
    destroy_pool(pool);
    at_future_release(future);
    at_promise_destroy(promise);
}

Test(wait_fault, memory_in_many_waits) {
    fault_each(fault_memory, wait_in_many, NULL);
}

/* -- Cycles ---------------------------------------------------------------------------------- */

struct member {
    at_future *told;
    at_future *next;
    at_status status;
};

static void *wait_for_next(void *argument) {
    struct member *member = argument;
    AT_TRY(at_future_wait(member->told, AT_FOREVER, NULL));
    member->status = at_future_wait(member->next, AT_FOREVER, NULL);
    at_error_clear();
    return NULL;
}

/* Rule W2: a search without memory is made again. */
static void wait_in_circle(void *unused) {
    (void)unused;
    struct member members[3] = {0};
    at_future *futures[3];
    at_pool *pool = NULL;
    if (at_pool_create(&pool, &(at_pool_options){.thread_count = 1}) != AT_OK)
        return;
    at_promise *promise = NULL;
    at_future *told = NULL;
    if (at_promise_create(&promise, at_pool_executor(pool)) == AT_OK) {
        told = at_promise_future(promise);
        bool well = true;
        for (int i = 0; i < 3; i++) {
            members[i].told = told;
            futures[i] = at_pool_submit(pool, wait_for_next, &members[i]);
            well &= at_future_error(futures[i]) == NULL;
        }
        for (int i = 0; i < 3; i++)
            members[i].next = well ? futures[(i + 1) % 3] : told;
        cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
        cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
        int deadlocks = 0;
        for (int i = 0; i < 3; i++) {
            deadlocks += members[i].status == AT_ERROR_DEADLOCK;
            at_future_release(futures[i]);
        }
        cr_assert_eq(deadlocks, well);
    }
    destroy_pool(pool);
    at_future_release(told);
    at_promise_destroy(promise);
}

Test(wait_fault, memory_in_a_search_for_cycles) {
    cr_expect_geq(fault_each(fault_memory, wait_in_circle, NULL), 5);
}

/* -- Blocking calls --------------------------------------------------------------------------- */

struct calls {
    pthread_barrier_t barrier;
    _Atomic int in_place;
    _Atomic int wrong;
};

static void *note_thread(void *thread) {
    *(pthread_t *)thread = pthread_self();
    return thread;
}

static void *call_once(void *argument) {
    struct calls *calls = argument;
    pthread_t before = pthread_self();
    pthread_t called;
    if (at_blocking_call(note_thread, &called) != &called)
        atomic_fetch_add(&calls->wrong, 1);
    if (pthread_equal(before, called))
        atomic_fetch_add(&calls->in_place, 1);
    return NULL;
}

/* Without a thread for it a call is made in place. */
Test(wait_fault, no_thread_for_a_call) {
    enum { count = 20 };
    struct calls calls = {.in_place = 0};
    at_pool *pool = create_pool(1);
    fault_arm_from(fault_thread, 1);
    for (int i = 0; i < count; i++)
        cr_assert_eq(at_pool_start(pool, call_once, &calls), AT_OK);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    fault_disarm();
    cr_expect_eq(calls.in_place, count);
    cr_expect_eq(calls.wrong, 0);
    destroy_pool(pool);
}

/* Each start of a thread fails in turn, on two workers that call at the same time. */
static void call_some(void *kind) {
    enum { count = 8 };
    struct calls calls = {.in_place = 0};
    at_pool *pool = NULL;
    if (at_pool_create(&pool, &(at_pool_options){.thread_count = 2}) != AT_OK) {
        cr_assert_gt(fault_count(), 0);
        return;
    }
    int accepted = 0;
    for (int i = 0; i < count; i++)
        accepted += at_pool_start(pool, call_once, &calls) == AT_OK;
    cr_assert(accepted == count || fault_count() > 0);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    if (fault_count() == 0 && *(enum fault_kind *)kind == fault_thread)
        cr_assert_eq(calls.in_place, 0);
    cr_assert_eq(calls.wrong, 0);
    destroy_pool(pool);
}

Test(wait_fault, threads_and_memory_in_calls) {
    enum fault_kind kind = fault_thread;
    for (int i = 0; i < 20; i++)
        fault_each(kind, call_some, &kind);
    kind = fault_memory;
    fault_each(kind, call_some, &kind);
}

/* Two calls, and no thread to be had while both begin: whoever believed in the other's thread is
 * served later. */
static void *call_at_once(void *argument) {
    struct calls *calls = argument;
    pthread_barrier_wait(&calls->barrier);
    return call_once(calls);
}

Test(wait_fault, calls_that_count_on_each_other) {
    for (int i = 0; i < 300; i++) {
        struct calls calls = {.in_place = 0};
        cr_assert_eq(pthread_barrier_init(&calls.barrier, NULL, 3), 0);
        at_pool *pool = create_pool(2);
        for (int j = 0; j < 2; j++)
            cr_assert_eq(at_pool_start(pool, call_at_once, &calls), AT_OK);
        fault_arm(fault_thread, 1);
        pthread_barrier_wait(&calls.barrier);
        cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
        fault_disarm();
        cr_assert_eq(calls.wrong, 0);
        destroy_pool(pool);
        pthread_barrier_destroy(&calls.barrier);
    }
}

Test(wait_fault, nothing_is_held_in_the_end) {
    struct fault_usage before = fault_usage();
    struct calls calls = {.in_place = 0};
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(at_pool_start(pool, call_once, &calls), AT_OK);
    destroy_pool(pool);
    fault_check_leaks(before);
}
