/* SPDX-License-Identifier: MIT
 *
 * Forks with thieves: unbalanced trees, more workers than CPUs, waits in between, many roots. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include "base/random.h"
#include "pool/pool.h"

#include <stdatomic.h>

TestSuite(fork_stress, .timeout = 200);

static void *fibonacci(void *argument) {
    intptr_t n = (intptr_t)argument;
    if (n < 2)
        return argument;
    at_fork left;
    at_fork_start(&left, fibonacci, (void *)(n - 1));
    intptr_t right = (intptr_t)fibonacci((void *)(n - 2));
    return (void *)(right + (intptr_t)at_fork_join(&left, fibonacci));
}

/* Several roots at once, on more workers than there are CPUs. */
Test(fork_stress, roots) {
    enum { roots = 8 };
    for (int threads = 1; threads <= 8; threads++) {
        at_pool *pool = create_pool(threads);
        at_future *futures[roots];
        for (int i = 0; i < roots; i++)
            futures[i] = at_pool_submit(pool, fibonacci, (void *)22);
        for (int i = 0; i < roots; i++) {
            cr_expect_eq((intptr_t)wait_value(futures[i]), 17711);
            at_future_release(futures[i]);
        }
        cr_expect_eq(destroy_pool(pool).succeeded, roots);
    }
}

/* A tree whose shape follows from the number of its root; each node forks up to `breadth` children
 * and calls the last one itself. Some nodes wait for a task of their own in between. */
enum { breadth = 6 };

struct node {
    uint64_t seed;
    int depth;
    bool waits;
};

static void *count_nodes(void *argument);

static void *submit_and_wait(struct node *child) {
    at_future *future = at_pool_submit(at_pool_current(), count_nodes, child);
    void *value;
    at_status status = at_future_wait(future, AT_FOREVER, &value);
    at_future_release(future);
    return status == AT_OK ? value : NULL;
}

static void *count_nodes(void *argument) {
    struct node *node = argument;
    uint64_t random = node->seed;
    int count = node->depth == 0 ? 0 : (int)(ati_random_step(&random) % (breadth + 1));
    struct node children[breadth];
    at_fork forks[breadth];
    intptr_t nodes = 1;
    for (int i = 0; i < count; i++)
        children[i] = (struct node){
            .seed = ati_random_step(&random), .depth = node->depth - 1, .waits = node->waits};
    for (int i = 0; i < count; i++)
        at_fork_start(&forks[i], count_nodes, &children[i]);
    struct node further = {.seed = node->seed + 1, .depth = node->depth / 2};
    if (node->waits && random % 16 == 0)
        nodes += (intptr_t)submit_and_wait(&further);
    for (int i = count; i-- > 0;)
        nodes += (intptr_t)at_fork_join(&forks[i], count_nodes);
    return (void *)nodes;
}

static intptr_t count_tree(int threads, struct node *root) {
    at_pool *pool = create_pool(threads);
    at_future *future = at_pool_submit(pool, count_nodes, root);
    intptr_t nodes = (intptr_t)wait_value(future);
    at_future_release(future);
    destroy_pool(pool);
    return nodes;
}

static void compare_trees(bool waits) {
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct node root = {.seed = seed * 1000003, .depth = 9, .waits = waits};
        intptr_t expected = count_tree(1, &root);
        for (int threads = 2; threads <= 8; threads *= 2)
            cr_expect_eq(count_tree(threads, &root), expected);
    }
}

Test(fork_stress, unbalanced_trees) {
    compare_trees(false);
}

Test(fork_stress, unbalanced_trees_that_wait) {
    compare_trees(true);
}

/* Forks that are over at once, while others look for work: thieves and owner meet at the very
 * join. */
static void *nothing(void *argument) {
    return argument;
}

static void *fork_small(void *rounds) {
    for (intptr_t i = 0; i < (intptr_t)rounds; i++) {
        at_fork forks[3];
        for (int j = 0; j < 3; j++)
            at_fork_start(&forks[j], nothing, &forks[j]);
        for (int j = 3; j-- > 0;)
            if (at_fork_join(&forks[j], nothing) != &forks[j])
                return NULL;
    }
    return rounds;
}

Test(fork_stress, small_forks) {
    for (int threads = 2; threads <= 4; threads++) {
        at_pool *pool = create_pool(threads);
        for (int i = 0; i < 20; i++) {
            at_future *future = at_pool_submit(pool, fork_small, (void *)20000);
            cr_expect_eq(wait_value(future), (void *)20000);
            at_future_release(future);
        }
        destroy_pool(pool);
    }
}

/* Owners that spin until their fork has been entered, so that it has to be taken by force. */
static void *enter(void *entered) {
    atomic_store((_Atomic bool *)entered, true);
    return entered;
}

static void *spin_for_forks(void *unused) {
    for (int i = 0; i < 50; i++) {
        _Atomic bool entered[2] = {false, false};
        at_fork first;
        at_fork second;
        at_fork_start(&first, enter, &entered[0]);
        at_fork_start(&second, enter, &entered[1]);
        while (!atomic_load(&entered[0]))
            ;
        at_fork_join(&second, enter);
        at_fork_join(&first, enter);
    }
    return unused;
}

Test(fork_stress, owners_that_spin) {
    enum { tasks = 3 };
    at_pool *pool = create_pool(tasks + 1);
    at_future *futures[tasks];
    for (int i = 0; i < tasks; i++)
        futures[i] = at_pool_submit(pool, spin_for_forks, NULL);
    for (int i = 0; i < tasks; i++) {
        wait_value(futures[i]);
        at_future_release(futures[i]);
    }
    destroy_pool(pool);
}

/* -- Drops beside forks -- */

static void drop_nothing(void *value) {
    (void)value;
}

/* Values are dropped in a frame of their own, in the middle of a task with a private call. */
static void *drop_until_entered(void *unused) {
    _Atomic bool entered = false;
    at_executor *executor = at_pool_executor(at_pool_current());
    at_fork fork;
    at_fork_start(&fork, enter, &entered);
    while (!atomic_load(&entered)) {
        at_promise *promise;
        if (at_promise_create(&promise, executor) != AT_OK)
            break;
        (void)at_promise_set(promise, unused, drop_nothing);
        at_promise_destroy(promise);
    }
    return at_fork_join(&fork, enter);
}

Test(fork_stress, drops_beside_private_forks) {
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 200; i++) {
        at_future *future = at_pool_submit(pool, drop_until_entered, &i);
        wait_value(future);
        at_future_release(future);
    }
    destroy_pool(pool);
}
