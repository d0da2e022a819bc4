/* SPDX-License-Identifier: MIT */
#include "limit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

enum { TURNS = 5000000, SLOW_TURNS = 500000 };

static atomic_long word;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t end = PTHREAD_MUTEX_INITIALIZER; /* held until the measurements are over */

__attribute__((noinline)) static void call_nothing(void) {
    __asm__ volatile("" ::: "memory");
}

static void (*volatile indirect)(void) = call_nothing;

static void loop_call(long count) {
    for (long i = 0; i < count; i++)
        call_nothing();
}

static void loop_indirect_call(long count) {
    for (long i = 0; i < count; i++)
        indirect();
}

/* The orders below are what is measured; nothing is published. */
static void loop_release_store(long count) {
    for (long i = 0; i < count; i++)
        atomic_store_explicit(&word, i, memory_order_release);
}

static void loop_seq_cst_store(long count) {
    for (long i = 0; i < count; i++)
        atomic_store_explicit(&word, i, memory_order_seq_cst);
}

static void loop_fence(long count) {
    for (long i = 0; i < count; i++) {
        atomic_store_explicit(&word, i, memory_order_relaxed);
#if defined(__x86_64__) || defined(__i386__)
        __asm__ volatile("mfence" ::: "memory");
#else
        atomic_thread_fence(memory_order_seq_cst);
#endif
    }
}

static void loop_fetch_add(long count) {
    for (long i = 0; i < count; i++)
        atomic_fetch_add_explicit(&word, 1, memory_order_relaxed);
}

static void loop_compare_and_swap(long count) {
    long expected = atomic_load_explicit(&word, memory_order_relaxed);
    for (long i = 0; i < count; i++)
        if (atomic_compare_exchange_strong_explicit(&word, &expected, expected + 1,
                                                    memory_order_acq_rel, memory_order_relaxed))
            expected++;
}

static void loop_mutex(long count) {
    for (long i = 0; i < count; i++) {
        pthread_mutex_lock(&mutex);
        pthread_mutex_unlock(&mutex);
    }
}

static void loop_malloc(long count) {
    for (long i = 0; i < count; i++) {
        void *memory = malloc(64);
        __asm__ volatile("" : : "r"(memory) : "memory");
        free(memory);
    }
}

static void read_clock(clockid_t clock, long count) {
    struct timespec now;
    for (long i = 0; i < count; i++)
        clock_gettime(clock, &now);
}

static void loop_monotonic(long count) {
    read_clock(CLOCK_MONOTONIC, count);
}

static void loop_coarse(long count) {
    read_clock(CLOCK_MONOTONIC_COARSE, count);
}

static void loop_pause(long count) {
    for (long i = 0; i < count; i++) {
#if defined(__x86_64__) || defined(__i386__)
        __asm__ volatile("pause");
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#else
        __asm__ volatile("");
#endif
    }
}

static void *wait_for_end(void *argument) {
    pthread_mutex_lock(&end);
    pthread_mutex_unlock(&end);
    return argument;
}

void limits_of_one_thread(void) {
    /* glibc leaves locked instructions out while a process has one thread; so here is a second. */
    pthread_t second;
    pthread_mutex_lock(&end);
    bool has_second = pthread_create(&second, NULL, wait_for_end, NULL) == 0;
    limits_print("empty call, direct", limits_time(loop_call, TURNS));
    limits_print("empty call, indirect", limits_time(loop_indirect_call, TURNS));
    limits_print("release store", limits_time(loop_release_store, TURNS));
    limits_print("seq_cst store", limits_time(loop_seq_cst_store, TURNS));
    limits_print("store and full fence (mfence)", limits_time(loop_fence, TURNS));
    limits_print("fetch_add, alone", limits_time(loop_fetch_add, TURNS));
    limits_print("compare and swap, alone", limits_time(loop_compare_and_swap, TURNS));
    limits_print("pthread mutex lock and unlock, alone", limits_time(loop_mutex, TURNS));
    limits_print("malloc and free of 64 bytes", limits_time(loop_malloc, TURNS));
    limits_print("clock_gettime MONOTONIC", limits_time(loop_monotonic, SLOW_TURNS));
    limits_print("clock_gettime MONOTONIC_COARSE", limits_time(loop_coarse, SLOW_TURNS));
    limits_print("pause", limits_time(loop_pause, SLOW_TURNS));
    pthread_mutex_unlock(&end);
    if (has_second)
        pthread_join(second, NULL);
}
