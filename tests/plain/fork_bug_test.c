/* SPDX-License-Identifier: MIT
 *
 * Rules H00 and L6: forks that are not joined as they must be abort with one sentence, whether the
 * call was handed out or not, and a recursion that is too deep ends with a sentence. Each case runs
 * in a process of its own. */
#include "support/plain.h"

#include <asynctools/asynctools.h>
#include <asynctools/crash.h>

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void *give(void *argument) {
    return argument;
}

/* On its own: a compiler that sees both joins warns of the second. */
static __attribute__((noinline)) void *join(at_fork *fork) {
    return at_fork_join(fork, give);
}

static void *join_twice(void *unused) {
    at_fork fork;
    at_fork_start(&fork, give, unused);
    join(&fork);
    join(&fork);
    return unused;
}

static void *join_the_first_first(void *unused) {
    at_fork first;
    at_fork second;
    at_fork_start(&first, give, unused);
    at_fork_start(&second, give, unused);
    at_fork_join(&first, give);
    at_fork_join(&second, give);
    return unused;
}

static void *leave_unjoined(void *unused) {
    at_fork fork;
    at_fork_start(&fork, give, unused);
    return unused;
}

static void *join_above_an_unjoined(void *unused) {
    at_fork fork;
    at_fork_start(&fork, give, unused);
    leave_unjoined(unused);
    at_fork_join(&fork, give);
    return unused;
}

static void *wait_then_join_the_first_first(void *future) {
    at_fork first;
    at_fork second;
    at_fork_start(&first, give, future);
    at_fork_start(&second, give, future);
    if (at_future_wait(future, at_after(AT_MILLISECONDS(1)), NULL) != AT_ERROR_TIMED_OUT)
        return AT_FAILED;
    at_fork_join(&first, give);
    at_fork_join(&second, give);
    return future;
}

/* Sanitizers have a handler of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RECURSION_CASE
#else
#define RECURSION_CASE {"recursion", recurse_deeply, "has overflowed its stack", SIGSEGV},

/* With the stack that pools have by default. */
static void *descend(void *level) {
    char fill[64];
    memset(fill, (int)(intptr_t)level, sizeof fill);
    at_fork fork;
    at_fork_start(&fork, give, fill);
    void *deeper = (intptr_t)level < 100000 ? descend((char *)level + 1) : NULL;
    at_fork_join(&fork, give);
    return deeper;
}

static void *recurse_deeply(void *unused) {
    (void)unused;
    plain_check(at_crash_handler_install() == AT_OK);
    return descend(NULL);
}
#endif

static const struct bug {
    const char *name;
    at_run_fn run;
    const char *sentence;
    int signal;
} bugs[] = {
    {"twice", join_twice, "joined before", SIGABRT},
    {"order", join_the_first_first, "started after this one", SIGABRT},
    {"unjoined", leave_unjoined, "before its forks were joined", SIGABRT},
    {"unjoined in a call", join_above_an_unjoined, "started after this one", SIGABRT},
    {"order after a wait", wait_then_join_the_first_first, "started after this one", SIGABRT},
    RECURSION_CASE};

static void run_bug(const struct bug *bug, bool in_task, int thread_count) {
    if (!in_task) {
        bug->run(NULL);
        return;
    }
    at_pool *pool = NULL;
    at_promise *promise = NULL;
    plain_check(at_pool_create(&pool, &(at_pool_options){.thread_count = thread_count}) == AT_OK);
    plain_check(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK);
    at_future *future = at_pool_submit(pool, bug->run, at_promise_future(promise));
    plain_check(at_future_wait(future, at_after(AT_SECONDS(30)), NULL) == AT_OK);
}

/* Runs the case in a child and checks how that dies. */
static void check_bug(const struct bug *bug, bool in_task, int thread_count) {
    int ends[2];
    plain_check(pipe(ends) == 0);
    pid_t child = fork();
    plain_check(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(ends[1], STDERR_FILENO);
        run_bug(bug, in_task, thread_count);
        _exit(0);
    }
    close(ends[1]);
    char said[4096];
    size_t length = 0;
    for (ssize_t count; (count = read(ends[0], said + length, sizeof said - 1 - length)) > 0;)
        length += (size_t)count;
    said[length] = '\0';
    close(ends[0]);
    int status;
    plain_check(waitpid(child, &status, 0) == child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != bug->signal || !strstr(said, bug->sentence)) {
        fprintf(stderr, "%s (%d threads): status %x, said: %s\n", bug->name, thread_count, status,
                said);
        plain_check(false);
    }
}

int main(void) {
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++)
        for (int thread_count = 1; thread_count <= 2; thread_count++)
            check_bug(&bugs[i], true, thread_count);
    check_bug(&bugs[0], false, 0);
    return 0;
}
