/* SPDX-License-Identifier: MIT */
/* Purpose: to know how long tasks are queued and run, without a look at the clock for each of them,
 * and without a word more in each queued work. One start of 512 puts a probe into the queue in the
 * place of the work. A probe is a work of the library that knows the work it stands for and when
 * that was started; it goes through the queues like any other, and is run by whoever takes it.
 *
 * A probe is free -start-> used -run, discard-> free. Between the two it belongs to whoever has the
 * work that points to it; while all are used no start is measured.
 *
 * Ways not taken: a time in each work makes it larger than half a cache line; the position of one
 * work of each queue and its time do not follow it from queue to queue.
 *
 * Checked by: tests/unit/pool_statistics_test.c, tests/stress/pool_dump_test.c. */
#include "pool/sample.h"

#include "base/clock.h"
#include "base/memory.h"
#include "pool/pool.h"

enum { tries = 4 };

/* Made at the first measurement, so that workers without one take no memory. NULL: no memory; the
 * measurement is left out. */
static ati_worker_times *times_of(ati_worker *worker) {
    ati_worker_times *times = atomic_load_explicit(&worker->times, memory_order_relaxed);
    if (times)
        return times;
    times = ati_allocate_zeroed(sizeof *times);
    /* ORDER worker.times: release. Publishes empty histograms.
     * Pairs with: acquire in merge(). If relaxed: a reader sees garbage. */
    atomic_store_explicit(&worker->times, times, memory_order_release);
    return times;
}

void ati_sample_deinit(ati_worker *worker) {
    ati_release(atomic_load_explicit(&worker->times, memory_order_relaxed),
                sizeof(ati_worker_times));
}

static void free_probe(ati_probe *probe) {
    /* ORDER probe.is_used: release. It has been read.
     * Pairs with: acquire in take_probe(). If relaxed: it is written while it is read. */
    atomic_store_explicit(&probe->is_used, false, memory_order_release);
}

static void *run_probe(void *argument) {
    ati_probe *probe = argument;
    ati_worker *worker = ati_worker_current;
    const ati_work work = probe->work;
    int64_t started = probe->started;
    free_probe(probe);
    int64_t now = ati_monotonic_ns();
    ati_worker_times *times = times_of(worker);
    if (times)
        ati_histogram_record(&times->queue_wait, now - started);
    worker->timed_from = now;
    ati_worker_run(worker, &work);
    if (worker->timed_from != 0)
        ati_sample_end_turn(worker);
    return NULL;
}

static ati_probe *take_probe(at_pool *pool) {
    uint32_t first = atomic_fetch_add_explicit(&pool->next_probe, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < tries; i++) {
        ati_probe *probe = &pool->probes[(first + i) % ATI_PROBES];
        /* ORDER probe.is_used: acquire. Pairs with: release in free_probe(). If relaxed: it is
         * written while it is read. */
        if (!atomic_load_explicit(&probe->is_used, memory_order_relaxed) &&
            !atomic_exchange_explicit(&probe->is_used, true, memory_order_acquire))
            return probe;
    }
    return NULL;
}

void ati_sample_start(at_pool *pool, ati_work *work) {
    ati_probe *probe = take_probe(pool);
    if (!probe)
        return;
    probe->work = *work;
    probe->started = ati_monotonic_ns();
    work->run = run_probe;
    work->argument = probe;
    work->site = NULL; /* the lane stays */
}

bool ati_sample_is_probe(const ati_work *work) {
    return work->run == run_probe;
}

const ati_work *ati_sample_work(const ati_work *probe) {
    return &((const ati_probe *)probe->argument)->work;
}

void ati_sample_discard(const ati_work *probe) {
    free_probe(probe->argument);
}

void ati_sample_end_turn(ati_worker *worker) {
    ati_worker_times *times = times_of(worker);
    if (times)
        ati_histogram_record(&times->run, ati_monotonic_ns() - worker->timed_from);
    worker->timed_from = 0;
}

void ati_sample_resume(ati_worker *worker, int64_t delay) {
    ati_worker_times *times = times_of(worker);
    if (times)
        ati_histogram_record(&times->resume, delay);
}
