/* SPDX-License-Identifier: MIT */
/* Purpose: to stop what nobody wants any more. A future that is cancelled takes its interest in its
 * source away; a source in which nobody is interested any more is cancelled in its turn, and so on.
 * The others are in base/context.c (how it spreads over what a task has started) and pool/cancel.c
 * (who is told).
 *
 * What becomes of a future that is cancelled:
 *   done             nothing.
 *   queued           claimed, as by a waiter, and completed as cancelled: it never runs.
 *   running          asked (ATI_STATE_ASKED); the operation of its own, if it has one, is
 *                    cancelled; what the task returns in the end counts. One that goes on with
 *                    another future is completed.
 *   then, recover    claimed while it waits, and completed.
 *   finally          runs in any case, so it goes on waiting; its source may end.
 *   promise          completed.
 *   all, any, ...    completed, if nothing else has been decided.
 *
 * The way down, from a future to its source, is against the direction of everything else here. A
 * pending future keeps its source, and it cannot leave its phase while it is locked, so the source
 * is there as long as the lock is held; before the lock is released the source is kept by a
 * reference. One case needs care: a source that is ALONE with its continuation is completed by
 * plain stores (completion.c, invariant 5), by whoever runs it. So one that is ALONE and runs is
 * not touched but for one bit, which those stores may take away again: then it is done. One that is
 * ALONE and waits or is queued is locked first: who is to run it sees that it is not ALONE any
 * more, by the lock or by the reference.
 *
 * The registration of a claimed continuation may stay in the list of its source, or be on its way:
 * who fires it finds it gone (ati_future_leave_waiting), and gives back what belonged to it.
 *
 * Checked by: tests/unit/future_cancel_test.c, tests/stress/future_cancel_test.c. */
#include "pool/cancel.h"
#include "base/check.h"
#include "base/error.h"
#include "future/future.h"
#include "pool/pool.h"

static ati_result cancelled_result(void) {
    return (ati_result){.error = ati_error_static(AT_ERROR_CANCELLED)};
}

/* The caller has claimed it. */
static void complete_cancelled(at_future *future) {
    ati_result result = cancelled_result();
    ati_completions list = {0};
    ati_future_complete(future, &result, &list);
    ati_completions_run(&list);
}

/* -- The task -- */

/* Who runs it looks at the operation of its own, so it gets one. */
static void make_own_context(ati_frame *frame, bool is_needed) {
    at_future *future = (at_future *)frame->identity;
    if (!is_needed &&
        !(atomic_load_explicit(&future->state, memory_order_relaxed) & ATI_STATE_ASKED))
        return;
    frame->own_context = NULL;
    ati_context *own =
        ati_context_create(frame->context, ati_future_task_name(future), AT_FOREVER, NULL, 0);
    if (!own)
        return;
    uint32_t state = ati_future_lock(future);
    ati_context *before = future->context;
    future->context = own;
    ati_future_unlock(future, ATI_STATE_OWN);
    frame->context = own;
    ati_context_release(before);
    if (state & ATI_STATE_ASKED)
        (void)ati_cancel(own, AT_CANCEL_EXPLICIT);
}

void ati_future_prepare_cancel(ati_frame *frame) {
    frame->own_context = make_own_context;
}

/* A pool that may run the task, or NULL. */
static void poke(const at_future *future) {
    at_pool *pool = future->executor->pool;
    if (pool)
        ati_pool_poke(pool);
}

/* Asks the task that runs; unlocks the future. */
static void ask(at_future *future, uint32_t state) {
    ati_context *own = state & ATI_STATE_OWN ? future->context : NULL;
    ati_context_retain(own);
    ati_future_unlock(future, ATI_STATE_ASKED);
    if (own)
        (void)ati_cancel(own, AT_CANCEL_EXPLICIT);
    else
        poke(future);
    ati_context_release(own);
}

/* It was queued, and is claimed. */
static void complete_unrun(at_future *future) {
    at_future *source = future->source;
    ati_future_drop_argument(future);
    at_pool *pool = future->executor->pool;
    if (pool && future->executor == &pool->executor)
        ati_pool_count_cancelled(pool);
    complete_cancelled(future);
    at_future_release(source);
}

/* -- The source -- */

/* A source whose consumer is locked, and which therefore is there: keeps it by a reference held
 * inside. False: it is done, or it is ALONE and runs, and has been asked. */
static bool keep_source(at_future *source) {
    for (;;) {
        uint32_t state = atomic_load_explicit(&source->state, memory_order_relaxed);
        uint32_t phase = state & ATI_PHASE_MASK;
        if (ati_phase_is_done(phase))
            return false;
        if (!(state & ATI_STATE_ALONE)) {
            ati_future_retain_inside(source);
            return true;
        }
        if (phase == ATI_PHASE_RUNNING) {
            atomic_fetch_or_explicit(&source->state, ATI_STATE_ASKED, memory_order_relaxed);
            poke(source);
            return false;
        }
        if (ati_future_try_lock(source, state)) {
            ati_future_retain_inside(source);
            ati_future_unlock(source, 0); /* and it is not ALONE any more */
            return true;
        }
    }
}

/* -- One future, locked by the caller; each unlocks it -- */

/* One that waits for its source, as a continuation or because it goes on with it. With `set` in its
 * state it is claimed. */
static void cancel_follower(at_future *future, ati_registration *registration, uint32_t set,
                            ati_unwanted *list) {
    at_future *source = future->source;
    bool is_unwanted = false;
    bool is_kept = keep_source(source);
    bool taken = is_kept && ati_future_leave(source, registration, &is_unwanted);
    ati_future_unlock(future, set);
    if (registration == &future->registration)
        ati_future_drop_argument(future); /* of one that goes on it is gone */
    complete_cancelled(future);
    if (taken) {
        at_future_release(source); /* the reference of `future` */
        ati_future_release_inside(future);
    }
    if (is_unwanted)
        ati_unwanted_add(list, source);
    else if (is_kept)
        ati_future_release_inside(source);
}

static void cancel_before_finally(at_future *future, ati_unwanted *list) {
    at_future *source = future->source;
    bool is_kept = keep_source(source);
    ati_future_unlock(future, 0);
    if (!is_kept)
        return;
    if (ati_future_has_one_interest(source))
        ati_unwanted_add(list, source);
    else
        ati_future_release_inside(source);
}

static void cancel_waiting(at_future *future, ati_unwanted *list) {
    switch (future->kind) {
    case ATI_FUTURE_THEN:
    case ATI_FUTURE_RECOVER:
        cancel_follower(future, &future->registration, ATI_PHASE_RUNNING, list);
        break;
    case ATI_FUTURE_FINALLY:
        cancel_before_finally(future, list);
        break;
    case ATI_FUTURE_COMBINED:
        ati_combination_cancel(future, list);
        break;
    default: {
        ati_future_unlock(future, 0);
        ati_result result = cancelled_result();
        ati_completions completions = {0};
        (void)ati_future_try_complete(future, &result, &completions);
        ati_completions_run(&completions);
    }
    }
}

static void cancel_running(at_future *future, uint32_t state, ati_unwanted *list) {
    if (!(state & ATI_STATE_FORWARD))
        ask(future, state);
    else if (state & ATI_STATE_LEFT)
        ati_future_unlock(future, 0);
    else
        cancel_follower(future, &future->forward, ATI_STATE_LEFT, list);
}

static void cancel_one(at_future *future, ati_unwanted *list) {
    for (;;) {
        uint32_t state = ati_future_lock(future);
        uint32_t phase = state & ATI_PHASE_MASK;
        if (phase == ATI_PHASE_QUEUED) { /* which it may leave although it is locked */
            ati_future_unlock(future, 0);
            if (!ati_future_claim(future))
                continue;
            complete_unrun(future);
        } else if (phase == ATI_PHASE_WAITING) {
            cancel_waiting(future, list);
        } else if (phase == ATI_PHASE_RUNNING) {
            cancel_running(future, state, list);
        } else {
            ati_future_unlock(future, 0);
        }
        return;
    }
}

void ati_unwanted_cancel(ati_unwanted *list) {
    while (list->count > 0) {
        at_future *future = list->futures[--list->count];
        cancel_one(future, list);
        ati_future_release_inside(future);
    }
}

void ati_unwanted_add(ati_unwanted *list, at_future *future) {
    if (list->count == ATI_UNWANTED_ROUND)
        ati_unwanted_cancel(list);
    list->futures[list->count++] = future;
}

void at_future_cancel(at_future *future) {
    ATI_CALLER_CHECK(future, "at_future_cancel", "`future` is NULL");
    if (future->is_static)
        return;
    ati_future_retain_inside(future);
    ati_unwanted list = {.futures = {future}, .count = 1};
    ati_unwanted_cancel(&list);
}
