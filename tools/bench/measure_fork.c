/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "clock.h"
#include "messages.h"
#include "peers/fork.h"
#include "tasks.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COPIES = 64 };

enum fork_effort { EFFORT_FULL, EFFORT_REDUCED, EFFORT_QUICK, EFFORTS };

/* How large a problem is, and what has to come out. */
struct fork_size {
    int64_t size;
    int64_t result;
    uint64_t forks; /* what a figure is divided by */
};

struct fork_case {
    enum fork_problem problem;
    bool has_matrices;
    const char *reduced_note;
    struct fork_size sizes[EFFORTS];
};

/* Forks: calls that call others; children; queens placed; children; links; products of two blocks
 * of 32; squares of 64. */
static const struct fork_case cases[FORK_PROBLEMS] = {
    {.problem = FORK_FIBONACCI,
     .reduced_note = "at fib(32)",
     .sizes = {{38, 39088169, 63245985}, {32, 2178309, 3524577}, {25, 75025, 121392}}},
    {.problem = FORK_SKYNET,
     .reduced_note = "at 1 million leaves",
     .sizes = {{10000000, 49999995000000, 11111110},
               {1000000, 499999500000, 1111110},
               {10000, 49995000, 11110}}},
    {.problem = FORK_QUEENS, .sizes = {{12, 14200, 856188}, {12, 14200, 856188}, {8, 92, 2056}}},
    {.problem = FORK_TREE,
     .sizes = {{5, 2096705, 2096704}, {5, 2096705, 2096704}, {2, 5073, 5072}}},
    {.problem = FORK_CHAIN,
     .sizes = {{200000, -4521151231565662954, 200000},
               {200000, -4521151231565662954, 200000},
               {4000, -206527877611992368, 4000}}},
    {.problem = FORK_MATRIX,
     .has_matrices = true,
     .sizes = {{1024, 0, 32768}, {1024, 0, 32768}, {128, 0, 64}}},
    {.problem = FORK_LOOP,
     .has_matrices = true,
     .sizes = {{1024, 0, 256}, {1024, 0, 256}, {128, 0, 4}}},
};

static size_t list_forks(const struct benchmark_settings *settings, struct subject *subjects) {
    const struct fork_case *problem = settings->benchmark->data;
    const struct count_list *workers = &settings->workers;
    size_t count = 0;
    subjects[count++] = (struct subject){.name = fork_sequential.name,
                                         .role = SUBJECT_SEQUENTIAL,
                                         .data = &fork_sequential,
                                         .workers = 1};
    for (int i = 0; i < workers->count && workers->values[i] <= MAX_COPIES; i++)
        if (workers->values[i] > 1)
            subjects[count++] = (struct subject){.name = "sequential, copies",
                                                 .role = SUBJECT_COPIES,
                                                 .data = &fork_sequential,
                                                 .workers = (int)workers->values[i]};
    for (size_t k = 0; fork_peers[k]; k++) {
        const struct fork_peer *peer = fork_peers[k];
        if (!peer->programs[problem->problem])
            continue;
        for (int i = 0; i < workers->count && count < BENCHMARK_MAX_SUBJECTS; i++)
            subjects[count++] = (struct subject){
                .name = peer->name,
                .role = peer->is_library ? SUBJECT_LIBRARY : SUBJECT_PEER,
                .data = peer,
                .workers = (int)workers->values[i],
                .note = peer->is_slow && !settings->full && !settings->quick ? problem->reduced_note
                                                                             : NULL};
    }
    return count;
}

/* A program that runs, alone or as one of several copies. */
struct fork_run {
    const struct fork_peer *peer;
    const struct fork_case *problem;
    void *pool;
    struct fork_size size;
    struct fork_work work;
    int64_t result;
    pthread_barrier_t *gate;
    pthread_t thread;
};

static void *run_program(void *argument) {
    struct fork_run *run = argument;
    if (run->gate)
        pthread_barrier_wait(run->gate);
    run->result = run->peer->programs[run->problem->problem](run->pool, &run->work);
    return NULL;
}

static double *allocate_matrix(int64_t size) {
    size_t bytes = (size_t)(size * size) * sizeof(double);
    double *matrix = aligned_alloc(64, bytes);
    if (!matrix)
        give_up("there is no memory for a matrix");
    memset(matrix, 0, bytes);
    return matrix;
}

static void prepare(struct fork_run *run, const struct fork_size *size) {
    run->size = *size;
    run->work = (struct fork_work){.size = size->size};
    if (!run->problem->has_matrices)
        return;
    double *left = allocate_matrix(size->size), *right = allocate_matrix(size->size);
    matrix_fill(left, right, size->size);
    run->work.left = left;
    run->work.right = right;
    run->work.product = allocate_matrix(size->size);
}

/* Gives false, after a message, when the result is wrong. */
static bool verify_and_free(struct fork_run *run) {
    bool right = run->result == run->size.result;
    if (!right)
        fprintf(stderr, "at-bench: %s found %" PRId64 " instead of %" PRId64 "\n", run->peer->name,
                run->result, run->size.result);
    if (run->problem->has_matrices && !matrix_verify(&run->work)) {
        fprintf(stderr, "at-bench: %s multiplied matrices wrongly\n", run->peer->name);
        right = false;
    }
    free((void *)run->work.left);
    free((void *)run->work.right);
    free(run->work.product);
    return right;
}

static const struct fork_size *choose_size(const struct subject *subject,
                                           const struct benchmark_settings *settings) {
    const struct fork_peer *peer = subject->data;
    const struct fork_case *problem = settings->benchmark->data;
    if (settings->quick)
        return &problem->sizes[EFFORT_QUICK];
    return &problem->sizes[peer->is_slow && !settings->full ? EFFORT_REDUCED : EFFORT_FULL];
}

static void fill_sample(struct benchmark_sample *sample, uint64_t time, uint64_t cpu,
                        uint64_t forks) {
    sample->values[0] = (double)time / (double)forks;
    sample->cpu_ns = (double)cpu / (double)forks;
    sample->iterations = forks;
}

static bool measure_one(const struct subject *subject, const struct benchmark_settings *settings,
                        struct benchmark_sample *sample) {
    struct fork_run run = {.peer = subject->data, .problem = settings->benchmark->data};
    if (run.peer->create && !(run.pool = run.peer->create(subject->workers))) {
        fprintf(stderr, "at-bench: cannot create %s\n", run.peer->name);
        return false;
    }
    /* The threads start in a small run. */
    prepare(&run, &run.problem->sizes[EFFORT_QUICK]);
    run_program(&run);
    bool right = verify_and_free(&run);
    prepare(&run, choose_size(subject, settings));
    uint64_t cpu = tasks_cpu_ns(), start = now_ns();
    run_program(&run);
    fill_sample(sample, now_ns() - start, tasks_cpu_ns() - cpu, run.size.forks);
    if (run.peer->destroy)
        run.peer->destroy(run.pool);
    return verify_and_free(&run) && right;
}

/* Runs `workers` copies of the sequential program at the same time: all that so many workers could
 * gain on this machine. */
static bool measure_copies(const struct subject *subject, const struct benchmark_settings *settings,
                           struct benchmark_sample *sample) {
    static struct fork_run runs[MAX_COPIES];
    pthread_barrier_t gate;
    int copies = subject->workers;
    bool right = true;
    pthread_barrier_init(&gate, NULL, (unsigned)copies + 1);
    for (int i = 0; i < copies; i++) {
        runs[i] = (struct fork_run){
            .peer = subject->data, .problem = settings->benchmark->data, .gate = &gate};
        prepare(&runs[i], choose_size(subject, settings));
        if (pthread_create(&runs[i].thread, NULL, run_program, &runs[i]) != 0)
            give_up("cannot start a thread");
    }
    uint64_t cpu = tasks_cpu_ns(), start = now_ns();
    pthread_barrier_wait(&gate);
    for (int i = 0; i < copies; i++)
        pthread_join(runs[i].thread, NULL);
    uint64_t time = now_ns() - start;
    fill_sample(sample, time, tasks_cpu_ns() - cpu, runs[0].size.forks * (uint64_t)copies);
    pthread_barrier_destroy(&gate);
    for (int i = 0; i < copies; i++)
        right = verify_and_free(&runs[i]) && right;
    return right;
}

static bool measure_fork(const struct subject *subject, const struct benchmark_settings *settings,
                         struct benchmark_sample *sample) {
    if (subject->role == SUBJECT_COPIES)
        return measure_copies(subject, settings, sample);
    return measure_one(subject, settings, sample);
}

#define FORK_BENCHMARK(title, number, text)                                                        \
    {                                                                                              \
        .name = title, .help = text, .metrics = {{"time", "ns"}}, .by_workers = true,              \
        .data = &cases[number], .list_subjects = list_forks, .measure = measure_fork               \
    }

const struct benchmark benchmark_fork_fibonacci =
    FORK_BENCHMARK("fork_fib", FORK_FIBONACCI, "fib(38) without cut-off, a fork");
const struct benchmark benchmark_fork_skynet = FORK_BENCHMARK(
    "fork_skynet", FORK_SKYNET, "a tree of 10 million leaves, ten children each, a child");
const struct benchmark benchmark_fork_queens =
    FORK_BENCHMARK("fork_queens", FORK_QUEENS, "all ways to place 12 queens, a queen placed");
const struct benchmark benchmark_fork_tree =
    FORK_BENCHMARK("fork_tree", FORK_TREE, "an unbalanced tree, searched, a child");
const struct benchmark benchmark_fork_chain =
    FORK_BENCHMARK("fork_chain", FORK_CHAIN, "forks one after the other: thieves can only disturb");
const struct benchmark benchmark_fork_matrix = FORK_BENCHMARK(
    "fork_matrix", FORK_MATRIX, "a product of 1024 rows, by halves, a product of blocks of 32");
const struct benchmark benchmark_fork_loop =
    FORK_BENCHMARK("fork_loop", FORK_LOOP, "the same product in a parallel loop, a square of 64");
