/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "clock.h"
#include "fork_kernel.h"
#include "messages.h"
#include "peers/timer.h"
#include "statistics.h"
#include "tasks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TIMERS = 1000000,
    LATE_TIMERS = 500,
    QUICK_SHARE = 50,
    FAR_MS = 10000, /* beyond the end of the measurement */
    FAR_SPREAD_MS = 50000,
    SOON_MS = 100,
    SOON_SPREAD_MS = 500,
};

static size_t list_some(struct subject *subjects, bool one_at_a_time) {
    size_t count = 0;
    for (size_t i = 0; timer_peers[i]; i++) {
        const struct timer_peer *peer = timer_peers[i];
        if (one_at_a_time ? !peer->wait_one_ms : !peer->insert)
            continue;
        enum subject_role role = peer->is_library  ? SUBJECT_LIBRARY
                                 : peer->is_beside ? SUBJECT_BESIDE
                                                   : SUBJECT_PEER;
        subjects[count++] =
            (struct subject){.name = peer->name, .role = role, .data = peer, .note = peer->note};
    }
    return count;
}

static size_t list_timers(const struct benchmark_settings *settings, struct subject *subjects) {
    (void)settings;
    return list_some(subjects, false);
}

static size_t list_lateness(const struct benchmark_settings *settings, struct subject *subjects) {
    (void)settings;
    return list_some(subjects, true);
}

static void *create_timers(const struct timer_peer *peer, int workers, long count) {
    void *timers = peer->create(workers, count);
    if (!timers)
        give_up("cannot create timers of %s", peer->name);
    return timers;
}

/* Spreads the delays evenly, in no order. */
static void choose_delays(uint32_t *delays_ms, long count, uint32_t first, uint32_t spread) {
    for (long i = 0; i < count; i++)
        delays_ms[i] = first + (uint32_t)(tree_mix((uint64_t)i + 1) % spread);
}

static void sleep_ms(uint32_t ms) {
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static bool measure_timers(const struct subject *subject, const struct benchmark_settings *settings,
                           struct benchmark_sample *sample) {
    const struct timer_peer *peer = subject->data;
    long count = settings->quick ? TIMERS / QUICK_SHARE : TIMERS;
    uint32_t spread = settings->quick ? SOON_SPREAD_MS / QUICK_SHARE : SOON_SPREAD_MS;
    uint32_t *delays_ms = malloc((size_t)count * sizeof(*delays_ms));
    void *timers = create_timers(peer, settings->most_workers, count);
    if (!delays_ms)
        give_up("there is no memory for %ld timers", count);
    uint64_t cpu = tasks_cpu_ns();
    choose_delays(delays_ms, count, FAR_MS, FAR_SPREAD_MS);
    uint64_t start = now_ns();
    peer->insert(timers, delays_ms);
    uint64_t inserted = now_ns();
    peer->cancel(timers);
    uint64_t cancelled = now_ns();
    choose_delays(delays_ms, count, SOON_MS, spread);
    if (peer->hold_back)
        peer->hold_back(timers);
    peer->insert(timers, delays_ms);
    sleep_ms(SOON_MS + spread);
    uint64_t due = now_ns();
    long fired = peer->expire(timers);
    uint64_t ended = now_ns();
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)count;
    sample->values[0] = (double)(inserted - start) / (double)count;
    sample->values[1] = (double)(cancelled - inserted) / (double)count;
    sample->values[2] = (double)(ended - due) / (double)count;
    sample->iterations = (uint64_t)count;
    peer->destroy(timers);
    free(delays_ms);
    if (fired != count)
        fprintf(stderr, "at-bench: %ld of %ld timers of %s came\n", fired, count, peer->name);
    return fired == count;
}

static bool measure_lateness(const struct subject *subject,
                             const struct benchmark_settings *settings,
                             struct benchmark_sample *sample) {
    const struct timer_peer *peer = subject->data;
    static double late_us[LATE_TIMERS];
    long count = settings->quick ? LATE_TIMERS / QUICK_SHARE : LATE_TIMERS;
    void *timers = create_timers(peer, settings->most_workers, 1);
    peer->wait_one_ms(timers);
    uint64_t cpu = tasks_cpu_ns();
    for (long i = 0; i < count; i++)
        late_us[i] = (double)peer->wait_one_ms(timers) / 1e3;
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)count;
    sample->values[0] = quantile_of(late_us, (size_t)count, 0);
    sample->values[1] = quantile_of(late_us, (size_t)count, 0.5);
    sample->values[2] = quantile_of(late_us, (size_t)count, 0.99);
    sample->iterations = (uint64_t)count;
    peer->destroy(timers);
    return true;
}

const struct benchmark benchmark_timers = {
    .name = "timers",
    .help = "set 1 million timers, cancel them; set them again, wait, let them come; a timer",
    .metrics = {{"insert", "ns"}, {"cancel", "ns"}, {"expire", "ns"}},
    .list_subjects = list_timers,
    .measure = measure_timers,
};

const struct benchmark benchmark_timer_lateness = {
    .name = "timer_lateness",
    .help = "one timer of 1 ms at a time, nothing else to do: how late it comes",
    .metrics = {{"earliest", "us"}, {"p50", "us"}, {"p99", "us"}},
    .list_subjects = list_lateness,
    .measure = measure_lateness,
};
