/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "clock.h"
#include "messages.h"
#include "peers/serial.h"
#include "tasks.h"

#include <stdio.h>
#include <string.h>

enum {
    STRAND_TASKS = 1000000,
    KEYED_TASKS = 400000,
    QUICK_SHARE = 50,
    WARM_UP_TASKS = 20000,
    FEW_KEYS = 10,
    MANY_KEYS = 10000,
};

/* Which key task `i` runs under. */
typedef long (*choose_key_fn)(long i);

static long choose_one(long i) {
    (void)i;
    return 0;
}

static long choose_of_few(long i) {
    return i % FEW_KEYS;
}

static long choose_of_many(long i) {
    return i % MANY_KEYS;
}

/* Every other task has the first key. */
static long choose_flooded(long i) {
    return i % 2 == 0 ? 0 : 1 + i / 2 % (MANY_KEYS - 1);
}

struct serial_case {
    const struct serial_peer *const *peers;
    long tasks;
    choose_key_fn choose_key[BENCHMARK_METRICS]; /* for each metric; NULL after the last */
};

static const struct serial_case one_strand = {strand_peers, STRAND_TASKS, {choose_one}};
static const struct serial_case keys = {
    keyed_peers, KEYED_TASKS, {choose_one, choose_of_few, choose_of_many, choose_flooded}};

/* Tasks of one key count in turn, without a lock: a lost count is a fault. */
static long counts[MANY_KEYS];

static size_t list_serials(const struct benchmark_settings *settings, struct subject *subjects) {
    const struct serial_case *what = settings->benchmark->data;
    size_t count = 0;
    for (; what->peers[count]; count++) {
        const struct serial_peer *peer = what->peers[count];
        subjects[count] =
            (struct subject){.name = peer->name,
                             .role = peer->is_library ? SUBJECT_LIBRARY : SUBJECT_PEER,
                             .data = peer};
    }
    return count;
}

static void *count_for_key(void *argument) {
    *(long *)argument += 1;
    tasks_count();
    return argument;
}

/* Once the peer's threads have ended. */
static void check_counts(const struct serial_peer *peer, long total) {
    for (int i = 0; i < MANY_KEYS; i++)
        total -= counts[i];
    if (total != 0 && !peer->is_parallel)
        give_up("%s has run tasks of one key at the same time", peer->name);
}

/* Gives the nanoseconds from the first submit to the end of the last task, for each. */
static double run_tasks(const struct serial_peer *peer, void *pool, choose_key_fn choose_key,
                        long total) {
    tasks_reset();
    uint64_t start = now_ns();
    for (long i = 0; i < total; i++) {
        long key = choose_key(i);
        peer->submit(pool, key, peer->is_parallel ? tasks_run_empty : count_for_key, &counts[key]);
    }
    return (double)(tasks_wait((uint64_t)total) - start) / (double)total;
}

static bool measure_serial(const struct subject *subject, const struct benchmark_settings *settings,
                           struct benchmark_sample *sample) {
    const struct serial_case *what = settings->benchmark->data;
    const struct serial_peer *peer = subject->data;
    long total = settings->quick ? what->tasks / QUICK_SHARE : what->tasks;
    for (int i = 0; i < BENCHMARK_METRICS && what->choose_key[i]; i++) {
        void *pool = peer->create(settings->most_workers);
        if (!pool) {
            fprintf(stderr, "at-bench: cannot create %s\n", peer->name);
            return false;
        }
        memset(counts, 0, sizeof(counts));
        (void)run_tasks(peer, pool, what->choose_key[i], WARM_UP_TASKS);
        uint64_t cpu = tasks_cpu_ns();
        sample->values[i] = run_tasks(peer, pool, what->choose_key[i], total);
        if (i == 0)
            sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)total;
        peer->destroy(pool);
        check_counts(peer, WARM_UP_TASKS + total);
    }
    sample->iterations = (uint64_t)total;
    return true;
}

const struct benchmark benchmark_strand = {
    .name = "strand",
    .help = "a million empty tasks from one outside thread, one after the other, a task",
    .metrics = {{"time", "ns"}},
    .data = &one_strand,
    .reference = {"asynctools future, no order", "to future"},
    .list_subjects = list_serials,
    .measure = measure_serial,
};

const struct benchmark benchmark_keyed = {
    .name = "keyed",
    .help = "400,000 empty tasks from one outside thread, those of one key in order, a task",
    .metrics = {{"1 key", "ns"}, {"10 keys", "ns"}, {"10,000 keys", "ns"}, {"one floods", "ns"}},
    .data = &keys,
    .reference = {"asynctools future, no order", "to future"},
    .list_subjects = list_serials,
    .measure = measure_serial,
};
