/* SPDX-License-Identifier: MIT
 *
 * Rules G3, G4, H00 and Z2: an item that destroys its own task pool or executor aborts, and so do
 * the last on_progress of a map and an inline continuation that would have to wait; and task pools
 * and executors in the child of a process fork. */
#include "support/apart.h"

#include <asynctools/asynctools.h>

#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

static void *give(void *argument) {
    return argument;
}

static void *destroy_own(void *workers) {
    at_task_pool_destroy(workers);
    return NULL;
}

static int run_bug(void) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    at_pool *pool;
    at_task_pool *workers;
    plain_check(at_pool_create(&pool, NULL) == AT_OK);
    plain_check(at_task_pool_create(&workers, pool, NULL) == AT_OK);
    plain_check(at_task_pool_submit(workers, destroy_own, workers) == AT_OK);
    (void)!at_task_pool_join(workers, AT_FOREVER);
    return 0;
}

static void *destroy_executor(void *executor) {
    at_concurrent_executor_destroy(*(at_concurrent_executor **)executor);
    return NULL;
}

static int run_executor_bug(void) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    at_pool *pool;
    at_concurrent_executor *executor;
    at_outcome outcome;
    plain_check(at_pool_create(&pool, NULL) == AT_OK);
    plain_check(at_concurrent_executor_create(&executor, pool, NULL) == AT_OK);
    (void)!at_concurrent_executor_map(executor, destroy_executor, AT_ITEMS(&executor, 1), &outcome,
                                      NULL);
    return 0;
}

static void destroy_at_the_end(size_t completed, size_t total, void *executor) {
    if (completed == total)
        at_concurrent_executor_destroy(executor);
}

static int run_progress_bug(void) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    at_pool *pool;
    at_concurrent_executor *executor;
    char items[3];
    at_outcome outcomes[3];
    plain_check(at_pool_create(&pool, NULL) == AT_OK);
    plain_check(at_concurrent_executor_create(&executor, pool, NULL) == AT_OK);
    at_map_options options = {.on_progress = destroy_at_the_end, .context = executor};
    (void)!at_concurrent_executor_map(executor, give, AT_ITEMS(items, 3), outcomes, &options);
    return 0;
}

static at_task_pool *own_workers;
static at_concurrent_executor *own_executor;
static at_future *awaited;
static sem_t begun;

static void *await(void *item) {
    sem_post(&begun);
    (void)!at_future_wait(awaited, AT_FOREVER, NULL);
    return item;
}

static void *map_one(void *item) {
    AT_TRY(at_concurrent_executor_map(own_executor, await, AT_ITEMS((char *)item, 1), NULL, NULL));
    return item;
}

static void *destroy_both(void *value, void *unused) {
    (void)unused;
    at_task_pool_destroy(own_workers);
    at_concurrent_executor_destroy(own_executor);
    return value;
}

/* An item waits for the end of a continuation that is to wait for all items. */
static int run_inline_bug(bool in_a_map) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    at_pool *pool;
    at_promise *source;
    char item;
    at_continuation_options options = {.executor = at_executor_inline()};
    plain_check(sem_init(&begun, 0, 0) == 0);
    plain_check(at_pool_create(&pool, NULL) == AT_OK);
    plain_check(at_task_pool_create(&own_workers, pool, NULL) == AT_OK);
    plain_check(at_concurrent_executor_create(&own_executor, pool, NULL) == AT_OK);
    plain_check(at_promise_create(&source, at_pool_executor(pool)) == AT_OK);
    awaited = at_future_then_with(at_promise_future(source), destroy_both, &options);
    at_status status = in_a_map ? at_pool_start(pool, map_one, &item)
                                : at_task_pool_submit(own_workers, await, &item);
    plain_check(status == AT_OK);
    sem_wait(&begun);
    plain_check(at_promise_set(source, NULL, NULL) == AT_OK);
    return 0;
}

static void *wait_long(void *unused) {
    AT_TRY(at_sleep(AT_SECONDS(1000)));
    return unused;
}

static void note_call(size_t completed, size_t total, void *is_called) {
    (void)completed;
    (void)total;
    *(bool *)is_called = true;
}

/* In the child every call fails at once, and no end waits for anybody. */
static void use_in_forked_process(at_task_pool *workers, at_concurrent_executor *executor) {
    char item;
    at_outcome outcome;
    at_outcome *outcomes;
    size_t count;
    plain_check(at_task_pool_submit(workers, give, NULL) == AT_ERROR_FORKED);
    plain_check(at_task_pool_try_submit(workers, give, NULL) == AT_ERROR_FORKED);
    plain_check(at_task_pool_join(workers, AT_FOREVER) == AT_ERROR_FORKED);
    plain_check(at_task_pool_gather_results(workers, &outcomes, &count) == AT_ERROR_FORKED);
    at_task_pool_destroy(workers);
    bool is_called = false;
    at_map_options options = {.on_progress = note_call, .context = &is_called};
    plain_check(at_concurrent_executor_map(executor, give, AT_ITEMS(&item, 1), &outcome,
                                           &options) == AT_ERROR_FORKED);
    plain_check(!is_called);
    plain_check(outcome.status == AT_ERROR_FORKED);
    at_outcomes_release(&outcome, 1);
    at_concurrent_executor_destroy(executor);
    _exit(0);
}

static void check_process_fork(void) {
    at_pool *pool;
    at_task_pool *workers;
    at_concurrent_executor *executor;
    at_outcome *outcomes;
    size_t count;
    at_scope scope;
    at_pool_options options = {.thread_count = 1};
    plain_check(at_pool_create(&pool, &options) == AT_OK);
    plain_check(at_concurrent_executor_create(&executor, pool, NULL) == AT_OK);
    at_scope_begin(&scope, NULL);
    plain_check(at_task_pool_create(&workers, pool, NULL) == AT_OK);
    plain_check(at_task_pool_submit(workers, wait_long, NULL) == AT_OK);
    pid_t child = fork();
    plain_check(child >= 0);
    if (child == 0)
        use_in_forked_process(workers, executor);
    int status;
    plain_check(waitpid(child, &status, 0) == child);
    plain_check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    plain_check(at_token_cancel(at_scope_token(&scope)) == AT_OK);
    plain_check(at_scope_end(&scope) == AT_ERROR_CANCELLED);
    plain_check(at_task_pool_gather_results(workers, &outcomes, &count) == AT_OK);
    plain_check(count == 1 && outcomes[0].status == AT_ERROR_CANCELLED);
    at_task_pool_results_release(outcomes, count);
    at_task_pool_destroy(workers);
    at_concurrent_executor_destroy(executor);
    at_pool_destroy(pool);
}

int main(int count, char **arguments) {
    if (count > 1)
        return strcmp(arguments[1], "executor") == 0   ? run_executor_bug()
               : strcmp(arguments[1], "progress") == 0 ? run_progress_bug()
               : strcmp(arguments[1], "inline") == 0   ? run_inline_bug(false)
               : strcmp(arguments[1], "map") == 0      ? run_inline_bug(true)
                                                       : run_bug();
    apart_check_abort("task pool", "at_task_pool_destroy: called by an item of this task pool");
    apart_check_abort("executor",
                      "at_concurrent_executor_destroy: called by an item of this executor");
    apart_check_abort("progress",
                      "at_concurrent_executor_destroy: called by an item of this executor");
    apart_check_abort("inline",
                      "at_task_pool_destroy: items are left, and an inline continuation may not");
    apart_check_abort("map", "at_concurrent_executor_destroy: maps are in progress, and an inline");
    check_process_fork();
    return 0;
}
