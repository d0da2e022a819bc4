/* SPDX-License-Identifier: MIT */
/* Purpose: to look at workers and tasks while they go on, at the cost of a few plain stores of
 * theirs.
 *
 * Where a running task was started is a text of the program itself, valid for ever: the worker
 * publishes the pointer when a task begins and ends. A name that the program gave is a copy that
 * goes with the task, so the frames of tasks with such a name are published under the worker's
 * suspended_lock, and read under it; so are those of forked calls, which have the place of their
 * task. Tasks that wait are in the list of suspended ones; under that
 * lock they do not leave their waits, so their stacks, with frames and names, stay as they are.
 *
 * Which operation a running task is in changes at any time, and the operation may go with it: so
 * the worker publishes the id, and the name is looked up among those that are known to live. One
 * that waits keeps its own.
 *
 * How long a task has been running nobody notes, because a look at the clock costs as much as a
 * small task. The worker notes the time when it happens to have it: when it wakes up, when tasks
 * are suspended or resumed, and every 61 picks. So the age of a running task is one that it has
 * at most; for one that has been running for long it is hardly more.
 *
 * Checked by: tests/unit/dump_test.c, tests/stress/pool_dump_test.c. */
#include "pool/view.h"

#include "base/clock.h"
#include "base/error.h"
#include "log/number.h"
#include "pool/pool.h"
#include "pool/suspend.h"

#include <stdio.h>

void ati_view_show_named(ati_worker *worker, const ati_frame *frame) {
    ati_worker_lock_suspended(worker);
    worker->named = frame;
    ati_worker_unlock_suspended(worker);
}

void ati_view_hide_named(ati_worker *worker, const ati_frame *frame) {
    do
        frame = frame->outer;
    while (frame && !frame->part_of && (!frame->name || !*frame->name));
    ati_view_show_named(worker, frame);
}

static _Atomic(ati_view_operation_fn *) find_operation;

void ati_view_install_operations(ati_view_operation_fn *find) {
    atomic_store_explicit(&find_operation, find, memory_order_relaxed);
}

const char *ati_view_id(const ati_task_name *task, char text[ATI_VIEW_ID]) {
    *ati_number_hex(text, task->operation_id) = '\0';
    return text;
}

static const char *choose_name(const char *name, const char *site) {
    if ((!name || !*name) && site)
        name = ati_site_name(site);
    return name && *name ? name : "unnamed";
}

const char *ati_task_name_of(const ati_frame *frame) {
    return choose_name(frame->name, frame->site);
}

static void copy_name(ati_task_name *to, const char *name, const char *site) {
    snprintf(to->name, sizeof to->name, "%s", choose_name(name, site));
    to->site = site;
}

bool ati_view_running(ati_worker *worker, ati_task_view *view) {
    *view = (ati_task_view){.worker = worker->index, .task_count = 1};
    ati_worker_lock_suspended(worker);
    const char *site = atomic_load_explicit(&worker->site, memory_order_relaxed);
    const ati_frame *named = worker->named;
    bool is_own = named && named->site == site;
    copy_name(&view->tasks[0], is_own ? named->name : NULL, site);
    view->is_forked_call = is_own && named->part_of;
    ati_worker_unlock_suspended(worker);
    uint64_t id = atomic_load_explicit(&worker->operation_id, memory_order_relaxed);
    ati_view_operation_fn *find = atomic_load_explicit(&find_operation, memory_order_relaxed);
    view->tasks[0].operation_id = id;
    if (id != 0 && find)
        find(id, view->tasks[0].operation);
    view->age = ati_coarse_ns() - atomic_load_explicit(&worker->clock, memory_order_relaxed);
    return site;
}

static void copy_operation(ati_task_name *to, const ati_context *context) {
    if (!context || !context->operation)
        return;
    to->operation_id = context->operation->id;
    snprintf(to->operation, sizeof to->operation, "%s", context->operation->name);
}

/* The frames of a stack end with that of the thread, which is no task. */
static void view_stack(ati_task_view *view, const ati_frame *frame) {
    for (; frame && frame->outer; frame = frame->outer) {
        if (!frame->site)
            continue;
        uint32_t index = view->task_count++;
        if (index == 0)
            view->is_forked_call = frame->part_of;
        if (index >= ATI_VIEW_CHAIN)
            continue;
        copy_name(&view->tasks[index], frame->name, frame->site);
        view->tasks[index].identity = frame->identity;
        copy_operation(&view->tasks[index], frame->context);
    }
}

size_t ati_view_suspended(ati_worker *worker, ati_task_view *views, size_t limit) {
    size_t count = 0;
    int64_t now = ati_coarse_ns();
    ati_worker_lock_suspended(worker);
    for (const ati_waiter *waiter = worker->oldest; waiter && count < limit;
         waiter = waiter->newer) {
        ati_task_view *view = &views[count++];
        *view = (ati_task_view){.worker = worker->index,
                                .what = waiter->what,
                                .is_ready = !ati_waiter_is_waiting(waiter),
                                .target = waiter->target,
                                .age = now - waiter->since};
        view_stack(view, waiter->frame);
    }
    ati_worker_unlock_suspended(worker);
    return count;
}

ati_worker_state ati_view_state(const ati_worker *worker) {
    ati_worker *seen = (ati_worker *)worker;
    if (worker->has_ended)
        return ATI_WORKER_ENDED;
    if (worker->is_parked)
        return ATI_WORKER_PARKED;
    if (atomic_load_explicit(&seen->asleep, memory_order_relaxed))
        return ATI_WORKER_ASLEEP;
    if (atomic_load_explicit(&seen->blocks, memory_order_relaxed))
        return ATI_WORKER_BLOCKED;
    return atomic_load_explicit(&seen->site, memory_order_relaxed) ? ATI_WORKER_RUNNING
                                                                   : ATI_WORKER_SEARCHING;
}
