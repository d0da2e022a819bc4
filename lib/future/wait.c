/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/frame.h"
#include "base/process_fork.h"
#include "future/future.h"
#include "pool/pool.h"
#include "pool/suspend.h"
#include "pool/waiter.h"

/* A wait in progress, on the waiting stack. */
typedef struct future_wait {
    ati_registration registration;
    ati_waiter waiter;
} future_wait;

/* Gives what a done future holds. */
static at_status read_outcome(at_future *future, void **value) {
    if (!future->error) {
        if (value)
            *value = ati_future_value(future);
        return AT_OK;
    }
    ati_future_mark_read(future);
    ati_error_slot_put(at_error_retain(future->error), false);
    return at_error_status(future->error);
}

/* The task itself, or one that waits below it on this stack, cannot complete before this wait. */
static bool waits_for_itself(const at_future *future) {
    for (const ati_frame *frame = ati_frame_current(); frame; frame = frame->outer)
        if (frame->identity == future)
            return true;
    return false;
}

/* Runs an unstarted target in place. A wait with a deadline does not: the target might take
 * longer. */
static bool run_in_place(ati_worker *worker, at_future *future, at_deadline deadline) {
    if (deadline != AT_FOREVER || future->executor != at_pool_executor(worker->pool) ||
        !ati_worker_may_nest(worker) || !ati_future_claim(future))
        return false;
    ati_future_leave_queue(future);
    ati_future_run(future);
    return ati_phase_is_done(ati_future_phase(future));
}

static void fire_wait(ati_registration *registration, at_future *source, ati_completions *list) {
    (void)source;
    (void)list;
    future_wait *wait = (future_wait *)((char *)registration - offsetof(future_wait, registration));
    ati_waiter_wake(&wait->waiter);
}

/* Waits without a look at what the thread could do instead. */
static at_status wait_for_completion(at_future *future, at_deadline deadline) {
    future_wait wait = {.registration.fire = fire_wait};
    ati_waiter_init(&wait.waiter, "at_future_wait", future);
    ati_completions list = {0};
    ati_future_attach(future, &wait.registration, &list);
    if (ati_waiter_wait(&wait.waiter, deadline))
        return AT_OK;
    if (ati_future_detach(future, &wait.registration))
        return AT_ERROR_TIMED_OUT;
    (void)ati_waiter_wait(&wait.waiter, AT_FOREVER); /* it is being fired */
    return AT_OK;
}

static at_status check_wait(const at_future *future) {
    if (future->fork_count != ati_process_fork_count())
        return ati_fail(AT_ERROR_FORKED,
                        "at_future_wait: the future belongs to the parent of this process");
    if (ati_frame_current()->may_not_wait)
        return ati_fail(AT_ERROR_DEADLOCK, "at_future_wait: an inline continuation may not wait");
    if (ati_worker_current && waits_for_itself(future))
        return ati_fail(AT_ERROR_DEADLOCK, "at_future_wait: task %s waits for itself",
                        ati_future_task_name(future));
    return AT_OK;
}

static at_status wait_until_done(at_future *future, at_deadline deadline) {
    if (deadline != AT_FOREVER && deadline <= at_clock_now(at_clock_current()))
        return AT_ERROR_TIMED_OUT;
    at_status status = check_wait(future);
    if (status != AT_OK)
        return status;
    ati_worker *worker = ati_worker_current;
    if (worker && run_in_place(worker, future, deadline))
        return AT_OK;
    return wait_for_completion(future, deadline);
}

at_status at_future_wait(at_future *future, at_deadline deadline, void **value) {
    ATI_CALLER_CHECK(future, "at_future_wait", "`future` is NULL");
    if (ati_worker_current)
        ati_worker_give_turn(ati_worker_current);
    if (!ati_phase_is_done(ati_future_phase(future))) {
        at_status status = wait_until_done(future, deadline);
        if (status == AT_ERROR_TIMED_OUT)
            return ati_fail(status, "at_future_wait: the deadline has passed");
        if (status != AT_OK)
            return status;
        (void)ati_future_phase(future); /* sees the outcome */
    }
    return read_outcome(future, value);
}
