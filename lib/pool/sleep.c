/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "base/frame.h"
#include "pool/cancel.h"
#include "pool/pool.h"
#include "pool/suspend.h"
#include "pool/turn.h"

#include <asynctools/sleep.h>

#include <sched.h>

at_status at_sleep(at_duration duration) {
    at_status status = ati_cancel_check("at_sleep");
    if (status != AT_OK || duration <= 0)
        return status;
    if (ati_frame_current()->may_not_wait)
        return ati_fail(AT_ERROR_DEADLOCK, "at_sleep: an inline continuation may not wait");
    ati_waiter waiter;
    ati_waiter_init(&waiter, "at_sleep", NULL);
    (void)ati_waiter_wait_cancellable(&waiter, at_after(duration));
    return ati_cancel_check("at_sleep");
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
    return ati_cancel_check("at_check");
}
