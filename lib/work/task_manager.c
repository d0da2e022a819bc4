/* SPDX-License-Identifier: MIT */
/* Purpose: tasks that belong together. How they are started and run, and what becomes of the others
 * when one has ended; how they are waited for is in task_manager_join.c.
 *
 * A child is REFUSED, or goes QUEUED -> TAKEN -> ENDED, or TAKEN -> ENDED; `running` counts those
 * that are TAKEN: they are in a queue of the pool, or run. At most max_concurrent are.
 *
 *   1. A start takes its child if there is a place, else it queues it. A child that ends gives its
 *      place to the first that is queued, in the same section: so while one is queued all places
 *      are taken, and each queued child has one before it that will take it.
 *   2. The next child runs on the worker that has run the one before, at once or through the
 *      worker's deque: no other thread is woken for it. It goes through the deque at every fourth,
 *      which lets others have their turn.
 *   3. What a child was (run, argument) and what it has become (error, value) share their places:
 *      written by who runs it, and read by others after the section in which it ends.
 *   4. The section in which the last child ends is the last access to the manager by a child; what
 *      its outcome needs to be dropped, if it is not kept, was done before.
 *
 * Nobody keeps a reference of the manager or of its operation for a child: whoever destroys the
 * manager has waited for all.
 *
 * Checked by: tests/unit/task_manager_test.c, tests/stress/task_manager_test.c. */
#include "work/task_manager.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "future/future.h"
#include "pool/cancel.h"
#include "pool/exception.h"
#include "pool/pool.h"

enum { next_limit = 3 }; /* children run one after the other without a way through the deque */

/* -- Children -- */

static void *run_queued_child(void *argument);

ati_child *ati_child_create(const char *site, at_task_manager *manager,
                            const at_task_options *options) {
    ati_child *child = ati_block_allocate();
    if (!child)
        return NULL;
    char *name = NULL;
    if (options->name && *options->name && !(name = ati_copy_text(options->name))) {
        ati_block_release(child);
        return NULL;
    }
    void *lane = ati_context_in_lane(NULL, options->priority == AT_PRIORITY_INHERITED
                                               ? ati_lane_inherited()
                                               : ati_lane_of(options->priority));
    *child = (ati_child){
        .node.work = {.run = run_queued_child, .argument = child, .context = lane},
        .manager = manager,
        .run = options->run,
        .argument = options->argument,
        .drop = options->drop,
        .site = site,
        .name = name,
    };
    return child;
}

void ati_child_release(ati_child *child) {
    ati_release_text(child->name);
    ati_future_release_inside(child->future);
    ati_context_release(child->context);
    ati_block_release(child);
}

void ati_child_drop(ati_child *child) {
    at_error_release(child->error);
    if (child->value)
        ati_call_drop(child->drop, child->value);
    ati_child_release(child);
}

static ati_child *child_of(ati_task_node *node) {
    return (ati_child *)((char *)node - offsetof(ati_child, node));
}

/* -- The queue, under the lock -- */

static void push_queued(at_task_manager *manager, ati_task_node *node) {
    if (manager->last_queued)
        manager->last_queued->next = node;
    else
        manager->first_queued = node;
    manager->last_queued = node;
    manager->counts.queued++;
}

/* The place of a child that is not running any more goes to the next one, which it gives. NULL:
 * there is none. */
static ati_child *pass_place_on(at_task_manager *manager) {
    ati_task_node *node = manager->first_queued;
    if (!node) {
        manager->counts.running--;
        return NULL;
    }
    manager->first_queued = node->next;
    if (!node->next)
        manager->last_queued = NULL;
    node->next = NULL;
    manager->counts.queued--;
    return child_of(node);
}

static void keep(at_task_manager *manager, ati_child *child) {
    if (manager->last_kept)
        manager->last_kept->newer = child;
    else
        manager->first_kept = child;
    manager->last_kept = child;
}

/* -- Ending -- */

/* An error that belongs to nobody else may be the first. Gives what the caller is to release. */
static at_error *note_error(at_task_manager *manager, at_error *error) {
    if (!manager->first_error) {
        manager->first_error = error;
        return NULL;
    }
    if (manager->other_count < ATI_OTHER_LIMIT) {
        manager->others[manager->other_count++] = error;
        return NULL;
    }
    manager->others_dropped++;
    return error;
}

static void count_ended(at_task_manager_counts *counts, at_status status) {
    if (status == AT_OK)
        counts->succeeded++;
    else if (status == AT_ERROR_CANCELLED)
        counts->cancelled++;
    else
        counts->failed++;
}

/* The last child has ended: nobody can start a further one from now on, if somebody waits. */
static ati_join_wait *take_joins(at_task_manager *manager) {
    ati_join_wait *joins = manager->joins;
    manager->joins = NULL;
    if (joins)
        manager->is_closed = true;
    return joins;
}

static void wake_all(ati_join_wait *joins) {
    while (joins) {
        ati_join_wait *next = joins->next;
        ati_waiter_wake(&joins->waiter);
        joins = next;
    }
}

/* A submitted child gives its outcome to its future; one that was cancelled meanwhile has dropped
 * the value. */
static void complete_future(ati_child *child) {
    ati_result result = {
        .value = child->value, .drop = child->drop, .error = at_error_retain(child->error)};
    child->drop = NULL;
    ati_future_mark_passed(child->future); /* the manager has the error too */
    ati_completions list = {0};
    bool was_first = ati_future_try_complete(child->future, &result, &list);
    ati_completions_run(&list);
    if (was_first || child->error)
        return;
    child->value = NULL;
    child->status = AT_ERROR_CANCELLED;
    child->error = ati_error_static(AT_ERROR_CANCELLED);
}

/* The child has ended, and its outcome is in it. Gives the one that takes its place, or NULL. */
static ati_child *end_child(ati_child *child) {
    at_task_manager *manager = child->manager;
    if (child->future)
        complete_future(child);
    at_status status = child->status;
    bool is_failure = status != AT_OK && status != AT_ERROR_CANCELLED;
    at_error *error = is_failure ? at_error_retain(child->error) : NULL;
    if (!manager->keeps_outcomes)
        ati_child_drop(child);
    ati_lock_acquire(&manager->lock);
    if (is_failure)
        error = note_error(manager, error);
    count_ended(&manager->counts, status);
    ati_child *next = pass_place_on(manager);
    ati_join_wait *joins = manager->counts.running == 0 ? take_joins(manager) : NULL;
    ati_lock_release(&manager->lock);
    at_error_release(error);
    wake_all(joins);
    return next;
}

/* -- Running -- */

/* The child goes on with another future, whose value becomes its own. */
static void *take_next(ati_frame *frame) {
    at_future *next = frame->next_future;
    frame->next_future = NULL;
    void *value = AT_FAILED;
    at_drop_fn drop = NULL;
    if (at_error_put_in_flight(at_future_wait(next, AT_FOREVER, NULL)) == AT_OK) {
        if (!ati_future_has_one_consumer(next))
            (void)at_fail(AT_ERROR_SHARED,
                          "a child of a task manager can only go on with a future of its own");
        else if (at_error_put_in_flight(at_future_take(next, &value, &drop)) == AT_OK)
            (void)at_return(value, drop);
    }
    at_future_release(next);
    return value;
}

/* The error says which child it has ended; one that others share, or that says so of another, is
 * left as it is. */
static at_error *name_item(const ati_child *child, at_error *error) {
    error = ati_error_of_item(error, (int64_t)child->index);
    ati_error_set_task(error, child->name ? child->name : ati_site_name(child->site), child->name,
                       child->site);
    return error;
}

static void call_function(ati_child *child, ati_frame *frame) {
    ATI_STOP_EXCEPTIONS;
    void *returned = child->run(child->argument);
    if (returned == ATI_CONTINUED)
        returned = take_next(frame);
    at_error *error = NULL;
    if (returned == AT_FAILED && child->name && frame->error)
        ati_error_set_task(frame->error, child->name, true, child->site);
    child->status = ati_task_outcome(frame, returned, child->site, &error);
    if (error)
        error = name_item(child, error);
    bool is_owned = returned && returned == frame->returned;
    child->error = error;
    child->value = error ? NULL : returned;
    child->drop = error || !is_owned ? NULL : frame->returned_drop;
}

static void leave_out(ati_child *child) {
    ATI_STOP_EXCEPTIONS;
    if (child->drop)
        child->drop(child->argument);
    child->status = AT_ERROR_CANCELLED;
    child->error = ati_error_static(AT_ERROR_CANCELLED);
    child->value = NULL;
    child->drop = NULL;
}

static at_task_manager_decision decide_by_policy(at_task_manager_policy policy, at_status status) {
    if (policy == AT_TASK_MANAGER_ANY)
        return status == AT_OK ? AT_TASK_MANAGER_SUCCEED : AT_TASK_MANAGER_GO_ON;
    bool is_failure = status != AT_OK && status != AT_ERROR_CANCELLED;
    return policy == AT_TASK_MANAGER_ALL && is_failure ? AT_TASK_MANAGER_FAIL
                                                       : AT_TASK_MANAGER_GO_ON;
}

static at_task_manager_decision call_decide(const ati_child *child) {
    ATI_STOP_EXCEPTIONS;
    const at_task_manager *manager = child->manager;
    at_outcome outcome = {.status = child->status, .value = child->value, .error = child->error};
    return manager->decide(&outcome, manager->decide_context);
}

/* The child has ended: what follows for the others. */
static void decide(const ati_child *child) {
    at_task_manager *manager = child->manager;
    at_task_manager_decision decision =
        manager->decide ? call_decide(child) : decide_by_policy(manager->policy, child->status);
    if (decision == AT_TASK_MANAGER_GO_ON)
        return;
    ati_lock_acquire(&manager->lock);
    if (manager->decision == AT_TASK_MANAGER_GO_ON)
        manager->decision = decision;
    ati_lock_release(&manager->lock);
    (void)ati_cancel(manager->context, AT_CANCEL_SIBLING);
}

static void run_child(ati_worker *worker, ati_child *child) {
    ati_context *context = child->context ? child->context : child->manager->context;
    bool is_cancelled = ati_is_cancelled(context);
    ati_task_run run;
    ati_task_begin(worker, &run, context, child->site, child->name);
    run.frame.identity = child->future;
    if (is_cancelled)
        leave_out(child);
    else
        call_function(child, &run.frame);
    decide(child);
    ati_task_end(worker, &run, child->status);
    if (worker->depth == 0)
        worker->quiet = ATI_QUIET_FIRST;
}

/* The pool takes no child any more: it has ended while they were queued. */
static ati_child *end_unrun(ati_child *child) {
    at_error *error = at_error_take();
    ati_call_drop(child->drop, child->argument);
    child->status = at_error_status(error);
    child->error = error;
    child->value = NULL;
    child->drop = NULL;
    return end_child(child);
}

/* A child that has taken a place begins. */
static void start_taken(ati_child *child) {
    while (child && ati_pool_start_nodes(child->manager->pool, &child->node, 1, true) != AT_OK)
        child = end_unrun(child);
}

static bool may_run_next(const ati_child *next, ati_lane lane, int in_a_row) {
    return in_a_row < next_limit && ati_work_lane(&next->node.work) == lane;
}

static void *run_queued_child(void *argument) {
    ati_worker *worker = ati_worker_current;
    ati_child *child = argument;
    ati_lane lane = ati_work_lane(&child->node.work);
    for (int in_a_row = 0;; in_a_row++) {
        run_child(worker, child);
        child = end_child(child);
        if (!child)
            return NULL;
        if (!may_run_next(child, lane, in_a_row))
            break;
        ati_counter_add(&worker->counts.accepted, 1); /* before it can end */
    }
    start_taken(child);
    return NULL;
}

/* -- Starting -- */

/* The pool has not taken it. Whether the manager still knows it. */
static bool take_back(at_task_manager *manager, ati_child *child) {
    ati_lock_acquire(&manager->lock);
    child->was_refused = true;
    manager->counts.started--;
    ati_child *next = pass_place_on(manager);
    ati_join_wait *joins = manager->counts.running == 0 ? take_joins(manager) : NULL;
    ati_lock_release(&manager->lock);
    wake_all(joins);
    if (next) {
        ati_frame_slot slot = ati_frame_put_slot_aside();
        start_taken(next);
        ati_frame_put_slot_back(slot);
    }
    return manager->keeps_outcomes;
}

at_status ati_child_start(ati_child *child, const char *call) {
    at_task_manager *manager = child->manager;
    if (manager->fork_count != ati_process_fork_count()) {
        ati_child_release(child);
        return ati_fail(AT_ERROR_FORKED, "%s: \"%s\" belongs to the parent of this forked process",
                        call, manager->context->name);
    }
    ati_lock_acquire(&manager->lock);
    if (manager->is_closed) {
        ati_lock_release(&manager->lock);
        ati_child_release(child);
        return ati_fail(AT_ERROR_CLOSED, "%s: \"%s\" is joined", call, manager->context->name);
    }
    child->index = manager->next_index++;
    manager->counts.started++;
    if (manager->keeps_outcomes)
        keep(manager, child);
    bool has_place = manager->counts.running < manager->max_concurrent;
    if (has_place)
        manager->counts.running++;
    else
        push_queued(manager, &child->node);
    ati_lock_release(&manager->lock);
    if (!has_place)
        return AT_OK;
    at_status status = ati_pool_start_nodes(manager->pool, &child->node, 1, false);
    if (status != AT_OK && !take_back(manager, child))
        ati_child_release(child);
    return status;
}

static at_status start(const char *site, at_task_manager *manager, const at_task_options *options,
                       const char *call) {
    ati_child *child = ati_child_create(site, manager, options);
    if (!child)
        return ati_fail(AT_ERROR_NO_MEMORY, "%s: out of memory", call);
    return ati_child_start(child, call);
}

at_status at_task_manager_start_at(const char *site, at_task_manager *manager, at_run_fn run,
                                   void *argument) {
    ATI_CALLER_CHECK(manager, "at_task_manager_start", "`manager` is NULL");
    ATI_CALLER_CHECK(run, "at_task_manager_start", "`run` is NULL");
    at_task_options options = {.run = run, .argument = argument};
    return start(site, manager, &options, "at_task_manager_start");
}

at_status at_task_manager_start_with_at(const char *site, at_task_manager *manager,
                                        const at_task_options *options) {
    static const char call[] = "at_task_manager_start_with";
    ATI_CALLER_CHECK(manager, call, "`manager` is NULL");
    ATI_CALLER_CHECK(options && options->run, call, "`run` is NULL");
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "%s: `reserved` is not zero", call);
    if (!ati_priority_is_valid(options->priority))
        return ati_fail(AT_ERROR_INVALID, "%s: priority: %d is none", call, (int)options->priority);
    return start(site, manager, options, call);
}
