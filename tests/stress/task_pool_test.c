/* SPDX-License-Identifier: MIT
 *
 * Rules G4 and S1 under load: threads, tasks and items submit to one task pool, some give up
 * waiting, others gather meanwhile; each argument is run or dropped once, each accepted item has
 * one outcome. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/sleep.h>
#include <asynctools/task_pool.h>

#include <stdlib.h>

TestSuite(task_pool_stress, .timeout = 200);

enum { submitters = 4, item_count = 3000 };

struct item {
    struct tally tally;
    at_task_pool *workers;
    int index;
    bool accepted;
};

struct submitter {
    at_task_pool *workers;
    struct item *items;
    _Atomic int *left; /* submitters */
};

static void *run_item(void *argument) {
    struct item *item = argument;
    tally_run(&item->tally);
    if (item->index % 31 == 0)
        at_yield();
    if (item->index % 67 == 0)
        AT_TRY(at_sleep(AT_MICROSECONDS(20)));
    if (item->index % 41 == 0)
        return at_fail(AT_ERROR_IO, "a failure");
    return item;
}

static void drop_item(void *argument) {
    tally_drop(&((struct item *)argument)->tally);
}

static void submit_one(struct submitter *submitter, int index) {
    struct item *item = &submitter->items[index];
    at_task_options task = {.run = run_item, .argument = item, .drop = drop_item};
    item->index = index;
    item->workers = submitter->workers;
    if (index % 13 != 0) {
        item->accepted = at_task_pool_submit_with(submitter->workers, &task) == AT_OK;
        return;
    }
    AT_TIMEOUT(scope, AT_MICROSECONDS(index % 5 == 0 ? 1 : 100)) {
        item->accepted = at_task_pool_submit_with(submitter->workers, &task) == AT_OK;
    }
}

static void *submit_all(void *argument) {
    for (int i = 0; i < item_count; i++)
        submit_one(argument, i);
    atomic_fetch_sub(((struct submitter *)argument)->left, 1);
    at_error_clear();
    return NULL;
}

static uint64_t gather_some(at_task_pool *workers) {
    at_outcome *outcomes;
    size_t count;
    cr_assert_eq(at_task_pool_gather_results(workers, &outcomes, &count), AT_OK);
    at_task_pool_results_release(outcomes, count);
    return count;
}

static void check_items(const struct item *items, const at_task_pool_statistics *numbers) {
    uint64_t runs = 0, drops = 0, accepted = 0, wrong = 0;
    for (int i = 0; i < 2 * submitters * item_count; i++) {
        int once = tally_runs(&items[i].tally) + tally_drops(&items[i].tally);
        wrong += once != items[i].accepted;
        accepted += items[i].accepted;
        runs += (uint64_t)tally_runs(&items[i].tally);
        drops += (uint64_t)tally_drops(&items[i].tally);
    }
    cr_expect_eq(wrong, 0);
    cr_expect_eq(accepted, numbers->submitted);
    cr_expect_geq(runs, numbers->succeeded + numbers->failed);
    cr_expect_leq(drops, numbers->dropped + numbers->expired + numbers->cancelled);
}

static void *cancel_soon(void *token) {
    if (!token)
        return NULL;
    (void)at_sleep(AT_MICROSECONDS(300));
    (void)at_token_cancel(token);
    at_token_release(token);
    return NULL;
}

/* A task pool that `token`, if there is one, cancels in the middle. */
static void run_policy(at_pool *pool, const at_task_pool_options *options, at_token *token) {
    at_scope scope;
    struct item *items = calloc(2 * submitters * item_count, sizeof *items);
    struct submitter all[2 * submitters];
    pthread_t threads[submitters];
    at_future *futures[submitters];
    at_task_pool *workers = NULL;
    at_task_pool_statistics numbers;
    _Atomic int left = 2 * submitters;
    at_scope_begin(&scope, &(at_scope_options){.token = token});
    cr_assert_eq(at_task_pool_create(&workers, pool, options), AT_OK);
    (void)at_scope_end(&scope);
    cr_assert_eq(at_pool_start(pool, cancel_soon, token ? at_token_retain(token) : NULL), AT_OK);
    for (int i = 0; i < 2 * submitters; i++)
        all[i] = (struct submitter){workers, &items[i * item_count], &left};
    for (int i = 0; i < submitters; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, submit_all, &all[i]), 0);
        futures[i] = at_pool_submit(pool, submit_all, &all[submitters + i]);
    }
    uint64_t gathered = 0;
    while (atomic_load(&left) > 0)
        gathered += gather_some(workers);
    for (int i = 0; i < submitters; i++) {
        pthread_join(threads[i], NULL);
        wait_value(futures[i]);
        at_future_release(futures[i]);
    }
    gathered += gather_some(workers);
    at_task_pool_get_statistics(workers, &numbers);
    cr_expect_eq(gathered, options->kept_outcomes == AT_NONE ? 0 : numbers.submitted);
    cr_expect_eq(numbers.submitted, numbers.succeeded + numbers.failed + numbers.cancelled +
                                        numbers.dropped + numbers.expired);
    at_task_pool_destroy(workers);
    check_items(items, &numbers);
    free(items);
}

Test(task_pool_stress, all_policies) {
    at_pool *pool = create_pool(4);
    for (at_task_pool_policy policy = AT_TASK_POOL_WAIT; policy <= AT_TASK_POOL_DROP_OLDEST;
         policy++)
        for (int kind = 0; kind < 3; kind++)
            run_policy(pool,
                       &(at_task_pool_options){
                           .pool_size = 3,
                           .queue_size = kind == 0 ? AT_NONE : 8,
                           .when_full = policy,
                           .expiry = kind == 2 ? AT_MICROSECONDS(30) : 0,
                           .kept_outcomes = kind == 1 ? AT_UNLIMITED : 0,
                       },
                       NULL);
    destroy_pool(pool);
}

/* The same holds for what is cancelled. */
Test(task_pool_stress, cancelled_in_the_middle) {
    at_pool *pool = create_pool(4);
    for (int i = 0; i < 30; i++) {
        at_token *token = NULL;
        cr_assert_eq(at_token_create(&token, NULL), AT_OK);
        run_policy(pool,
                   &(at_task_pool_options){.pool_size = 2,
                                           .queue_size = 8,
                                           .expiry = i % 2 == 0 ? 0 : AT_MICROSECONDS(30)},
                   token);
        at_token_release(token);
    }
    destroy_pool(pool);
}

/* Who gives up waiting and who gathers meet often. */
Test(task_pool_stress, few_kept_outcomes) {
    at_pool *pool = create_pool(4);
    run_policy(pool, &(at_task_pool_options){.pool_size = 2, .kept_outcomes = 5}, NULL);
    destroy_pool(pool);
}

/* Without outcomes; it is destroyed as soon as the last item has ended. */
Test(task_pool_stress, destroyed_at_once) {
    struct tally tally = {0};
    at_pool *pool = create_pool(4);
    for (int i = 0; i < 3000; i++) {
        at_task_pool *workers = NULL;
        at_task_pool_options options = {.pool_size = 2, .kept_outcomes = i % 2 == 0 ? AT_NONE : 0};
        cr_assert_eq(at_task_pool_create(&workers, pool, &options), AT_OK);
        for (int k = 0; k < 5; k++)
            cr_assert_eq(at_task_pool_submit(workers, tally_run, &tally), AT_OK);
        at_task_pool_destroy(workers);
    }
    cr_expect_eq(tally_runs(&tally), 15000);
    destroy_pool(pool);
}
