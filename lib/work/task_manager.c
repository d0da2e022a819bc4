/* SPDX-License-Identifier: MIT */
/* Purpose: tasks that belong together. How they are started and run, and what becomes of the others
 * when one has ended; how they are waited for is in task_manager_join.c.
 *
 * A child is QUEUED -> TAKEN -> ENDED, or TAKEN -> REFUSED by the pool; a TAKEN one has a place,
 * which is in a queue of the pool, or run. There are max_concurrent places at most, and 48 bytes
 * for each child that is not TAKEN.
 *
 *   1. Children are written and taken in one order (children.c). A start gives its child a place if
 *      one is free, else leaves it queued. A child that ends passes its place on to the first that
 *      is queued; the place becomes free only under start_lock, where none can be queued meanwhile.
 *      So while one is queued all places are taken, and each queued child has one before it that
 *      will take it.
 *   2. The next child runs on the worker that has run the one before, at once or through the
 *      worker's deque: no other thread is woken for it. It goes through the deque at every fourth,
 *      which lets others have their turn.
 *   3. What a child was (run, argument) and what it has become (error, value) share their places:
 *      written by who runs it, and read by others after all have ended.
 *   4. The section in which the last place becomes free is the last access to the manager by a
 *      child; what its outcome needs to be dropped, if it is not kept, was done before.
 *   5. Starts and ends have a lock each, and lines of their own: a start that queues its child
 *      touches nothing that workers write, and they read `pushed` once for all that they see there.
 *      A place that finds none queued, after a few that were, lets some gather before it is free:
 *      else it would take that line from the producer for each.
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

enum {
    next_limit = 3,   /* children run one after the other without a way through the deque */
    linger_least = 4, /* children that a place was that of before it lingers */
};

static const char *name_of(const ati_child *child) {
    return child->extra ? child->extra->name : NULL;
}

static at_future *future_of(const ati_child *child) {
    return child->extra ? child->extra->future : NULL;
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

/* Under `lock`. Those that succeed are not counted: they are the rest. */
static void count_ended(at_task_manager *manager, at_status status) {
    if (status == AT_ERROR_CANCELLED)
        manager->cancelled++;
    else if (status != AT_OK)
        manager->failed++;
}

/* The last child has ended: nobody can start a further one from now on, if somebody waits. Under
 * start_lock. */
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
 * the value. The caller runs what `list` has then. */
static void complete_future(ati_child *child, at_future *future, ati_completions *list) {
    ati_result result = {
        .value = child->value, .drop = child->drop, .error = at_error_retain(child->error)};
    child->drop = NULL;
    ati_future_mark_passed(future); /* the manager has the error too */
    if (ati_future_try_complete(future, &result, list) || child->error)
        return;
    child->value = NULL;
    child->status = AT_ERROR_CANCELLED;
    child->error = ati_error_static(AT_ERROR_CANCELLED);
}

/* Under start_lock, when none is queued: the place waits for a start. Gives who waits for this. */
static ati_join_wait *free_place(ati_place *place) {
    at_task_manager *manager = place->manager;
    place->node.next = manager->free_places;
    manager->free_places = &place->node;
    manager->running--;
    return manager->running == 0 ? take_joins(manager) : NULL;
}

/* The place is that of the next child from now on, and was in `chunk` until now. */
static void arrive(ati_place *place, ati_child_chunk *chunk, ati_child_chunk *passed) {
    ati_chunk_let_go(place->manager, passed, 1);
    if (place->chunk != chunk && place->ended_here > 0) {
        ati_chunk_let_go(place->manager, chunk, place->ended_here);
        place->ended_here = 0;
    }
    place->in_a_row++;
}

/* False: none is queued. */
static bool take_next(ati_place *place, at_status ended_as) {
    at_task_manager *manager = place->manager;
    if (manager->max_concurrent == AT_UNLIMITED)
        return false;
    ati_child_chunk *chunk = place->chunk;
    ati_child_chunk *passed = NULL;
    ati_lock_acquire(&manager->lock);
    bool found = ati_children_take(manager, place, &passed);
    if (found)
        count_ended(manager, ended_as);
    ati_lock_release(&manager->lock);
    if (found)
        arrive(place, chunk, passed);
    return found;
}

/* False: one is queued. */
static bool leave_place(ati_place *place, at_status ended_as) {
    at_task_manager *manager = place->manager;
    ati_place_let_go(place);
    ati_lock_acquire(&manager->start_lock);
    bool none_queued = ati_children_none_queued(manager);
    ati_join_wait *joins = NULL;
    if (none_queued) {
        if (ended_as != AT_OK) {
            ati_lock_acquire(&manager->lock);
            count_ended(manager, ended_as);
            ati_lock_release(&manager->lock);
        }
        joins = free_place(place);
    }
    ati_lock_release(&manager->start_lock);
    wake_all(joins);
    return none_queued;
}

/* The child of the place has ended. True: the place is that of the next one. */
static bool move_on(ati_place *place, at_status ended_as) {
    ati_worker *worker = ati_worker_current; /* NULL: of a child that the pool has refused */
    int looks = worker && place->in_a_row >= linger_least ? ATI_LINGER_TIMES : 0;
    do {
        if (take_next(place, ended_as))
            return true;
    } while ((looks-- > 0 && ati_worker_linger(worker)) || !leave_place(place, ended_as));
    return false;
}

/* The child of the place has ended, and its outcome is in it. True: the place is that of the next
 * one. */
static bool end_child(ati_place *place) {
    at_task_manager *manager = place->manager;
    ati_child *child = place->child;
    at_status status = child->status;
    bool is_failure = status != AT_OK && status != AT_ERROR_CANCELLED;
    if (is_failure && !child->is_noted) {
        at_error *error = at_error_retain(child->error);
        ati_lock_acquire(&manager->lock);
        error = note_error(manager, error);
        ati_lock_release(&manager->lock);
        at_error_release(error);
    }
    if (!manager->keeps_outcomes)
        ati_child_drop(child);
    place->ended_here++;
    return move_on(place, status);
}

/* -- Running -- */

/* The child goes on with another future, whose value becomes its own. */
static void *await_next(ati_frame *frame) {
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
static at_error *name_item(const ati_place *place, at_error *error) {
    const ati_child *child = place->child;
    uint64_t index = place->chunk->first_index + (uint64_t)(child - place->chunk->children);
    const char *name = name_of(child);
    error = ati_error_of_item(error, (int64_t)index);
    ati_error_set_task(error, name ? name : ati_site_name(child->site), name, child->site);
    return error;
}

static void call_function(ati_place *place, ati_frame *frame) {
    ati_child *child = place->child;
    ATI_STOP_EXCEPTIONS;
    void *returned = child->run(child->argument);
    if (returned == ATI_CONTINUED)
        returned = await_next(frame);
    at_error *error = NULL;
    if (returned == AT_FAILED && name_of(child) && frame->error)
        ati_error_set_task(frame->error, name_of(child), true, child->site);
    child->status = ati_task_outcome(frame, returned, child->site, &error);
    if (error)
        error = name_item(place, error);
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

static at_task_manager_decision call_decide(const at_task_manager *manager,
                                            const ati_child *child) {
    ATI_STOP_EXCEPTIONS;
    at_outcome outcome = {.status = child->status, .value = child->value, .error = child->error};
    return manager->decide(&outcome, manager->decide_context);
}

/* The child has ended: what follows for the others. */
static void decide(at_task_manager *manager, ati_child *child) {
    at_task_manager_decision decision = manager->decide
                                            ? call_decide(manager, child)
                                            : decide_by_policy(manager->policy, child->status);
    if (decision == AT_TASK_MANAGER_GO_ON)
        return;
    /* The others fail on account of this one: its error comes first. */
    bool is_failure = child->status != AT_OK && child->status != AT_ERROR_CANCELLED;
    ati_lock_acquire(&manager->lock);
    if (manager->decision == AT_TASK_MANAGER_GO_ON)
        manager->decision = decision;
    if (is_failure && !manager->first_error) {
        manager->first_error = at_error_retain(child->error);
        child->is_noted = true;
    }
    ati_lock_release(&manager->lock);
    (void)ati_cancel(manager->context, AT_CANCEL_SIBLING);
}

/* What follows from how the child has ended. Others may take the value out of a future that is
 * done, so that comes last; unless it was cancelled meanwhile: then the value decides nothing. */
static void settle(at_task_manager *manager, ati_child *child, ati_completions *list) {
    at_future *future = future_of(child);
    bool is_done = future && ati_phase_is_done(ati_future_phase(future));
    if (is_done)
        complete_future(child, future, list);
    decide(manager, child);
    if (future && !is_done)
        complete_future(child, future, list);
}

/* What the child runs under. */
static ati_context *context_of(const at_task_manager *manager, const ati_child *child) {
    return child->extra && child->extra->context ? child->extra->context : manager->context;
}

/* Its outcome may be kept for long, and keeps nothing of the operation. */
static void leave_context(const ati_child *child) {
    if (!child->extra)
        return;
    ati_context_release(child->extra->context);
    child->extra->context = NULL;
}

static void run_child(ati_worker *worker, ati_place *place) {
    at_task_manager *manager = place->manager;
    ati_child *child = place->child;
    at_future *future = future_of(child);
    bool is_cancelled = ati_is_cancelled(manager->context);
    ati_stop_run run;
    ati_context *context = context_of(manager, child);
    ati_task_begin(worker, &run.task, context, child->site, name_of(child));
    run.task.frame.identity = future;
    if (is_cancelled || (future && !ati_stop_enter(&child->extra->stop, &run)))
        leave_out(child);
    else
        call_function(place, &run.task.frame);
    if (future) {
        run.task.frame.own_context = NULL;
        run.task.frame.context = context;
        ati_stop_leave(&child->extra->stop);
    }
    ati_completions list = {0};
    settle(manager, child, &list);
    ati_task_end(worker, &run.task, child->status);
    leave_context(child);
    if (worker->depth == 0)
        worker->quiet = ATI_QUIET_FIRST;
    if (future)
        ati_completions_run(&list);
}

/* The pool takes no child any more: it has ended while they were queued. */
static bool end_unrun(ati_place *place) {
    ati_child *child = place->child;
    at_error *error = at_error_take();
    ati_call_drop(child->drop, child->argument);
    child->status = at_error_status(error);
    child->error = error;
    child->value = NULL;
    child->drop = NULL;
    ati_completions list = {0};
    settle(place->manager, child, &list);
    ati_completions_run(&list);
    return end_child(place);
}

/* The child that has taken the place begins. */
static void start_taken(ati_place *place) {
    while (ati_pool_start_nodes(place->manager->pool, &place->node, 1, true) != AT_OK)
        if (!end_unrun(place))
            return;
}

static void *run_place(void *argument) {
    ati_worker *worker = ati_worker_current;
    ati_place *place = argument;
    ati_lane lane = ati_work_lane(&place->node.work);
    for (int in_a_row = 0;; in_a_row++) {
        run_child(worker, place);
        if (!end_child(place))
            return NULL;
        if (in_a_row == next_limit || ati_work_lane(&place->node.work) != lane)
            break;
        ati_counter_add(&worker->counts.accepted, 1); /* before it can end */
    }
    start_taken(place);
    return NULL;
}

/* -- Starting -- */

/* The pool has not taken the child of this place. */
static void take_back(ati_place *place) {
    at_task_manager *manager = place->manager;
    ati_child_chunk *chunk = place->chunk;
    ati_child_chunk *passed = NULL;
    ati_join_wait *joins = NULL;
    ati_child_extra_release(place->child->extra);
    ati_lock_acquire(&manager->start_lock);
    ati_lock_acquire(&manager->lock);
    if (!ati_children_take_back(manager, place)) {
        place->child->was_refused = true;
        place->ended_here++;
        manager->refused++;
    }
    bool goes_on = ati_children_take(manager, place, &passed);
    ati_lock_release(&manager->lock);
    if (!goes_on) {
        ati_place_let_go(place);
        joins = free_place(place);
    }
    ati_lock_release(&manager->start_lock);
    wake_all(joins);
    if (!goes_on)
        return;
    arrive(place, chunk, passed);
    ati_frame_slot slot = ati_frame_put_slot_aside();
    start_taken(place);
    ati_frame_put_slot_back(slot);
}

/* What a start has allocated, because it may need it; and what it has to let go. */
typedef struct reserve {
    ati_child_chunk *chunk;
    ati_place *place;
    ati_child_chunk *passed[2];
} reserve;

/* Takes start_lock, with what the start needs in it or in `has`. Other than AT_OK: not taken. */
static at_status begin_start(at_task_manager *manager, reserve *has) {
    for (;;) {
        ati_lock_acquire(&manager->start_lock);
        bool is_closed = manager->is_closed;
        bool needs_chunk = !has->chunk && !ati_children_have_room(manager);
        bool needs_place =
            !has->place && !manager->free_places && manager->running < manager->max_concurrent;
        if (!is_closed && !needs_chunk && !needs_place)
            return AT_OK;
        ati_lock_release(&manager->start_lock);
        if (is_closed)
            return AT_ERROR_CLOSED;
        if (needs_chunk)
            has->chunk = ati_chunk_take_spare(manager);
        if (needs_chunk && !has->chunk && !(has->chunk = ati_allocate(sizeof *has->chunk)))
            return AT_ERROR_NO_MEMORY;
        if (needs_place) {
            has->place = ati_block_allocate();
            if (!has->place)
                return AT_ERROR_NO_MEMORY;
            *has->place = (ati_place){.node.work = {.run = run_place, .argument = has->place},
                                      .manager = manager};
        }
    }
}

static ati_place *take_free_place(at_task_manager *manager, reserve *has) {
    ati_task_node *node = manager->free_places;
    if (node) {
        manager->free_places = node->next;
        return (ati_place *)((char *)node - offsetof(ati_place, node));
    }
    ati_place *place = has->place;
    has->place = NULL;
    return place;
}

/* Under start_lock. Gives the place that the child has taken, or NULL: it is queued. */
static ati_place *queue_child(at_task_manager *manager, const ati_child *child, reserve *has) {
    if (!ati_children_have_room(manager)) {
        has->passed[0] = ati_children_add_chunk(manager, has->chunk);
        has->chunk = NULL;
    }
    if (manager->running == manager->max_concurrent) {
        ati_children_push(manager, child);
        return NULL;
    }
    manager->running++;
    ati_place *place = take_free_place(manager, has);
    place->in_a_row = 0;
    has->passed[1] = ati_children_push_taken(manager, child, place);
    return place;
}

/* Gives back what was not needed. */
static void end_start(at_task_manager *manager, const reserve *has) {
    for (int i = 0; i < 2; i++)
        ati_chunk_let_go(manager, has->passed[i], 1);
    if (has->place)
        ati_block_release(has->place);
    ati_release(has->chunk, sizeof *has->chunk);
}

static at_status refuse(const at_task_manager *manager, at_status status, const char *call) {
    const char *why = status == AT_ERROR_CLOSED   ? "is joined"
                      : status == AT_ERROR_FORKED ? "belongs to the parent of this forked process"
                                                  : "has no memory for one more";
    return ati_fail(status, "%s: \"%s\" %s", call, manager->context->name, why);
}

/* Takes start_lock. The pool is asked also for a child that is queued here first: it passes the
 * pool's end later. */
static at_status admit(at_task_manager *manager, reserve *has, const char *call) {
    if (manager->fork_count != ati_process_fork_count())
        return refuse(manager, AT_ERROR_FORKED, call);
    at_status status = ati_pool_check_open(manager->pool);
    if (status != AT_OK)
        return status;
    status = begin_start(manager, has);
    return status == AT_OK ? AT_OK : refuse(manager, status, call);
}

at_status ati_child_start(at_task_manager *manager, const ati_child *child, const char *call) {
    reserve has = {0};
    ati_place *place = NULL;
    at_status status = admit(manager, &has, call);
    if (status == AT_OK) {
        place = queue_child(manager, child, &has);
        ati_lock_release(&manager->start_lock);
    } else {
        ati_child_extra_release(child->extra);
    }
    end_start(manager, &has);
    if (!place)
        return status;
    status = ati_pool_start_nodes(manager->pool, &place->node, 1, false);
    if (status != AT_OK)
        take_back(place);
    return status;
}

static at_status start(const char *site, at_task_manager *manager, const at_task_options *options,
                       const char *call) {
    ati_child child = ati_child_of(site, options);
    if (!ati_child_extra_create(manager, options->name, false, &child.extra))
        return ati_fail(AT_ERROR_NO_MEMORY, "%s: out of memory", call);
    return ati_child_start(manager, &child, call);
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
    if (options->is_detached)
        return ati_fail(AT_ERROR_INVALID, "%s: is_detached: a child belongs to its manager", call);
    if (!ati_priority_is_valid(options->priority))
        return ati_fail(AT_ERROR_INVALID, "%s: priority: %d is none", call, (int)options->priority);
    return start(site, manager, options, call);
}
