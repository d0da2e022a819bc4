/* SPDX-License-Identifier: MIT */
#include "limit.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    CALLS = 200000,
    THREADS = 300,
    PAGE_BYTES = 4096,
    PAGES = 2048,
    LINE_BYTES = 100,
};

static atomic_uint nobody_waits;
static int file = -1;
static atomic_bool sibling_runs;
static atomic_bool sibling_ends;

static void loop_wake(long count) {
    for (long i = 0; i < count; i++)
        syscall(SYS_futex, &nobody_waits, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void loop_membarrier(long count) {
    for (long i = 0; i < count; i++)
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static void *return_nothing(void *argument) {
    return argument;
}

static void loop_thread(long count) {
    for (long i = 0; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, return_nothing, NULL) == 0)
            pthread_join(thread, NULL);
    }
}

static void loop_write(long count) {
    static const char line[LINE_BYTES] = "a line";
    lseek(file, 0, SEEK_SET);
    for (long i = 0; i < count; i++)
        if (write(file, line, sizeof(line)) < 0)
            return;
}

static void loop_first_touch(long count) {
    while (count > 0) {
        long pages = count < PAGES ? count : PAGES;
        size_t size = (size_t)pages * PAGE_BYTES;
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return;
        madvise(memory, size, MADV_NOHUGEPAGE);
        for (long i = 0; i < pages; i++)
            memory[i * PAGE_BYTES] = 1;
        munmap(memory, size);
        count -= pages;
    }
}

static void measure_write(const char *what, const char *folder) {
    char path[64];
    snprintf(path, sizeof(path), "%s/at-bench-XXXXXX", folder);
    file = mkstemp(path);
    limits_print(what, file < 0 ? -1 : limits_time(loop_write, CALLS / 4));
    if (file >= 0) {
        unlink(path);
        close(file);
    }
}

static void *spin(void *argument) {
    limits_bind(1);
    atomic_store_explicit(&sibling_runs, true, memory_order_relaxed);
    while (!atomic_load_explicit(&sibling_ends, memory_order_relaxed))
        ;
    return argument;
}

static void measure_membarrier(void) {
    pthread_t sibling;
    long registered = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    limits_print("membarrier, alone", registered != 0 ? -1 : limits_time(loop_membarrier, CALLS));
    if (registered != 0 || limits_cpu_count() < 2 ||
        pthread_create(&sibling, NULL, spin, NULL) != 0) {
        limits_print("membarrier, a sibling runs on another CPU", -1);
        return;
    }
    limits_bind(0);
    while (!atomic_load_explicit(&sibling_runs, memory_order_relaxed))
        ;
    limits_print("membarrier, a sibling runs on another CPU",
                 limits_time(loop_membarrier, CALLS / 20));
    atomic_store_explicit(&sibling_ends, true, memory_order_relaxed);
    pthread_join(sibling, NULL);
    limits_bind(-1);
}

void limits_of_the_kernel(void) {
    limits_print("futex wake, nobody waits", limits_time(loop_wake, CALLS));
    measure_membarrier();
    limits_print("pthread_create and join", limits_time(loop_thread, THREADS));
    measure_write("write(2) of 100 bytes, /tmp", "/tmp");
    measure_write("write(2) of 100 bytes, /dev/shm", "/dev/shm");
    limits_print("first touch of a page", limits_time(loop_first_touch, 8L * PAGES));
}
