/* SPDX-License-Identifier: MIT
 *
 * Rule Z2: a task that forks the process and returns in the child ends the child, with one sentence
 * and the exit code 70; the parent has noticed nothing. */
#include "support/plain.h"

#include <asynctools/asynctools.h>

#include <string.h>
#include <sys/wait.h>

static int child_errors[2]; /* a pipe: what the child writes to stderr */

static void *fork_and_return(void *child) {
    pid_t pid = fork();
    if (pid == 0) {
        alarm(30);
        dup2(child_errors[1], STDERR_FILENO);
    }
    *(pid_t *)child = pid;
    return child;
}

static void *give(void *argument) {
    return argument;
}

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

int main(void) {
    at_pool *pool = NULL;
    pid_t child = -1;
    int status = 0;
    plain_check(pipe(child_errors) == 0);
    plain_check(at_pool_create(&pool, &(at_pool_options){.thread_count = 2}) == AT_OK);
    fflush(NULL);
    expect_value(at_pool_submit(pool, fork_and_return, &child), &child);
    plain_check(child > 0);
    expect_sentence();
    plain_check(waitpid(child, &status, 0) == child);
    plain_check(WIFEXITED(status) && WEXITSTATUS(status) == 70);
    for (int i = 0; i < 100; i++)
        expect_value(at_pool_submit(pool, give, pool), pool);
    plain_check(at_pool_shutdown(pool, at_after(AT_SECONDS(20))) == AT_OK);
    at_pool_destroy(pool);
    fprintf(stderr, "1 passed, 0 failed\n");
    return 0;
}
