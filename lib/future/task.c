/* SPDX-License-Identifier: MIT */
/* How the task of a future, or the function of a continuation, is started and run. */
#include "base/check.h"
#include "base/error.h"
#include "base/frame.h"
#include "future/future.h"
#include "pool/worker.h"

const char *ati_future_task_name(const at_future *future) {
    return *future->name ? future->name : ati_site_name(future->site);
}

void ati_call_drop(at_drop_fn drop, void *value) {
    if (ati_worker_current)
        ati_worker_announce(ati_worker_current);
    drop(value);
}

void ati_future_drop_argument(at_future *future) {
    at_drop_fn drop = future->argument_drop;
    future->argument_drop = NULL;
    if (drop)
        ati_call_drop(drop, future->argument);
}

void ati_future_drop_source(at_future *future) {
    at_future *source = future->source;
    future->source = NULL;
    at_future_release(source);
}

bool ati_future_claim(at_future *future) {
    uint32_t state = atomic_load_explicit(&future->state, memory_order_relaxed);
    while ((state & ATI_PHASE_MASK) == ATI_PHASE_QUEUED) {
        uint32_t running = (state & ~(uint32_t)ATI_PHASE_MASK) | ATI_PHASE_RUNNING;
        /* ORDER future.claim: acquire. Sees what it is to run.
         * Pairs with: release in ati_future_start(). If relaxed: a waiter that claims the task
         * reads an unwritten function. */
        if (atomic_compare_exchange_weak_explicit(&future->state, &state, running,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    }
    return false;
}

/* The worker that counts the task: none if it runs inline, on whatever thread. */
static ati_worker *worker_of(const at_future *future) {
    ati_worker *worker = ati_worker_current;
    return worker && future->executor == at_pool_executor(worker->pool) ? worker : NULL;
}

/* What the queue runs: the task, unless a waiter has claimed it. */
static void *run_queued(void *argument) {
    at_future *future = argument;
    ati_worker *worker = worker_of(future);
    if (ati_future_claim(future)) {
        ati_future_run(future);
    } else if (worker) {
        ati_counter_add(&worker->counts.tombstones, 1);
    }
    at_future_release(future);
    return NULL;
}

/* Starts the node on its executor; gives the error if that refuses. The slot of the current task or
 * thread stays as it is: the refusal belongs to the future. */
static at_error *start_node(at_future *future) {
    ati_frame frame = {0};
    ati_frame_enter(&frame);
    at_status status = future->executor->start(future->executor, &future->node);
    at_error *error = NULL;
    if (status != AT_OK)
        error = frame.error ? at_error_take() : ati_error_static(status);
    ati_frame_leave(&frame);
    return error;
}

void ati_future_start(at_future *future, ati_completions *list) {
    future->node.work = (ati_work){.run = run_queued, .argument = future};
    if (atomic_load_explicit(&future->state, memory_order_relaxed) != ATI_PHASE_QUEUED)
        /* ORDER future.claim: release. Publishes what is to be run.
         * Pairs with: acquire in ati_future_claim(). If relaxed: a waiter that claims the task
         * reads an unwritten function. */
        atomic_fetch_or_explicit(&future->state, ATI_PHASE_QUEUED, memory_order_release);
    at_error *error = start_node(future);
    if (!error)
        return;
    ati_future_drop_argument(future);
    ati_future_complete(future, &(ati_result){.error = error}, list);
    ati_future_drop_source(future);
    at_future_release(future);
}

static void *call_function(at_future *future) {
    at_outcome outcome;
    switch (future->kind) {
    case ATI_FUTURE_THEN:
        return future->run.then(future->source->value, future->argument);
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
    ati_completions list = {0};
    ati_future_complete(future, result, &list);
    ati_completions_run(&list);
    ati_future_drop_source(future);
}

static void fire_forward(ati_registration *registration, at_future *source, ati_completions *list) {
    at_future *future = (at_future *)((char *)registration - offsetof(at_future, registration));
    ati_result result = ati_result_of(source);
    ati_future_complete(future, &result, list);
    ati_future_drop_source(future);
    at_future_release(future);
}

/* The future goes on with the outcome of `next`, which it takes. */
static void continue_with(at_future *future, at_future *next) {
    ati_completions list = {0};
    if (next == future) {
        at_error *error = ati_error_create(future->site, NULL, AT_ERROR_DEADLOCK,
                                           "a task cannot continue with its own future");
        at_future_release(next);
        finish(future, &(ati_result){.error = error});
        return;
    }
    ati_future_drop_source(future);
    future->source = next;
    future->registration.fire = fire_forward;
    at_future_retain(future); /* for the list of `next` */
    ati_future_attach(next, &future->registration, &list);
    ati_completions_run(&list);
}

void ati_future_run(at_future *future) {
    ati_worker *worker = worker_of(future);
    ati_task_run run;
    ati_task_begin(worker, &run, future->context);
    run.frame.identity = future;
    if (future->kind == ATI_FUTURE_THEN)
        run.frame.taken_from = future->source;
    void *returned = call_function(future);
    if (future->kind == ATI_FUTURE_TASK)
        future->argument_drop = NULL; /* `run` owns what it was given */
    else
        ati_future_drop_argument(future);
    ati_result result = {0};
    at_future *next = NULL;
    at_status status = AT_OK;
    if (returned == ATI_CONTINUED) {
        next = run.frame.next_future;
        run.frame.next_future = NULL;
    } else {
        status = take_result(future, &run.frame, returned, &result);
    }
    ati_task_end(worker, &run, status);
    if (worker && worker->depth == 0)
        worker->quiet = ATI_QUIET_FIRST;
    if (next)
        continue_with(future, next);
    else
        finish(future, &result);
}
