/* SPDX-License-Identifier: MIT */
#include "log_run.h"

#include "clock.h"
#include "messages.h"
#include "statistics.h"
#include "tasks.h"
#include "ticks.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TIMED_EVERY = 64, /* calls; where lines are paced, each is timed */
    MAX_TIMES = 1 << 21,
    MAX_THREADS = 256,
    CLOCK_READINGS = 1000,
};

/* One thread that logs; all start together. */
struct log_thread {
    pthread_t thread;
    pthread_barrier_t *gate;
    const struct log_run *run;
    uint64_t calls;
    double *times; /* of calls, in ticks */
    size_t time_count;
};

static void time_call(struct log_thread *self, long number) {
    uint64_t start = ticks_now();
    self->run->peer->write(number);
    uint64_t end = ticks_now();
    if (self->time_count < MAX_TIMES)
        self->times[self->time_count++] = (double)(end - start);
}

static void log_flat_out(struct log_thread *self, uint64_t end) {
    long number = 0;
    while (now_ns() < end) {
        for (int i = 1; i < TIMED_EVERY; i++)
            self->run->peer->write(number++);
        time_call(self, number++);
    }
    self->calls += (uint64_t)number;
}

/* A thread that has lost its CPU catches up. */
static void log_paced(struct log_thread *self, uint64_t next, uint64_t end) {
    long number = 0;
    uint64_t period = (uint64_t)self->run->threads * 1000000000u;
    period /= (uint64_t)self->run->lines_per_second;
    for (; next < end; next += period) {
        while (now_ns() < next)
            ;
        time_call(self, number++);
    }
    self->calls += (uint64_t)number;
}

static void *run_log_thread(void *argument) {
    struct log_thread *self = argument;
    self->run->peer->write(0); /* what a thread's first line makes */
    self->calls = 1;
    pthread_barrier_wait(self->gate);
    uint64_t start = now_ns(), end = start + (uint64_t)self->run->milliseconds * 1000000u;
    if (self->run->lines_per_second > 0)
        log_paced(self, start, end);
    else
        log_flat_out(self, end);
    return NULL;
}

static void start_threads(const struct log_run *run, struct log_thread *all,
                          pthread_barrier_t *gate) {
    for (int i = 0; i < run->threads; i++) {
        all[i] = (struct log_thread){.gate = gate, .run = run};
        all[i].times = malloc(MAX_TIMES * sizeof(*all[i].times));
        if (!all[i].times || pthread_create(&all[i].thread, NULL, run_log_thread, &all[i]) != 0)
            give_up("cannot start a thread");
    }
}

/* Gives the lines in the file, or 0 after a message. */
static uint64_t count_lines(const char *path) {
    static char buffer[1 << 16];
    uint64_t lines = 0;
    ssize_t size = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    while (file >= 0 && (size = read(file, buffer, sizeof(buffer))) > 0)
        for (const char *from = buffer; (from = memchr(from, '\n', (size_t)(buffer + size - from)));
             from++)
            lines++;
    if (file < 0 || size < 0)
        fprintf(stderr, "at-bench: cannot read %s: %s\n", path, describe_errno(errno));
    if (file >= 0)
        close(file);
    return lines;
}

/* What two readings of the clock cost, which is in each time: in ticks. */
static double find_clock_cost(void) {
    double costs[CLOCK_READINGS];
    for (int i = 0; i < CLOCK_READINGS; i++) {
        uint64_t start = ticks_now();
        costs[i] = (double)(ticks_now() - start);
    }
    return median_of(costs, CLOCK_READINGS);
}

/* Fills call_ns from the times of all threads. */
static void sum_up_calls(struct log_run *run, const struct log_thread *all, double ns_a_tick) {
    static const double parts[3] = {0.5, 0.99, 0.999};
    size_t count = 0;
    for (int i = 0; i < run->threads; i++)
        count += all[i].time_count;
    double *times = malloc((count + 1) * sizeof(*times));
    if (!times)
        give_up("there is no memory for %zu times", count);
    count = 0;
    for (int i = 0; i < run->threads; i++) {
        memcpy(times + count, all[i].times, all[i].time_count * sizeof(*times));
        count += all[i].time_count;
    }
    double clock_cost = find_clock_cost();
    run->clock_ns = clock_cost * ns_a_tick;
    for (int i = 0; i < 3; i++)
        run->call_ns[i] = (quantile_of(times, count, parts[i]) - clock_cost) * ns_a_tick;
    free(times);
}

/* Gives the lines that were to be written, or 0 when the peer failed. */
static uint64_t run_threads(struct log_run *run) {
    static struct log_thread all[MAX_THREADS];
    pthread_barrier_t gate;
    uint64_t calls = 0;
    pthread_barrier_init(&gate, NULL, (unsigned)run->threads + 1);
    uint64_t cpu = tasks_cpu_ns();
    start_threads(run, all, &gate);
    pthread_barrier_wait(&gate);
    uint64_t start = now_ns(), start_ticks = ticks_now();
    for (int i = 0; i < run->threads; i++) {
        pthread_join(all[i].thread, NULL);
        calls += all[i].calls;
    }
    bool well = run->peer->close();
    uint64_t time = now_ns() - start, ticks = ticks_now() - start_ticks;
    pthread_barrier_destroy(&gate);
    run->ns_a_call = (double)time / (double)calls;
    run->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)calls;
    sum_up_calls(run, all, (double)time / (double)ticks);
    for (int i = 0; i < run->threads; i++)
        free(all[i].times);
    return well ? calls * (uint64_t)run->peer->lines : 0;
}

bool log_run(struct log_run *run) {
    char path[64];
    snprintf(path, sizeof(path), "%s/at-bench-%d.log", run->folder, (int)getpid());
    if (run->threads > MAX_THREADS || !run->peer->open(path)) {
        fprintf(stderr, "at-bench: cannot measure %s\n", run->peer->name);
        return false;
    }
    uint64_t expected = run_threads(run);
    run->lines = count_lines(path);
    unlink(path);
    if (run->lines != expected || expected == 0)
        fprintf(stderr, "at-bench: %s: %llu of %llu lines were written\n", run->peer->name,
                (unsigned long long)run->lines, (unsigned long long)expected);
    return run->lines == expected && expected > 0;
}
