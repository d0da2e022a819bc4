/* SPDX-License-Identifier: MIT */
/* A task that recurses too deeply ends the process; with the handler installed, it is named. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int measure(int level) {
    volatile char row[1024];
    row[0] = (char)level;
    return level < 0 ? 0 : measure(level + 1) + row[0]; /* an end that is never reached */
}

static void *measure_tree(void *unused) {
    measure(0);
    return unused;
}

/* Never returns: the process ends by SIGSEGV, as it would without the handler. */
static void overflow(void) {
    at_pool *pool;
    if (at_crash_handler_install() != AT_OK || at_pool_create(&pool, NULL) != AT_OK)
        _exit(1);
    at_future *future = at_pool_submit(pool, measure_tree, NULL);
    at_status status = at_future_wait(future, AT_FOREVER, NULL);
    fprintf(stderr, "went through: %s\n", at_status_name(status));
    _exit(1);
}

int main(void) {
    int ends[2];
    if (pipe(ends) != 0)
        return 1;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        overflow();
    }
    close(ends[1]);
    FILE *messages = fdopen(ends[0], "r");
    char line[400];
    bool is_named = false;
    while (messages && fgets(line, sizeof line, messages))
        if (strstr(line, "asynctools:")) {
            fputs(line, stdout);
            is_named = strstr(line, "task measure_tree") != NULL;
        }
    int status;
    bool ended = child > 0 && waitpid(child, &status, 0) == child;
    return ended && is_named && !(WIFEXITED(status) && WEXITSTATUS(status) == 0) ? 0 : 1;
}
