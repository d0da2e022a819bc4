/* SPDX-License-Identifier: MIT
 *
 * Rules G1, H00 and Z2: a child that destroys its own task manager aborts with one sentence; and a
 * manager in the child of a process fork. */
#include "support/apart.h"

#include <asynctools/asynctools.h>

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

static void *give_back(void *argument) {
    return argument;
}

static void *destroy_own(void *manager) {
    at_task_manager_destroy(manager);
    return NULL;
}

static at_task_manager *own;

static void *wait_for(void *future) {
    (void)!at_future_wait(future, AT_FOREVER, NULL);
    return NULL;
}

static at_task_manager_decision destroy_decided(const at_outcome *outcome, void *context) {
    (void)outcome;
    (void)context;
    at_task_manager_destroy(own);
    return AT_TASK_MANAGER_GO_ON;
}

static void run_bug(at_run_fn run, at_task_manager_decide_fn decide) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    at_pool *pool;
    at_task_manager_options options = {.decide = decide};
    plain_check(at_pool_create(&pool, NULL) == AT_OK);
    plain_check(at_task_manager_create(&own, pool, &options) == AT_OK);
    plain_check(at_task_manager_start(own, run, own) == AT_OK);
    (void)!at_task_manager_join(own, AT_FOREVER);
    _exit(0);
}

static void *end_inline(void *value, void *unused) {
    (void)unused;
    at_task_manager_destroy(own);
    return value;
}

/* The continuation runs on the thread of the child that it is to wait for. */
static void run_inline_bug(void) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    at_pool *pool;
    at_promise *promise;
    at_continuation_options options = {.executor = at_executor_inline()};
    plain_check(at_pool_create(&pool, NULL) == AT_OK);
    plain_check(at_task_manager_create(&own, pool, NULL) == AT_OK);
    plain_check(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK);
    at_future *wanted = at_promise_future(promise);
    at_future *child = at_task_manager_submit(own, wait_for, wanted);
    at_future *end = at_future_then_with(child, end_inline, &options);
    plain_check(at_promise_set(promise, NULL, NULL) == AT_OK);
    (void)!at_future_wait(end, AT_FOREVER, NULL);
    _exit(0);
}

static void *wait_long(void *unused) {
    AT_TRY(at_sleep(AT_SECONDS(1000)));
    return unused;
}

/* In the child every call fails at once, and the end of the manager waits for nobody. */
static void use_in_forked_process(at_task_manager *manager) {
    at_outcome outcome;
    plain_check(at_task_manager_start(manager, give_back, NULL) == AT_ERROR_FORKED);
    plain_check(at_task_manager_join(manager, AT_FOREVER) == AT_ERROR_FORKED);
    plain_check(at_task_manager_cancel(manager) == AT_ERROR_FORKED);
    at_future *future = at_task_manager_submit(manager, give_back, NULL);
    plain_check(at_future_wait(future, AT_FOREVER, NULL) == AT_ERROR_FORKED);
    at_future_release(future);
    at_task_manager_counts counts;
    at_task_manager_count(manager, &counts);
    plain_check(counts.started == 0);
    plain_check(at_task_manager_gather(manager, &outcome, 1) == AT_ERROR_FORKED);
    plain_check(outcome.status == AT_ERROR_FORKED);
    at_outcomes_release(&outcome, 1);
    at_task_manager_destroy(manager);
    _exit(0);
}

static void check_process_fork(void) {
    at_pool *pool;
    at_task_manager *manager;
    at_pool_options options = {.thread_count = 1};
    plain_check(at_pool_create(&pool, &options) == AT_OK);
    plain_check(at_task_manager_create(&manager, pool, NULL) == AT_OK);
    plain_check(at_task_manager_start(manager, wait_long, NULL) == AT_OK);
    pid_t child = fork();
    plain_check(child >= 0);
    if (child == 0)
        use_in_forked_process(manager);
    int status;
    plain_check(waitpid(child, &status, 0) == child);
    plain_check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    plain_check(at_task_manager_cancel(manager) == AT_OK);
    plain_check(at_task_manager_join(manager, AT_FOREVER) == AT_ERROR_CANCELLED);
    at_task_manager_destroy(manager);
    at_pool_destroy(pool);
}

int main(int count, char **arguments) {
    if (count == 2 && strcmp(arguments[1], "a child destroys its manager") == 0)
        run_bug(destroy_own, NULL);
    if (count == 2 && strcmp(arguments[1], "a callback destroys its manager") == 0)
        run_bug(give_back, destroy_decided);
    if (count == 2)
        run_inline_bug();
    apart_check_abort("a child destroys its manager", "may not destroy its own task manager");
    apart_check_abort("a callback destroys its manager", "may not destroy its own task manager");
    apart_check_abort("an inline continuation destroys a manager",
                      "an inline continuation may not wait");
    check_process_fork();
    return 0;
}
