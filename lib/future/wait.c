/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/frame.h"
#include "base/process_fork.h"
#include "future/future.h"
#include "pool/pool.h"

#include <sched.h>

enum { look_count = 8 }; /* before a plain thread sleeps: some 4 microseconds */

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

/* Looks for some microseconds, giving the CPU away in between: a short task is then done without a
 * sleep, whether its worker shares this CPU or not. */
static bool look_until_done(const at_future *future) {
    for (int i = 0; i < look_count; i++) {
        sched_yield();
        if (ati_phase_is_done(ati_future_phase(future)))
            return true;
    }
    return false;
}

/* Sleeps until the future is done or the deadline has passed. */
static bool sleep_until_done(at_future *future, at_deadline deadline) {
    for (;;) {
        uint32_t state = atomic_load_explicit(&future->state, memory_order_relaxed);
        if (ati_phase_is_done(state & ATI_PHASE_MASK))
            return true;
        if (!(state & ATI_STATE_SLEEPERS) && !atomic_compare_exchange_weak_explicit(
                                                 &future->state, &state, state | ATI_STATE_SLEEPERS,
                                                 memory_order_relaxed, memory_order_relaxed))
            continue;
        if (!ati_futex_wait(&future->state, state | ATI_STATE_SLEEPERS, deadline))
            return ati_phase_is_done(ati_future_phase(future));
    }
}

/* The task itself, or one that waits below it on this stack, cannot complete before this wait. */
static bool waits_for_itself(const at_future *future) {
    for (const ati_frame *frame = ati_frame_current(); frame; frame = frame->outer)
        if (frame->identity == future)
            return true;
    return false;
}

/* Runs an unstarted target in place. A wait with a deadline
 * does not: the target might take longer. */
static bool run_in_place(ati_worker *worker, at_future *future, at_deadline deadline) {
    if (deadline != AT_FOREVER || future->executor != at_pool_executor(worker->pool) ||
        !ati_worker_may_nest(worker) || !ati_future_claim(future))
        return false;
    ati_future_leave_queue(future);
    ati_future_run(future);
    return true;
}

static at_status block(ati_worker *worker, at_future *future, at_deadline deadline) {
    at_status status = ati_pool_block_begin(worker);
    if (status != AT_OK)
        return status;
    bool done = sleep_until_done(future, deadline);
    ati_pool_block_end(worker);
    return done ? AT_OK : AT_ERROR_TIMED_OUT;
}

static at_status wait_in_task(ati_worker *worker, at_future *future, at_deadline deadline) {
    if (waits_for_itself(future))
        return ati_fail(AT_ERROR_DEADLOCK, "at_future_wait: task %s waits for itself",
                        ati_future_task_name(future));
    if (run_in_place(worker, future, deadline) && ati_phase_is_done(ati_future_phase(future)))
        return AT_OK;
    return block(worker, future, deadline);
}

static at_status wait_until_done(at_future *future, at_deadline deadline) {
    if (deadline != AT_FOREVER && deadline <= ati_monotonic_ns())
        return AT_ERROR_TIMED_OUT;
    if (future->fork_count != ati_process_fork_count())
        return ati_fail(AT_ERROR_FORKED,
                        "at_future_wait: the future belongs to the parent of this process");
    if (ati_frame_current()->may_not_wait)
        return ati_fail(AT_ERROR_DEADLOCK, "at_future_wait: an inline continuation may not wait");
    ati_worker *worker = ati_worker_current;
    if (worker)
        return wait_in_task(worker, future, deadline);
    bool done = look_until_done(future) || sleep_until_done(future, deadline);
    return done ? AT_OK : AT_ERROR_TIMED_OUT;
}

at_status at_future_wait(at_future *future, at_deadline deadline, void **value) {
    ATI_CALLER_CHECK(future, "at_future_wait", "`future` is NULL");
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
