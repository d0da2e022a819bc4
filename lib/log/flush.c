/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"

/* Waits of the program's threads for the sinks. */

at_status ati_log_flush_by_caller(ati_log_core *core, at_deadline deadline) {
    void (*end_wait)(void) = NULL;
    for (uint32_t i = 0; i < ati_log_sink_count(core) && !end_wait; i++) {
        ati_log_sink *sink = core->sinks[i];
        if (sink->kind->begin_wait && !sink->kind->begin_wait(sink, &end_wait))
            return AT_ERROR_DEADLOCK;
    }
    at_status status = ati_log_flush(core, deadline);
    if (end_wait)
        end_wait();
    return status;
}

/* The same moment of CLOCK_MONOTONIC, as far as one of a virtual clock has one. */
static at_deadline real_deadline(at_deadline deadline) {
    if (deadline == AT_FOREVER || at_clock_current() == at_clock_real())
        return deadline;
    int64_t left = deadline - at_clock_now(at_clock_current());
    return left > 0 ? ati_monotonic_ns() + left : 0;
}

at_status at_logger_flush(at_logger *logger, at_deadline deadline) {
    ATI_CALLER_CHECK(logger != NULL, "at_logger_flush", "`logger` is NULL; give a logger");
    if (ati_log_thread_current.never_waits)
        return ati_fail(AT_ERROR_DEADLOCK, "at_logger_flush: called by a sink of a logger");
    at_status status = ati_log_flush_by_caller(logger->core, real_deadline(deadline));
    switch (status) {
    case AT_OK:
        return AT_OK;
    case AT_ERROR_IO:
        return ati_fail(status, "at_logger_flush: a sink refuses lines");
    case AT_ERROR_DEADLOCK:
        return ati_fail(status, "at_logger_flush: a function that gets lines needs this thread, "
                                "and its pool has no other for it; see `max_spares`");
    default:
        return ati_fail(status, "at_logger_flush: lines are not written at the deadline");
    }
}
