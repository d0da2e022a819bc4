/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_SAMPLE_H
#define ASYNCTOOLS_POOL_SAMPLE_H

/* Measures some of the tasks: how long they are queued, how long they run. See sample.c. */
#include "base/atomic.h"
#include "base/histogram.h"
#include "queue/work.h"

#include <stdbool.h>
#include <stdint.h>

struct at_pool;
struct ati_worker;

enum {
    ATI_SAMPLE_INTERVAL = 512, /* one start of so many is measured */
    ATI_SAMPLE_WAITS = 64,     /* and one wait of so many */
    ATI_PROBES = 64,           /* at most so many measured works are queued */
};

/* What one worker has measured, in nanoseconds; written by its own thread. */
typedef struct ati_worker_times {
    ati_histogram queue_wait;
    ati_histogram run;
    ati_histogram resume;
} ati_worker_times;

/* Stands in the queue for a work that is measured. */
typedef struct ati_probe {
    _Atomic bool is_used;
    ati_work work;
    int64_t started;
} ati_probe;

/* Whether start number `number` of a worker or an injector's shard is measured. */
static inline bool ati_sample_is_due(uint64_t number) {
    return number % ATI_SAMPLE_INTERVAL == 0;
}

/* Puts a probe in the place of `work`, which is about to be queued, if one is free. */
void ati_sample_start(struct at_pool *pool, ati_work *work);

/* Whether a work is a probe; the work that a probe stands for, which was taken off its queue; and
 * the end of a probe that is not to be run. */
bool ati_sample_is_probe(const ati_work *work);
const ati_work *ati_sample_work(const ati_work *probe);
void ati_sample_discard(const ati_work *probe);

/* The task whose time is being taken on this worker has ended, or gives way to others. */
void ati_sample_end_turn(struct ati_worker *worker);

/* A task goes on so long after its wait has ended. */
void ati_sample_resume(struct ati_worker *worker, int64_t delay);

void ati_sample_deinit(struct ati_worker *worker);

#endif
