/* SPDX-License-Identifier: MIT */
/* Purpose: owner and others agree who makes a call that was handed out, and its value and error
 * travel to the owner.
 *
 * States, in `state`:
 *
 *   OPEN -take (whoever runs its work, or its owner's join)-> TAKEN
 *   TAKEN -wait_until_done (owner)-> AWAITED
 *   TAKEN, AWAITED -make_call-> DONE
 *
 * Fields
 *   run, argument, owner, lane   written before the record is handed out.
 *   waiter                   on the owner's stack; written by the owner before AWAITED.
 *   value, is_short, frame   written by the one who makes the call before DONE.
 *   holders                  the owner, and the queued work or the one who makes the call; the last
 *                            to let go frees the record.
 *
 * Invariants
 *   1. One compare-and-swap takes the call; whoever loses it makes no call. A work that finds its
 *      call taken is a tombstone and only lets go.
 *   2. The owner does not leave its join before DONE, if another one has taken the call: what the
 *      call uses of the owner's stack and operation lives on, and with it the frames of its task.
 *   3. A call made elsewhere runs in a copy of its task's frame, below which lies what lies below
 *      that. So it is seen by those who look for cycles of waits as if its task made it.
 *
 * Checked by: tests/model/fork_model.c, tests/stress/fork_test.c. */
#include "pool/forked_call.h"

#include "base/clock.h"
#include "base/memory.h"
#include "pool/exception.h"
#include "pool/pool.h"

enum state { OPEN, TAKEN, AWAITED, DONE };

enum { poll_count = 64 }; /* before the owner waits: about a microsecond */

static const at_duration short_time = AT_MICROSECONDS(1);

struct ati_forked_call {
    _Atomic uint32_t state;
    _Atomic uint32_t holders;
    void *(*run)(void *argument);
    void *argument;
    const ati_frame *owner; /* the frame of its task, which cannot end before the join */
    ati_context *context;   /* retained */
    ati_lane lane;
    ati_waiter *waiter;
    void *value;
    bool is_short;   /* took less time than handing it over */
    ati_frame frame; /* what the function has left in its own */
};

/* -- Life -- */

ati_forked_call *ati_forked_call_create(void) {
    return ati_allocate_aligned(sizeof(ati_forked_call), ATI_CACHE_LINE);
}

void ati_forked_call_discard(ati_forked_call *call) {
    ati_release(call, sizeof *call);
}

void ati_forked_call_fill(ati_forked_call *call, void *(*run)(void *argument), void *argument,
                          const ati_frame *owner, ati_lane lane) {
    atomic_init(&call->state, OPEN);
    atomic_init(&call->holders, 2);
    call->run = run;
    call->argument = argument;
    call->owner = owner;
    call->context = owner->context;
    call->lane = lane;
    ati_context_retain(call->context);
}

void ati_forked_call_release(ati_forked_call *call) {
    /* ORDER forked_call.holders: acq_rel. All uses by the other holder happen before the free.
     * Pairs with: itself in ati_forked_call_release(). If relaxed: freed while the other still
     * looks. */
    if (atomic_fetch_sub_explicit(&call->holders, 1, memory_order_acq_rel) != 1)
        return;
    ati_context_release(call->context);
    ati_release(call, sizeof *call);
}

/* -- Making the call elsewhere -- */

static bool take(ati_forked_call *call) {
    uint32_t open = OPEN;
    /* Relaxed: the record came to this thread through a queue, or is its own. */
    return atomic_compare_exchange_strong_explicit(&call->state, &open, TAKEN, memory_order_relaxed,
                                                   memory_order_relaxed);
}

/* Begins the call as a part of its task. Gives the frame below on this stack. */
static ati_frame *begin_call(ati_worker *worker, ati_task_run *run, const ati_forked_call *call) {
    const ati_frame *task = call->owner;
    ati_task_begin(NULL, run, call->context, task->site, task->name);
    ati_frame *below = run->frame.outer;
    run->frame.identity = task->identity;
    run->frame.may_not_wait = task->may_not_wait;
    run->frame.outer = task->outer;
    run->frame.part_of = task->part_of ? task->part_of : task;
    ati_view_show_named(worker, &run->frame);
    return below;
}

/* Takes over what the call leaves. */
static void end_call(ati_worker *worker, ati_task_run *run, ati_frame *below, ati_frame *left) {
    run->frame.outer = below;
    ati_view_hide_named(worker, &run->frame);
    *left = run->frame;
    run->frame.error = NULL;
    run->frame.next_future = NULL;
    ati_task_end(NULL, run, AT_OK);
}

static void make_call(ati_worker *worker, ati_forked_call *call) {
    ati_task_run run;
    ati_counter_add(&worker->forks.taken, 1);
    ati_frame *below = begin_call(worker, &run, call);
    int64_t began = ati_monotonic_ns();
    ATI_STOP_EXCEPTIONS;
    call->value = call->run(call->argument);
    call->is_short = ati_monotonic_ns() - began < short_time;
    end_call(worker, &run, below, &call->frame);
    /* ORDER forked_call.state: acq_rel. Publishes what the call has done, and sees who waits.
     * Pairs with: acquire in is_done(), release in wait_until_done(). If relaxed: the owner reads
     * an unwritten value. */
    if (atomic_exchange_explicit(&call->state, DONE, memory_order_acq_rel) == AWAITED)
        ati_waiter_wake(call->waiter);
    ati_forked_call_release(call);
}

static void *run_queued(void *argument) {
    ati_worker *worker = ati_worker_current;
    ati_forked_call *call = argument;
    ati_counter_add(&worker->counts.tombstones, 1);
    if (take(call))
        make_call(worker, call);
    else
        ati_forked_call_release(call);
    return NULL;
}

ati_work ati_forked_call_work(ati_forked_call *call) {
    void *context = ati_context_in_lane(NULL, call->lane);
    return (ati_work){.run = run_queued, .argument = call, .context = context};
}

/* -- Joining -- */

static bool is_done(ati_forked_call *call) {
    /* ORDER forked_call.state: acquire. Sees what the call has done.
     * Pairs with: acq_rel in make_call(). If relaxed: reads an unwritten value. */
    return atomic_load_explicit(&call->state, memory_order_acquire) == DONE;
}

static void wait_until_done(ati_forked_call *call) {
    for (int i = 0; i < poll_count; i++) {
        if (is_done(call))
            return;
        ati_cpu_relax();
    }
    ati_waiter waiter;
    ati_waiter_init(&waiter, "at_fork_join", NULL);
    call->waiter = &waiter;
    uint32_t taken = TAKEN;
    /* ORDER forked_call.state: release. Publishes the waiter.
     * Pairs with: acq_rel in make_call(). If relaxed: wakes an unwritten waiter. */
    if (atomic_compare_exchange_strong_explicit(&call->state, &taken, AWAITED, memory_order_release,
                                                memory_order_relaxed))
        (void)ati_waiter_wait(&waiter, AT_FOREVER);
    (void)is_done(call);
}

/* The work of a call that its owner makes is taken out of the queue if it is the last there. */
static void leave_queue(ati_worker *worker, ati_forked_call *call) {
    if (!ati_worker_take_back(worker, run_queued, call))
        return;
    ati_counter_add(&worker->counts.tombstones, 1);
    ati_forked_call_release(call);
}

void *ati_forked_call_join(ati_worker *worker, ati_forked_call *call, void *(*run)(void *argument),
                           bool *in_vain) {
    *in_vain = true;
    if (take(call)) {
        void *argument = call->argument;
        leave_queue(worker, call);
        ati_forked_call_release(call);
        return run(argument);
    }
    wait_until_done(call);
    ati_frame_take_over(&call->frame);
    void *value = call->value;
    *in_vain = call->is_short;
    ati_forked_call_release(call);
    return value;
}
