/* SPDX-License-Identifier: MIT
 *
 * Rule G3 under load: several threads and tasks map on one executor at once, some of them
 * cancelled in the middle; each item runs once or not at all, and its outcome says which. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/concurrent_executor.h>
#include <asynctools/sleep.h>

#include <stdlib.h>

TestSuite(concurrent_executor_stress, .timeout = 200);

enum { item_count = 3000, rounds = 60, mappers = 4 };

struct mapper {
    at_concurrent_executor *executor;
    at_token *token;
    uint64_t seed;
    int wrong;
    struct tally items[item_count];
    at_outcome outcomes[item_count];
};

static void *yield_at_times(void *argument) {
    struct tally *item = argument;
    tally_run(item);
    int kind = item->drops % 97;
    if (kind == 1)
        at_yield();
    if (kind == 2)
        AT_TRY(at_sleep(AT_MICROSECONDS(20)));
    if (kind == 3)
        return at_fail(AT_ERROR_IO, "a failure");
    return at_return(item, tally_drop);
}

static void check_item(struct mapper *mapper, int i) {
    const at_outcome *outcome = &mapper->outcomes[i];
    int runs = tally_runs(&mapper->items[i]);
    bool right = outcome->status == AT_OK                ? runs == 1 && !outcome->error
                 : outcome->status == AT_ERROR_CANCELLED ? runs <= 1
                                                         : runs == 1 && outcome->error;
    mapper->wrong += !right;
}

static void count_progress(size_t completed, size_t total, void *context) {
    size_t *last = context;
    *last = completed > *last ? completed : total + 1;
}

static void map_once(struct mapper *mapper, int round) {
    at_scope scope;
    size_t last = 0;
    for (int i = 0; i < item_count; i++)
        mapper->items[i] = (struct tally){.drops = i + round};
    at_scope_begin(&scope, &(at_scope_options){.token = round % 3 == 0 ? mapper->token : NULL});
    at_outcome *outcomes = round % 4 != 1 ? mapper->outcomes : NULL;
    (void)!at_concurrent_executor_map(
        mapper->executor, yield_at_times, AT_ITEMS(mapper->items, item_count), outcomes,
        &(at_map_options){
            .on_progress = count_progress, .context = &last, .fail_fast = round % 5 == 0});
    (void)at_scope_end(&scope);
    mapper->wrong += last != item_count;
    if (outcomes) {
        for (int i = 0; i < item_count; i++)
            check_item(mapper, i);
        at_outcomes_release(outcomes, item_count);
    }
    at_error_clear();
}

static void *map_repeatedly(void *argument) {
    struct mapper *mapper = argument;
    for (int round = 0; round < rounds; round++) {
        mapper->token = NULL;
        if (at_token_create(&mapper->token, NULL) != AT_OK)
            return NULL;
        map_once(mapper, round);
        at_token_release(mapper->token);
    }
    return NULL;
}

/* Cancels itself from one of its items: so a part of the others has run. */
struct self_cancelled {
    at_token *token;
    int index;
};

static void *cancel_from_inside(void *argument) {
    struct self_cancelled *item = argument;
    if (item->index == item_count / 2)
        (void)at_token_cancel(item->token);
    return NULL;
}

static void *map_and_cancel(void *executor) {
    struct self_cancelled *items = calloc(item_count, sizeof *items);
    at_outcome *outcomes = calloc(item_count, sizeof *outcomes);
    intptr_t wrong = 0;
    for (int round = 0; round < rounds; round++) {
        at_scope scope;
        at_scope_begin(&scope, NULL);
        for (int i = 0; i < item_count; i++)
            items[i] = (struct self_cancelled){at_scope_token(&scope), i};
        at_status status = at_concurrent_executor_map(executor, cancel_from_inside,
                                                      AT_ITEMS(items, item_count), outcomes, NULL);
        (void)at_scope_end(&scope);
        bool any_left_out = false;
        for (int i = 0; i < item_count; i++)
            any_left_out |= outcomes[i].status == AT_ERROR_CANCELLED;
        wrong += status != (any_left_out ? AT_ERROR_CANCELLED : AT_OK);
        at_outcomes_release(outcomes, item_count);
    }
    at_error_clear();
    free(items);
    free(outcomes);
    return (void *)wrong;
}

static void *map_in_thread(void *mapper) {
    return map_repeatedly(mapper);
}

Test(concurrent_executor_stress, many_maps_at_once) {
    static const int64_t workers[] = {1, 3, 80};
    at_pool *pool = create_pool(4);
    for (size_t w = 0; w < sizeof workers / sizeof *workers; w++) {
        struct mapper *all = calloc(2 * mappers, sizeof *all);
        pthread_t threads[mappers];
        at_future *futures[mappers + 1];
        at_concurrent_executor *executor = NULL;
        at_concurrent_executor_options options = {.max_workers = workers[w]};
        cr_assert_eq(at_concurrent_executor_create(&executor, pool, &options), AT_OK);
        for (int i = 0; i < 2 * mappers; i++)
            all[i].executor = executor;
        for (int i = 0; i < mappers; i++) {
            cr_assert_eq(pthread_create(&threads[i], NULL, map_in_thread, &all[i]), 0);
            futures[i] = at_pool_submit(pool, map_repeatedly, &all[mappers + i]);
        }
        futures[mappers] = at_pool_submit(pool, map_and_cancel, executor);
        for (int i = 0; i < mappers; i++)
            pthread_join(threads[i], NULL);
        for (int i = 0; i <= mappers; i++) {
            cr_expect_null(wait_value(futures[i]));
            at_future_release(futures[i]);
        }
        for (int i = 0; i < 2 * mappers; i++)
            cr_expect_eq(all[i].wrong, 0);
        at_concurrent_executor_destroy(executor);
        free(all);
    }
    destroy_pool(pool);
}
