/* SPDX-License-Identifier: MIT */
/* Purpose: who is told that an operation is cancelled, and when. How cancellation spreads is in
 * base/context.c.
 *
 * A callback is LISTED -cancel-> CALLED -> gone, or LISTED -remove-> gone. It is taken out of the
 * ring under the operation's lock by who calls it, who then puts a note about the call into the
 * operation's list of calls; who removes the callback meanwhile finds the note, and waits until it
 * goes. No user code runs under a lock.
 *
 * A deadline. Nobody keeps a timer for a scope: each wait in it has its own. Whoever finds that the
 * deadline has passed cancels the outermost operation that has it, however late it is. Only
 * callbacks, which nobody else would think of, have a timer.
 *
 * Checked by: tests/unit/cancel_test.c, tests/stress/cancel_test.c. */
#include "pool/cancel.h"

#include "base/check.h"
#include "base/error.h"
#include "pool/pool.h"
#include "pool/waiter.h"
#include "pool/watch.h"

/* What at_cancel_callback is. */
typedef struct callback {
    ati_cancel_link link; /* first */
    ati_context *context; /* retained; NULL: it was never added */
    at_cancel_fn run;
    void *argument;
    ati_watch *watch; /* that keeps the time, or NULL */
} callback;

_Static_assert(sizeof(callback) <= sizeof(at_cancel_callback), "at_cancel_callback is too small");
_Static_assert(_Alignof(callback) <= _Alignof(at_cancel_callback), "and not aligned");

/* One that waits until a call is over. */
typedef struct call_wait {
    ati_waiter waiter;
    struct call_wait *next;
} call_wait;

/* A call in progress, on the stack of who calls. */
typedef struct ati_cancel_call {
    const callback *called;
    ati_frame frame; /* it runs in */
    call_wait *waits;
    struct ati_cancel_call *next;
} callback_call;

/* -- Calling -- */

/* Under the lock. */
static void note_call(ati_context *context, callback_call *noted, const callback *called) {
    *noted = (callback_call){.called = called, .next = context->calls};
    context->calls = noted;
}

/* Takes the next one out of the ring and notes the call. NULL: there is none. */
static callback *begin_call(ati_context *context, callback_call *noted) {
    ati_context_lock(context);
    callback *next = NULL;
    if (context->callbacks) {
        next = (callback *)context->callbacks->next;
        ati_cancel_link_remove(&context->callbacks, &next->link);
        note_call(context, noted, next);
    }
    ati_context_unlock(context);
    return next;
}

static void end_call(ati_context *context, callback_call *noted) {
    ati_context_lock(context);
    callback_call **place = &context->calls;
    while (*place && *place != noted)
        place = &(*place)->next;
    if (*place) /* else the callback has forked, and this is the child */
        *place = noted->next;
    call_wait *wait = noted->waits;
    ati_context_unlock(context);
    while (wait) {
        call_wait *next = wait->next;
        ati_waiter_wake(&wait->waiter);
        wait = next;
    }
}

/* In a frame of its own: what the callback leaves in the error slot is not the caller's. */
static void make_call(callback_call *noted, at_cancel_fn run, void *argument) {
    ati_frame_enter(&noted->frame, ati_context_current(), NULL, NULL);
    run(argument);
    ati_frame_leave(&noted->frame);
}

static void call_all(ati_context *context) {
    callback_call noted;
    callback *next;
    while ((next = begin_call(context, &noted))) {
        make_call(&noted, next->run, next->argument);
        end_call(context, &noted);
    }
}

bool ati_cancel(ati_context *context, at_cancel_reason reason) {
    ati_context *cancelled = ati_context_cancel(context, reason);
    bool is_first = cancelled;
    while (cancelled) {
        ati_context *next = cancelled->next_cancelled;
        call_all(cancelled);
        ati_context_release(cancelled);
        cancelled = next;
    }
    return is_first;
}

/* -- Looking -- */

/* The outermost operation that has the same deadline. */
static ati_context *find_late(ati_context *context) {
    while (!ati_context_is_shielded(context) && context->parent &&
           context->parent->deadline <= context->deadline)
        context = context->parent;
    return context;
}

/* It ends by its own deadline, and what is below it with it, whoever was the first to look; a
 * foreign deadline ends the token, too, but somebody else may be the one to find that. */
static void cancel_late(ati_context *late) {
    (void)ati_cancel(late, late->has_foreign_deadline ? AT_CANCEL_PARENT : AT_CANCEL_DEADLINE);
}

bool ati_is_cancelled(ati_context *context) {
    if (!context)
        return false;
    if (ati_context_reason(context) != AT_CANCEL_NONE)
        return true;
    if (context->deadline == AT_FOREVER)
        return false;
    if (at_clock_now(at_clock_current()) < context->deadline)
        return false;
    cancel_late(find_late(context));
    return true;
}

/* The operation that was not cancelled on account of the one above. */
static const ati_context *find_cause(const ati_context *context) {
    while (ati_context_reason(context) == AT_CANCEL_PARENT && context->parent &&
           ati_context_reason(context->parent) != AT_CANCEL_NONE)
        context = context->parent;
    return context;
}

static const char *describe(at_cancel_reason reason) {
    switch (reason) {
    case AT_CANCEL_DEADLINE:
        return "its deadline has passed";
    case AT_CANCEL_SIBLING:
        return "another task has decided the outcome";
    case AT_CANCEL_SHUTDOWN:
        return "it is being shut down";
    default:
        return "it was cancelled";
    }
}

at_status ati_cancel_check(const char *call) {
    ati_frame *frame = ati_frame_current();
    if (frame->own_context)
        frame->own_context(frame, false);
    ati_context *context = frame->context;
    if (!ati_is_cancelled(context))
        return AT_OK;
    const ati_context *cause = find_cause(context);
    at_cancel_reason reason = ati_context_reason(cause);
    bool is_own =
        reason == AT_CANCEL_DEADLINE && cause == context && ati_context_owner(cause) == frame;
    const char *name = *cause->name ? cause->name : "scope";
    const char *const words[3] = {call, name, describe(reason)};
    return ati_fail_in_words(is_own ? AT_ERROR_TIMED_OUT : AT_ERROR_CANCELLED, words);
}

ati_context *ati_cancel_make_own(ati_frame *frame) {
    const ati_context_parts parts = {
        .parent = frame->context, .name = ati_task_name_of(frame), .deadline = AT_FOREVER};
    ati_context *own = ati_context_make(&parts);
    if (!own)
        return NULL;
    own->is_own = true;
    frame->own_context = NULL;
    ati_worker_hand_out_forks();
    return own;
}

void ati_cancel_take_own(ati_frame *frame, ati_context *own, bool is_asked) {
    frame->context = own;
    if (ati_worker_current) /* from now on at_check has something to say */
        ati_worker_ask_to_look(ati_worker_current);
    if (is_asked) /* by one who did not see it yet */
        (void)ati_cancel(own, AT_CANCEL_EXPLICIT);
}

ati_context *ati_context_own(void) {
    ati_frame *frame = ati_frame_current();
    if (frame->own_context)
        frame->own_context(frame, true);
    return frame->context;
}

/* -- Callbacks -- */

static callback *callback_of(at_cancel_callback *given) {
    return (callback *)given;
}

static void look(ati_context *context) {
    (void)ati_is_cancelled(context);
}

/* Without a pool, or memory, nobody keeps the time. The task that looks belongs to no operation: it
 * is to look even if the current one is cancelled. */
static void set_watch(callback *added) {
    at_pool *pool = at_pool_current();
    at_deadline deadline = added->context->deadline;
    if (!pool || deadline == AT_FOREVER)
        return;
    added->watch = ati_watch_create(pool, added->context, look);
    if (added->watch)
        ati_watch_set(added->watch, deadline);
}

static void init(at_cancel_callback *given, ati_context *context, at_cancel_fn run,
                 void *argument) {
    *callback_of(given) = (callback){.context = context, .run = run, .argument = argument};
    ati_context_retain(context);
}

/* Once it is in the ring it may be called, and removed, at any time. */
static void add(callback *added, bool is_cancelled) {
    ati_context *context = added->context;
    callback_call noted;
    ati_context_lock(context);
    is_cancelled |= ati_context_reason(context) != AT_CANCEL_NONE;
    if (is_cancelled)
        note_call(context, &noted, added);
    else
        ati_cancel_link_add(&context->callbacks, &added->link);
    ati_context_unlock(context);
    if (!is_cancelled)
        return;
    ati_context_retain(context); /* the callback may remove itself */
    make_call(&noted, added->run, added->argument);
    end_call(context, &noted);
    ati_context_release(context);
}

void at_cancel_callback_register(at_cancel_callback *given, at_token *token, at_cancel_fn run,
                                 void *argument) {
    ATI_CALLER_CHECK(given, "at_cancel_callback_register", "`callback` is NULL");
    ATI_CALLER_CHECK(token, "at_cancel_callback_register", "`token` is NULL");
    ATI_CALLER_CHECK(run, "at_cancel_callback_register", "`run` is NULL");
    ati_context *context = (ati_context *)token;
    init(given, context, run, argument);
    bool is_cancelled = ati_is_cancelled(context);
    if (!is_cancelled)
        set_watch(callback_of(given));
    add(callback_of(given), is_cancelled);
}

void ati_cancel_call(at_cancel_callback *given, ati_context *context, at_cancel_fn run,
                     void *argument) {
    init(given, context, run, argument);
    add(callback_of(given), false);
}

static callback_call *find_call(const ati_context *context, const callback *called) {
    callback_call *noted = context->calls;
    while (noted && noted->called != called)
        noted = noted->next;
    return noted;
}

/* Whether the caller is inside that very call. */
static bool is_inside(const callback_call *noted) {
    const ati_frame *frame = ati_frame_current();
    while (frame && frame != &noted->frame)
        frame = frame->outer;
    return frame;
}

void at_cancel_callback_unregister(at_cancel_callback *given) {
    ATI_CALLER_CHECK(given, "at_cancel_callback_unregister", "`callback` is NULL");
    callback *removed = callback_of(given);
    ati_context *context = removed->context;
    if (!context)
        return;
    call_wait wait;
    bool must_wait = false;
    ati_context_lock(context);
    if (removed->link.previous) {
        ati_cancel_link_remove(&context->callbacks, &removed->link);
    } else {
        callback_call *noted = find_call(context, removed);
        must_wait = noted && !is_inside(noted);
        if (must_wait) {
            ati_waiter_init(&wait.waiter, "at_cancel_callback_unregister", NULL);
            wait.next = noted->waits;
            noted->waits = &wait;
        }
    }
    ati_context_unlock(context);
    if (must_wait)
        (void)ati_waiter_wait(&wait.waiter, AT_FOREVER);
    ati_watch_end(removed->watch);
    removed->context = NULL;
    ati_context_release(context);
}
