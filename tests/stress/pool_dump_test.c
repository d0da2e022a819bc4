/* SPDX-License-Identifier: MIT
 *
 * Rule Z3: dumps and statistics are taken at any time, while tasks with and without names begin,
 * wait, nest, sleep, block and end, and pools come and go. What is freed is not read. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <jansson.h>
#include <sched.h>
#include <stdio.h>

TestSuite(pool_dump_stress, .timeout = 200);

enum { observer_count = 2, round_count = 25, tree_depth = 4, tree_width = 3 };

static at_future *submit_named(at_run_fn run, void *argument) {
    char name[32];
    snprintf(name, sizeof name, "branch %p", argument);
    at_task_options options = {.run = run, .argument = argument, .name = name};
    return at_pool_submit_with(at_pool_current(), &options);
}

static void *block_shortly(void *argument) {
    at_blocking_begin();
    sched_yield();
    at_blocking_end();
    return argument;
}

static void *pass_on(void *argument) {
    return argument;
}

/* A tree of tasks that wait for each other; the leaves do what takes a moment. */
static void *run_branch(void *argument) {
    size_t depth = (size_t)argument;
    if (depth == 0) {
        (void)at_sleep(AT_MICROSECONDS(20));
        at_yield();
        return at_blocking_call(pass_on, block_shortly(NULL));
    }
    at_future *branches[tree_width];
    for (size_t i = 0; i < tree_width; i++)
        branches[i] = i % 2 ? submit_named(run_branch, (void *)(depth - 1))
                            : at_pool_submit(at_pool_current(), run_branch, (void *)(depth - 1));
    for (size_t i = 0; i < tree_width; i++) {
        at_deadline deadline = i == 0 ? at_after(AT_SECONDS(50)) : AT_FOREVER;
        AT_TRY(at_future_wait(branches[i], deadline, NULL));
        at_future_release(branches[i]);
    }
    return NULL;
}

struct churn {
    at_pool *pool;
    _Atomic bool ends;
    _Atomic int wrong;
    _Atomic int looks;
};

static void check_json(struct churn *churn, at_status status, char *text) {
    json_t *document = status == AT_OK ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    atomic_fetch_add(&churn->wrong, !document);
    json_decref(document);
    at_text_release(text);
}

static void *observe(void *argument) {
    struct churn *churn = argument;
    while (!atomic_load(&churn->ends)) {
        char *text = NULL;
        at_status status = at_dump(&text);
        check_json(churn, status, text);
        text = NULL;
        status = at_pool_get_statistics_json(churn->pool, &text);
        check_json(churn, status, text);
        atomic_fetch_add(&churn->looks, 1);
    }
    return NULL;
}

Test(pool_dump_stress, against_everything) {
    struct churn churn = {.pool = create_pool(3)};
    pthread_t observers[observer_count];
    for (int i = 0; i < observer_count; i++)
        cr_assert_eq(pthread_create(&observers[i], NULL, observe, &churn), 0);
    int rounds = 0;
    for (; rounds < round_count || atomic_load(&churn.looks) < 20; rounds++) {
        at_pool *passing = create_pool(1 + rounds % 3);
        at_future *there = at_pool_submit(passing, run_branch, (void *)(size_t)(tree_depth - 2));
        at_future *root = at_pool_submit(churn.pool, run_branch, (void *)(size_t)tree_depth);
        if (at_pool_shutdown(passing, 0) != AT_OK) /* a report of what is left, too */
            at_error_clear();
        wait_value(root);
        wait_value(there);
        at_future_release(root);
        at_future_release(there);
        destroy_pool(passing);
    }
    atomic_store(&churn.ends, true);
    for (int i = 0; i < observer_count; i++)
        pthread_join(observers[i], NULL);
    cr_expect_eq(churn.wrong, 0);
    at_pool_statistics statistics;
    at_pool_get_statistics(churn.pool, &statistics);
    cr_expect_eq(statistics.suspended, 0, "%llu", (unsigned long long)statistics.suspended);
    cr_expect_geq(statistics.executed, (uint64_t)rounds * 100);
    destroy_pool(churn.pool);
}
