/* SPDX-License-Identifier: MIT */
#include "future/wait.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/frame.h"
#include "base/process_fork.h"
#include "future/keyed_executor.h"
#include "pool/cancel.h"
#include "pool/pool.h"
#include "pool/search.h"
#include "pool/suspend.h"
#include "pool/turn.h"

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

static bool is_continuation(const at_future *future) {
    return future->kind == ATI_FUTURE_THEN || future->kind == ATI_FUTURE_RECOVER ||
           future->kind == ATI_FUTURE_FINALLY;
}

/* The task itself, or one that waits below it on this stack, cannot complete before this wait, nor
 * can what follows it; as far as that can be seen at little cost. */
static bool waits_for_itself(const at_future *future) {
    int looks_left = ATI_LOOK_LIMIT;
    for (const ati_frame *frame = ati_frame_current(); frame; frame = frame->outer) {
        at_future *own = (at_future *)frame->identity;
        if (own && (own == future ||
                    (is_continuation(future) && ati_future_waits_for(future, own, &looks_left)))) {
            ati_deadlock_report_own(future, frame);
            return true;
        }
    }
    return false;
}

/* The target is to run, or to run next, on an executor that runs one work at a time, and one of
 * these is the task or waits below it. */
static bool is_behind_own(const at_future *future) {
    uint32_t phase = ati_future_phase(future);
    bool is_to_run =
        phase == ATI_PHASE_QUEUED || (phase == ATI_PHASE_WAITING && is_continuation(future));
    if (!future->executor->serial_name || !is_to_run)
        return false;
    for (const ati_frame *frame = ati_frame_current(); frame; frame = frame->outer) {
        const at_future *own = frame->identity;
        if (own && own->executor == future->executor)
            return true;
    }
    return false;
}

static at_status fail_behind_own(const at_future *future) {
    return ati_fail(AT_ERROR_DEADLOCK,
                    "at_future_wait: task %s comes after this one on %s, which runs one at a time",
                    ati_future_task_name(future), future->executor->serial_name);
}

static at_status fail_deadlock(const at_future *future) {
    return ati_fail(
        AT_ERROR_DEADLOCK,
        "at_future_wait: task %s waits for the one that waits for it; the log names all",
        ati_future_task_name(future));
}

/* What the target starts has its priority. The worker's place among those that run works of low
 * priority stays with the stack, that is with the waiting task: a low target holds no further
 * worker, and the waiting task is not to be held up for want of a place. */
static void run_claimed(ati_worker *worker, at_future *future) {
    const ati_lane lane = future->lane;
    const ati_lane *outer_lane = worker->nested_lane;
    worker->nested_lane = &lane;
    ati_future_run(future);
    worker->nested_lane = outer_lane;
}

/* Runs an unstarted target in place. A wait with a deadline does not: the target might take
 * longer. */
static bool run_in_place(ati_worker *worker, at_future *future, at_deadline deadline) {
    if (deadline != AT_FOREVER || future->executor != &worker->pool->executor ||
        !ati_worker_may_nest(worker) || !ati_future_claim(future, ATI_STATE_NEEDED))
        return false;
    ati_future_leave_queue(future);
    run_claimed(worker, future);
    if (ati_phase_is_done(ati_future_phase(future)))
        return true;
    (void)ati_future_lock(future); /* it goes on with another, and the wait becomes a usual one */
    ati_future_unlock(future, ATI_STATE_NEEDED, 0);
    return false;
}

/* A task of a keyed executor waits no more. */
static void leave_keyed(const ati_future_wait *wait) {
    if (wait->keyed)
        ati_keyed_end_wait(wait->keyed, wait->lends);
}

void ati_fire_wait(ati_registration *registration, at_future *source, ati_completions *list) {
    (void)source;
    (void)list;
    ati_future_wait *wait = ati_future_wait_of(registration);
    leave_keyed(wait); /* before who completes the source takes another task */
    ati_waiter_wake(&wait->waiter);
}

/* Counts the waits of this thread, so that two of them can be told from each other. */
static uint64_t next_number(void) {
    static _Thread_local uint64_t number;
    return ++number;
}

static at_status fail_timed_out(void) {
    return ati_fail(AT_ERROR_TIMED_OUT, "at_future_wait: the deadline has passed");
}

/* The wait has ended before its target. One that was cancelled takes its interest with it; one
 * whose own deadline has passed only stops waiting. */
static at_status end_unserved(at_future *future, bool is_unwanted) {
    at_status status = ati_cancel_check("at_future_wait");
    if (status == AT_OK)
        return fail_timed_out();
    if (is_unwanted) {
        ati_frame_slot slot = ati_frame_put_slot_aside();
        at_future_cancel(future);
        ati_frame_put_slot_back(slot);
    }
    return status;
}

/* Waits without a look at what the thread could do instead. */
static at_status wait_for_completion(at_future *future, at_deadline deadline) {
    ati_future_wait wait = {
        .registration.fire = ati_fire_wait,
        .frame = ati_frame_current(),
        .number = next_number(),
    };
    ati_waiter_init(&wait.waiter, "at_future_wait", future);
    wait.waiter.is_provable =
        future->kind != ATI_FUTURE_PLAIN && future->kind != ATI_FUTURE_TIMEOUT;
    if (wait.waiter.is_provable)
        ati_search_install(ati_deadlock_search);
    wait.keyed = wait.waiter.is_provable ? ati_keyed_of_stack() : NULL;
    at_status status = wait.keyed ? ati_keyed_begin_wait(wait.keyed, future, &wait.lends) : AT_OK;
    if (status != AT_OK)
        return status;
    ati_completions list = {0};
    (void)ati_context_own(); /* from here on others may look at the frame */
    ati_future_attach(future, &wait.registration, &list);
    if (!ati_waiter_wait_cancellable(&wait.waiter, deadline)) {
        bool is_unwanted;
        if (ati_future_leave(future, &wait.registration, &is_unwanted)) {
            leave_keyed(&wait);
            return end_unserved(future, is_unwanted);
        }
        (void)ati_waiter_wait(&wait.waiter, AT_FOREVER); /* it is being fired */
    }
    if (!wait.is_deadlock)
        return AT_OK;
    leave_keyed(&wait);
    return fail_deadlock(future);
}

static at_status check_wait(const at_future *future) {
    if (future->fork_count != ati_process_fork_count())
        return ati_fail(AT_ERROR_FORKED,
                        "at_future_wait: the future belongs to the parent of this process");
    if (ati_frame_current()->may_not_wait)
        return ati_fail(AT_ERROR_DEADLOCK, "at_future_wait: an inline continuation may not wait");
    if (ati_worker_current && waits_for_itself(future))
        return fail_deadlock(future);
    if (ati_worker_current && is_behind_own(future))
        return fail_behind_own(future);
    return AT_OK;
}

static at_status wait_until_done(at_future *future, at_deadline deadline) {
    if (deadline != AT_FOREVER && deadline <= at_clock_now(at_clock_current()))
        return fail_timed_out();
    at_status status = check_wait(future);
    if (status == AT_OK)
        status = ati_cancel_check("at_future_wait");
    if (status != AT_OK)
        return status;
    ati_worker *worker = ati_worker_current;
    if (worker && run_in_place(worker, future, ati_context_limit(deadline)))
        return AT_OK;
    return wait_for_completion(future, deadline);
}

/* What has cancelled the target may have cancelled the one that waits too, whose scope has more to
 * say about it. */
static at_status tell_cancelled(at_future *future) {
    at_status status = ati_cancel_check("at_future_wait");
    if (status != AT_OK)
        ati_future_mark_read(future);
    return status;
}

at_status at_future_wait(at_future *future, at_deadline deadline, void **value) {
    ATI_CALLER_CHECK(future, "at_future_wait", "`future` is NULL");
    if (ati_worker_current)
        ati_worker_give_turn(ati_worker_current);
    if (!ati_phase_is_done(ati_future_phase(future))) {
        at_status status = wait_until_done(future, deadline);
        if (status != AT_OK)
            return status;
        if (ati_future_phase(future) == ATI_PHASE_CANCELLED)
            status = tell_cancelled(future);
        if (status != AT_OK)
            return status;
    }
    return read_outcome(future, value);
}
