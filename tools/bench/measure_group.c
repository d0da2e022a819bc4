/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "child.h"
#include "clock.h"
#include "messages.h"
#include "peers/group.h"
#include "tasks.h"

#include <asynctools/error.h>
#include <asynctools/log.h>
#include <asynctools/sleep.h>

#include <inttypes.h>
#include <stdio.h>

enum {
    QUICK_SHARE = 50,
    WARM_UP_TASKS = 20000,
    SLEEPERS = 100000,
    SLEEP_MS = 10,
};

/* A benchmark of groups: who takes part, and with what bounds. */
struct group_case {
    const struct group_peer *const *peers;
    struct group_bounds bounds; /* `running` 0: as many as there are workers */
};

static const struct group_case limited = {group_peers, {.running = 10, .tasks = 1000000}};
static const struct group_case queued = {queue_peers, {.queued = 1024, .tasks = 1000000}};
static const struct group_case sleeping = {group_sleep_peers,
                                           {.running = SLEEPERS, .tasks = SLEEPERS}};

static size_t list_groups(const struct benchmark_settings *settings, struct subject *subjects) {
    const struct group_case *what = settings->benchmark->data;
    size_t count = 0;
    for (; what->peers[count]; count++) {
        const struct group_peer *peer = what->peers[count];
        subjects[count] =
            (struct subject){.name = peer->name,
                             .role = peer->is_library ? SUBJECT_LIBRARY : SUBJECT_PEER,
                             .data = peer};
    }
    return count;
}

/* The bounds of a case in one run. */
static struct group_bounds find_bounds(const struct benchmark_settings *settings) {
    struct group_bounds bounds = ((const struct group_case *)settings->benchmark->data)->bounds;
    if (bounds.running == 0)
        bounds.running = settings->most_workers;
    if (settings->quick)
        bounds.tasks /= QUICK_SHARE;
    return bounds;
}

/* Gives the nanoseconds from the first submit to the end of the last task. */
static uint64_t run_group(const struct group_peer *peer, void *pool, peer_run_fn run,
                          const struct group_bounds *bounds) {
    uint64_t total = (uint64_t)bounds->tasks;
    tasks_reset();
    if (peer->open)
        peer->open(pool, bounds);
    uint64_t start = now_ns(), end;
    for (uint64_t i = 0; i < total; i++)
        peer->submit(pool, run, NULL);
    if (peer->join) {
        peer->join(pool);
        end = now_ns();
    } else {
        end = tasks_wait(total);
    }
    if (peer->close)
        peer->close(pool);
    if (!peer->may_refuse && tasks_counted() != total)
        give_up("%s has run %" PRIu64 " tasks instead of %" PRIu64, peer->name, tasks_counted(),
                total);
    return end - start;
}

static bool measure_empty(const struct subject *subject, const struct benchmark_settings *settings,
                          struct benchmark_sample *sample) {
    const struct group_peer *peer = subject->data;
    struct group_bounds bounds = find_bounds(settings), warm_up = bounds;
    void *pool = peer->create(settings->most_workers);
    if (!pool) {
        fprintf(stderr, "at-bench: cannot create %s\n", peer->name);
        return false;
    }
    warm_up.tasks = WARM_UP_TASKS;
    (void)run_group(peer, pool, tasks_run_empty, &warm_up);
    uint64_t cpu = tasks_cpu_ns();
    uint64_t time = run_group(peer, pool, tasks_run_empty, &bounds);
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)bounds.tasks;
    sample->values[0] = (double)time / (double)bounds.tasks;
    sample->values[1] = 100 * (double)tasks_counted() / (double)bounds.tasks;
    sample->iterations = (uint64_t)bounds.tasks;
    peer->destroy(pool);
    return true;
}

static void *sleep_briefly(void *argument) {
    if (at_sleep(AT_MILLISECONDS(SLEEP_MS)) != AT_OK)
        give_up("a sleep has failed: %s", at_error_message(at_error_last()));
    tasks_count();
    return argument;
}

/* The benchmark's settings and the peer, for a process of its own. */
struct sleep_case {
    const struct group_peer *peer;
    struct group_bounds bounds;
    int workers;
};

static bool run_sleepers(const void *argument, void *figures) {
    const struct sleep_case *what = argument;
    struct benchmark_sample *sample = figures;
    double count = (double)what->bounds.tasks;
    at_logger *quiet;
    /* So many tasks at once are late, and the pool would say so. */
    if (at_logger_create(&quiet, &(at_logger_options){.path = "/dev/null"}) != AT_OK)
        return false;
    at_logger_set_default(quiet);
    (void)child_resident_bytes(); /* the first look brings code of its own in */
    double resident = child_resident_bytes();
    void *pool = what->peer->create(what->workers);
    uint64_t cpu = tasks_cpu_ns();
    sample->values[0] = (double)run_group(what->peer, pool, sleep_briefly, &what->bounds) / 1e6;
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / count;
    sample->values[1] = (child_peak_bytes() - resident) / count;
    sample->iterations = (uint64_t)what->bounds.tasks;
    what->peer->destroy(pool);
    return true;
}

static bool measure_sleepers(const struct subject *subject,
                             const struct benchmark_settings *settings,
                             struct benchmark_sample *sample) {
    struct sleep_case what = {subject->data, find_bounds(settings), settings->most_workers};
    if (child_measure(run_sleepers, &what, sample, sizeof(*sample)))
        return true;
    fprintf(stderr, "at-bench: %s cannot let %ld tasks sleep\n", subject->name, what.bounds.tasks);
    return false;
}

const struct benchmark benchmark_manager = {
    .name = "manager",
    .help = "a million empty tasks, ten at once, from one outside thread, start to join, a task",
    .metrics = {{"time", "ns"}},
    .data = &limited,
    .reference = {"asynctools start, no limit", "to start"},
    .list_subjects = list_groups,
    .measure = measure_empty,
};

const struct benchmark benchmark_manager_sleep = {
    .name = "manager_sleep",
    .help = "100,000 tasks at once that sleep 10 ms, start to join; memory at the peak, a task",
    .metrics = {{"all ended", "ms"}, {"memory", "B"}},
    .data = &sleeping,
    .reference = {"asynctools start, no limit", "to start"},
    .list_subjects = list_groups,
    .measure = measure_sleepers,
};

const struct benchmark benchmark_task_pool = {
    .name = "task_pool",
    .help = "a million empty items from one outside thread into a queue of 1,024, an item",
    .metrics = {{"time", "ns"}, {"that ran", "%"}},
    .data = &queued,
    .list_subjects = list_groups,
    .measure = measure_empty,
};
