/* SPDX-License-Identifier: MIT */
/* Purpose: one wait, of a task or of a thread, that ends by a wake or by its deadline.
 *
 * States, in `state`:
 *
 *   OPEN, TIMED_OUT -wait-> SUSPENDED, ASLEEP -wake-> WOKEN
 *   OPEN, TIMED_OUT -wake-> WOKEN
 *                           SUSPENDED, ASLEEP -time_out-> TIMED_OUT
 *   OPEN, SUSPENDED, ASLEEP, TIMED_OUT -cancel-> CANCELLED -end of the cancellable wait-> OPEN
 *   CANCELLED -wake-> WOKEN
 *
 * Invariants
 *   1. SUSPENDED or ASLEEP is left once, by the compare-and-swap of a wake or of the deadline:
 *      only that one sets the waiter going again, so it goes on once.
 *   2. A thread goes on as soon as it sees the state, so from then on its waker knows no more than
 *      the address of the futex. A task goes on when its waker lets it, and the waiter is not
 *      touched after that. Whoever comes too late touches nothing but the state.
 *   3. A suspended task is resumed by its own worker, which takes it out of its inbox on another
 *      stack. So it can be woken before its stack has been left.
 *   4. A thread that is asleep has left its clock. Whoever sets it going has entered the clock for
 *      it before, so a virtual clock does not run on between the wake and the return of the wait.
 *
 * Checked by: tests/unit/waiter_test.c, tests/stress/pool_suspend_test.c. */
#include "pool/waiter.h"

#include "base/clock.h"
#include "base/yield.h"
#include "pool/pool.h"
#include "pool/suspend.h"
#include "pool/virtual_clock.h"

enum { look_limit = 8 }; /* before a plain thread sleeps: some 4 microseconds */

bool ati_waiter_begin(ati_waiter *waiter, ati_waiter_state waiting) {
    uint32_t state = atomic_load_explicit(&waiter->state, memory_order_relaxed);
    while (state != ATI_WAITER_WOKEN && state != ATI_WAITER_CANCELLED)
        /* ORDER waiter.state: release. Publishes how the waiter goes on.
         * Pairs with: acquire and acq_rel in ati_waiter_wake(), acq_rel in
         * ati_waiter_time_out(). If relaxed: the waker reads an unwritten worker or clock. */
        if (atomic_compare_exchange_weak_explicit(&waiter->state, &state, waiting,
                                                  memory_order_release, memory_order_relaxed))
            return true;
    return false;
}

bool ati_waiter_is_woken(const ati_waiter *waiter) {
    /* ORDER waiter.state: acquire. What the waker did happens before the wait returns.
     * Pairs with: acq_rel in ati_waiter_wake(). If relaxed: the waiter reads stale data. */
    return atomic_load_explicit(&((ati_waiter *)waiter)->state, memory_order_acquire) ==
           ATI_WAITER_WOKEN;
}

/* Looks for some microseconds, giving the CPU away in between: a short task is then done without a
 * sleep, whether its worker shares this CPU or not. Fewer looks if others want the CPU, too. */
static bool look_until_woken(const ati_waiter *waiter) {
    bool is_free = true;
    for (int i = 0; i < look_limit && is_free; i++) {
        is_free = ati_yield_briefly();
        if (ati_waiter_is_woken(waiter))
            return true;
    }
    return false;
}

/* False: it was woken in the meantime, or a virtual clock has reached its deadline. */
static bool stop_sleeping(ati_waiter *waiter) {
    uint32_t asleep = ATI_WAITER_ASLEEP;
    return atomic_compare_exchange_strong_explicit(&waiter->state, &asleep, ATI_WAITER_TIMED_OUT,
                                                   memory_order_relaxed, memory_order_relaxed);
}

/* True: it has stopped by itself, at `until` of CLOCK_MONOTONIC. */
static bool sleep_until(ati_waiter *waiter, at_deadline until) {
    /* ORDER waiter.state: acquire. What the waker did happens before the wait returns.
     * Pairs with: acq_rel in ati_waiter_wake(), release in ati_waiter_time_out_thread(). If
     * relaxed: the waiter reads stale data, or a time before its deadline. */
    while (atomic_load_explicit(&waiter->state, memory_order_acquire) == ATI_WAITER_ASLEEP)
        if (!ati_futex_wait(&waiter->state, ATI_WAITER_ASLEEP, until) && stop_sleeping(waiter))
            return true;
    return false;
}

static void sleep_outside_virtual(ati_waiter *waiter, at_deadline deadline, at_deadline limit) {
    ati_virtual_clock_begin_wait(waiter->clock, &waiter->timer.timer, deadline);
    if (sleep_until(waiter, limit))
        ati_clock_enter(waiter->clock);
    ati_virtual_clock_end_wait(waiter->clock, &waiter->timer.timer);
}

bool ati_waiter_sleep(ati_waiter *waiter, at_clock *clock, at_deadline deadline,
                      at_deadline limit) {
    if (waiter->clock != clock) /* a waker may still read it after a wait that timed out */
        waiter->clock = clock;
    bool is_virtual = ati_clock_is_virtual(clock);
    bool is_late = is_virtual && deadline <= at_clock_now(clock);
    if (is_late || !ati_waiter_begin(waiter, ATI_WAITER_ASLEEP))
        return ati_waiter_is_woken(waiter);
    if (is_virtual)
        sleep_outside_virtual(waiter, deadline, limit);
    else
        (void)sleep_until(waiter, deadline < limit ? deadline : limit);
    return ati_waiter_is_woken(waiter);
}

static bool sleep_until_woken(ati_waiter *waiter, at_deadline deadline) {
    return ati_waiter_sleep(waiter, at_clock_current(), deadline, AT_FOREVER);
}

/* Another thread takes the worker's place, if there can be one. */
static bool block_until_woken(ati_worker *worker, ati_waiter *waiter, at_deadline deadline) {
    bool replaced = ati_pool_block_begin(worker);
    bool woken = sleep_until_woken(waiter, deadline);
    if (replaced)
        ati_pool_block_end(worker);
    return woken;
}

bool ati_waiter_wait(ati_waiter *waiter, at_deadline deadline) {
    if (ati_waiter_is_woken(waiter))
        return true;
    ati_worker *worker = ati_worker_current;
    if (!worker)
        return look_until_woken(waiter) || sleep_until_woken(waiter, deadline);
    if (worker->blocking_depth > 0)
        return sleep_until_woken(waiter, deadline);
    const ati_frame *frame = ati_frame_current();
    if (!frame->keeps_thread && !frame->may_not_wait &&
        ati_worker_suspend(worker, waiter, deadline))
        return ati_waiter_is_woken(waiter);
    return block_until_woken(worker, waiter, deadline);
}

/* Ends the wait, with WOKEN or CANCELLED; a wake comes after a cancellation, not before one. */
static void end(ati_waiter *waiter, ati_waiter_state ended) {
    /* ORDER waiter.state: acquire. Sees the clock of a thread.
     * Pairs with: release in ati_waiter_begin(). If relaxed: reads an unwritten clock. */
    uint32_t state = atomic_load_explicit(&waiter->state, memory_order_acquire);
    for (;;) {
        if (state == ATI_WAITER_WOKEN)
            return;
        at_clock *clock = state == ATI_WAITER_ASLEEP ? waiter->clock : NULL;
        if (clock)
            ati_clock_enter(clock);
        /* ORDER waiter.state: acq_rel. Publishes what the waker did, and sees how the waiter goes
         * on.
         * Pairs with: release in ati_waiter_begin(), acquire in ati_waiter_is_woken() and
         * sleep_until(). If relaxed: the waiter reads stale data, or the waker an unwritten
         * worker. */
        if (atomic_compare_exchange_strong_explicit(&waiter->state, &state, ended,
                                                    memory_order_acq_rel, memory_order_acquire))
            break;
        if (clock)
            ati_clock_leave(clock);
    }
    if (state == ATI_WAITER_SUSPENDED)
        ati_worker_resume(waiter);
    else if (state == ATI_WAITER_ASLEEP)
        ati_futex_wake(&waiter->state, 1);
}

void ati_waiter_wake(ati_waiter *waiter) {
    end(waiter, ATI_WAITER_WOKEN);
}

static void end_cancelled(ati_cancel_wait *wait) {
    end((ati_waiter *)((char *)wait - offsetof(ati_waiter, cancel)), ATI_WAITER_CANCELLED);
}

/* The next wait, which cannot be cancelled, is a wait again. */
static void forget_cancellation(ati_waiter *waiter) {
    uint32_t cancelled = ATI_WAITER_CANCELLED;
    (void)atomic_compare_exchange_strong_explicit(&waiter->state, &cancelled, ATI_WAITER_OPEN,
                                                  memory_order_relaxed, memory_order_relaxed);
}

bool ati_waiter_wait_cancellable(ati_waiter *waiter, at_deadline deadline) {
    ati_frame *frame = ati_frame_current();
    if (frame->own_context)
        frame->own_context(frame, true);
    ati_context *context = frame->context;
    if (!context)
        return ati_waiter_wait(waiter, deadline);
    waiter->cancel.end = end_cancelled;
    if (!ati_context_add_wait(context, &waiter->cancel))
        return ati_waiter_is_woken(waiter);
    (void)ati_waiter_wait(waiter, context->deadline < deadline ? context->deadline : deadline);
    ati_context_remove_wait(context, &waiter->cancel);
    forget_cancellation(waiter);
    return ati_waiter_is_woken(waiter);
}

void ati_waiter_time_out(ati_pool_timer *timer) {
    ati_waiter *waiter = (ati_waiter *)((char *)timer - offsetof(ati_waiter, timer));
    uint32_t suspended = ATI_WAITER_SUSPENDED;
    /* ORDER waiter.state: acq_rel. Sees how the waiter goes on.
     * Pairs with: release in ati_waiter_begin(). If relaxed: reads an unwritten worker. */
    if (atomic_compare_exchange_strong_explicit(&waiter->state, &suspended, ATI_WAITER_TIMED_OUT,
                                                memory_order_acq_rel, memory_order_relaxed))
        ati_worker_resume(waiter);
}

bool ati_waiter_time_out_thread(ati_timer *timer) {
    ati_waiter *waiter = (ati_waiter *)((char *)timer - offsetof(ati_waiter, timer));
    uint32_t asleep = ATI_WAITER_ASLEEP;
    /* ORDER waiter.state: release. Publishes the time that the clock has reached.
     * Pairs with: acquire in sleep_until(). If relaxed: the thread reads a time before its
     * deadline. */
    if (!atomic_compare_exchange_strong_explicit(&waiter->state, &asleep, ATI_WAITER_TIMED_OUT,
                                                 memory_order_release, memory_order_relaxed))
        return false;
    ati_futex_wake(&waiter->state, 1);
    return true;
}
