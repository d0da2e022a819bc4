/* SPDX-License-Identifier: MIT */
#include "base/context.h"
#include "base/error.h"
#include "base/frame.h"
#include "pool/pool.h"
#include "pool/suspend.h"
#include "pool/turn.h"

#include <asynctools/sleep.h>

#include <sched.h>

/* What the current operation says about going on. */
static at_status check_operation(const char *call) {
    const ati_context *context = ati_context_current();
    if (!context)
        return AT_OK;
    uint32_t reason =
        atomic_load_explicit(&((ati_context *)context)->cancelled, memory_order_relaxed);
    if (reason != 0)
        return ati_fail(-(at_status)reason, "%s: operation %s is cancelled", call, context->name);
    if (context->deadline != AT_FOREVER && at_clock_now(at_clock_current()) >= context->deadline)
        return ati_fail(AT_ERROR_TIMED_OUT, "%s: the deadline of operation %s has passed", call,
                        context->name);
    return AT_OK;
}

at_status at_sleep(at_duration duration) {
    at_status status = check_operation("at_sleep");
    if (status != AT_OK || duration <= 0)
        return status;
    if (ati_frame_current()->may_not_wait)
        return ati_fail(AT_ERROR_DEADLOCK, "at_sleep: an inline continuation may not wait");
    ati_waiter waiter;
    ati_waiter_init(&waiter, "at_sleep", NULL);
    (void)ati_waiter_wait(&waiter, ati_context_limit(at_after(duration)));
    return check_operation("at_sleep");
}

void at_yield(void) {
    ati_worker *worker = ati_worker_current;
    if (!worker)
        sched_yield();
    else if (!ati_frame_current()->may_not_wait)
        ati_worker_yield(worker);
}

at_status at_inline_check(void) {
    ati_worker *worker = ati_worker_current;
    if (worker && !ati_frame_current()->may_not_wait)
        ati_worker_check_turn(worker);
    return check_operation("at_check");
}
