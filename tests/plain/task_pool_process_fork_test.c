/* SPDX-License-Identifier: MIT
 *
 * Rule Z2: in the child of a process fork, task pools and concurrent executors of the parent fail
 * every call at once and are destroyed at once, whatever other threads were in the middle of; and
 * nothing of the parent's is run or dropped there. */
#include "support/plain.h"

#include <asynctools/asynctools.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>

enum { forks = 60, items_of_a_map = 3 };

static at_task_pool *workers;
static at_concurrent_executor *executor;
static _Atomic bool stops;
static _Atomic int drops;
static char some_items[items_of_a_map];

static void count_drop(void *value) {
    (void)value;
    atomic_fetch_add(&drops, 1);
}

static void *give_owned(void *argument) {
    return at_return(argument, count_drop);
}

static void *give(void *argument) {
    return argument;
}

/* Keep the locks busy. */
static void *look_and_submit(void *unused) {
    while (!atomic_load(&stops)) {
        at_task_pool_statistics statistics;
        for (int i = 0; i < 100; i++)
            at_task_pool_get_statistics(workers, &statistics);
        plain_check(at_task_pool_submit(workers, give, NULL) == AT_OK);
    }
    return unused;
}

static void *map_again(void *unused) {
    while (!atomic_load(&stops)) {
        at_outcome outcomes[items_of_a_map];
        plain_check(at_concurrent_executor_map(executor, give, AT_ITEMS(some_items, items_of_a_map),
                                               outcomes, NULL) == AT_OK);
        at_outcomes_release(outcomes, items_of_a_map);
    }
    return unused;
}

static int run_child(at_scope *scope) {
    at_task_pool_statistics statistics = {.submitted = 77};
    at_outcome outcomes[items_of_a_map];
    alarm(200);
    at_task_pool_get_statistics(workers, &statistics);
    plain_check(statistics.submitted == 0);
    plain_check(at_task_pool_join(workers, AT_FOREVER) == AT_ERROR_FORKED);
    plain_check(at_concurrent_executor_map(executor, give, AT_ITEMS(some_items, items_of_a_map),
                                           outcomes, NULL) == AT_ERROR_FORKED);
    for (int i = 0; i < items_of_a_map; i++)
        plain_check(outcomes[i].status == AT_ERROR_FORKED);
    at_outcomes_release(outcomes, items_of_a_map);
    at_concurrent_executor_destroy(executor);
    at_task_pool_destroy(workers);
    if (scope) /* it was a part of this operation */
        plain_check(at_token_cancel(at_scope_token(scope)) == AT_OK);
    plain_check(drops == 0);
    return 0;
}

static void fork_while_busy(at_scope *scope) {
    pthread_t threads[2];
    plain_check(pthread_create(&threads[0], NULL, look_and_submit, NULL) == 0);
    plain_check(pthread_create(&threads[1], NULL, map_again, NULL) == 0);
    for (int i = 0; i < forks; i++) {
        int status;
        pid_t child = fork();
        if (child == 0)
            _exit(run_child(scope));
        plain_check(child > 0 && waitpid(child, &status, 0) == child);
        plain_check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    atomic_store(&stops, true);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    atomic_store(&stops, false);
}

static void check(at_pool *pool, at_scope *scope) {
    at_task_pool_options options = {.kept_outcomes = AT_UNLIMITED};
    drops = 0;
    plain_check(at_concurrent_executor_create(&executor, pool, NULL) == AT_OK);
    plain_check(at_task_pool_create(&workers, pool, &options) == AT_OK);
    plain_check(at_task_pool_submit(workers, give_owned, &drops) == AT_OK);
    plain_check(at_task_pool_join(workers, AT_FOREVER) == AT_OK);
    fork_while_busy(scope);
    at_task_pool_destroy(workers);
    at_concurrent_executor_destroy(executor);
    plain_check(drops == 1);
}

int main(void) {
    at_pool *pool;
    at_scope scope;
    at_pool_options options = {.thread_count = 2};
    plain_check(at_pool_create(&pool, &options) == AT_OK);
    check(pool, NULL);
    at_scope_begin(&scope, NULL);
    check(pool, &scope);
    plain_check(at_scope_end(&scope) == AT_OK);
    at_pool_destroy(pool);
    return 0;
}
