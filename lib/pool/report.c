/* SPDX-License-Identifier: MIT */
#include "pool/report.h"

#include "base/error.h"
#include "log/default_logger.h"
#include "pool/pool.h"

#include <asynctools/log.h>

void ati_report_dropped_error(at_error *error) {
    if (at_error_status(error) != AT_ERROR_CANCELLED) {
        at_logger *logger = ati_default_logger_take();
        at_log_error(logger, "error.dropped", at_kv_error(error));
        ati_default_logger_give_back(logger);
    }
    at_error_release(error);
}

void ati_report_pool_started(const at_pool *pool) {
    at_logger *logger = ati_default_logger_take();
    at_log_info(logger, "pool.started", at_kv("pool", pool->name),
                at_kv("threads", pool->thread_count));
    ati_default_logger_give_back(logger);
}

void ati_report_pool_stopped(at_pool *pool) {
    at_pool_audit_result audit;
    at_pool_audit(pool, &audit);
    at_logger *logger = ati_default_logger_take();
    at_log_info(logger, "pool.stopped", at_kv("pool", pool->name),
                at_kv("succeeded", audit.succeeded), at_kv("failed", audit.failed),
                at_kv("cancelled", audit.cancelled));
    ati_default_logger_give_back(logger);
}

void ati_report_shutdown_slow(at_pool *pool, int64_t waited_seconds) {
    at_pool_audit_result audit;
    at_pool_audit(pool, &audit);
    at_logger *logger = ati_default_logger_take();
    at_log_warn(logger, "pool.shutdown_slow", at_kv("pool", pool->name),
                at_kv("waited_s", waited_seconds), at_kv("running", audit.running),
                at_kv("pending", audit.pending));
    ati_default_logger_give_back(logger);
}

void ati_report_resume_slow(const ati_worker *worker, const ati_waiter *waiter, int64_t delay) {
    const char *before = worker->site_before;
    at_logger *logger = ati_default_logger_take();
    at_log_warn(logger, "pool.resume_slow", at_kv("pool", worker->pool->name),
                at_kv("worker", worker->index), at_kv("delay_ms", delay / AT_MILLISECONDS(1)),
                at_kv("wait", waiter->what), at_kv("task", ati_task_name_of(waiter->frame)),
                at_kv("task_before", before ? ati_site_name(before) : NULL),
                at_kv("before_started_at", before ? ati_site_place(before) : NULL));
    ati_default_logger_give_back(logger);
}
