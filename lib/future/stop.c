/* SPDX-License-Identifier: MIT */
/* Purpose: a future that is completed by code which runs elsewhere, a child of a task manager, is
 * cancelled: that code is asked to stop. As in a task with a future (cancel.c) it has an operation
 * of its own only once somebody asks, or it waits: most never do.
 *
 * `lock` guards the rest of an ati_stop. Who asks finds the operation, or leaves `is_asked` behind;
 * who makes the operation looks at that in the same section. The pool is there while the code runs,
 * which ends it under the lock.
 *
 * Checked by: tests/unit/task_manager_test.c, tests/stress/task_manager_test.c. */
#include "future/stop.h"

#include "pool/cancel.h"

void ati_stop_begin(ati_stop *stop, at_future *future, at_pool *pool,
                    void (*release)(ati_stop *stop)) {
    *stop = (ati_stop){.registration.fire = ati_fire_stop, .pool = pool, .release = release};
    ati_completions list = {0};
    ati_future_attach(future, &stop->registration, &list);
    ati_completions_run(&list);
}

static void ask(ati_stop *stop) {
    ati_lock_acquire(&stop->lock);
    stop->is_asked = true;
    ati_context *own = stop->context;
    ati_context_retain(own);
    if (!own && stop->is_running)
        ati_pool_ask_to_look(stop->pool);
    ati_lock_release(&stop->lock);
    if (own)
        (void)ati_cancel(own, AT_CANCEL_EXPLICIT);
    ati_context_release(own);
}

void ati_fire_stop(ati_registration *registration, at_future *source, ati_completions *list) {
    (void)list;
    ati_stop *stop = (ati_stop *)registration;
    if (ati_future_phase(source) == ATI_PHASE_CANCELLED)
        ask(stop);
    stop->release(stop);
}

static bool is_asked(ati_stop *stop) {
    ati_lock_acquire(&stop->lock);
    bool asked = stop->is_asked;
    ati_lock_release(&stop->lock);
    return asked;
}

/* In a scope it is too late: that belongs to the operation before. */
static void make_own_context(ati_frame *frame, bool is_needed) {
    ati_stop_run *run = (ati_stop_run *)frame;
    ati_stop *stop = run->stop;
    if ((!is_needed && !is_asked(stop)) || frame->context != run->outer)
        return;
    ati_context *own = ati_cancel_make_own(frame);
    if (!own)
        return;
    ati_lock_acquire(&stop->lock);
    stop->context = own;
    bool asked = stop->is_asked;
    ati_lock_release(&stop->lock);
    ati_cancel_take_own(frame, own, asked);
}

bool ati_stop_enter(ati_stop *stop, ati_stop_run *run) {
    ati_lock_acquire(&stop->lock);
    bool goes_on = !stop->is_asked;
    stop->is_running = goes_on;
    ati_lock_release(&stop->lock);
    if (!goes_on)
        return false;
    run->stop = stop;
    run->outer = run->task.frame.context;
    run->task.frame.own_context = make_own_context;
    return true;
}

void ati_stop_leave(ati_stop *stop) {
    ati_lock_acquire(&stop->lock);
    stop->is_running = false;
    ati_context *own = stop->context;
    stop->context = NULL;
    ati_lock_release(&stop->lock);
    ati_context_release(own);
}
