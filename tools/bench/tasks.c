/* SPDX-License-Identifier: MIT */
#include "tasks.h"

#include "clock.h"
#include "messages.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_COUNTERS = 1024, /* threads that may run tasks between two resets */
    MAX_PRODUCERS = 256,
    WARM_UP_TASKS = 20000,
    MAX_LOOK_NS = 1000000,
};

struct task_counter {
    alignas(64) atomic_uint_fast64_t count;
};

static struct task_counter counters[MAX_COUNTERS];
static atomic_int counter_count;
static atomic_uint_fast64_t generation = 1;

static _Thread_local struct task_counter *own_counter;
static _Thread_local uint64_t own_generation;

void tasks_reset(void) {
    for (int i = 0; i < MAX_COUNTERS; i++)
        atomic_store_explicit(&counters[i].count, 0, memory_order_relaxed);
    atomic_store_explicit(&counter_count, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

static void take_counter(uint64_t current) {
    int index = atomic_fetch_add_explicit(&counter_count, 1, memory_order_relaxed);
    if (index >= MAX_COUNTERS) {
        give_up("more than %d threads run tasks", MAX_COUNTERS);
    }
    own_counter = &counters[index];
    own_generation = current;
}

void tasks_count(void) {
    uint64_t current = atomic_load_explicit(&generation, memory_order_relaxed);
    if (own_generation != current)
        take_counter(current);
    uint64_t count = atomic_load_explicit(&own_counter->count, memory_order_relaxed);
    atomic_store_explicit(&own_counter->count, count + 1, memory_order_relaxed);
}

void *tasks_run_empty(void *argument) {
    tasks_count();
    return argument;
}

uint64_t tasks_counted(void) {
    uint64_t sum = 0;
    int count = atomic_load_explicit(&counter_count, memory_order_relaxed);
    for (int i = 0; i < count && i < MAX_COUNTERS; i++)
        sum += atomic_load_explicit(&counters[i].count, memory_order_relaxed);
    return sum;
}

uint64_t tasks_wait(uint64_t total) {
    uint64_t start = now_ns();
    while (tasks_counted() < total) {
        uint64_t pause = (now_ns() - start) / 200;
        if (pause > MAX_LOOK_NS)
            pause = MAX_LOOK_NS;
        struct timespec time = {.tv_nsec = (long)pause};
        nanosleep(&time, NULL);
    }
    return now_ns();
}

uint64_t tasks_cpu_ns(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* The producers start together: each waits until all are there. */
struct producers {
    const struct tasks_burst *burst;
    pthread_barrier_t gate;
    atomic_uint_fast64_t first_ns; /* of the producer that began first */
};

struct producer {
    struct producers *all;
    int number;
    pthread_t thread;
};

static void note_start(struct producers *all) {
    uint64_t now = now_ns();
    uint64_t first = atomic_load_explicit(&all->first_ns, memory_order_relaxed);
    while (now < first &&
           !atomic_compare_exchange_weak_explicit(&all->first_ns, &first, now, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

static void submit_one_by_one(const struct tasks_burst *burst, uint64_t count) {
    const struct peer *peer = burst->peer;
    for (uint64_t i = 0; i < count; i++)
        peer->submit(burst->pool, burst->run, burst->argument);
}

static void submit_many(const struct tasks_burst *burst, uint64_t count) {
    static char items[PEER_MANY]; /* only their addresses count */
    while (count > 0) {
        uint64_t part = count < PEER_MANY ? count : PEER_MANY;
        burst->peer->submit_many(burst->pool, burst->run, items, part);
        count -= part;
    }
}

static void produce(void *context, int number) {
    struct producers *all = context;
    const struct tasks_burst *burst = all->burst;
    const struct peer *peer = burst->peer;
    uint64_t share = burst->tasks / (uint64_t)burst->producers;
    if (number == 0)
        share += burst->tasks % (uint64_t)burst->producers;
    pthread_barrier_wait(&all->gate);
    note_start(all);
    if (burst->many && peer->submit_many)
        submit_many(burst, share);
    else
        submit_one_by_one(burst, share);
    if (peer->drain)
        peer->drain(burst->pool);
}

static void *run_producer(void *argument) {
    struct producer *producer = argument;
    produce(producer->all, producer->number);
    return NULL;
}

static void enter_threads(struct producers *all, int count) {
    struct producer producers[MAX_PRODUCERS];
    for (int i = 0; i < count; i++) {
        producers[i] = (struct producer){.all = all, .number = i};
        if (pthread_create(&producers[i].thread, NULL, run_producer, &producers[i]) != 0) {
            give_up("cannot start a thread");
        }
    }
    for (int i = 0; i < count; i++)
        pthread_join(producers[i].thread, NULL);
}

uint64_t tasks_run_burst(const struct tasks_burst *burst) {
    struct producers all = {.burst = burst, .first_ns = UINT64_MAX};
    pthread_barrier_init(&all.gate, NULL, (unsigned)burst->producers);
    if (burst->peer->enter)
        burst->peer->enter(burst->pool, burst->producers, produce, &all);
    else
        enter_threads(&all, burst->producers);
    uint64_t end = tasks_wait(burst->total);
    pthread_barrier_destroy(&all.gate);
    return end - atomic_load_explicit(&all.first_ns, memory_order_relaxed);
}

size_t tasks_list_peers(struct subject *subjects, bool many_producers, bool nesting) {
    size_t count = 0;
    for (size_t i = 0; peers[i] && count < BENCHMARK_MAX_SUBJECTS; i++) {
        const struct peer *peer = peers[i];
        if ((many_producers && peer->one_producer) || (nesting && peer->no_nesting))
            continue;
        enum subject_role role = peer->is_library  ? SUBJECT_LIBRARY
                                 : peer->is_beside ? SUBJECT_BESIDE
                                                   : SUBJECT_PEER;
        subjects[count++] = (struct subject){.name = peer->name, .role = role, .data = peer};
    }
    return count;
}
