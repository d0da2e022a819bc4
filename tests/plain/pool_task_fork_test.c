/* SPDX-License-Identifier: MIT
 *
 * Rule Z2: a task that forks the process and returns in the child ends the child, with one sentence
 * and the exit code 70; the parent has noticed nothing. Until then it is in a plain thread: it
 * waits as one, and runs nothing that is the parent's. The same holds for the turn of a loop, and
 * between a fork and its join. */
#include "support/plain.h"

#include <asynctools/asynctools.h>

#include <string.h>
#include <sys/wait.h>

static int child_errors[2]; /* a pipe: what the child writes to stderr */

static _Atomic int others; /* tasks that ran; the child has its own count */

static void *count_one(void *unused) {
    others++;
    return unused;
}

static void *give(void *argument) {
    return argument;
}

/* In the child, where tasks are queued and others are suspended. */
static void wait_in_child(at_pool *parents) {
    int before = others;
    plain_check(at_pool_current() == NULL);
    plain_check(at_sleep(AT_MILLISECONDS(1)) == AT_OK);
    at_yield();
    plain_check(at_check() == AT_OK);
    plain_check(at_blocking_call(give, parents) == parents);
    at_blocking_begin();
    at_blocking_end();
    at_promise *promise = NULL;
    plain_check(at_promise_create(&promise, at_executor_inline()) == AT_OK);
    at_future *future = at_promise_future(promise);
    plain_check(at_future_wait(future, at_after(AT_MILLISECONDS(1)), NULL) == AT_ERROR_TIMED_OUT);
    at_future_release(future);
    at_promise_destroy(promise);
    plain_check(at_pool_start(parents, count_one, NULL) == AT_ERROR_FORKED);
    plain_check(others == before);
}

static void *fork_and_return(void *child) {
    at_pool *pool = at_pool_current();
    at_yield();
    for (int i = 0; i < 20; i++)
        AT_TRY(at_pool_start(pool, count_one, NULL));
    pid_t pid = fork();
    if (pid == 0) {
        alarm(200);
        dup2(child_errors[1], STDERR_FILENO);
        wait_in_child(pool);
    }
    *(pid_t *)child = pid;
    return child;
}

static pid_t fork_process(void) {
    pid_t pid = fork();
    if (pid == 0) {
        alarm(200);
        dup2(child_errors[1], STDERR_FILENO);
    }
    return pid;
}

static void *fork_before_a_join(void *child) {
    at_fork join;
    at_fork_start(&join, give, child);
    *(pid_t *)child = fork_process();
    return at_fork_join(&join, give);
}

static void *fork_in_turn(int64_t index, void *child) {
    if (index == 0)
        *(pid_t *)child = fork_process();
    return NULL;
}

static void *fork_in_a_loop(void *child) {
    at_parallel_options options = {.grain = 1};
    AT_TRY(at_parallel_for(at_pool_current(), 0, 100, fork_in_turn, child, &options));
    return child;
}

static void *sleep_a_while(void *unused) {
    at_sleep(AT_MILLISECONDS(300));
    return unused;
}

/* What the child says is read until it has ended. */
static void expect_sentence(void) {
    static const char sentence[] = "a task that forked the process may not return in the child";
    char text[1024] = "";
    size_t length = 0;
    close(child_errors[1]);
    for (ssize_t got; length < sizeof text - 1; length += (size_t)got)
        if ((got = read(child_errors[0], text + length, sizeof text - 1 - length)) <= 0)
            break;
    close(child_errors[0]);
    fputs(text, stderr);
    plain_check(strncmp(text, "asynctools: ", 12) == 0 && strstr(text, sentence));
}

static void expect_value(at_future *future, const void *expected) {
    void *value = NULL;
    plain_check(at_future_wait(future, at_after(AT_SECONDS(20)), &value) == AT_OK);
    plain_check(value == expected);
    at_future_release(future);
}

static void expect_end_of_child(at_pool *pool, at_run_fn run) {
    pid_t child = -1;
    int status = 0;
    plain_check(pipe(child_errors) == 0);
    fflush(NULL);
    expect_value(at_pool_submit(pool, run, &child), &child);
    plain_check(child > 0);
    expect_sentence();
    plain_check(waitpid(child, &status, 0) == child);
    plain_check(WIFEXITED(status) && WEXITSTATUS(status) == 70);
}

int main(void) {
    at_pool *pool = NULL;
    plain_check(at_pool_create(&pool, &(at_pool_options){.thread_count = 2}) == AT_OK);
    for (int i = 0; i < 10; i++)
        plain_check(at_pool_start(pool, sleep_a_while, NULL) == AT_OK);
    expect_end_of_child(pool, fork_and_return);
    expect_end_of_child(pool, fork_before_a_join);
    expect_end_of_child(pool, fork_in_a_loop);
    for (int i = 0; i < 100; i++)
        expect_value(at_pool_submit(pool, give, pool), pool);
    plain_check(at_pool_shutdown(pool, at_after(AT_SECONDS(20))) == AT_OK);
    at_pool_destroy(pool);
    fprintf(stderr, "1 passed, 0 failed\n");
    return 0;
}
