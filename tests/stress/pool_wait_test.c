/* SPDX-License-Identifier: MIT
 *
 * Rules W1 and B1: waits in tasks, a thousand deep on one worker, and in wide trees. */
#include "support/tasks.h"
#include "support/test.h"

#include <stdint.h>

TestSuite(pool_wait_stress, .timeout = 200);

/* Each level starts the next one and waits for it. */
static void *descend(void *left) {
    if (!left)
        return NULL;
    at_future *next = at_pool_submit(at_pool_current(), descend, (char *)left - 1);
    void *depth = NULL;
    at_status status = at_future_wait(next, AT_FOREVER, &depth);
    at_future_release(next);
    AT_TRY(status);
    return (char *)depth + 1;
}

/* Nested waits do not deadlock: 1,000 levels deep, one worker. */
Test(pool_wait_stress, a_thousand_levels_on_one_worker) {
    at_pool *pool = create_pool(1);
    for (int round = 0; round < 5; round++) {
        at_future *future = at_pool_submit(pool, descend, (void *)(intptr_t)1000);
        cr_expect_eq((intptr_t)wait_value(future), 1000);
        at_future_release(future);
    }
    cr_expect_eq(destroy_pool(pool).succeeded, 5 * 1001);
}

/* With a deadline nothing is run in place: each level blocks and needs a spare thread. */
static void *descend_with_deadline(void *left) {
    if (!left)
        return NULL;
    at_future *next = at_pool_submit(at_pool_current(), descend_with_deadline, (char *)left - 1);
    at_status status = at_future_wait(next, PATIENCE, NULL);
    at_future_release(next);
    AT_TRY(status);
    return NULL;
}

Test(pool_wait_stress, levels_with_deadlines) {
    at_pool *pool = create_pool(1);
    for (int round = 0; round < 5; round++) {
        at_future *future = at_pool_submit(pool, descend_with_deadline, (void *)(intptr_t)200);
        wait_value(future);
        at_future_release(future);
    }
    cr_expect_eq(destroy_pool(pool).succeeded, 5 * 201);
}

enum { tree_depth = 12 };

/* A tree of waits: the left half is submitted, the right one too, and both are waited for. */
static void *count_leaves(void *depth) {
    if (!depth)
        return (void *)1;
    at_future *children[2];
    void *leaves[2] = {NULL, NULL};
    at_status statuses[2];
    for (int i = 0; i < 2; i++)
        children[i] = at_pool_submit(at_pool_current(), count_leaves, (char *)depth - 1);
    for (int i = 0; i < 2; i++) {
        statuses[i] = at_future_wait(children[i], AT_FOREVER, &leaves[i]);
        at_future_release(children[i]);
    }
    AT_TRY(statuses[0]);
    AT_TRY(statuses[1]);
    return (char *)leaves[0] + (intptr_t)leaves[1];
}

Test(pool_wait_stress, trees) {
    for (int workers = 1; workers <= 8; workers *= 2) {
        at_pool *pool = create_pool(workers);
        at_future *future = at_pool_submit(pool, count_leaves, (void *)(intptr_t)tree_depth);
        cr_expect_eq((intptr_t)wait_value(future), 1 << tree_depth);
        at_future_release(future);
        cr_expect_eq(destroy_pool(pool).succeeded, (2 << tree_depth) - 1);
    }
}

struct link {
    at_promise *promise;
    at_future *future;
    struct link *next;
};

/* Waits for its own link and then sets the next one. */
static void *pass_on(void *argument) {
    struct link *link = argument;
    AT_TRY(at_future_wait(link->future, PATIENCE, NULL));
    if (link->next)
        AT_TRY(at_promise_set(link->next->promise, NULL, NULL));
    return NULL;
}

/* Spare threads come and go: rings of tasks that each wait for the one before. */
Test(pool_wait_stress, spares_come_and_go) {
    enum { count = 60, rounds = 20 };
    at_pool *pool = create_pool(2);
    for (int round = 0; round < rounds; round++) {
        struct link links[count];
        at_future *tasks[count];
        for (int i = 0; i < count; i++) {
            links[i].promise = create_promise(pool, &links[i].future);
            links[i].next = i + 1 < count ? &links[i + 1] : NULL;
        }
        for (int i = 0; i < count; i++)
            tasks[i] = at_pool_submit(pool, pass_on, &links[i]);
        cr_assert_eq(at_promise_set(links[0].promise, NULL, NULL), AT_OK);
        for (int i = 0; i < count; i++) {
            wait_value(tasks[i]);
            at_future_release(tasks[i]);
        }
        for (int i = 0; i < count; i++) {
            at_promise_destroy(links[i].promise);
            at_future_release(links[i].future);
        }
    }
    cr_expect_eq(destroy_pool(pool).succeeded, count * rounds);
}
