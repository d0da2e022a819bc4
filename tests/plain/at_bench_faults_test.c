/* SPDX-License-Identifier: MIT
 *
 * at-bench index where files cannot be read, vanish, grow, have paths that are too long, or never
 * end: it counts what it met and is never stopped by it, but by Ctrl-C, and then it says so. */
#include "at_bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static atomic_bool changing;

static void start_folder(const char *name) {
    plain_check(mkdir(at_bench_path(name), 0755) == 0);
}

static json_t *index_folder(const char *program, const char *folder) {
    plain_check(at_bench_run("index", "--json", "--no-compare", "--threads", "2", "--program",
                             program, folder, NULL) == 0);
    return at_bench_read_json("out");
}

static json_int_t count_problem(const json_t *result, const char *problem) {
    return at_bench_count(json_object_get(result, "problems"), problem);
}

__attribute__((sentinel)) static int run_unprivileged(const char *first, ...) {
    va_list others;
    va_start(others, first);
    pid_t process = at_bench_start(true, first, others);
    va_end(others);
    return at_bench_wait(process);
}

static bool says(const char *what) {
    char *text = at_bench_read("err");
    bool found = strstr(text, what) != NULL;
    free(text);
    return found;
}

/* The first folder or file that cannot be read is the end; the log has the error. */
static void check_first_loss(void) {
    plain_check(run_unprivileged("index", "--fail-fast", "--log", at_bench_path("log"),
                                 at_bench_path("locked"), NULL) == 1);
    plain_check(says("unreadable: ") && says("Permission denied"));
    char *log = at_bench_read("log");
    plain_check(strstr(log, "index.stopped") && strstr(log, "AT_ERROR_IO"));
    free(log);
}

/* Root may read everything, so as root the program runs as nobody, where nobody can start it. */
static void check_unreadable(const char *program) {
    start_folder("locked");
    start_folder("locked/folder");
    at_bench_write("locked/folder/inside", "hidden\n", 7);
    at_bench_write("locked/file", "hidden\n", 7);
    at_bench_write("locked/open", "seen\n", 5);
    plain_check(chmod(at_bench_path("locked/folder"), 0) == 0);
    plain_check(chmod(at_bench_path("locked/file"), 0) == 0);
    at_bench_write("log", "", 0);
    plain_check(chmod(at_bench_path("log"), 0666) == 0);
    int status =
        run_unprivileged("index", "--json", "--no-compare", "--verify", "--program", program,
                         "--log", at_bench_path("log"), at_bench_path("locked"), NULL);
    if (status == 126 || status == 127) {
        fprintf(stderr, "nobody cannot start at-bench here: unreadable files are not tested\n");
    } else {
        plain_check(status == 0);
        json_t *result = at_bench_read_json("out");
        plain_check(count_problem(result, "unreadable") == 2);
        plain_check(at_bench_count(result, "files") == 1);
        json_decref(result);
        char *log = at_bench_read("log");
        plain_check(strstr(log, "locked/folder") && strstr(log, "locked/file"));
        plain_check(strstr(log, "Permission denied"));
        free(log);
        if (strcmp(program, "library") == 0)
            check_first_loss();
    }
    plain_check(chmod(at_bench_path("locked/folder"), 0700) == 0);
    plain_check(unlink(at_bench_path("locked/folder/inside")) == 0);
    plain_check(rmdir(at_bench_path("locked/folder")) == 0);
    plain_check(unlink(at_bench_path("locked/file")) == 0);
    plain_check(unlink(at_bench_path("locked/open")) == 0);
    plain_check(rmdir(at_bench_path("locked")) == 0);
}

/* Files under /proc have no size: whatever they give is growth. */
static void check_grown(const char *program) {
    json_t *result = index_folder(program, "/proc/sys/kernel/random");
    plain_check(count_problem(result, "grew") > 0);
    json_decref(result);
}

static bool is_cut_short(const char *reason) {
    json_t *result = at_bench_read_json("out");
    bool is_cut = json_is_false(json_object_get(result, "complete")) &&
                  strcmp(json_string_value(json_object_get(result, "reason")), reason) == 0;
    json_decref(result);
    return is_cut;
}

/* One folder cannot be read, and that is the end. */
static void check_fail_fast(const char *folder) {
    plain_check(at_bench_run("index", "--json", "--fail-fast", "--threads", "2", "--verify", folder,
                             NULL) == 1);
    plain_check(is_cut_short("AT_CANCEL_SIBLING"));
    plain_check(says("unreadable: ") && says(folder));
}

static void check_long_paths(const char *program) {
    char name[201], *folder = at_bench_folder;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    int parent = open(folder, O_RDONLY | O_DIRECTORY);
    plain_check(mkdirat(parent, "long", 0755) == 0);
    int at = openat(parent, "long", O_RDONLY | O_DIRECTORY);
    close(parent);
    for (int i = 0; i < 25; i++) {
        plain_check(mkdirat(at, name, 0755) == 0);
        int next = openat(at, name, O_RDONLY | O_DIRECTORY);
        plain_check(next >= 0);
        close(at);
        at = next;
    }
    close(at);
    json_t *result = index_folder(program, at_bench_path("long"));
    plain_check(count_problem(result, "unreadable") == 1);
    plain_check(at_bench_count(result, "directories") > 20);
    json_decref(result);
    if (strcmp(program, "library") == 0)
        check_fail_fast(at_bench_path("long"));
    char *const remove[] = {"rm", "-rf", (char *)at_bench_path("long"), NULL};
    at_bench_run_other(remove);
}

/* Appends to one file, and makes and removes others, as fast as it can. */
static void *change_files(void *argument) {
    char path[2][PATH_MAX], byte[4096];
    memset(byte, 'x', sizeof(byte));
    snprintf(path[0], sizeof(path[0]), "%s", at_bench_path("moving/grows"));
    int grows = open(path[0], O_WRONLY | O_CREAT | O_APPEND, 0644);
    for (int i = 0; atomic_load(&changing); i++) {
        plain_check(write(grows, byte, sizeof(byte)) == (ssize_t)sizeof(byte));
        if (i % 20000 == 0)
            plain_check(ftruncate(grows, 0) == 0);
        snprintf(path[1], sizeof(path[1]), "%s/moving/%d", at_bench_folder, i % 200);
        if (i / 200 % 2 == 0)
            close(open(path[1], O_WRONLY | O_CREAT, 0644));
        else
            unlink(path[1]);
    }
    close(grows);
    return argument;
}

static void check_moving(const char *program) {
    pthread_t thread;
    start_folder("moving");
    atomic_store(&changing, true);
    plain_check(pthread_create(&thread, NULL, change_files, NULL) == 0);
    for (int i = 0; i < 20; i++) {
        json_t *result = index_folder(program, at_bench_path("moving"));
        plain_check(json_is_true(json_object_get(result, "complete")));
        plain_check(count_problem(result, "failed") == 0);
        json_decref(result);
    }
    atomic_store(&changing, false);
    pthread_join(thread, NULL);
    char *const remove[] = {"rm", "-rf", (char *)at_bench_path("moving"), NULL};
    at_bench_run_other(remove);
}

__attribute__((sentinel)) static pid_t start(const char *first, ...) {
    va_list others;
    va_start(others, first);
    pid_t process = at_bench_start(false, first, others);
    va_end(others);
    return process;
}

/* Time ends it, in the middle of a file; one that is long enough does not matter. */
static void check_timeout(const char *folder) {
    plain_check(at_bench_run("index", "--json", "--timeout", "1", "--threads", "2", "--verify",
                             folder, NULL) == 1);
    plain_check(is_cut_short("AT_CANCEL_DEADLINE"));
    plain_check(says("1 s have passed"));
    plain_check(mkdir(at_bench_path("empty"), 0755) == 0);
    plain_check(at_bench_run("index", "--json", "--no-compare", "--timeout", "3600", "--fail-fast",
                             at_bench_path("empty"), NULL) == 0);
    plain_check(rmdir(at_bench_path("empty")) == 0);
    plain_check(at_bench_run("index", "--timeout", "1", "--program", "plain", folder, NULL) == 2 &&
                says("--timeout"));
    plain_check(at_bench_run("index", "--fail-fast", "--program", "sequential", folder, NULL) ==
                    2 &&
                says("--fail-fast"));
}

/* A file of holes, too long to be read in any time: Ctrl-C has to end it. */
static void check_interrupt(const char *program) {
    start_folder("endless");
    at_bench_write("endless/file", "", 0);
    if (truncate(at_bench_path("endless/file"), (off_t)1 << 42) != 0) {
        fprintf(stderr, "no large files here: Ctrl-C is not tested\n");
        return;
    }
    unlink(at_bench_path("log"));
    pid_t process = start("index", "--json", "--program", program, "--log", at_bench_path("log"),
                          at_bench_path("endless"), NULL);
    /* The log says when it has begun, so the handler is there. */
    struct stat status;
    while (stat(at_bench_path("log"), &status) != 0 || status.st_size == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    plain_check(kill(process, SIGINT) == 0);
    plain_check(at_bench_wait(process) == 130);
    json_t *result = at_bench_read_json("out");
    plain_check(json_is_false(json_object_get(result, "complete")));
    json_decref(result);
    if (strcmp(program, "library") == 0)
        check_timeout(at_bench_path("endless"));
    plain_check(unlink(at_bench_path("endless/file")) == 0);
    plain_check(rmdir(at_bench_path("endless")) == 0);
}

int main(void) {
    static const char *const programs[] = {"sequential", "plain", "library"};
    at_bench_begin();
    for (int i = 0; i < 3; i++) {
        check_unreadable(programs[i]);
        check_grown(programs[i]);
        check_long_paths(programs[i]);
        check_moving(programs[i]);
        check_interrupt(programs[i]);
    }
    at_bench_end();
    return 0;
}
