/* SPDX-License-Identifier: MIT */
#include "index_options.h"

#include "clock.h"
#include "machine_load.h"
#include "statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_COPIES = 256, MAX_REPEAT = 101 };

extern char **environ;

int index_pass(const struct index_options *options, const atomic_bool *stop) {
    struct index_result result;
    char byte;
    memset(&result, 0, sizeof(result));
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    int error = index_run_init(&result.run, options->directory, NULL, stop);
    if (error != 0)
        return 1;
    error = index_run_program(options, &result);
    bool is_whole = error == 0 && !atomic_load_explicit(stop, memory_order_relaxed);
    if (is_whole && write(STDOUT_FILENO, &result.total_ns, sizeof(result.total_ns)) < 0)
        is_whole = false;
    index_result_deinit(&result);
    return is_whole ? 0 : 1;
}

/* One process that will run a pass: closing `go` starts it, `time` gives its time. */
struct pass {
    pid_t process;
    int go;
    int time;
};

static void close_pipe(const int ends[2]) {
    close(ends[0]);
    close(ends[1]);
}

static int spawn_pass(const struct index_options *options, const char *program, struct pass *pass) {
    char threads[24];
    int go[2], time[2];
    snprintf(threads, sizeof(threads), "%ld", options->threads);
    const char *const arguments[] = {"at-bench",  "index", "--pass", "--program",        program,
                                     "--threads", threads, "--",     options->directory, NULL};
    if (pipe2(go, O_CLOEXEC) != 0)
        return errno;
    if (pipe2(time, O_CLOEXEC) != 0) {
        int error = errno;
        close_pipe(go);
        return error;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, go[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, time[1], STDOUT_FILENO);
    int error = posix_spawn(&pass->process, "/proc/self/exe", &actions, NULL,
                            (char *const *)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(go[0]);
    close(time[1]);
    pass->go = go[1];
    pass->time = time[0];
    if (error != 0) {
        close(go[1]);
        close(time[0]);
    }
    return error;
}

/* Waits for a pass; gives its time, or 0 if it failed. */
static uint64_t end_pass(const struct pass *pass) {
    uint64_t time = 0;
    int status = 0;
    if (read(pass->time, &time, sizeof(time)) != (ssize_t)sizeof(time))
        time = 0;
    close(pass->time);
    while (waitpid(pass->process, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? time : 0;
}

/* Runs `count` copies of a program side by side; `slowest` is the time of the last one. */
static int run_copies(const struct index_options *options, const char *program, long count,
                      uint64_t *slowest) {
    struct pass passes[MAX_COPIES] = {0};
    int error = 0;
    long started = 0;
    for (; started < count && error == 0; started++)
        error = spawn_pass(options, program, &passes[started]);
    if (error != 0)
        started--;
    /* They have read their arguments and wait by now. */
    usleep(20000);
    for (long i = 0; i < started; i++)
        close(passes[i].go);
    *slowest = 0;
    for (long i = 0; i < started; i++) {
        uint64_t time = end_pass(&passes[i]);
        if (time == 0)
            error = ECANCELED;
        if (time > *slowest)
            *slowest = time;
    }
    return error;
}

int index_compare(const struct index_options *options, const atomic_bool *stop,
                  struct index_comparison *comparison) {
    double sequential[MAX_REPEAT], parallel[MAX_REPEAT], copies[MAX_REPEAT];
    uint64_t time;
    struct machine_load load;
    memset(comparison, 0, sizeof(*comparison));
    machine_load_start(&load);
    for (long i = 0; i < options->repeat; i++) {
        if (atomic_load_explicit(stop, memory_order_relaxed))
            return ECANCELED;
        int error = run_copies(options, "sequential", 1, &time);
        sequential[i] = (double)time;
        if (error == 0)
            error = run_copies(options, named_choice_name(&options->program), 1, &time);
        parallel[i] = (double)time;
        if (error == 0 && options->limits)
            error = run_copies(options, "sequential", options->threads, &time);
        copies[i] = (double)time;
        if (error != 0)
            return error;
    }
    size_t count = (size_t)options->repeat;
    comparison->repeat = options->repeat;
    comparison->others = machine_load_others(&load);
    comparison->sequential_ns = (uint64_t)median_of(sequential, count);
    comparison->parallel_ns = (uint64_t)median_of(parallel, count);
    if (options->limits)
        comparison->copies_ns = (uint64_t)median_of(copies, count);
    return 0;
}
