/* SPDX-License-Identifier: MIT */
/* Purpose: to stop what nobody wants any more. A future that is cancelled takes its interest in its
 * source away; a source in which nobody is interested any more is cancelled in its turn, and so on.
 * The others are in base/context.c (how it spreads over what a task has started) and pool/cancel.c
 * (who is told).
 *
 * What becomes of a future that is cancelled:
 *   done             nothing.
 *   queued           claimed, as by a waiter, and completed as cancelled: it never runs; but a
 *                    finally does.
 *   running          asked (ATI_STATE_ASKED); the operation of its own, if it has one, is
 *                    cancelled; what the task returns in the end counts. One that goes on with
 *                    another future is completed if it can be taken out of the list of that.
 *   then, recover    claimed while it waits, and completed.
 *   finally          runs in any case, so it goes on waiting, without interest in its source.
 *   promise          completed.
 *   all, any, ...    completed, if nothing else has been decided; so is one with a timeout.
 *
 * The way down, from a future to its source, is against the direction of everything else here. A
 * pending future keeps its source, and it cannot leave its phase while it is locked, so the source
 * is there as long as the lock is held; before the lock is released the source is kept by a
 * reference. One case needs care: a source that is ALONE with its continuation is completed by
 * plain stores (completion.c, invariant 5), by whoever runs it. So one that is ALONE and runs is
 * not touched but for one bit, which those stores may take away again: then it is done; unless its
 * task has an operation of its own: then it is not completed that way. One that is
 * ALONE and waits or is queued is locked first: who is to run it sees that it is not ALONE any
 * more, by the lock or by the reference.
 *
 * The registration of a claimed continuation may stay in the list of its source, or be on its way:
 * who fires it finds it gone (ati_future_leave_waiting), and gives back what belonged to it.
 *
 * Checked by: tests/model/future_cancel_model.c, tests/unit/future_cancel_test.c,
 * tests/stress/future_cancel_test.c. */
#include "pool/cancel.h"
#include "base/check.h"
#include "base/error.h"
#include "future/future.h"
#include "pool/pool.h"

#include <sched.h>

/* The caller has claimed it. */
static void complete_cancelled(at_future *future, ati_unwanted *list) {
    ati_result result = {.error = ati_error_static(AT_ERROR_CANCELLED)};
    ati_future_complete(future, &result, list->completions);
}

/* -- The task -- */

static bool is_asked(const at_future *future) {
    return atomic_load_explicit(&((at_future *)future)->state, memory_order_relaxed) &
           ATI_STATE_ASKED;
}

/* Who runs it looks at the operation of its own, so it gets one; without memory the next time. In a
 * scope it is too late: that belongs to the operation before. */
static void make_own_context(ati_frame *frame, bool is_needed) {
    at_future *future = (at_future *)frame->identity;
    if ((!is_needed && !is_asked(future)) || frame->context != future->context)
        return;
    ati_context *own = ati_cancel_make_own(frame);
    if (!own)
        return;
    (void)ati_future_lock(future);
    ati_context *before = future->context;
    future->context = own;
    ati_future_unlock(future, 0, ATI_STATE_OWN);
    ati_cancel_take_own(frame, own, is_asked(future));
    ati_context_release(before);
}

void ati_future_prepare_cancel(ati_frame *frame) {
    frame->own_context = make_own_context;
}

/* A pool that may run the task, or NULL. */
static void poke(const at_future *future) {
    at_pool *pool = future->executor->pool;
    if (pool)
        ati_pool_ask_to_look(pool);
}

/* Asks the task that runs; unlocks the future. */
static void ask(at_future *future, uint32_t state) {
    ati_context *own = state & ATI_STATE_OWN ? future->context : NULL;
    ati_context_retain(own);
    ati_future_unlock(future, 0, ATI_STATE_ASKED);
    if (own)
        (void)ati_cancel(own, AT_CANCEL_EXPLICIT);
    else
        poke(future);
    ati_context_release(own);
}

/* It was queued, and is claimed. */
static void complete_unrun(at_future *future, ati_unwanted *list) {
    at_future *source = future->source;
    ati_future_drop_argument(future);
    at_pool *pool = future->executor->pool;
    if (pool && future->executor == &pool->executor)
        ati_pool_count_cancelled(pool);
    complete_cancelled(future, list);
    at_future_release(source);
}

/* -- The source -- */

/* A source whose consumer is locked, and which therefore is there: keeps it by a reference held
 * inside. False: it is done, or it is ALONE and runs, and has been asked. Or it is locked, if
 * `is_busy` is given, and that is set. */
static bool keep_source(at_future *source, bool *is_busy) {
    uint32_t state = atomic_load_explicit(&source->state, memory_order_relaxed);
    for (;;) {
        uint32_t phase = state & ATI_PHASE_MASK;
        if (ati_phase_is_done(phase))
            return false;
        if (is_busy && (state & ATI_STATE_LOCKED)) {
            *is_busy = true;
            return false;
        }
        if (!(state & ATI_STATE_ALONE) || (state & (ATI_STATE_OWN | ATI_STATE_FORWARD))) {
            ati_future_retain_inside(source);
            return true;
        }
        if (phase == ATI_PHASE_RUNNING) {
            if (atomic_compare_exchange_weak_explicit(&source->state, &state,
                                                      state | ATI_STATE_ASKED, memory_order_relaxed,
                                                      memory_order_relaxed)) {
                poke(source);
                return false;
            }
        } else if (ati_future_try_lock(source, state)) {
            ati_future_retain_inside(source);
            ati_future_unlock(source, 0, 0); /* and it is not ALONE any more */
            return true;
        } else {
            state = atomic_load_explicit(&source->state, memory_order_relaxed);
        }
    }
}

/* What a future that is locked has in the list of its source, and how it leaves. */
typedef struct parting {
    at_future *source;
    bool is_kept;     /* by a reference held inside */
    bool is_taken;    /* it has left; what belonged to it there is to be given back */
    bool is_unwanted; /* by anybody, now */
} parting;

static parting part(at_future *future) {
    parting made = {.source = future->source};
    made.is_kept = keep_source(made.source, NULL);
    if (made.is_kept)
        made.is_taken = ati_future_leave(made.source, &future->registration, &made.is_unwanted);
    return made;
}

/* The same for one that goes on with another, which may go on with this one: a mistake of the
 * program's, but where each is locked on behalf of the other, one has to give way. False: the other
 * one is locked, and nothing was done. */
static bool try_part_forward(at_future *future, parting *made) {
    bool is_busy = false;
    *made = (parting){.source = future->source};
    made->is_kept = keep_source(made->source, &is_busy);
    if (made->is_kept && !ati_future_try_leave(made->source, &future->forward, &made->is_taken,
                                               &made->is_unwanted)) {
        is_busy = true;
        ati_future_release_inside(made->source);
    }
    return !is_busy;
}

/* The future is unlocked. */
static void end_parting(at_future *future, const parting *made, ati_unwanted *list) {
    if (made->is_taken) {
        at_future_release(made->source); /* the reference of `future` */
        ati_future_release_inside(future);
    }
    if (made->is_unwanted)
        ati_unwanted_add(list, made->source);
    else if (made->is_kept)
        ati_future_release_inside(made->source);
}

/* -- One future, locked by the caller; each unlocks it -- */

/* Claimed, it may still be fired. */
static void cancel_continuation(at_future *future, ati_unwanted *list) {
    parting made = part(future);
    ati_future_unlock(future, 0, ATI_PHASE_RUNNING);
    ati_future_drop_argument(future);
    complete_cancelled(future, list);
    end_parting(future, &made, list);
}

/* One that goes on with another. Where it is not in the list of that, it is about to be completed,
 * or to be put there by who then sees that it is asked. False: to be tried again. */
static bool cancel_forward(at_future *future, ati_unwanted *list) {
    /* Before the look at the list: who puts it there looks at this afterwards. */
    atomic_fetch_or_explicit(&future->state, ATI_STATE_ASKED, memory_order_relaxed);
    parting made;
    if (!try_part_forward(future, &made)) {
        ati_future_unlock(future, 0, 0);
        return false;
    }
    if (!made.is_taken) {
        made.is_unwanted = false;
        ati_future_unlock(future, 0, ATI_STATE_ASKED);
    } else {
        ati_future_unlock(future, ATI_STATE_FORWARD, 0);
        complete_cancelled(future, list);
    }
    end_parting(future, &made, list);
    return true;
}

static void cancel_before_finally(at_future *future, ati_unwanted *list) {
    at_future *source = future->source;
    bool is_kept = keep_source(source, NULL);
    bool is_unwanted = is_kept && ati_future_lose_interest(source, &future->registration,
                                                           ati_fire_indifferent_continuation);
    ati_future_unlock(future, 0, 0);
    if (is_unwanted)
        ati_unwanted_add(list, source);
    else if (is_kept)
        ati_future_release_inside(source);
}

static void cancel_waiting(at_future *future, ati_unwanted *list) {
    switch (future->kind) {
    case ATI_FUTURE_THEN:
    case ATI_FUTURE_RECOVER:
        cancel_continuation(future, list);
        break;
    case ATI_FUTURE_FINALLY:
        cancel_before_finally(future, list);
        break;
    case ATI_FUTURE_COMBINED:
        ati_combination_cancel(future, list);
        break;
    case ATI_FUTURE_TIMEOUT:
        ati_timeout_cancel(future, list);
        break;
    default: {
        ati_future_unlock(future, 0, 0);
        ati_result result = {.error = ati_error_static(AT_ERROR_CANCELLED)};
        (void)ati_future_try_complete(future, &result, list->completions);
    }
    }
}

/* False: to be tried again. */
static bool cancel_running(at_future *future, uint32_t state, ati_unwanted *list) {
    if (state & ATI_STATE_FORWARD)
        return cancel_forward(future, list);
    ask(future, state);
    return true;
}

static void cancel_one(at_future *future, ati_unwanted *list) {
    for (;;) {
        uint32_t state = ati_future_lock(future);
        uint32_t phase = state & ATI_PHASE_MASK;
        if (phase == ATI_PHASE_QUEUED) { /* which it may leave although it is locked */
            ati_future_unlock(future, 0, 0);
            if (future->kind == ATI_FUTURE_FINALLY)
                return;
            if (!ati_future_claim(future, 0))
                continue;
            complete_unrun(future, list);
        } else if (phase == ATI_PHASE_WAITING) {
            cancel_waiting(future, list);
        } else if (phase == ATI_PHASE_RUNNING) {
            if (!cancel_running(future, state, list)) {
                sched_yield();
                continue;
            }
        } else {
            ati_future_unlock(future, 0, 0);
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
    ati_completions completions = {0};
    ati_unwanted list = {.completions = &completions, .count = 1, .futures = {future}};
    ati_unwanted_cancel(&list);
    ati_completions_run(&completions);
}
