/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "tasks.h"

#include <stdio.h>

enum {
    SUBMIT_TASKS = 5000000,
    NESTED_DEPTH = 20, /* a binary tree of 2^21 - 1 tasks */
    NESTED_QUICK_DEPTH = 14,
    QUICK_SHARE = 50,
    WARM_UP_TASKS = 20000,
};

/* The pool that the tasks of a nested run submit to. One run at a time. */
static struct {
    const struct peer *peer;
    void *pool;
} nested;

static char depths[NESTED_DEPTH + 1]; /* only their addresses count */

static size_t list_submit(const struct benchmark_settings *settings, struct subject *subjects) {
    return tasks_list_peers(subjects, settings->parameter > 1, false);
}

static size_t list_submit_many(const struct benchmark_settings *settings,
                               struct subject *subjects) {
    (void)settings;
    size_t count = tasks_list_peers(subjects, false, false);
    for (size_t i = 0; i < count; i++)
        if (!((const struct peer *)subjects[i].data)->submit_many)
            subjects[i].note = "one call for each task";
    return count;
}

static size_t list_nested(const struct benchmark_settings *settings, struct subject *subjects) {
    (void)settings;
    return tasks_list_peers(subjects, false, true);
}

/* Warms the pool up, measures a burst, fills the sample. */
static void measure_burst(struct tasks_burst *burst, struct benchmark_sample *sample) {
    struct tasks_burst warm_up = *burst;
    warm_up.run = tasks_run_empty;
    warm_up.argument = NULL;
    warm_up.tasks = warm_up.total = WARM_UP_TASKS;
    tasks_reset();
    tasks_run_burst(&warm_up);
    tasks_reset();
    uint64_t cpu = tasks_cpu_ns();
    uint64_t time = tasks_run_burst(burst);
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)burst->total;
    sample->values[0] = (double)time / (double)burst->total;
    sample->iterations = burst->total;
}

static bool measure_from_outside(const struct subject *subject,
                                 const struct benchmark_settings *settings, int producers,
                                 bool many, struct benchmark_sample *sample) {
    const struct peer *peer = subject->data;
    void *pool = peer->create(settings->most_workers);
    if (!pool) {
        fprintf(stderr, "at-bench: cannot create %s\n", peer->name);
        return false;
    }
    struct tasks_burst burst = {
        .peer = peer,
        .pool = pool,
        .producers = producers,
        .tasks = settings->quick ? SUBMIT_TASKS / QUICK_SHARE : SUBMIT_TASKS,
        .run = tasks_run_empty,
        .many = many,
    };
    burst.total = burst.tasks;
    measure_burst(&burst, sample);
    peer->destroy(pool);
    return true;
}

static bool measure_submit(const struct subject *subject, const struct benchmark_settings *settings,
                           struct benchmark_sample *sample) {
    return measure_from_outside(subject, settings, (int)settings->parameter, false, sample);
}

static bool measure_submit_many(const struct subject *subject,
                                const struct benchmark_settings *settings,
                                struct benchmark_sample *sample) {
    return measure_from_outside(subject, settings, 1, true, sample);
}

/* A task that submits two others until the depth is used up. Its argument points at its depth. */
static void *run_nested(void *argument) {
    char *depth = argument;
    if (depth > depths) {
        nested.peer->submit(nested.pool, run_nested, depth - 1);
        nested.peer->submit(nested.pool, run_nested, depth - 1);
    }
    tasks_count();
    return NULL;
}

static bool measure_nested(const struct subject *subject, const struct benchmark_settings *settings,
                           struct benchmark_sample *sample) {
    const struct peer *peer = subject->data;
    int depth = settings->quick ? NESTED_QUICK_DEPTH : NESTED_DEPTH;
    nested.peer = peer;
    nested.pool = peer->create(settings->most_workers);
    if (!nested.pool) {
        fprintf(stderr, "at-bench: cannot create %s\n", peer->name);
        return false;
    }
    struct tasks_burst burst = {
        .peer = peer,
        .pool = nested.pool,
        .producers = 1,
        .tasks = 1,
        .total = ((uint64_t)2 << depth) - 1,
        .run = run_nested,
        .argument = depths + depth,
    };
    measure_burst(&burst, sample);
    peer->destroy(nested.pool);
    return true;
}

const struct benchmark benchmark_submit = {
    .name = "submit",
    .help = "empty tasks from outside threads, first submit to last end, a task",
    .parameter = "threads",
    .parameters = {.values = {1, 2, 4}, .count = 3},
    .metrics = {{"time", "ns"}},
    .shows_rate = true,
    .list_subjects = list_submit,
    .measure = measure_submit,
};

const struct benchmark benchmark_submit_many = {
    .name = "submit_many",
    .help = "empty tasks from one outside thread, a thousand in a call, a task",
    .metrics = {{"time", "ns"}},
    .shows_rate = true,
    .list_subjects = list_submit_many,
    .measure = measure_submit_many,
};

const struct benchmark benchmark_nested = {
    .name = "nested",
    .help = "a binary tree of tasks that submit tasks, a task",
    .metrics = {{"time", "ns"}},
    .shows_rate = true,
    .list_subjects = list_nested,
    .measure = measure_nested,
};
