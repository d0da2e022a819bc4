/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_REPORT_H
#define ASYNCTOOLS_POOL_REPORT_H

/* What pools and futures write into the log. */
#include "pool/worker.h"

#include <asynctools/error.h>
#include <asynctools/pool.h>

/* Nobody will ever read this error: logs `error.dropped` with its origin (a cancellation is
 * expected, and not logged). Takes `error`. */
void ati_report_dropped_error(at_error *error);

void ati_report_pool_started(const at_pool *pool);
void ati_report_pool_stopped(at_pool *pool);
void ati_report_shutdown_slow(at_pool *pool, int64_t waited_seconds);

/* The deadline of a shutdown has passed: logs `pool.stuck` for the first few tasks that are left,
 * and fails with an error that names some of them. */
at_status ati_report_stuck(at_pool *pool);

/* A task goes on so long after its wait was over; called by it. */
void ati_report_resume_slow(const ati_worker *worker, const ati_waiter *waiter, int64_t delay);

#endif
