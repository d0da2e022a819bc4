/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "index_options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DRAW_EVERY_MS = 100, LOG_EVERY_MS = 1000, BAR_CELLS = 30 };

struct index_progress {
    struct index_run *run;
    pthread_t thread;
    pthread_mutex_t lock; /* guards `ended` */
    pthread_cond_t end_came;
    bool ended;
    bool on_terminal;
    uint64_t start_ns;
};

struct progress_counts {
    uint64_t done;
    uint64_t found;
    uint64_t bytes;
    double part; /* of the files, as far as they are known */
};

static struct progress_counts read_counts(const struct index_run *run) {
    struct progress_counts counts = {0};
    /* Acquire: pairs with the release that adds a worker to the list. */
    const struct index_worker *worker = atomic_load_explicit(&run->workers, memory_order_acquire);
    for (; worker; worker = worker->next) {
        counts.done += atomic_load_explicit(&worker->files_done, memory_order_relaxed);
        counts.found += atomic_load_explicit(&worker->files_found, memory_order_relaxed);
        counts.bytes += atomic_load_explicit(&worker->bytes_done, memory_order_relaxed);
    }
    size_t batches = atomic_load_explicit(&run->batches, memory_order_relaxed);
    if (batches > 0)
        counts.part = (double)atomic_load_explicit(&run->batches_done, memory_order_relaxed) /
                      (double)batches;
    else if (counts.found > 0)
        counts.part = counts.done < counts.found ? (double)counts.done / (double)counts.found : 1;
    return counts;
}

static void draw_bar(const struct index_progress *progress) {
    struct progress_counts counts = read_counts(progress->run);
    double seconds = (double)(now_ns() - progress->start_ns) / 1e9;
    int cells = (int)(counts.part * BAR_CELLS);
    char bar[BAR_CELLS + 1];
    for (int i = 0; i < BAR_CELLS; i++)
        bar[i] = i < cells ? '#' : '.';
    bar[BAR_CELLS] = '\0';
    fprintf(stderr, "\r[%s] %" PRIu64 " of %" PRIu64 " files found, %.0f MB, %.0f MB/s \033[K", bar,
            counts.done, counts.found, (double)counts.bytes / 1e6,
            (double)counts.bytes / 1e6 / seconds);
}

static void log_counts(const struct index_progress *progress) {
    struct progress_counts counts = read_counts(progress->run);
    if (progress->run->log)
        at_log_info(progress->run->log, "index.progress", at_kv("files", counts.done),
                    at_kv("found", counts.found), at_kv("bytes", counts.bytes));
}

static void add_milliseconds(struct timespec *time, long milliseconds) {
    time->tv_nsec += milliseconds * 1000000;
    time->tv_sec += time->tv_nsec / 1000000000;
    time->tv_nsec %= 1000000000;
}

static void *run_progress(void *argument) {
    struct index_progress *progress = argument;
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    pthread_mutex_lock(&progress->lock);
    for (long tick = 1; !progress->ended; tick++) {
        add_milliseconds(&next, DRAW_EVERY_MS);
        while (!progress->ended &&
               pthread_cond_timedwait(&progress->end_came, &progress->lock, &next) == 0)
            ;
        if (progress->ended)
            break;
        pthread_mutex_unlock(&progress->lock);
        if (progress->on_terminal)
            draw_bar(progress);
        if (tick % (LOG_EVERY_MS / DRAW_EVERY_MS) == 0)
            log_counts(progress);
        pthread_mutex_lock(&progress->lock);
    }
    pthread_mutex_unlock(&progress->lock);
    return NULL;
}

struct index_progress *index_progress_start(struct index_run *run, bool on_terminal) {
    if (!on_terminal && !run->log)
        return NULL;
    struct index_progress *progress = calloc(1, sizeof(*progress));
    if (!progress)
        return NULL;
    progress->run = run;
    progress->on_terminal = on_terminal;
    progress->start_ns = now_ns();
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&progress->end_came, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&progress->lock, NULL);
    if (pthread_create(&progress->thread, NULL, run_progress, progress) != 0) {
        free(progress);
        return NULL;
    }
    return progress;
}

void index_progress_stop(struct index_progress *progress) {
    if (!progress)
        return;
    pthread_mutex_lock(&progress->lock);
    progress->ended = true;
    pthread_cond_signal(&progress->end_came);
    pthread_mutex_unlock(&progress->lock);
    pthread_join(progress->thread, NULL);
    if (progress->on_terminal)
        fputs("\r\033[K", stderr);
    log_counts(progress);
    pthread_cond_destroy(&progress->end_came);
    pthread_mutex_destroy(&progress->lock);
    free(progress);
}
