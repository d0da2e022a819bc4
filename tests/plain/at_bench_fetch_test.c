/* SPDX-License-Identifier: MIT
 *
 * at-bench fetch: every request is accounted for, whether it is answered, fails, times out or is
 * cancelled by a failure or by Ctrl-C; what it cannot do it says. */
#include "at_bench.h"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>

enum { AT_ONCE = 100 };

static bool says(const char *what) {
    char *text = at_bench_read("err");
    bool found = strstr(text, what) != NULL;
    if (!found)
        fprintf(stderr, "expected '%s' in: %s\n", what, text);
    free(text);
    return found;
}

/* The program of the result with this key; all its requests are accounted for. */
static const json_t *check_program(const json_t *result, const char *key) {
    const json_t *program = json_object_get(result, key);
    const json_t *latency = json_object_get(program, "latency_ns");
    plain_check(json_is_object(program));
    plain_check(at_bench_count(program, "succeeded") + at_bench_count(program, "failed") +
                    at_bench_count(program, "timed_out") + at_bench_count(program, "cancelled") ==
                at_bench_count(result, "requests"));
    plain_check(at_bench_count(program, "broken") == 0);
    plain_check(at_bench_count(program, "time_ns") > 0);
    plain_check(at_bench_count(program, "peak_concurrent") <=
                at_bench_count(result, "concurrency"));
    plain_check(at_bench_count(latency, "p50") <= at_bench_count(latency, "p99"));
    plain_check(at_bench_count(latency, "p99") <= at_bench_count(latency, "max"));
    return program;
}

static void check_answers(void) {
    plain_check(at_bench_run("fetch", "--requests", "500", "--concurrency", "100", "--delay", "20",
                             "--spread", "fixed", "--fail", "7", "--threads", "2", "--plain",
                             "--json", at_bench_path("json"), NULL) == 0);
    json_t *result = at_bench_read_json("json");
    static const char *const keys[] = {"library", "plain"};
    for (int i = 0; i < 2; i++) {
        const json_t *program = check_program(result, keys[i]);
        plain_check(at_bench_count(program, "succeeded") == 465);
        plain_check(at_bench_count(program, "failed") == 35);
        plain_check(at_bench_count(program, "peak_concurrent") > 1);
        plain_check(at_bench_count(program, "one_by_one_ns") == 500 * (json_int_t)20000000);
        plain_check(at_bench_count(json_object_get(program, "latency_ns"), "p50") >= 20000000);
        /* Each place is used five times. */
        plain_check(at_bench_count(program, "time_ns") >= 5 * (json_int_t)20000000);
    }
    const json_t *library = json_object_get(result, "library");
    plain_check(at_bench_count(library, "threads") == 3);
    plain_check(at_bench_count(library, "max_suspended") > 1);
    plain_check(json_is_false(json_object_get(result, "interrupted")));
    json_decref(result);
    char *text = at_bench_read("out");
    plain_check(strstr(text, "succeeded        465") && strstr(text, "a thread for each request"));
    free(text);
}

/* The server takes longer than anybody waits, or than somebody does. */
static void check_timeouts(void) {
    plain_check(at_bench_run("fetch", "--requests", "60", "--concurrency", "30", "--delay",
                             "3600000", "--spread", "fixed", "--timeout", "10", "--plain", "--json",
                             at_bench_path("json"), NULL) == 0);
    json_t *result = at_bench_read_json("json");
    plain_check(at_bench_count(check_program(result, "library"), "timed_out") == 60);
    plain_check(at_bench_count(check_program(result, "plain"), "timed_out") == 60);
    json_decref(result);
    plain_check(at_bench_run("fetch", "--requests", "200", "--concurrency", "200", "--delay", "100",
                             "--spread", "exponential", "--timeout", "0", "--json",
                             at_bench_path("json"), NULL) == 0);
    result = at_bench_read_json("json");
    plain_check(at_bench_count(check_program(result, "library"), "succeeded") == 200);
    plain_check(json_is_null(json_object_get(result, "plain")));
    json_decref(result);
}

/* The failure comes at once, and nobody would wait for the end of the others. */
static void check_fail_fast(void) {
    plain_check(at_bench_run("fetch", "--requests", "100000", "--concurrency", "50", "--delay", "1",
                             "--fail", "100", "--fail-fast", "--plain", "--json",
                             at_bench_path("json"), NULL) == 1 &&
                says("a request has failed"));
    json_t *result = at_bench_read_json("json");
    static const char *const keys[] = {"library", "plain"};
    for (int i = 0; i < 2; i++) {
        const json_t *program = check_program(result, keys[i]);
        plain_check(at_bench_count(program, "succeeded") == 0);
        plain_check(at_bench_count(program, "failed") >= 1);
        plain_check(at_bench_count(program, "failed") <= 100);
    }
    json_decref(result);
}

__attribute__((sentinel)) static pid_t start(const char *first, ...) {
    va_list others;
    va_start(others, first);
    pid_t process = at_bench_start(false, first, others);
    va_end(others);
    return process;
}

static int count_descriptors(pid_t process) {
    char path[64];
    int count = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)process);
    DIR *folder = opendir(path);
    plain_check(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* The requests would take an hour; it is interrupted when as many as may have begun. */
static void check_interrupt(int signal_number) {
    unlink(at_bench_path("json"));
    pid_t process =
        start("fetch", "--requests", "1000", "--concurrency", "100", "--delay", "3600000",
              "--spread", "fixed", "--timeout", "0", "--json", at_bench_path("json"), NULL);
    while (count_descriptors(process) < AT_ONCE)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    plain_check(kill(process, signal_number) == 0);
    plain_check(at_bench_wait(process) == 130 && says("interrupted"));
    json_t *result = at_bench_read_json("json");
    plain_check(at_bench_count(check_program(result, "library"), "cancelled") == 1000);
    plain_check(json_is_true(json_object_get(result, "interrupted")));
    json_decref(result);
}

static void check_wrong_arguments(void) {
    plain_check(at_bench_run("fetch", "--requests", "0", NULL) == 2 && says("--requests"));
    plain_check(at_bench_run("fetch", "--concurrency", "0", NULL) == 2 && says("--concurrency"));
    plain_check(at_bench_run("fetch", "--fail", "101", NULL) == 2 && says("--fail"));
    plain_check(at_bench_run("fetch", "--timeout", "-1", NULL) == 2 && says("--timeout"));
    plain_check(at_bench_run("fetch", "--delay", "soon", NULL) == 2 && says("--delay"));
    plain_check(at_bench_run("fetch", "--spread", "odd", NULL) == 2 && says("'odd'"));
    plain_check(at_bench_run("fetch", "more", NULL) == 2 && says("'more'"));
    plain_check(at_bench_run("fetch", "--requests", "1", "--delay", "0", "--json", "/nowhere/json",
                             NULL) == 1 &&
                says("--json"));
    plain_check(at_bench_run("fetch", "--help", NULL) == 0);
}

/* The soft limit is raised, and said so; the hard one is a limit. */
static void check_descriptors(void) {
    plain_check(setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = 100, .rlim_max = 300}) == 0);
    plain_check(at_bench_run("fetch", "--requests", "400", "--concurrency", "200", "--delay", "10",
                             NULL) == 0 &&
                says("raised the limit of open files from 100"));
    plain_check(at_bench_run("fetch", "--requests", "400", "--concurrency", "400", NULL) == 1 &&
                says("--concurrency 400"));
}

int main(void) {
    at_bench_begin();
    check_answers();
    check_timeouts();
    check_fail_fast();
    check_interrupt(SIGINT);
    check_interrupt(SIGTERM);
    check_wrong_arguments();
    check_descriptors();
    at_bench_end();
    return 0;
}
