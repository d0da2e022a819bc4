/* SPDX-License-Identifier: MIT
 *
 * For programs in tests/plain whose cases end the process: each runs in a child. */
#ifndef TEST_SUPPORT_APART_H
#define TEST_SUPPORT_APART_H

#include "support/plain.h"

#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

/* Reads what a child writes until it ends, and gives how it ended. Closes `from`. */
static inline int apart_collect(pid_t child, int from, char *output, size_t capacity) {
    size_t length = 0;
    ssize_t count;
    while (length < capacity - 1 &&
           (count = read(from, output + length, capacity - 1 - length)) > 0)
        length += (size_t)count;
    output[length] = '\0';
    close(from);
    int status;
    plain_check(waitpid(child, &status, 0) == child);
    return status;
}

/* Starts this program again with `name` for its argument; gives how it ended and what it wrote to
 * stderr. */
static inline int apart_run(const char *name, char *output, size_t capacity) {
    int ends[2];
    plain_check(pipe(ends) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    char *arguments[] = {(char *)"apart", (char *)name, NULL};
    pid_t child;
    plain_check(posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    return apart_collect(child, ends[0], output, capacity);
}

/* The same, and the child aborts and says `sentence`. */
static inline void apart_check_abort(const char *name, const char *sentence) {
    char said[4096];
    int status = apart_run(name, said, sizeof said);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || !strstr(said, sentence)) {
        fprintf(stderr, "%s: status %x, said: %s\n", name, (unsigned)status, said);
        plain_check(false);
    }
}

#endif
