/* SPDX-License-Identifier: MIT
 *
 * The command line of at-bench: what is wrong is named and gives 2; the benchmarks run and write
 * what Google Benchmark's tools read. */
#include "at_bench.h"

/* With ThreadSanitizer all benchmarks would take minutes; these are some of each kind. */
#if defined(__SANITIZE_THREAD__)
#define EVERYTHING "er",
#else
#define EVERYTHING
#endif

static bool says(const char *what) {
    char *text = at_bench_read("err");
    bool found = strstr(text, what) != NULL;
    if (!found)
        fprintf(stderr, "expected '%s' in: %s\n", what, text);
    free(text);
    return found;
}

static void check_wrong_arguments(void) {
    plain_check(at_bench_run("nonsense", NULL) == 2 && says("'nonsense'"));
    plain_check(at_bench_run("index", NULL) == 2 && says("DIR is missing"));
    plain_check(at_bench_run("index", "a", "b", NULL) == 2 && says("'b'"));
    plain_check(at_bench_run("index", "--bad", "a", NULL) == 2 && says("--bad"));
    plain_check(at_bench_run("index", "--threads", NULL) == 2 && says("--threads"));
    plain_check(at_bench_run("index", "--threads", "0", "a", NULL) == 2 && says("--threads"));
    plain_check(at_bench_run("index", "--threads", "-1", "a", NULL) == 2 && says("--threads"));
    plain_check(at_bench_run("index", "--threads", "2x", "a", NULL) == 2 && says("--threads"));
    plain_check(at_bench_run("index", "--threads", "99999999999999999999", "a", NULL) == 2 &&
                says("--threads"));
    plain_check(at_bench_run("index", "--json=1", "a", NULL) == 2 && says("--json"));
    plain_check(at_bench_run("index", "--program", "fast", "a", NULL) == 2 && says("--program"));
    plain_check(at_bench_run("index", "--log", "/nowhere/log", "/", NULL) == 2 && says("--log"));
    plain_check(at_bench_run("run", "--threads", "1,,2", NULL) == 2 && says("--threads"));
    plain_check(at_bench_run("run", "--threads", "1,0", NULL) == 2 && says("--threads"));
    plain_check(at_bench_run("run", "--repeat", "0", NULL) == 2 && says("--repeat"));
    plain_check(at_bench_run("run", "--workers", "1,0", NULL) == 2 && says("--workers"));
    plain_check(at_bench_run("run", "no such benchmark", NULL) == 2 && says("no such benchmark"));
    plain_check(at_bench_run("limits", "more", NULL) == 2 && says("'more'"));
    plain_check(at_bench_run("index", "--no-compare", at_bench_path("missing"), NULL) == 1 &&
                says("No such file"));
}

static void check_help(void) {
    plain_check(at_bench_run("--help", NULL) == 0);
    plain_check(at_bench_run("index", "--help", NULL) == 0);
    plain_check(at_bench_run("list", NULL) == 0);
    char *text = at_bench_read("out");
    plain_check(strstr(text, "submit") && strstr(text, "plain mutex pool"));
    free(text);
}

/* Each count of workers has rows of its own; every program of the family verifies its result. */
static void check_forks(void) {
    static const char *const names[] = {
        "fork_fib/sequential/workers:1_median",    "fork_skynet/sequential/workers:1_median",
        "fork_queens/sequential/workers:1_median", "fork_tree/sequential/workers:1_median",
        "fork_chain/sequential/workers:1_median",  "fork_matrix/sequential/workers:1_median",
        "fork_loop/sequential/workers:1_median",   "fork_fib/sequential, copies/workers:3_median",
        "fork_fib/asynctools/workers:1_median",    "fork_fib/asynctools/workers:3_median",
    };
    size_t index, found = 0;
    json_t *entry;
    plain_check(at_bench_run("run", "fork_*", "--quick", "--repeat", "1", "--workers", "1,3",
                             "--json", at_bench_path("json"), NULL) == 0);
    json_t *root = at_bench_read_json("json");
    json_array_foreach(json_object_get(root, "benchmarks"), index, entry) {
        const char *name = json_string_value(json_object_get(entry, "name"));
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            found += strcmp(name, names[i]) == 0;
    }
    plain_check(found == sizeof(names) / sizeof(names[0]));
    json_decref(root);
}

static void check_benchmarks(void) {
    plain_check(at_bench_run("run", "submit", "--quick", "--repeat", "2", "--threads", "1,3",
                             "--json", at_bench_path("json"), NULL) == 0);
    json_t *root = at_bench_read_json("json");
    const json_t *list = json_object_get(root, "benchmarks");
    size_t medians = 0, index;
    json_t *entry;
    plain_check(json_is_string(json_object_get(json_object_get(root, "context"), "date")));
    json_array_foreach(list, index, entry) {
        const char *aggregate = json_string_value(json_object_get(entry, "aggregate_name"));
        const char *name = json_string_value(json_object_get(entry, "name"));
        plain_check(name && json_is_number(json_object_get(entry, "real_time")));
        if (!aggregate || strcmp(aggregate, "median") != 0)
            continue;
        medians++;
        if (!strstr(name, "difference")) /* of two times that may be the same */
            plain_check(json_number_value(json_object_get(entry, "real_time")) > 0);
    }
    /* The library in two forms and the plain pool, with 1 and 3 producers. */
    plain_check(medians >= 6);
    json_decref(root);
    plain_check(at_bench_run("run", EVERYTHING "--quick", "--repeat", "1", NULL) == 0);
    plain_check(at_bench_run("idle", "--seconds", "1", "--library", NULL) == 0);
}

/* What the task manager costs can be read off: the row of each subject has its ratio. */
static void check_reference(void) {
    plain_check(at_bench_run("run", "manager", "--quick", "--repeat", "1", "--json",
                             at_bench_path("json"), NULL) == 0);
    char *text = at_bench_read("out");
    plain_check(strstr(text, "to start"));
    char *row = strstr(text, "asynctools start, no limit");
    plain_check(row);
    row[strcspn(row, "\n")] = '\0';
    plain_check(strstr(row, " 1.00"));
    free(text);
    json_t *root = at_bench_read_json("json");
    size_t index, found = 0;
    json_t *entry;
    json_array_foreach(json_object_get(root, "benchmarks"), index, entry) {
        const char *name = json_string_value(json_object_get(entry, "name"));
        found += strcmp(name, "manager/task manager, no outcomes_median") == 0;
        found += strcmp(name, "manager_sleep/task manager, no outcomes/all ended_median") == 0;
    }
    plain_check(found == 2);
    json_decref(root);
}

int main(void) {
    at_bench_begin();
    check_wrong_arguments();
    check_help();
    check_forks();
    check_benchmarks();
    check_reference();
    at_bench_end();
    return 0;
}
