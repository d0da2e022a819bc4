/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "clock.h"
#include "statistics.h"
#include "tasks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ROUND_TRIPS = 20000,
    IDLE_ROUND_TRIPS = 400,
    QUICK_SHARE = 20,
    WARM_UP_TRIPS = 100,
    IDLE_NS = 1000000,
};

/* How people wait for one task of a pool that has no futures. */
struct flag {
    pthread_mutex_t lock; /* guards `raised` */
    pthread_cond_t was_raised;
    bool raised;
};

static void *raise_flag(void *argument) {
    struct flag *flag = argument;
    pthread_mutex_lock(&flag->lock);
    flag->raised = true;
    pthread_cond_signal(&flag->was_raised);
    pthread_mutex_unlock(&flag->lock);
    return NULL;
}

static void *return_argument(void *argument) {
    return argument;
}

static void wait_for_flag(const struct peer *peer, void *pool, struct flag *flag) {
    flag->raised = false;
    peer->submit(pool, raise_flag, flag);
    pthread_mutex_lock(&flag->lock);
    while (!flag->raised)
        pthread_cond_wait(&flag->was_raised, &flag->lock);
    pthread_mutex_unlock(&flag->lock);
}

static double make_trip(const struct peer *peer, void *pool, struct flag *flag) {
    uint64_t start = now_ns();
    if (peer->round_trip)
        peer->round_trip(pool, return_argument, flag);
    else
        wait_for_flag(peer, pool, flag);
    return (double)(now_ns() - start) / 1e3;
}

static void measure_trips(const struct peer *peer, void *pool, long count, bool idle,
                          struct benchmark_sample *sample) {
    struct flag flag = {.lock = PTHREAD_MUTEX_INITIALIZER, .was_raised = PTHREAD_COND_INITIALIZER};
    double *times = malloc((size_t)count * sizeof(*times));
    if (!times)
        return;
    for (int i = 0; i < WARM_UP_TRIPS; i++)
        make_trip(peer, pool, &flag);
    uint64_t cpu = tasks_cpu_ns();
    for (long i = 0; i < count; i++) {
        if (idle)
            nanosleep(&(struct timespec){.tv_nsec = IDLE_NS}, NULL);
        times[i] = make_trip(peer, pool, &flag);
    }
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)count;
    sample->values[0] = quantile_of(times, (size_t)count, 0.5);
    sample->values[1] = quantile_of(times, (size_t)count, 0.99);
    sample->iterations = (uint64_t)count;
    free(times);
}

static bool measure_peer(const struct subject *subject, const struct benchmark_settings *settings,
                         bool idle, struct benchmark_sample *sample) {
    const struct peer *peer = subject->data;
    void *pool = peer->create(settings->most_workers);
    if (!pool) {
        fprintf(stderr, "at-bench: cannot create %s\n", peer->name);
        return false;
    }
    long count = idle ? IDLE_ROUND_TRIPS : ROUND_TRIPS;
    measure_trips(peer, pool, settings->quick ? count / QUICK_SHARE : count, idle, sample);
    peer->destroy(pool);
    return true;
}

static bool measure_busy(const struct subject *subject, const struct benchmark_settings *settings,
                         struct benchmark_sample *sample) {
    return measure_peer(subject, settings, false, sample);
}

static bool measure_idle(const struct subject *subject, const struct benchmark_settings *settings,
                         struct benchmark_sample *sample) {
    return measure_peer(subject, settings, true, sample);
}

static size_t list_round_trip(const struct benchmark_settings *settings, struct subject *subjects) {
    struct subject all[BENCHMARK_MAX_SUBJECTS];
    size_t count = 0;
    size_t all_count = tasks_list_peers(all, false, false);
    (void)settings;
    for (size_t i = 0; i < all_count; i++) {
        const struct peer *peer = all[i].data;
        if (peer->no_hand_over)
            continue;
        /* The bar are the packages, and among them those that hand the task to another thread. */
        if (peer->is_plain || peer->waits_by_running)
            all[i].role = SUBJECT_BESIDE;
        subjects[count++] = all[i];
    }
    return count;
}

const struct benchmark benchmark_round_trip = {
    .name = "round_trip",
    .help = "submit one task and wait for it, back to back",
    .metrics = {{"p50", "us"}, {"p99", "us"}},
    .list_subjects = list_round_trip,
    .measure = measure_busy,
};

const struct benchmark benchmark_round_trip_idle = {
    .name = "round_trip_idle",
    .help = "submit one task and wait for it, each after 1 ms of rest",
    .metrics = {{"p50", "us"}, {"p99", "us"}},
    .list_subjects = list_round_trip,
    .measure = measure_idle,
};
