/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_STATISTICS_H
#define ASYNCTOOLS_POOL_STATISTICS_H

#include <asynctools/attributes.h>
#include <asynctools/clock.h>
#include <asynctools/pool.h>
#include <asynctools/status.h>

#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* How long something took, in real time, over the life of the pool. Quantiles are off by 1/64 at
 * most; mean and max are exact for what was measured. */
typedef struct at_pool_times {
    uint64_t count; /* of measurements */
    at_duration mean;
    at_duration median;
    at_duration p90;
    at_duration p99;
    at_duration p999;
    at_duration max;
} at_pool_times;

/* What a pool has done since it was created, and what it is doing. */
typedef struct at_pool_statistics {
    uint64_t executed;       /* tasks that have ended */
    uint64_t stolen;         /* tasks that a worker took from another one's queue */
    uint64_t sleeps;         /* how often a worker has fallen asleep for want of work */
    uint64_t wakes;          /* how often one was woken for work; the others woke for a timer */
    uint64_t suspended;      /* tasks that are waiting now */
    uint64_t max_suspended;  /* at most so many were at once: the sum of each worker's most */
    uint64_t resumed;        /* how often a task has gone on after a wait */
    uint64_t timers;         /* timers that are set now, also those of waits with a deadline */
    uint64_t timers_set;     /* how often one was set */
    uint64_t timers_fired;   /* how often one fired, rather than being removed */
    uint64_t spares;         /* threads of spare workers now */
    uint64_t max_spares;     /* the most there were at once */
    uint64_t blocking;       /* threads for blocking calls now */
    uint64_t blocking_calls; /* calls of at_blocking_call in progress on them */
    uint64_t blocking_queue; /* calls that wait for a thread */
    uint64_t forks_shared;   /* forked calls that were handed out for other workers */
    uint64_t forks_taken;    /* and those that another worker has made */

    /* One task of 512 is measured, of each worker and each way in: */
    at_pool_times queue_wait; /* from its start until a worker runs it */
    at_pool_times run_time;   /* from there until it ends, or waits or yields for the first time */

    /* One wait of 64 is measured, of each worker: */
    at_pool_times resume_delay; /* from the end of the wait until the task goes on */

    uint64_t reserved[8];
} at_pool_statistics;

/** Gives what a pool has done. Each number is exact when no call of the pool is in progress; while
 *  it works they are read one after the other. In the child of a process fork a pool of the parent
 *  has nothing to show: all are 0.
 *  Threads:   any.      Blocks: never.
 *  Ownership: fills `statistics`. */
AT_API void at_pool_get_statistics(at_pool *pool, at_pool_statistics *statistics);

/** Writes the same as one JSON object, and the histograms with all their buckets, each an array of
 *  its lowest value in nanoseconds and its count.
 *  Threads:   any.      Blocks: never.
 *  Ownership: `*text` is returned owned, a NUL-terminated text; at_text_release ends it.
 *  Errors:    AT_ERROR_NO_MEMORY, AT_ERROR_FORKED: `*text` is untouched. */
AT_API AT_NODISCARD at_status at_pool_get_statistics_json(at_pool *pool, char **text);

AT_DECLARATIONS_END

#endif
