/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TASKS_H
#define BENCH_TASKS_H

#include "benchmark.h"
#include "peers/peer.h"

#include <stdatomic.h>
#include <stdint.h>

/* Empty tasks that count themselves. Each thread has a counter in a cache line of its own, found
 * through thread-local storage and written without a locked instruction: the same few nanoseconds
 * for every pool, and no line that the workers fight over. */

/* Forgets all counts and gives each thread a fresh counter. No task may run meanwhile. */
void tasks_reset(void);

/* Counts one task of the calling thread. */
void tasks_count(void);

/* The empty task. */
void *tasks_run_empty(void *argument);

/* Gives how many tasks have been counted. */
uint64_t tasks_counted(void);

/* Waits until `total` tasks have been counted; gives the moment, which may be late by the time
 * between two looks, a two hundredth of a millisecond for every millisecond waited, 1 ms at most.
 */
uint64_t tasks_wait(uint64_t total);

/* Submits from `producers` threads at once and waits for the end of all tasks. */
struct tasks_burst {
    const struct peer *peer;
    void *pool;
    int producers;
    uint64_t tasks; /* of all producers together */
    uint64_t total; /* to be counted in the end: more than `tasks` if these submit others */
    peer_run_fn run;
    void *argument;
    bool many; /* PEER_MANY in a call where the peer has one for it; `argument` is not used */
};

/* Gives the nanoseconds from the first submit to the end of the last task. */
uint64_t tasks_run_burst(const struct tasks_burst *burst);

/* Lists the peers that can take part, the library among them. */
size_t tasks_list_peers(struct subject *subjects, bool many_producers, bool nesting);

/* Nanoseconds of CPU time that the process has used. */
uint64_t tasks_cpu_ns(void);

#endif
