/* SPDX-License-Identifier: MIT */
/* How the task of a future, or the function of a continuation, is started and run. */
#include "base/check.h"
#include "base/error.h"
#include "base/frame.h"
#include "future/future.h"
#include "pool/cancel.h"
#include "pool/exception.h"
#include "pool/pool.h"
#include "pool/shield.h"

enum { next_limit = 3 }; /* continuations run one after the other without a way through the deque */

const char *ati_future_task_name(const at_future *future) {
    return *future->name ? future->name : ati_site_name(future->site);
}

void ati_call_drop(at_drop_fn drop, void *value) {
    if (!drop)
        return;
    ati_task_run run;
    ati_task_begin(NULL, &run, NULL, AT_SITE("a drop function"), NULL);
    run.frame.keeps_thread = true; /* others may be freed after it, in the same loop */
    ATI_STOP_EXCEPTIONS;
    drop(value);
    ati_task_end(NULL, &run, AT_OK);
}

void ati_future_drop_argument(at_future *future) {
    at_drop_fn drop = future->argument_drop;
    future->argument_drop = NULL;
    ati_call_drop(drop, future->argument);
}

bool ati_future_claim(at_future *future, uint32_t set) {
    uint32_t state = atomic_load_explicit(&future->state, memory_order_relaxed);
    while ((state & ATI_PHASE_MASK) == ATI_PHASE_QUEUED) {
        uint32_t running = (state & ~(uint32_t)ATI_PHASE_MASK) | ATI_PHASE_RUNNING | set;
        /* ORDER future.claim: acquire. Sees what it is to run.
         * Pairs with: release in ati_future_leave_waiting(). If relaxed: a waiter that claims the
         * task reads an unwritten function. */
        if (atomic_compare_exchange_weak_explicit(&future->state, &state, running,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    }
    return false;
}

/* The worker that counts the task: none if it runs inline, or in a loop, on whatever thread. */
static ati_worker *worker_of(const at_future *future) {
    ati_worker *worker = ati_worker_current;
    return worker && future->executor->pool == worker->pool ? worker : NULL;
}

/* It is queued in the pool itself, not behind others in an executor on top of it. */
static bool is_in_pool(const at_future *future) {
    const at_pool *pool = future->executor->pool;
    return pool && future->executor == &pool->executor;
}

static void *run_queued(void *argument);

void ati_future_leave_queue(at_future *future) {
    ati_worker *worker = ati_worker_current;
    if (ati_worker_take_back(worker, run_queued, future))
        ati_future_release_inside(future);
    else
        ati_counter_add(&worker->counts.claimed, 1);
}

static at_future *future_of(ati_task_node *node) {
    return (at_future *)((char *)node - offsetof(at_future, node));
}

at_future *ati_future_of_work(const ati_work *work) {
    return work->run == run_queued ? work->argument : NULL;
}

static void prepare_node(at_future *future) {
    future->node.next = NULL;
    future->node.work = (ati_work){
        .run = run_queued,
        .argument = future,
        .context = ati_context_in_lane(NULL, future->lane),
    };
}

static at_status start_list(at_executor *executor, ati_task_node *nodes, size_t count,
                            bool is_continuation) {
    at_pool *pool = executor->pool;
    if (pool && executor == &pool->executor)
        return ati_pool_start_nodes(pool, nodes, count, is_continuation);
    return executor->start(executor, nodes, count, is_continuation);
}

/* Starts nodes of one kind on their executor; gives the error if that refuses. The slot of the
 * current task or thread stays as it is: the refusal belongs to the futures. */
static at_error *start_nodes(at_executor *executor, ati_task_node *nodes, size_t count,
                             bool is_continuation) {
    ati_frame_slot outer = ati_frame_put_slot_aside();
    at_status status = start_list(executor, nodes, count, is_continuation);
    at_error *error = NULL;
    if (status != AT_OK)
        error = at_error_last() ? at_error_take() : ati_error_static(status);
    ati_frame_put_slot_back(outer);
    if (error && count == 1)
        ati_error_set_task(error, ati_future_task_name(future_of(nodes)), true,
                           future_of(nodes)->site);
    return error;
}

/* The future will not run: it fails. */
static void fail_start(at_future *future, at_error *error, ati_completions *list) {
    if (!ati_future_claim(future, 0)) { /* a waiter was faster, and runs it, or it is cancelled */
        if (is_in_pool(future))
            ati_pool_count_claimed_unqueued(future->executor->pool);
        at_error_release(error);
        ati_future_release_inside(future);
        return;
    }
    ati_future_drop_argument(future);
    at_future *source = future->source;
    ati_future_complete(future, &(ati_result){.error = error}, list);
    at_future_release(source);
    ati_future_release_inside(future);
}

static void start_alone(at_future *future) {
    prepare_node(future);
    at_error *error = start_nodes(future->executor, &future->node, 1, false);
    if (!error)
        return;
    ati_completions list = {0};
    fail_start(future, error, &list);
    ati_completions_run(&list);
}

void ati_future_start_tasks(at_future *const *futures, size_t count) {
    if (count > 1) {
        for (size_t i = 0; i < count; i++) {
            prepare_node(futures[i]);
            futures[i]->node.next = i + 1 < count ? &futures[i + 1]->node : NULL;
        }
        at_error *error = start_nodes(futures[0]->executor, &futures[0]->node, count, false);
        if (!error)
            return;
        at_error_release(error);
    }
    /* Each stands for itself: some may find room where all did not. */
    for (size_t i = 0; i < count; i++)
        start_alone(futures[i]);
}

bool ati_future_start(at_future *future, ati_completions *list) {
    if (ati_future_leave_waiting(future, ATI_PHASE_QUEUED) == ATI_LEAVING_LATE)
        return false;
    prepare_node(future); /* who claims it now finds it in no queue yet, and leaves it there */
    if (list->start_last)
        list->start_last->next = &future->node;
    else
        list->start_first = &future->node;
    list->start_last = &future->node;
    return true;
}

/* Takes the nodes off `list` that run on the executor of its first and with its priority, in their
 * order. */
static size_t split_off(ati_completions *list, ati_task_node **nodes) {
    const at_future *first = future_of(list->start_first);
    ati_task_node **taken_end = nodes;
    ati_task_node **left_end = &list->start_first;
    ati_task_node *left_last = NULL;
    size_t count = 0;
    for (ati_task_node *node = list->start_first; node; node = node->next) {
        const at_future *future = future_of(node);
        if (future->executor == first->executor && future->lane == first->lane) {
            *taken_end = node;
            taken_end = &node->next;
            count++;
        } else {
            *left_end = node;
            left_end = &node->next;
            left_last = node;
        }
    }
    *taken_end = NULL;
    *left_end = NULL;
    list->start_last = left_last;
    return count;
}

void ati_completions_start(ati_completions *list) {
    while (list->start_first) {
        ati_task_node *nodes;
        size_t count = split_off(list, &nodes);
        at_error *error = start_nodes(future_of(nodes)->executor, nodes, count, true);
        while (error && nodes) {
            at_future *future = future_of(nodes);
            nodes = nodes->next;
            fail_start(future, at_error_retain(error), list);
        }
        at_error_release(error);
    }
}

static void *call_function(at_future *future) {
    at_outcome outcome;
    ATI_STOP_EXCEPTIONS;
    switch (future->kind) {
    case ATI_FUTURE_THEN:
        return future->run.then(ati_future_value(future->source), future->argument);
    case ATI_FUTURE_RECOVER:
        ati_future_mark_read(future->source);
        return future->run.recover(future->source->error, future->argument);
    case ATI_FUTURE_FINALLY:
        ati_future_mark_read(future->source);
        outcome = ati_future_outcome(future->source);
        future->run.finally(&outcome, future->argument);
        return NULL;
    default:
        return future->run.task(future->argument);
    }
}

/* Takes the result of the function out of its frame. */
static at_status take_result(at_future *future, ati_frame *frame, void *returned,
                             ati_result *result) {
    if (returned == AT_FAILED && frame->error && *future->name)
        ati_error_set_task(frame->error, future->name, true, future->site);
    at_status status = ati_task_outcome(frame, returned, future->site, &result->error);
    if (status != AT_OK)
        return status;
    if (future->kind == ATI_FUTURE_FINALLY) {
        *result = ati_result_of(future->source);
        return status;
    }
    result->value = returned;
    if (returned && returned == frame->returned)
        result->drop = frame->returned_drop;
    return status;
}

/* Completes the future and what follows from it; only then the source goes, because dropping its
 * value may take long. */
static void finish(at_future *future, const ati_result *result) {
    at_future *source = future->source;
    ati_completions list = {0};
    ati_future_complete(future, result, &list);
    ati_completions_run(&list);
    at_future_release(source);
}

/* The same for a future that is alone with a continuation, with fewer locked instructions, and the
 * reference held inside is given up. Gives the continuation if it is to be run at once, as if it
 * had come through the deque: nothing of the user's may run in between, because nobody can steal
 * it. */
static at_future *finish_alone(at_future *future, const ati_result *result, ati_worker *worker,
                               bool may_run_next) {
    at_future *source = future->source;
    bool source_has_drop = source && (source->drop || source->owner);
    ati_registration *only = future->last;
    ati_future_complete_alone(future, result);
    at_future *next = NULL;
    ati_completions list = {0};
    if (may_run_next && !source_has_drop)
        next = ati_continuation_claim(only, future);
    if (next)
        ati_counter_add(&worker->counts.accepted, 1); /* before it can end */
    else
        only->fire(only, future, &list);
    ati_completions_run(&list);
    at_future_release(source);
    return next;
}

/* Who cancels the future may be looking at what it goes on with. */
static void leave_forward(at_future *future) {
    (void)ati_future_lock(future);
    ati_future_unlock(future, ATI_STATE_FORWARD, 0);
}

void ati_fire_forward(ati_registration *registration, at_future *source, ati_completions *list) {
    at_future *future = (at_future *)((char *)registration - offsetof(at_future, forward));
    leave_forward(future);
    ati_result result = ati_result_of(source);
    ati_future_complete(future, &result, list);
    at_future_release(source); /* the reference of `future` */
    ati_future_release_inside(future);
}

static bool is_asked(const at_future *future) {
    return atomic_load_explicit(&((at_future *)future)->state, memory_order_relaxed) &
           ATI_STATE_ASKED;
}

/* The future goes on with the outcome of `next`, which it takes. */
static void continue_with(at_future *future, at_future *next) {
    ati_completions list = {0};
    int looks_left = ATI_LOOK_LIMIT;
    if (ati_future_waits_for(next, future, &looks_left)) {
        at_error *error =
            ati_error_create(future->site, NULL, AT_ERROR_DEADLOCK,
                             "a task cannot continue with its own future or what waits for it");
        at_future_release(next);
        finish(future, &(ati_result){.error = error});
        return;
    }
    at_future_release(future->source);
    future->source = next;
    future->forward = (ati_registration){.fire = ati_fire_forward};
    ati_future_retain_inside(future); /* for the list of `next` */
    ati_future_retain_inside(future); /* for this call */
    (void)ati_future_lock(future);
    ati_future_unlock(future, 0, ATI_STATE_FORWARD);
    ati_future_attach(next, &future->forward, &list);
    ati_completions_run(&list);
    if (is_asked(future)) /* before it was in the list of `next` */
        at_future_cancel(future);
    ati_future_release_inside(future);
}

/* A function that cleans up, or is there for cancellations: it runs also when its operation is
 * cancelled, and is shielded then and from then on. It is not cancelled alone. */
static bool cleans_up(const at_future *future) {
    return future->kind == ATI_FUTURE_FINALLY || future->runs_on_cancelled;
}

/* Puts such a function under an operation of its own; without memory, it stays under the other. */
static ati_shield *begin_shield(const at_future *future, ati_frame *frame) {
    if (!future->context || !cleans_up(future))
        return NULL;
    ati_shield *shield = ati_shield_begin(future->context);
    if (shield)
        frame->context = ati_shield_context(shield);
    return shield;
}

static void end_shield(const at_future *future, ati_frame *frame, ati_shield *shield) {
    if (!shield)
        return;
    frame->context = future->context;
    ati_shield_end(shield);
}

/* Its operation is cancelled: it does not run. */
static void leave_out(at_future *future, ati_worker *worker, ati_task_run *run,
                      ati_result *result) {
    ati_future_drop_argument(future);
    result->error = ati_error_static(AT_ERROR_CANCELLED);
    ati_task_end(worker, run, AT_ERROR_CANCELLED);
}

/* Calls the function of a claimed future. Gives the future that it goes on with, or NULL, and the
 * result is there. */
static at_future *run_function(at_future *future, ati_worker *worker, ati_result *result) {
    ati_context *context = future->context;
    ati_task_run run;
    ati_task_begin(worker, &run, context, future->site, future->name);
    run.frame.identity = future;
    run.frame.may_not_wait |= !worker;
    ati_shield *shield = begin_shield(future, &run.frame);
    if (!cleans_up(future)) {
        if (context && ati_is_cancelled(context)) {
            leave_out(future, worker, &run, result);
            return NULL;
        }
        if (worker)
            ati_future_prepare_cancel(&run.frame);
    }
    if (future->kind == ATI_FUTURE_THEN)
        run.frame.taken_from = future->source;
    void *returned = call_function(future);
    if (future->kind == ATI_FUTURE_TASK)
        future->argument_drop = NULL; /* `run` owns what it was given */
    else
        ati_future_drop_argument(future);
    at_future *next = NULL;
    at_status status = AT_OK;
    if (returned == ATI_CONTINUED) {
        next = run.frame.next_future;
        run.frame.next_future = NULL;
    } else {
        status = take_result(future, &run.frame, returned, result);
    }
    end_shield(future, &run.frame, shield);
    ati_task_end(worker, &run, status);
    if (worker && worker->depth == 0)
        worker->quiet = ATI_QUIET_FIRST;
    return next;
}

void ati_future_run(at_future *future) {
    ati_result result = {0};
    at_future *next = run_function(future, worker_of(future), &result);
    if (next)
        continue_with(future, next);
    else
        finish(future, &result);
}

/* Met in a queue, but claimed. What was claimed in a pool's queue was counted then; elsewhere
 * nobody claims but who cancels, and it counts now. */
static void leave_tombstone(at_future *future, ati_worker *worker) {
    if (worker && is_in_pool(future)) {
        ati_counter_add(&worker->counts.tombstones, 1);
    } else if (worker) {
        ati_counter_add_after(&worker->counts.begun, 1);
        ati_counter_add_after(&worker->counts.cancelled, 1);
    }
    ati_future_release_inside(future);
}

/* What the queue runs: the task, unless a waiter has claimed it, and what is to follow at once,
 * where it passes nobody by. */
static void *run_queued(void *argument) {
    at_future *future = argument;
    ati_worker *worker = worker_of(future);
    if (!ati_future_claim(future, 0)) {
        leave_tombstone(future, worker);
        return NULL;
    }
    bool may_run_next = worker && is_in_pool(future);
    for (int in_a_row = 0; future; in_a_row++) {
        ati_result result = {0};
        at_future *next = run_function(future, worker, &result);
        if (!next && ati_future_is_alone(future)) {
            future = finish_alone(future, &result, worker, may_run_next && in_a_row < next_limit);
            continue;
        }
        if (next)
            continue_with(future, next);
        else
            finish(future, &result);
        ati_future_release_inside(future);
        return NULL;
    }
    return NULL;
}
