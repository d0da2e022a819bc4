/* SPDX-License-Identifier: MIT */
#include "pool/report.h"

#include "pool/pool.h"

void ati_report_dropped_error(at_error *error) {
    at_error_release(error);
}

void ati_report_pool_started(const at_pool *pool) {
    (void)pool;
}

void ati_report_pool_stopped(const at_pool *pool) {
    (void)pool;
}

void ati_report_shutdown_slow(at_pool *pool, int64_t waited_seconds) {
    (void)pool;
    (void)waited_seconds;
}
