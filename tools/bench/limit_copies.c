/* SPDX-License-Identifier: MIT */
#include "limit.h"

#include "clock.h"
#include "content.h"
#include "statistics.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MEMORY_BYTES = 64 * 1024 * 1024,
    MEMORY_PASSES = 8,
    FIBONACCI = 36,
    ROUNDS = 5,
    MAX_COPIES = 64
};

__attribute__((noinline)) static long find_fibonacci(long n) {
    return n < 2 ? n : find_fibonacci(n - 1) + find_fibonacci(n - 2);
}

static void compute(const unsigned char *memory) {
    volatile long result = find_fibonacci(FIBONACCI);
    (void)result;
    (void)memory;
}

static void stream(const unsigned char *memory) {
    struct content content = {0};
    for (int i = 0; i < MEMORY_PASSES; i++)
        content_count(memory + 1, MEMORY_BYTES - 1, &content);
    volatile uint64_t words = content.words;
    (void)words;
}

/* One copy: prepares, says so, waits for the start, works. */
static void run_copy(void (*work)(const unsigned char *), int ready, int go) {
    char byte = 0;
    unsigned char *memory = malloc(MEMORY_BYTES);
    if (!memory)
        _exit(1);
    memset(memory, 'x', MEMORY_BYTES);
    if (write(ready, &byte, 1) != 1)
        _exit(1);
    while (read(go, &byte, 1) > 0)
        ;
    work(memory);
    _exit(0);
}

/* Gives the nanoseconds until the last of `count` processes has ended, or -1. */
static double time_copies(void (*work)(const unsigned char *), int count) {
    int ready[2], go[2], status, well = 1, started = 0;
    char byte;
    if (pipe(ready) != 0 || pipe(go) != 0)
        return -1;
    for (; started < count; started++) {
        pid_t process = fork();
        if (process < 0)
            break;
        if (process == 0) {
            close(go[1]);
            run_copy(work, ready[1], go[0]);
        }
    }
    for (int i = 0; i < started; i++)
        if (read(ready[0], &byte, 1) != 1)
            well = 0;
    uint64_t start = now_ns();
    close(go[1]);
    for (int i = 0; i < started; i++)
        if (wait(&status) < 0 || status != 0)
            well = 0;
    double time = (double)(now_ns() - start);
    close(go[0]);
    close(ready[0]);
    close(ready[1]);
    return well && started == count ? time : -1;
}

static void measure_copies(const char *what, void (*work)(const unsigned char *), int count) {
    double one[ROUNDS], many[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        one[i] = time_copies(work, 1);
        many[i] = time_copies(work, count);
        if (one[i] < 0 || many[i] < 0) {
            printf("  %d copies of %s: cannot be started\n", count, what);
            return;
        }
    }
    double alone = median_of(one, ROUNDS), together = median_of(many, ROUNDS);
    printf("  %d copies of a program that %-24s %12.2f times one (%.0f ms, %.0f ms)\n", count, what,
           (double)count * alone / together, alone / 1e6, together / 1e6);
    fflush(stdout);
}

void limits_of_copies(void) {
    int count = limits_cpu_count() < MAX_COPIES ? limits_cpu_count() : MAX_COPIES;
    if (count < 2)
        count = 2;
    measure_copies("computes", compute, count);
    measure_copies("reads memory", stream, count);
}
