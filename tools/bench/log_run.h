/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOG_RUN_H
#define BENCH_LOG_RUN_H

#include "peers/log.h"

#include <stdbool.h>
#include <stdint.h>

/* Threads that log for a while. */
struct log_run {
    const struct log_peer *peer;
    const char *folder; /* of the file, which is gone afterwards */
    int threads;
    long milliseconds;
    long lines_per_second; /* of all threads together; 0: as fast as they can */

    /* What it gives. */
    uint64_t lines;    /* in the file */
    double ns_a_call;  /* from the first call to the end of the file */
    double cpu_ns;     /* of the process, a call */
    double call_ns[3]; /* p50, p99, p99.9 of a call */
    double clock_ns;   /* what reading the clock costs, which is not in them */
};

/* False, after a message: it could not be measured, or a line is not in the file. */
bool log_run(struct log_run *run);

#endif
