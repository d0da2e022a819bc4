/* SPDX-License-Identifier: MIT */
/* Purpose: a task that computes for long gives its turn to those that are ready, and learns for the
 * price of one load that there is nobody.
 *
 * at_check reads `look`, a word in the line of its worker that inline code can see. It is set with
 * each reason to look:
 *
 *   the task's turn begins            by its worker: the first look notes the time
 *   a task of the worker was woken    by who has put it into `ready` or `inbox`
 *   nobody keeps the time             by who has found that no worker sleeps (idle.c)
 *   the task is of an operation       by its worker, which looks each time
 *
 * and reset by the worker when it has looked and found none.
 *
 * Invariants
 *   1. Whoever gives a reason writes it and then sets `look` (release). The worker resets it
 *      (acquire) and then looks for reasons once more. So it sees the reason, or `look` is set
 *      after the reset.
 *   2. turn_began is the first look of the turn or, if that was before, the moment when somebody
 *      asked for the turn by filling the inbox: no clock is read for tasks that do not ask. Where a
 *      fair pick has put new work before a full inbox, that moment is before the turn, and the task
 *      gives way early.
 *
 * Checked by: tests/unit/pool_turn_test.c, tests/stress/pool_suspend_test.c. */
#include "pool/turn.h"

#include "base/clock.h"
#include "pool/pool.h"
#include "pool/suspend.h"

#include <urcu/urcu-bp.h>

static const at_duration turn_limit = AT_MILLISECONDS(1);

/* The one who has filled the inbox asks for the turn since then. */
static int64_t find_beginning(ati_worker *worker, int64_t now) {
    bool was_asked = atomic_load_explicit(&worker->inbox_is_full, memory_order_relaxed);
    return was_asked ? atomic_load_explicit(&worker->inbox_since, memory_order_relaxed) : now;
}

void ati_worker_give_turn(ati_worker *worker) {
    (void)ati_worker_fire_timers(worker, true);
    if (!ati_worker_may_have_ready(worker))
        return;
    int64_t now = ati_monotonic_ns();
    if (worker->turn_began == 0)
        worker->turn_began = find_beginning(worker, now);
    if (now - worker->turn_began >= turn_limit && !urcu_bp_read_ongoing())
        ati_worker_yield(worker);
}

/* Also of those that wait below on this stack: they go on without a new turn. One that is asked to
 * stop is of an operation from now on. */
static bool has_operation(void) {
    for (ati_frame *frame = ati_frame_current(); frame; frame = frame->outer) {
        if (frame->own_context)
            frame->own_context(frame, false);
        if (frame->context)
            return true;
    }
    return false;
}

static bool nobody_keeps_time(at_pool *pool) {
    return ati_timers_next(&pool->timers) <
           atomic_load_explicit(&pool->idle.kept, memory_order_relaxed);
}

static bool has_reason(ati_worker *worker) {
    return worker->turn_began == 0 || ati_worker_may_have_ready(worker) || has_operation() ||
           nobody_keeps_time(worker->pool);
}

static void reset_look(ati_worker *worker) {
    /* ORDER worker.look: acquire. Sees the reasons that were given before.
     * Pairs with: release in ati_worker_ask_to_look(). If relaxed: a reason is overlooked. */
    (void)__atomic_exchange_n(&worker->forks.line.look, 0, __ATOMIC_ACQUIRE);
    if (has_reason(worker))
        ati_worker_ask_to_look(worker);
}

void ati_worker_check_turn(ati_worker *worker) {
    if (worker->turn_began == 0 && !ati_worker_may_have_ready(worker))
        worker->turn_began = ati_monotonic_ns();
    ati_worker_give_turn(worker);
    if (!has_reason(worker))
        reset_look(worker);
}
