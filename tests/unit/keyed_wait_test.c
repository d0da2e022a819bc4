/* SPDX-License-Identifier: MIT
 *
 * Rules G5 and W2: tasks of a keyed executor that wait for tasks under other keys lend their
 * places, directly and by a detour; other waits keep them. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <stdatomic.h>
#include <string.h>

TestSuite(keyed_wait, .timeout = 200);

static at_keyed_executor *own;

static at_keyed_executor *create_keyed(at_pool *pool, const at_keyed_executor_options *options) {
    at_keyed_executor *keyed = NULL;
    cr_assert_eq(at_keyed_executor_create(&keyed, pool, options), AT_OK);
    return keyed;
}

static at_future *submit(at_keyed_executor *keyed, const char *key, at_run_fn run, void *argument) {
    return at_keyed_executor_submit(keyed, key, strlen(key), run, argument);
}

static _Atomic int active; /* tasks that run and do not wait */
static _Atomic int most_active;

static void enter_active(void) {
    int count = atomic_fetch_add(&active, 1) + 1;
    int most = atomic_load(&most_active);
    while (count > most && !atomic_compare_exchange_weak(&most_active, &most, count))
        ;
}

static void leave_active(void) {
    atomic_fetch_sub(&active, 1);
}

/* Waits for a task of the next key, and so on down to 0. */
static void *wait_for_next_key(void *argument) {
    intptr_t number = (intptr_t)argument;
    enter_active();
    if (number > 0) {
        intptr_t next_number = number - 1;
        at_future *next = at_keyed_executor_submit(own, &next_number, sizeof next_number,
                                                   wait_for_next_key, (void *)next_number);
        leave_active();
        AT_TRY(at_future_wait(next, AT_FOREVER, NULL));
        enter_active();
        at_future_release(next);
    }
    leave_active();
    return argument;
}

/* However few may run: who waits for a task that has not begun lends its place to others, and no
 * more run than may. */
Test(keyed_wait, waits_across_keys_lend_the_place) {
    at_pool *pool = create_pool(3);
    own = create_keyed(pool, &(at_keyed_executor_options){.max_running = 1});
    at_future *future =
        at_keyed_executor_submit(own, NULL, 0, wait_for_next_key, (void *)(intptr_t)200);
    wait_value(future);
    at_future_release(future);
    at_keyed_executor_destroy(own);
    destroy_pool(pool);
    cr_expect_eq(most_active, 1);
}

static void *wait_for_all_keys(void *argument) {
    at_future *futures[20];
    for (intptr_t i = 0; i < 20; i++)
        futures[i] = at_keyed_executor_submit(own, &i, sizeof i, tally_run, argument);
    at_future *all = at_future_all(futures, 20);
    AT_TRY(at_future_wait(all, AT_FOREVER, NULL));
    at_future_release(all);
    return argument;
}

/* The result of combined futures is under the key of the first. */
Test(keyed_wait, a_wait_for_many_keys_lends_the_place) {
    struct tally tally = {0};
    at_pool *pool = create_pool(2);
    own = create_keyed(pool, &(at_keyed_executor_options){.max_running = 1});
    at_future *future = at_keyed_executor_submit(own, NULL, 0, wait_for_all_keys, &tally);
    wait_value(future);
    at_future_release(future);
    at_keyed_executor_destroy(own);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 20);
}

static void *wait_for_key_by_detour(void *argument);

/* A task of the pool, between two of the executor. */
static void *submit_next_key(void *argument) {
    intptr_t number = (intptr_t)argument - 1;
    at_future *next = at_keyed_executor_submit(own, &number, sizeof number, wait_for_key_by_detour,
                                               (void *)number);
    AT_TRY(at_future_wait(next, AT_FOREVER, NULL));
    at_future_release(next);
    return argument;
}

/* Waits for a task of the pool that waits for one of the next key, and so on down to 0. */
static void *wait_for_key_by_detour(void *argument) {
    if (argument) {
        at_future *between = at_pool_submit(at_pool_current(), submit_next_key, argument);
        AT_TRY(at_sleep(1)); /* so that it is begun elsewhere, or in place */
        AT_TRY(at_future_wait(between, AT_FOREVER, NULL));
        at_future_release(between);
    }
    return argument;
}

/* Those that keep out what they wait for by a detour are found out, and one lends its place. */
Test(keyed_wait, waits_by_a_detour_lend_the_place) {
    for (int places = 1; places <= 3; places++) {
        at_future *futures[4];
        at_pool *pool = create_pool(2);
        own = create_keyed(pool, &(at_keyed_executor_options){.max_running = places});
        for (intptr_t i = 0; i < 4; i++) {
            intptr_t key = 1000 + i;
            futures[i] = at_keyed_executor_submit(own, &key, sizeof key, wait_for_key_by_detour,
                                                  (void *)(intptr_t)20);
        }
        for (int i = 0; i < 4; i++) {
            wait_value(futures[i]);
            at_future_release(futures[i]);
        }
        at_keyed_executor_destroy(own);
        destroy_pool(pool);
    }
}

static void pass_by(const at_outcome *outcome, void *context) {
    (void)outcome;
    (void)context;
}

static void *wait_for_all_on_the_pool(void *argument) {
    at_future *futures[20];
    at_continuation_options on_pool = {.executor = at_pool_executor(at_pool_current())};
    for (intptr_t i = 0; i < 20; i++)
        futures[i] = at_future_finally_with(
            at_keyed_executor_submit(own, &i, sizeof i, tally_run, argument), pass_by, &on_pool);
    at_future *all = at_future_all(futures, 20);
    AT_TRY(at_future_wait(all, AT_FOREVER, NULL));
    at_future_release(all);
    return argument;
}

/* One wait lends its place as long as it lasts, for all that it waits for. */
Test(keyed_wait, a_detour_to_many_keys_lends_the_place) {
    struct tally tally = {0};
    at_pool *pool = create_pool(2);
    own = create_keyed(pool, &(at_keyed_executor_options){.max_running = 1});
    at_future *future = at_keyed_executor_submit(own, NULL, 0, wait_for_all_on_the_pool, &tally);
    wait_value(future);
    at_future_release(future);
    at_keyed_executor_destroy(own);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 20);
}

static void *sleep_a_second(void *unused) {
    AT_TRY(at_sleep(AT_SECONDS(1)));
    return unused;
}

static void *wait_for_a_sleeper(void *unused) {
    at_future *sleeper = at_pool_submit(at_pool_current(), sleep_a_second, NULL);
    AT_TRY(at_sleep(1)); /* it has begun */
    AT_TRY(at_future_wait(sleeper, AT_FOREVER, NULL));
    at_future_release(sleeper);
    return unused;
}

static void *note_time(void *time) {
    *(int64_t *)time = at_clock_now(at_clock_current());
    return NULL;
}

/* A wait for what needs no place keeps its own: max_running bounds what is in progress. */
Test(keyed_wait, other_waits_keep_the_place) {
    at_clock *clock = bind_virtual_clock();
    int64_t began = at_clock_now(clock);
    int64_t ran = 0;
    at_pool *pool = create_pool(3);
    own = create_keyed(pool, &(at_keyed_executor_options){.max_running = 1});
    at_future *first = submit(own, "first", wait_for_a_sleeper, NULL);
    at_future *second = submit(own, "second", note_time, &ran);
    wait_value(second);
    wait_value(first);
    cr_expect_geq(ran, began + AT_SECONDS(1));
    at_future_release(first);
    at_future_release(second);
    at_keyed_executor_destroy(own);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

struct late {
    at_future *gate;
    at_future *third;
    at_status waited;
    bool second_has_ended;
    bool third_came_after;
};

static void *run_second(void *argument) {
    struct late *late = argument;
    AT_TRY(at_future_wait(late->gate, AT_FOREVER, NULL));
    late->second_has_ended = true;
    return argument;
}

static void *run_third(void *argument) {
    struct late *late = argument;
    late->third_came_after = late->second_has_ended;
    return argument;
}

static void *run_first(void *argument) {
    struct late *late = argument;
    at_future *second = submit(own, "second", run_second, late);
    late->waited = at_future_wait(second, at_after(AT_MILLISECONDS(20)), NULL);
    late->third = submit(own, "third", run_third, late);
    at_future_release(second);
    return argument;
}

/* A wait that ends by its deadline takes the place back: what was begun goes on beside it, and
 * nothing else is begun before both but one have ended. */
Test(keyed_wait, a_place_comes_back_from_a_wait_that_times_out) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(2);
    struct late late = {0};
    at_promise *promise = create_promise(pool, &late.gate);
    own = create_keyed(pool, &(at_keyed_executor_options){.max_running = 1});
    at_future *first = submit(own, "first", run_first, &late);
    wait_value(first);
    cr_expect_eq(late.waited, AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    wait_value(late.third);
    cr_expect(late.third_came_after);
    at_future_release(first);
    at_future_release(late.third);
    at_future_release(late.gate);
    at_keyed_executor_destroy(own);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}
