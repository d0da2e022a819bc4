/* SPDX-License-Identifier: MIT */
/* A pool that a forked child uses too, with threads of its own. */
#include <asynctools/asynctools.h>

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void *work(void *unused) {
    return unused;
}

static int use(at_pool *pool) {
    at_future *future = at_pool_submit(pool, work, NULL);
    at_status status = at_future_wait(future, at_after(AT_SECONDS(10)), NULL);
    at_future_release(future);
    return status == AT_OK ? 0 : 1;
}

int main(void) {
    at_pool *pool;
    at_pool_options options = {.process_fork = AT_PROCESS_FORK_START_AFRESH};
    if (at_pool_create(&pool, &options) != AT_OK)
        return 1;
    pid_t child = fork();
    if (child == 0) {
        int result = use(pool); /* the first call starts the child's own threads */
        at_pool_destroy(pool);
        _exit(result);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child)
        perror("process_fork_afresh");
    int result = use(pool); /* the parent's threads have noticed nothing */
    at_pool_destroy(pool);
    return result == 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
