/* SPDX-License-Identifier: MIT */
#include "limit.h"

#include "clock.h"
#include "statistics.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROUND_TRIPS = 200000, ADDITIONS = 5000000, WAKES = 400, REST_NS = 150000, ROUNDS = 5 };

/* Two lines, as hand-overs by one word and by two are measured. */
struct lines {
    alignas(128) atomic_uint there;
    alignas(128) atomic_uint back;
};

static struct lines lines;
static alignas(128) atomic_ulong shared_count;
static alignas(128) atomic_uint gate;

/* One line: the word counts up, even ones are ours, odd ones the other's. */
static void *answer_one_line(void *argument) {
    limits_bind(1);
    for (unsigned i = 0; i < ROUND_TRIPS; i++) {
        while (atomic_load_explicit(&lines.there, memory_order_acquire) != 2 * i + 1)
            ;
        atomic_store_explicit(&lines.there, 2 * i + 2, memory_order_release);
    }
    return argument;
}

static void *answer_two_lines(void *argument) {
    limits_bind(1);
    for (unsigned i = 1; i <= ROUND_TRIPS; i++) {
        while (atomic_load_explicit(&lines.there, memory_order_acquire) != i)
            ;
        atomic_store_explicit(&lines.back, i, memory_order_release);
    }
    return argument;
}

static void ask_one_line(void) {
    for (unsigned i = 0; i < ROUND_TRIPS; i++) {
        atomic_store_explicit(&lines.there, 2 * i + 1, memory_order_release);
        while (atomic_load_explicit(&lines.there, memory_order_acquire) != 2 * i + 2)
            ;
    }
}

static void ask_two_lines(void) {
    for (unsigned i = 1; i <= ROUND_TRIPS; i++) {
        atomic_store_explicit(&lines.there, i, memory_order_release);
        while (atomic_load_explicit(&lines.back, memory_order_acquire) != i)
            ;
    }
}

static double time_round_trips(void *(*answer)(void *), void (*ask)(void)) {
    double times[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        pthread_t other;
        atomic_store_explicit(&lines.there, 0, memory_order_relaxed);
        atomic_store_explicit(&lines.back, 0, memory_order_relaxed);
        if (pthread_create(&other, NULL, answer, NULL) != 0)
            return -1;
        uint64_t start = now_ns();
        ask();
        times[i] = (double)(now_ns() - start) / ROUND_TRIPS;
        pthread_join(other, NULL);
    }
    return median_of(times, ROUNDS);
}

static void *add_beside(void *argument) {
    limits_bind(1);
    atomic_store_explicit(&gate, 1, memory_order_release);
    while (atomic_load_explicit(&gate, memory_order_acquire) == 1)
        atomic_fetch_add_explicit(&shared_count, 1, memory_order_relaxed);
    return argument;
}

static double time_contended_add(void) {
    pthread_t other;
    atomic_store_explicit(&gate, 0, memory_order_relaxed);
    if (pthread_create(&other, NULL, add_beside, NULL) != 0)
        return -1;
    while (atomic_load_explicit(&gate, memory_order_acquire) == 0)
        ;
    unsigned long before = atomic_load_explicit(&shared_count, memory_order_relaxed);
    uint64_t start = now_ns();
    for (long i = 0; i < ADDITIONS; i++)
        atomic_fetch_add_explicit(&shared_count, 1, memory_order_relaxed);
    uint64_t time = now_ns() - start;
    unsigned long added = atomic_load_explicit(&shared_count, memory_order_relaxed) - before;
    atomic_store_explicit(&gate, 2, memory_order_release);
    pthread_join(other, NULL);
    return (double)time / (double)added;
}

/* One who sleeps on `word` until it changes, and notes when it runs again. */
struct sleeper {
    atomic_uint word;
    atomic_uint_fast64_t woken_ns;
    int cpu;
};

static void call_futex(atomic_uint *word, int operation, unsigned value) {
    syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

static void *sleep_and_note(void *argument) {
    struct sleeper *sleeper = argument;
    limits_bind(sleeper->cpu);
    for (unsigned i = 0; i < WAKES; i++) {
        while (atomic_load_explicit(&sleeper->word, memory_order_acquire) == i)
            call_futex(&sleeper->word, FUTEX_WAIT_PRIVATE, i);
        atomic_store_explicit(&sleeper->woken_ns, now_ns(), memory_order_release);
    }
    return NULL;
}

static void rest(uint64_t ns) {
    uint64_t end = now_ns() + ns;
    while (now_ns() < end)
        ;
}

/* Wakes a sleeper again and again: until it runs, and what the waker pays. A waker on the same CPU
 * has to go to sleep itself before the other can run. */
static void time_wakes(int cpu, double *until_it_runs, double *waker_pays) {
    static double runs[WAKES], pays[WAKES];
    struct sleeper sleeper = {.cpu = cpu};
    pthread_t other;
    *until_it_runs = *waker_pays = -1;
    if (pthread_create(&other, NULL, sleep_and_note, &sleeper) != 0)
        return;
    for (unsigned i = 0; i < WAKES; i++) {
        struct timespec pause = {.tv_nsec = REST_NS};
        nanosleep(&pause, NULL);
        if (cpu != 0)
            rest(REST_NS);
        atomic_store_explicit(&sleeper.woken_ns, 0, memory_order_relaxed);
        uint64_t start = now_ns();
        atomic_store_explicit(&sleeper.word, i + 1, memory_order_release);
        call_futex(&sleeper.word, FUTEX_WAKE_PRIVATE, 1);
        pays[i] = (double)(now_ns() - start);
        uint64_t woken;
        while ((woken = atomic_load_explicit(&sleeper.woken_ns, memory_order_acquire)) == 0)
            if (cpu == 0)
                nanosleep(&(struct timespec){.tv_nsec = 1}, NULL);
        runs[i] = (double)(woken - start);
    }
    pthread_join(other, NULL);
    *until_it_runs = median_of(runs, WAKES);
    *waker_pays = median_of(pays, WAKES);
}

void limits_of_two_threads(void) {
    double runs, pays;
    if (limits_cpu_count() < 2) {
        limits_print("(this process may use one CPU only)", -1);
        return;
    }
    limits_bind(0);
    limits_print("fetch_add, both on one line, each addition", time_contended_add());
    limits_print("one cache line to the other CPU and back",
                 time_round_trips(answer_one_line, ask_one_line));
    limits_print("two cache lines, one there and one back",
                 time_round_trips(answer_two_lines, ask_two_lines));
    time_wakes(1, &runs, &pays);
    limits_print("futex wake until the other CPU runs it", runs);
    limits_print("futex wake of the other CPU, what the waker pays", pays);
    time_wakes(0, &runs, &pays);
    limits_print("futex wake onto the waker's own CPU until it runs", runs);
    limits_bind(-1);
}
