/* SPDX-License-Identifier: MIT */
/* A forked child has none of the pool's threads: its calls fail at once, and do not hang. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void *work(void *unused) {
    return unused;
}

/* Whether the child sees what it should. */
static bool use_in_child(at_pool *pool) {
    at_future *future = at_pool_submit(pool, work, NULL);
    bool right = at_pool_start(pool, work, NULL) == AT_ERROR_FORKED &&
                 at_future_wait(future, AT_FOREVER, NULL) == AT_ERROR_FORKED &&
                 at_pool_shutdown(pool, AT_FOREVER) == AT_ERROR_FORKED;
    at_future_release(future);
    at_pool_destroy(pool); /* frees the child's copy, waits for nothing */
    return right;
}

int main(void) {
    at_pool *pool;
    if (at_pool_create(&pool, NULL) != AT_OK)
        return 1;
    pid_t child = fork();
    if (child == 0)
        _exit(use_in_child(pool) ? 0 : 1);
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child)
        perror("process_fork");
    at_pool_destroy(pool); /* the parent's pool goes on as before */
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
