/* SPDX-License-Identifier: MIT
 *
 * Rule Z2: in the child of a process fork the parent's pools fail every call at once with
 * AT_ERROR_FORKED, and destroying them frees and never joins; the parent goes on. */
#include "support/plain.h"

#include <asynctools/asynctools.h>

#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>

static int drops;

static void count_drop(void *value) {
    (void)value;
    drops++;
}

static void *give(void *argument) {
    return argument;
}

static void *then_give(void *value, void *context) {
    (void)context;
    return value;
}

struct parent {
    at_pool *pool;
    at_promise *promise;
    at_future *pending;
    at_future *done;
};

static void check_starts(at_pool *pool) {
    at_task task;
    at_task_init(&task, give, NULL);
    at_task_options options = {.run = give, .argument = &task, .drop = count_drop};
    struct parent items[2];
    plain_check(at_pool_start(pool, give, NULL) == AT_ERROR_FORKED);
    plain_check(at_error_status(at_error_last()) == AT_ERROR_FORKED);
    plain_check(at_pool_start_with(pool, &options) == AT_ERROR_FORKED && drops == 0);
    plain_check(at_pool_start_many(pool, give, AT_ITEMS(items, 2)) == AT_ERROR_FORKED);
    plain_check(at_pool_start_task(pool, &task) == AT_ERROR_FORKED);
    at_future *future = at_pool_submit_with(pool, &options);
    plain_check(drops == 1 && at_future_wait(future, AT_FOREVER, NULL) == AT_ERROR_FORKED);
    at_future_release(future);
    future = at_pool_submit(pool, give, NULL);
    plain_check(at_future_wait(future, AT_FOREVER, NULL) == AT_ERROR_FORKED);
    at_future_release(future);
    plain_check(at_pool_shutdown(pool, AT_FOREVER) == AT_ERROR_FORKED);
}

/* The child: everything answers at once; what is done already can still be read. */
static int run_child(const struct parent *parent) {
    alarm(200);
    check_starts(parent->pool);
    plain_check(at_future_wait(parent->pending, AT_FOREVER, NULL) == AT_ERROR_FORKED);
    void *value = NULL;
    plain_check(at_future_wait(parent->done, AT_FOREVER, &value) == AT_OK && value == parent->pool);
    at_future *then = at_future_then(at_future_retain(parent->done), then_give, NULL);
    plain_check(at_future_wait(then, AT_FOREVER, NULL) == AT_ERROR_FORKED);
    at_future_release(then);
    at_pool_destroy(parent->pool);
    at_future_release(parent->done);
    return 0;
}

/* A child may have pools of its own. */
static int run_child_with_own_pool(void) {
    alarm(200);
    at_pool *pool = NULL;
    plain_check(at_pool_create(&pool, &(at_pool_options){.thread_count = 2}) == AT_OK);
    at_future *future = at_pool_submit(pool, give, pool);
    plain_check(at_future_wait(future, at_after(AT_SECONDS(20)), NULL) == AT_OK);
    at_future_release(future);
    at_pool_destroy(pool);
    return 0;
}

static void wait_for_child(pid_t child) {
    int status;
    plain_check(child > 0 && waitpid(child, &status, 0) == child);
    plain_check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void *wait_for(void *future) {
    AT_TRY(at_future_wait(future, AT_FOREVER, NULL));
    return NULL;
}

static void use_pool(at_pool *pool) {
    for (int i = 0; i < 100; i++) {
        at_future *future = at_pool_submit(pool, give, pool);
        void *value = NULL;
        plain_check(at_future_wait(future, at_after(AT_SECONDS(20)), &value) == AT_OK);
        plain_check(value == pool);
        at_future_release(future);
    }
}

/* Starts threads of its own, again in a child of the child. */
static int run_child_afresh(at_pool *pool) {
    alarm(200);
    use_pool(pool);
    pid_t child = fork();
    if (child == 0) {
        use_pool(pool);
        at_pool_destroy(pool);
        _exit(0);
    }
    wait_for_child(child);
    at_pool_audit_result audit;
    plain_check(at_pool_shutdown(pool, at_after(AT_SECONDS(20))) == AT_OK);
    at_pool_audit(pool, &audit);
    plain_check(audit.balanced && audit.accepted == 100);
    plain_check(at_pool_start(pool, give, NULL) == AT_ERROR_CLOSED);
    at_pool_destroy(pool);
    return 0;
}

/* What was suspended at the fork goes on in the parent, and nowhere else. */
static void check_start_afresh(void) {
    at_pool *pool = NULL;
    at_promise *promise = NULL;
    at_pool_options options = {.thread_count = 2, .process_fork = AT_PROCESS_FORK_START_AFRESH};
    plain_check(at_pool_create(&pool, &options) == AT_OK);
    plain_check(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK);
    at_future *future = at_promise_future(promise);
    for (int i = 0; i < 100; i++)
        plain_check(at_pool_start(pool, wait_for, future) == AT_OK);
    use_pool(pool);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(run_child_afresh(pool));
    wait_for_child(child);
    use_pool(pool);
    plain_check(at_promise_set(promise, NULL, NULL) == AT_OK);
    at_promise_destroy(promise);
    plain_check(at_pool_shutdown(pool, at_after(AT_SECONDS(20))) == AT_OK);
    at_future_release(future);
    at_pool_destroy(pool);
}

/* Timers come and go, so that their lock may be held at the fork. */
static void *sleep_until(void *stop) {
    while (!atomic_load((atomic_bool *)stop))
        AT_TRY(at_sleep(AT_MILLISECONDS(1)));
    return NULL;
}

static int run_child_with_statistics(at_pool *pool) {
    alarm(200);
    at_pool_statistics none = {0};
    at_pool_statistics statistics = {.executed = 1};
    at_pool_get_statistics(pool, &statistics);
    plain_check(memcmp(&statistics, &none, sizeof none) == 0);
    char *text = NULL;
    plain_check(at_pool_get_statistics_json(pool, &text) == AT_ERROR_FORKED && !text);
    plain_check(at_error_status(at_error_last()) == AT_ERROR_FORKED);
    at_pool_destroy(pool);
    return 0;
}

static void check_statistics(void) {
    at_pool *pool = NULL;
    atomic_bool stop = false;
    plain_check(at_pool_create(&pool, &(at_pool_options){.thread_count = 2}) == AT_OK);
    for (int i = 0; i < 50; i++)
        plain_check(at_pool_start(pool, sleep_until, &stop) == AT_OK);
    fflush(NULL);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(run_child_with_statistics(pool));
        wait_for_child(child);
    }
    atomic_store(&stop, true);
    plain_check(at_pool_shutdown(pool, at_after(AT_SECONDS(20))) == AT_OK);
    at_pool_destroy(pool);
}

/* What the parent has set is not set in a child that starts afresh, and may be set there. */
static int run_child_with_timer(at_pool *pool, at_timer *timer) {
    alarm(200);
    use_pool(pool);
    plain_check(!at_timer_cancel(timer));
    at_timer_unregister(timer);
    plain_check(at_timer_start(timer, at_after(AT_HOURS(1))) == AT_OK);
    plain_check(at_timer_cancel(timer));
    plain_check(at_timer_start(timer, at_after(AT_MILLISECONDS(1))) == AT_OK);
    plain_check(at_pool_shutdown(pool, at_after(AT_SECONDS(20))) == AT_OK);
    at_pool_audit_result audit;
    at_pool_audit(pool, &audit);
    plain_check(audit.balanced && audit.succeeded == 101);
    at_pool_destroy(pool);
    return 0;
}

static void check_timer_of_parent(void) {
    at_pool *pool = NULL;
    at_timer timer;
    at_pool_options options = {.thread_count = 2, .process_fork = AT_PROCESS_FORK_START_AFRESH};
    plain_check(at_pool_create(&pool, &options) == AT_OK);
    at_timer_init(&timer, pool, give, NULL);
    plain_check(at_timer_start(&timer, at_after(AT_HOURS(1))) == AT_OK);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(run_child_with_timer(pool, &timer));
    wait_for_child(child);
    plain_check(at_timer_cancel(&timer));
    at_timer_unregister(&timer);
    at_pool_destroy(pool);
}

struct called {
    at_cancel_callback callback;
    at_token *token;
    int calls;
};

static void count_call(void *called) {
    ((struct called *)called)->calls++;
}

static void *leave_callback(void *argument) {
    struct called *called = argument;
    AT_TIMEOUT(scope, AT_HOURS(1)) {
        called->token = at_token_retain(at_scope_token(&scope));
        at_cancel_callback_register(&called->callback, called->token, count_call, called);
    }
    return argument;
}

/* Nor is the deadline of a callback; in a child that fails, too, it is removed at once. */
static int run_child_with_callback(at_pool *pool, struct called *called, bool starts_afresh) {
    alarm(200);
    if (starts_afresh)
        use_pool(pool);
    at_cancel_callback_unregister(&called->callback);
    plain_check(at_token_cancel(called->token) == AT_OK && called->calls == 0);
    at_token_release(called->token);
    at_pool_destroy(pool);
    return 0;
}

static void check_callback_of_parent(at_process_fork_policy process_fork) {
    at_pool *pool = NULL;
    struct called called = {0};
    at_pool_options options = {.thread_count = 2, .process_fork = process_fork};
    plain_check(at_pool_create(&pool, &options) == AT_OK);
    at_future *future = at_pool_submit(pool, leave_callback, &called);
    plain_check(at_future_wait(future, at_after(AT_SECONDS(20)), NULL) == AT_OK);
    at_future_release(future);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(run_child_with_callback(pool, &called, process_fork == AT_PROCESS_FORK_START_AFRESH));
    wait_for_child(child);
    plain_check(at_token_cancel(called.token) == AT_OK && called.calls == 1);
    at_cancel_callback_unregister(&called.callback);
    at_token_release(called.token);
    at_pool_destroy(pool);
}

/* In a task that forked, the child is a plain thread: what waits sleeps. */
static void *fork_and_wait(void *unused) {
    pid_t child = fork();
    if (child == 0) {
        alarm(200);
        plain_check(at_pool_current() == NULL);
        plain_check(at_sleep(AT_MILLISECONDS(1)) == AT_OK);
        at_yield();
        plain_check(at_blocking_call(give, &child) == &child);
        _exit(0);
    }
    wait_for_child(child);
    return unused;
}

static void check_fork_in_task(void) {
    at_pool *pool = NULL;
    plain_check(at_pool_create(&pool, &(at_pool_options){.thread_count = 1}) == AT_OK);
    at_future *future = at_pool_submit(pool, fork_and_wait, NULL);
    plain_check(at_future_wait(future, at_after(AT_SECONDS(20)), NULL) == AT_OK);
    at_future_release(future);
    at_pool_destroy(pool);
}

static void *fork_and_destroy(void *pool) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(200);
        at_pool_destroy(pool);
        _exit(0);
    }
    wait_for_child(child);
    return NULL;
}

/* The child goes on on the stack of the task that forked, which the destroyed pool had made: while
 * another task waits on the thread's own stack, everything runs on such. No future refers to the
 * pool, so that nothing of it is left. */
static void check_destroy_in_task(at_process_fork_policy process_fork) {
    at_pool *pool = NULL;
    at_promise *promise = NULL;
    at_pool_options options = {.thread_count = 1, .process_fork = process_fork};
    plain_check(at_pool_create(&pool, &options) == AT_OK);
    plain_check(at_promise_create(&promise, at_executor_inline()) == AT_OK);
    at_future *future = at_promise_future(promise);
    plain_check(at_pool_start(pool, wait_for, future) == AT_OK);
    plain_check(at_pool_start(pool, fork_and_destroy, pool) == AT_OK);
    at_pool_audit_result audit = {0};
    while (audit.succeeded == 0)
        at_pool_audit(pool, &audit);
    plain_check(at_promise_set(promise, NULL, NULL) == AT_OK);
    at_promise_destroy(promise);
    plain_check(at_pool_shutdown(pool, at_after(AT_SECONDS(20))) == AT_OK);
    at_future_release(future);
    at_pool_destroy(pool);
}

int main(void) {
    struct parent parent;
    plain_check(at_pool_create(&parent.pool, &(at_pool_options){.thread_count = 3}) == AT_OK);
    plain_check(at_promise_create(&parent.promise, at_pool_executor(parent.pool)) == AT_OK);
    parent.pending = at_promise_future(parent.promise);
    parent.done = at_pool_submit(parent.pool, give, parent.pool);
    plain_check(at_future_wait(parent.done, AT_FOREVER, NULL) == AT_OK);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(run_child(&parent));
    wait_for_child(child);
/* ThreadSanitizer has no threads in such a child, and AddressSanitizer an allocator that may be
 * locked for ever. */
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
    child = fork();
    if (child == 0)
        _exit(run_child_with_own_pool());
    wait_for_child(child);
    check_start_afresh();
    check_timer_of_parent();
    check_callback_of_parent(AT_PROCESS_FORK_START_AFRESH);
    check_destroy_in_task(AT_PROCESS_FORK_START_AFRESH);
#else
    (void)run_child_with_own_pool;
    (void)check_start_afresh;
    (void)check_timer_of_parent;
#endif
    check_fork_in_task();
    check_statistics();
    check_callback_of_parent(AT_PROCESS_FORK_FAIL);
    check_destroy_in_task(AT_PROCESS_FORK_FAIL);
    /* The parent has noticed nothing. */
    at_future *future = at_pool_submit(parent.pool, give, NULL);
    plain_check(at_future_wait(future, at_after(AT_SECONDS(20)), NULL) == AT_OK);
    at_future_release(future);
    plain_check(at_promise_set(parent.promise, NULL, NULL) == AT_OK);
    at_promise_destroy(parent.promise);
    at_future_release(parent.pending);
    at_future_release(parent.done);
    plain_check(at_pool_shutdown(parent.pool, at_after(AT_SECONDS(20))) == AT_OK);
    at_pool_destroy(parent.pool);
    fprintf(stderr, "1 passed, 0 failed\n");
    return 0;
}
