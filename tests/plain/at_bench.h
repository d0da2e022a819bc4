/* SPDX-License-Identifier: MIT
 *
 * What the tests of at-bench share: they run the program as it was built, on files that they make.
 */
#ifndef TEST_PLAIN_AT_BENCH_H
#define TEST_PLAIN_AT_BENCH_H

#include "support/plain.h"

#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { AT_BENCH_MAX_ARGUMENTS = 24 };

static char at_bench_program[PATH_MAX];
static char at_bench_folder[PATH_MAX - 64];

/* Finds the program, which is built beside the tests, and makes an empty folder to work in. */
static inline void at_bench_begin(void) {
    char own[PATH_MAX] = "";
    plain_check(readlink("/proc/self/exe", own, sizeof(own) - 1) > 0);
    snprintf(at_bench_program, sizeof(at_bench_program), "%.3900s/../../tools/bench/at-bench",
             dirname(own));
    if (access(at_bench_program, X_OK) != 0)
        plain_skip("at-bench is not built");
    strcpy(at_bench_folder, "/tmp/at-bench-test-XXXXXX");
    plain_check(mkdtemp(at_bench_folder));
    plain_check(chmod(at_bench_folder, 0755) == 0);
}

static inline int at_bench_run_other(char *const arguments[]) {
    int status;
    pid_t process = fork();
    plain_check(process >= 0);
    if (process == 0) {
        execvp(arguments[0], arguments);
        _exit(127);
    }
    plain_check(waitpid(process, &status, 0) == process);
    return status;
}

static inline void at_bench_end(void) {
    char *const loosen[] = {"chmod", "-R", "u+rwx", at_bench_folder, NULL};
    char *const remove[] = {"rm", "-rf", at_bench_folder, NULL};
    at_bench_run_other(loosen);
    at_bench_run_other(remove);
}

static inline const char *at_bench_path(const char *name) {
    static _Thread_local char paths[8][PATH_MAX];
    static _Thread_local int next;
    char *path = paths[next++ % 8];
    snprintf(path, PATH_MAX, "%s/%s", at_bench_folder, name);
    return path;
}

/* Starts at-bench with the arguments up to NULL; its outputs go to the files out and err. */
static inline pid_t at_bench_start(bool unprivileged, const char *first, va_list others) {
    char *arguments[AT_BENCH_MAX_ARGUMENTS] = {at_bench_program, (char *)first};
    int count = 2;
    while ((arguments[count] = va_arg(others, char *)))
        plain_check(++count < AT_BENCH_MAX_ARGUMENTS);
    pid_t process = fork();
    plain_check(process >= 0);
    if (process > 0)
        return process;
    int out = open(at_bench_path("out"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    int err = open(at_bench_path("err"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    if (unprivileged && geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        _exit(126);
    execv(at_bench_program, arguments);
    _exit(127);
}

static inline int at_bench_wait(pid_t process) {
    int status;
    plain_check(waitpid(process, &status, 0) == process);
    plain_check(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Gives the exit status of at-bench with the arguments up to NULL. */
__attribute__((sentinel)) static inline int at_bench_run(const char *first, ...) {
    va_list others;
    va_start(others, first);
    pid_t process = at_bench_start(false, first, others);
    va_end(others);
    return at_bench_wait(process);
}

/* Reads a file of the folder as text; the caller frees it. */
static inline char *at_bench_read(const char *name) {
    struct stat status;
    int file = open(at_bench_path(name), O_RDONLY);
    plain_check(file >= 0 && fstat(file, &status) == 0);
    char *text = malloc((size_t)status.st_size + 1);
    plain_check(text);
    plain_check(read(file, text, (size_t)status.st_size) == status.st_size);
    text[status.st_size] = '\0';
    close(file);
    return text;
}

static inline json_t *at_bench_read_json(const char *name) {
    json_error_t error;
    json_t *root = json_load_file(at_bench_path(name), 0, &error);
    if (!root)
        fprintf(stderr, "%s: line %d: %s\n", name, error.line, error.text);
    plain_check(root);
    return root;
}

static inline json_int_t at_bench_count(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    plain_check(json_is_integer(value));
    return json_integer_value(value);
}

static inline void at_bench_write(const char *name, const void *bytes, size_t length) {
    int file = open(at_bench_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    plain_check(file >= 0);
    plain_check(write(file, bytes, length) == (ssize_t)length);
    close(file);
}

#endif
