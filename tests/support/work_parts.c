/* SPDX-License-Identifier: MIT */
#include "support/work_parts.h"

#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <stdlib.h>

/* -- What runs -- */

static void *give_owned(void *argument) {
    char *value = malloc(16);
    value[0] = argument ? 'a' : '0';
    return at_return(value, free);
}

/* The items of arrays are their numbers. */
static void *give_or_fail(void *item) {
    if (*(int *)item % 7 == 3)
        return at_fail(AT_ERROR_IO, "item %d", *(int *)item);
    return give_owned(item);
}

static void *sleep_shortly(void *argument) {
    AT_TRY(at_sleep(AT_MICROSECONDS(100)));
    return argument;
}

static void *sleep_long(void *argument) {
    AT_TRY(at_sleep(AT_SECONDS(1000)));
    return argument;
}

static int *number_items(int count) {
    int *items = malloc((size_t)count * sizeof *items);
    for (int i = 0; i < count; i++)
        items[i] = i;
    return items;
}

static void expect_end(at_future *future, at_status status) {
    expect_outcome(future, status);
    at_future_release(future);
}

/* -- Task managers -- */

void part_manager(at_pool *pool) {
    enum { count = 2000 };
    at_task_manager *manager;
    cr_assert_eq(
        at_task_manager_create(&manager, pool, &(at_task_manager_options){.max_concurrent = 10}),
        AT_OK);
    for (int i = 0; i < count; i++)
        cr_assert_eq(at_task_manager_start(manager, give_owned, NULL), AT_OK);
    at_outcome *outcomes = calloc(count, sizeof *outcomes);
    cr_assert_eq(at_task_manager_gather(manager, outcomes, count), AT_OK);
    at_outcomes_release(outcomes, count);
    free(outcomes);
    at_task_manager_destroy(manager);
}

static void *start_siblings(void *manager) {
    for (int i = 0; i < 20; i++)
        AT_TRY(at_task_manager_start(manager, give_owned, NULL));
    return NULL;
}

void part_manager_without_outcomes(at_pool *pool) {
    at_task_manager *manager;
    at_task_manager_options options = {.no_outcomes = true, .max_concurrent = 5};
    cr_assert_eq(at_task_manager_create(&manager, pool, &options), AT_OK);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(at_task_manager_start(manager, start_siblings, manager), AT_OK);
    cr_assert_eq(at_task_manager_join(manager, AT_FOREVER), AT_OK);
    at_task_manager_destroy(manager);
}

static void *fail(void *argument) {
    (void)argument;
    return at_fail(AT_ERROR_IO, "on purpose");
}

void part_submitted_children(at_pool *pool) {
    enum { count = 200 };
    at_task_manager *manager;
    at_future *futures[count];
    cr_assert_eq(at_task_manager_create(&manager, pool, NULL), AT_OK);
    for (int i = 0; i < count; i++)
        futures[i] = at_task_manager_submit(manager, sleep_long, NULL);
    for (int i = 0; i < count; i += 2)
        at_future_cancel(futures[i]);
    for (int i = 0; i < count; i += 2)
        expect_end(futures[i], AT_ERROR_CANCELLED);
    cr_assert_eq(at_task_manager_start(manager, fail, NULL), AT_OK);
    cr_assert_eq(at_task_manager_join(manager, AT_FOREVER), AT_ERROR_IO);
    for (int i = 1; i < count; i += 2)
        expect_end(futures[i], AT_ERROR_CANCELLED);
    at_task_manager_destroy(manager);
}

void part_sleeping_children(at_pool *pool) {
    at_task_manager *manager;
    at_task_manager_options options = {.max_concurrent = 300};
    cr_assert_eq(at_task_manager_create(&manager, pool, &options), AT_OK);
    for (int i = 0; i < 600; i++)
        cr_assert_eq(at_task_manager_start(manager, sleep_shortly, NULL), AT_OK);
    cr_assert_eq(at_task_manager_join(manager, AT_FOREVER), AT_OK);
    at_task_manager_destroy(manager);
}

/* -- Many items -- */

void part_gather(at_pool *pool) {
    enum { count = 300 };
    int *items = number_items(count);
    at_outcome *outcomes = calloc(count, sizeof *outcomes);
    at_gather_options options = {.limit = 5, .policy = AT_TASK_MANAGER_COLLECT};
    cr_assert_eq(at_gather(pool, give_or_fail, AT_ITEMS(items, count), outcomes, &options),
                 AT_ERROR_IO);
    at_outcomes_release(outcomes, count);
    options.policy = AT_TASK_MANAGER_ALL;
    cr_assert_eq(at_gather(pool, give_or_fail, AT_ITEMS(items, count), outcomes, &options),
                 AT_ERROR_IO);
    at_outcomes_release(outcomes, count);
    free(outcomes);
    free(items);
}

static void count_progress(size_t completed, size_t total, void *last) {
    (void)total;
    *(size_t *)last = completed;
}

void part_map(at_pool *pool) {
    enum { count = 2000 };
    int *items = number_items(count);
    at_outcome *outcomes = calloc(count, sizeof *outcomes);
    at_concurrent_executor *executor;
    size_t last = 0;
    at_map_options options = {.on_progress = count_progress, .context = &last};
    cr_assert_eq(at_concurrent_executor_create(&executor, pool, NULL), AT_OK);
    for (int round = 0; round < 3; round++) {
        options.fail_fast = round == 1;
        at_run_fn run = round < 2 ? give_or_fail : sleep_long;
        AT_TIMEOUT(scope, round < 2 ? AT_SECONDS(1000) : AT_MICROSECONDS(100)) {
            at_status status = at_concurrent_executor_map(executor, run, AT_ITEMS(items, count),
                                                          outcomes, &options);
            cr_assert_eq(status, round < 2 ? AT_ERROR_IO : AT_ERROR_TIMED_OUT);
        }
        cr_assert_eq(last, count);
        at_outcomes_release(outcomes, count);
    }
    at_concurrent_executor_destroy(executor);
    free(outcomes);
    free(items);
}

/* -- Cancellation -- */

void part_cancelled_scope(at_pool *pool) {
    enum { count = 500 };
    at_future *futures[count];
    AT_SCOPE(scope, 0) {
        for (int i = 0; i < count; i++)
            futures[i] = at_pool_submit(pool, sleep_long, NULL);
        cr_assert_eq(at_token_cancel(at_scope_token(&scope)), AT_OK);
    }
    for (int i = 0; i < count; i++)
        expect_end(futures[i], AT_ERROR_CANCELLED);
}

static void note(void *runs) {
    ++*(int *)runs;
}

void part_tokens(at_pool *pool) {
    enum { count = 100 };
    at_token *root, *tokens[count];
    at_cancel_callback callbacks[count];
    at_future *futures[count];
    int runs = 0;
    cr_assert_eq(at_token_create(&root, NULL), AT_OK);
    for (int i = 0; i < count; i++)
        cr_assert_eq(at_token_create(&tokens[i], i % 3 == 0 ? root : tokens[i - 1]), AT_OK);
    for (int i = 0; i < count; i++) {
        at_cancel_callback_register(&callbacks[i], tokens[i], note, &runs);
        AT_TIMEOUT(around, AT_SECONDS(1000))
        AT_SCOPE(scope, .token = tokens[i]) {
            futures[i] = at_pool_submit(pool, sleep_long, NULL);
        }
        if (i % 4 == 0)
            at_cancel_callback_unregister(&callbacks[i]);
    }
    cr_assert_eq(at_token_cancel(root), AT_OK);
    for (int i = 0; i < count; i++) {
        if (i % 4 != 0)
            at_cancel_callback_unregister(&callbacks[i]);
        at_future_cancel(futures[i]); /* a scope that has ended is not under its token any more */
        expect_end(futures[i], AT_ERROR_CANCELLED);
        at_token_release(tokens[i]);
    }
    at_token_release(root);
    cr_assert_eq(runs, count - count / 4);
}

void part_timeouts(at_pool *pool) {
    enum { count = 100 };
    at_future *late[count], *in_time[count];
    for (int i = 0; i < count; i++) {
        late[i] = at_future_with_timeout(at_pool_submit(pool, sleep_long, NULL),
                                         at_after(AT_MICROSECONDS(i)));
        in_time[i] = at_future_with_timeout(at_pool_submit(pool, sleep_shortly, NULL),
                                            at_after(AT_SECONDS(1000)));
    }
    for (int i = 0; i < count; i++) {
        expect_end(late[i], AT_ERROR_TIMED_OUT);
        expect_end(in_time[i], AT_OK);
        AT_TIMEOUT(scope, AT_MICROSECONDS(1)) {
            cr_assert_eq(at_sleep(AT_SECONDS(1000)), AT_ERROR_TIMED_OUT);
        }
    }
}

/* -- Futures -- */

static void *pass_on(void *value, void *context) {
    (void)context;
    return value;
}

static void look_on(const at_outcome *outcome, void *seen) {
    *(at_status *)seen = outcome->status;
}

static at_future *combine(at_pool *pool, at_future *long_lived, int round) {
    at_future *sources[3] = {at_future_retain(long_lived), at_pool_submit(pool, give_owned, NULL),
                             at_pool_submit(pool, sleep_shortly, NULL)};
    switch (round % 4) {
    case 0:
        return at_future_any(sources, 3);
    case 1:
        return at_future_first(sources, 3);
    case 2:
        return at_future_all(sources, 3);
    default:
        return at_future_all_settled(sources, 3);
    }
}

void part_futures(at_pool *pool) {
    enum { count = 100 };
    at_future *long_lived;
    at_promise *promise = create_promise(pool, &long_lived);
    static at_status seen[count];
    for (int i = 0; i < count; i++) {
        at_future *then = at_future_then(combine(pool, long_lived, i), pass_on, NULL);
        then = at_future_finally(then, look_on, &seen[i]);
        if (i % 4 < 2) {
            expect_end(then, AT_OK);
        } else {
            at_future_cancel(then);
            expect_end(then, AT_ERROR_CANCELLED);
            cr_assert_eq(seen[i], AT_ERROR_CANCELLED);
            at_future_release(long_lived);
            at_promise_destroy(promise); /* nobody wanted it any more */
            promise = create_promise(pool, &long_lived);
        }
    }
    at_promise_set(promise, NULL, NULL);
    at_promise_destroy(promise);
    at_future_release(long_lived);
}

/* -- Executors -- */

void part_strands(at_pool *pool) {
    enum { strands = 10, count = 100 };
    at_future *futures[strands][count];
    for (int s = 0; s < strands; s++) {
        at_strand *strand;
        cr_assert_eq(at_strand_create(&strand, pool, NULL), AT_OK);
        for (int i = 0; i < count; i++)
            futures[s][i] = at_executor_submit(at_strand_executor(strand), give_owned, NULL);
        at_future_cancel(futures[s][count - 1]);
        at_strand_destroy(strand);
    }
    for (int s = 0; s < strands; s++)
        for (int i = 0; i < count; i++) {
            at_status status = at_future_wait(futures[s][i], PATIENCE, NULL);
            cr_assert(status == AT_OK || (i == count - 1 && status == AT_ERROR_CANCELLED));
            at_future_release(futures[s][i]);
        }
}

void part_keyed_executor(at_pool *pool) {
    enum { count = 1000 };
    at_keyed_executor *keyed;
    at_future *futures[count];
    cr_assert_eq(at_keyed_executor_create(&keyed, pool, NULL), AT_OK);
    for (int i = 0; i < count; i++) {
        int key = i % 300;
        futures[i] = at_keyed_executor_submit(keyed, &key, sizeof key, give_owned, NULL);
        if (i % 5 == 0)
            at_future_cancel(futures[i]);
    }
    for (int i = 0; i < count; i++) {
        at_status status = at_future_wait(futures[i], PATIENCE, NULL);
        cr_assert(status == AT_OK || (i % 5 == 0 && status == AT_ERROR_CANCELLED));
        at_future_release(futures[i]);
    }
    at_keyed_executor_destroy(keyed);
}

static void submit_items(at_task_pool *workers, int *items, int count) {
    for (int i = 0; i < count; i++) {
        at_run_fn run = i % 10 == 0 ? sleep_shortly : give_or_fail;
        at_status status = at_task_pool_submit(workers, run, &items[i]);
        cr_assert(status == AT_OK || status == AT_ERROR_FULL);
    }
}

void part_task_pool(at_pool *pool) {
    enum { count = 100 };
    int *items = number_items(count);
    for (int policy = AT_TASK_POOL_WAIT; policy <= AT_TASK_POOL_DROP_OLDEST; policy++) {
        at_task_pool *workers;
        at_task_pool_options options = {.pool_size = 2,
                                        .queue_size = 4,
                                        .when_full = (at_task_pool_policy)policy,
                                        .expiry = AT_MICROSECONDS(200)};
        cr_assert_eq(at_task_pool_create(&workers, pool, &options), AT_OK);
        submit_items(workers, items, count);
        at_outcome *outcomes;
        size_t outcome_count;
        cr_assert_eq(at_task_pool_gather_results(workers, &outcomes, &outcome_count), AT_OK);
        at_task_pool_results_release(outcomes, outcome_count);
        at_task_pool_destroy(workers);
    }
    at_error_clear();
    free(items);
}

void part_loop_executor(at_pool *pool) {
    enum { count = 100 };
    at_loop_executor *loop;
    at_future *futures[count];
    cr_assert_eq(at_loop_executor_create(&loop), AT_OK);
    at_continuation_options on_loop = {.executor = at_loop_executor_executor(loop)};
    for (int i = 0; i < count; i++) {
        at_future *source = at_pool_submit(pool, i % 2 ? give_owned : sleep_shortly, NULL);
        futures[i] = at_future_then_with(source, pass_on, &on_loop);
        if (i % 10 == 0)
            at_future_cancel(futures[i]);
    }
    int done = 0;
    while (done < count) {
        cr_assert_eq(at_loop_executor_dispatch(loop, 10, AT_FOREVER, NULL), AT_OK);
        if (at_future_is_done(futures[done]))
            at_future_release(futures[done++]);
    }
    at_loop_executor_destroy(loop);
}
