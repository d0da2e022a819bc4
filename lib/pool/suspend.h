/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_SUSPEND_H
#define ASYNCTOOLS_POOL_SUSPEND_H

/* How a worker leaves the stack of a task that waits, and comes back to it. See suspend.c. */
#include "pool/waiter.h"
#include "pool/worker.h"

/* Suspends the running task, which is on the calling worker, until `waiter` is woken or `deadline`
 * of the pool's clock. False: there is no memory for another stack, and nothing has happened. */
bool ati_worker_suspend(ati_worker *worker, ati_waiter *waiter, at_deadline deadline);

/* Lets tasks that are ready run first, or else one work of the queues; then the running task goes
 * on. Not where the task must keep its thread. */
void ati_worker_yield(ati_worker *worker);

/* The same, but only if the task has run for long and a woken one is waiting for its turn. */
void ati_worker_give_turn(ati_worker *worker);

/* Sets a task going that was suspended; the one who calls has ended its waiting. Any thread. */
void ati_worker_resume(ati_waiter *waiter);

/* For the worker's loop: whether a task is ready to go on. */
bool ati_worker_has_ready(ati_worker *worker);

/* Whether it may have some; false is certain. */
static inline bool ati_worker_may_have_ready(const ati_worker *worker) {
    return worker->ready.first ||
           atomic_load_explicit(&((ati_worker *)worker)->inbox_is_full, memory_order_relaxed);
}

/* Whether the task that is ready next has low priority, and no worker is free of such. */
bool ati_worker_is_crowded(ati_worker *worker);

/* For the worker's loop: goes on with the task that was woken first. False: there is none. When it
 * returns true, the loop has got a stack to go on with. */
bool ati_worker_resume_next(ati_worker *worker);

/* For the worker's loop, which has found a work to run, or none: those who have yielded to it come
 * next. */
void ati_worker_move_yielded(ati_worker *worker);
static inline void ati_worker_end_yield(ati_worker *worker) {
    if (worker->yielded.first)
        ati_worker_move_yielded(worker);
}

/* Whether a task of this worker is to be resumed that others have woken. Any thread. */
bool ati_inbox_is_empty(const ati_worker *worker);

/* Holds the list of suspended tasks, for those who look from outside. */
void ati_worker_lock_suspended(ati_worker *worker);
void ati_worker_unlock_suspended(ati_worker *worker);

/* Runs the worker's loop on this thread and the stacks that it takes, until its end. */
void ati_worker_loop_on_stacks(ati_worker *worker);

#endif
