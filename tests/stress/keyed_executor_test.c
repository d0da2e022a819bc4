/* SPDX-License-Identifier: MIT
 *
 * Rules G5 and S5: tasks of one key never overlap and keep the order of each thread, keys come and
 * go all the time, and nothing is lost, while many threads start, cancel and wait. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <stdlib.h>
#include <string.h>

TestSuite(keyed_executor_stress, .timeout = 200);

enum { key_count = 40, thread_count = 4, rounds = 4000 };

struct key_state {
    int64_t total;              /* no lock: tasks of one key only */
    int64_t last[thread_count]; /* number of the last task of each thread */
    _Atomic int overlap;
};

struct item {
    struct key_state *state;
    int thread;
    int64_t number;
};

struct starter {
    at_keyed_executor *keyed;
    struct key_state *states;
    int thread;
    struct item items[rounds];
};

static void *run_item(void *argument) {
    struct item *item = argument;
    struct key_state *state = item->state;
    cr_expect_eq(atomic_fetch_add_explicit(&state->overlap, 1, memory_order_relaxed), 0);
    cr_expect_lt(state->last[item->thread], item->number);
    state->last[item->thread] = item->number;
    state->total++;
    if (item->number % 64 == 1)
        at_yield();
    atomic_fetch_sub_explicit(&state->overlap, 1, memory_order_relaxed);
    return item;
}

/* Some are small, and some are not. */
static at_future *submit_item(const struct starter *starter, int key, struct item *item) {
    char bytes[sizeof key + 80] = {0};
    memcpy(bytes, &key, sizeof key);
    return at_keyed_executor_submit(starter->keyed, bytes, sizeof key + (size_t)(key % 3) * 40,
                                    run_item, item);
}

/* The keys change slowly, so that they go and come back. */
static void *start_all(void *argument) {
    struct starter *starter = argument;
    for (int i = 0; i < rounds; i++) {
        int key = (i / 40 + i % 3 * starter->thread) % key_count;
        struct item *item = &starter->items[i];
        *item = (struct item){&starter->states[key], starter->thread, i + 1};
        at_future *future = submit_item(starter, key, item);
        if (i % 7 == 0)
            at_future_cancel(future);
        if (i % 50 == 0) {
            at_status status = at_future_wait(future, PATIENCE, NULL);
            cr_expect(status == AT_OK || status == AT_ERROR_CANCELLED);
        }
        at_future_release(future);
    }
    return NULL;
}

Test(keyed_executor_stress, many_threads) {
    static struct starter starters[thread_count];
    static struct key_state states[key_count];
    pthread_t threads[thread_count];
    at_keyed_executor *keyed;
    at_pool *pool = create_pool(8);
    cr_assert_eq(at_keyed_executor_create(&keyed, pool, NULL), AT_OK);
    for (int i = 0; i < thread_count; i++) {
        starters[i] = (struct starter){.keyed = keyed, .states = states, .thread = i};
        cr_assert_eq(pthread_create(&threads[i], NULL, start_all, &starters[i]), 0);
    }
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.accepted, (uint64_t)thread_count * rounds);
    uint64_t total = 0;
    for (int i = 0; i < key_count; i++)
        total += (uint64_t)states[i].total;
    cr_expect_eq(audit.succeeded, total);
    cr_expect_eq(at_keyed_executor_key_count(keyed), 0);
    at_keyed_executor_destroy(keyed);
}

enum { flood_keys = 300, flood_rounds = 60 };

static int64_t flood_counts[flood_keys];

static void *count_flood(void *argument) {
    ++*(int64_t *)argument;
    return argument;
}

static int64_t weigh_flood(const void *key, size_t size, void *context) {
    (void)size;
    (void)context;
    return 1 + *(const int *)key % 5;
}

/* More keys than are kept, of several weights, one after the other and in bursts, while somebody
 * asks how many there are. */
Test(keyed_executor_stress, more_keys_than_are_kept) {
    at_keyed_executor *keyed;
    at_pool *pool = create_pool(4);
    at_keyed_executor_options options = {.weight = weigh_flood, .max_running = 3};
    cr_assert_eq(at_keyed_executor_create(&keyed, pool, &options), AT_OK);
    for (int round = 0; round < flood_rounds; round++)
        for (int i = 0; i < flood_keys; i++) {
            int key = round % 2 ? i : (i / 30 * 30 + i % 7) % flood_keys;
            at_future_release(
                at_keyed_executor_submit(keyed, &key, sizeof key, count_flood, &flood_counts[key]));
            if (i % 100 == 0)
                cr_expect_leq(at_keyed_executor_key_count(keyed), flood_keys);
        }
    cr_expect_eq(destroy_pool(pool).succeeded, flood_rounds * flood_keys);
    cr_expect_eq(at_keyed_executor_key_count(keyed), 0);
    at_keyed_executor_destroy(keyed);
    int64_t total = 0;
    for (int i = 0; i < flood_keys; i++)
        total += flood_counts[i];
    cr_expect_eq(total, flood_rounds * flood_keys);
}

static at_keyed_executor *shared;
static _Atomic int running[4], runs;

/* Each starts two more, until there are enough. */
static void *branch(void *argument) {
    int key = *(int *)argument;
    static const int keys[] = {0, 1, 2, 3};
    int now = atomic_fetch_add_explicit(&running[key], 1, memory_order_relaxed);
    cr_expect_lt(now, 3);
    for (int i = 1; i <= 2; i++) {
        const int *next = &keys[(key + i) % 4];
        if (atomic_fetch_add_explicit(&runs, 1, memory_order_relaxed) < 20000)
            at_future_release(
                at_keyed_executor_submit(shared, next, sizeof *next, branch, (void *)next));
    }
    atomic_fetch_sub_explicit(&running[key], 1, memory_order_relaxed);
    return argument;
}

/* Several of a key at a time, started by tasks; and given up while they run. */
Test(keyed_executor_stress, from_inside) {
    static int first;
    at_pool *pool = create_pool(4);
    at_keyed_executor_options options = {.max_per_key = 3, .max_running = 7};
    cr_assert_eq(at_keyed_executor_create(&shared, pool, &options), AT_OK);
    at_future *future = at_keyed_executor_submit(shared, &first, sizeof first, branch, &first);
    wait_value(future);
    at_future_release(future);
    cr_expect_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    at_keyed_executor_destroy(shared);
    cr_expect_eq(destroy_pool(pool).succeeded, 20001);
}

enum { tree_levels = 7, keys_of_a_level = 3, trees = 30 };

static _Atomic int nodes_run, waits_given_up;

struct node {
    int level;
    int number; /* in its level */
};

static at_future *submit_node(int level, int number);

static void *pass(void *value, void *context) {
    (void)context;
    return value;
}

static void *wait_for(void *future) {
    AT_TRY(at_future_wait(future, AT_FOREVER, NULL));
    at_future_release(future);
    return NULL;
}

/* What follows from a future on the pool: a detour for who waits for it. */
static at_future *follow(at_future *future, int number) {
    at_pool *pool = at_pool_current();
    at_continuation_options on_pool = {.executor = at_pool_executor(pool)};
    return number % 3 == 0   ? future
           : number % 3 == 1 ? at_future_then_with(future, pass, &on_pool)
                             : at_pool_submit(pool, wait_for, future);
}

/* Waits for two of the next level, under keys that only that has, directly or by a detour; some
 * waits are given up. */
static void *run_node(void *argument) {
    struct node node = *(struct node *)argument;
    free(argument);
    atomic_fetch_add_explicit(&nodes_run, 1, memory_order_relaxed);
    for (int i = 0; node.level < tree_levels && i < 2; i++) {
        at_future *next = follow(submit_node(node.level + 1, 2 * node.number + i), node.number);
        bool is_short = (node.number + i) % 5 == 0;
        at_deadline deadline = is_short ? at_after(AT_MICROSECONDS(50)) : AT_FOREVER;
        at_status status = at_future_wait(next, deadline, NULL);
        if (status == AT_ERROR_TIMED_OUT)
            atomic_fetch_add_explicit(&waits_given_up, 1, memory_order_relaxed);
        else
            cr_expect_eq(status, AT_OK);
        at_future_release(next);
    }
    return NULL;
}

static at_future *submit_node(int level, int number) {
    int key[2] = {level, number % keys_of_a_level};
    struct node *node = malloc(sizeof *node);
    *node = (struct node){level, number};
    return at_keyed_executor_submit(shared, key, sizeof key, run_node, node);
}

/* Trees of tasks that wait for each other across keys, with fewer places than any path is long. */
Test(keyed_executor_stress, waits_across_keys) {
    at_pool *pool = create_pool(4);
    at_keyed_executor_options options = {.max_running = 2};
    cr_assert_eq(at_keyed_executor_create(&shared, pool, &options), AT_OK);
    for (int round = 0; round < 5; round++) {
        at_future *futures[trees];
        for (int i = 0; i < trees; i++)
            futures[i] = submit_node(0, i);
        for (int i = 0; i < trees; i++) {
            wait_value(futures[i]);
            at_future_release(futures[i]);
        }
    }
    at_keyed_executor_destroy(shared);
    destroy_pool(pool);
    cr_expect_eq(nodes_run, 5 * trees * ((2 << tree_levels) - 1));
}
