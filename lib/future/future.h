/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_FUTURE_FUTURE_H
#define ASYNCTOOLS_FUTURE_FUTURE_H

/* The inside of a future. See completion.c for who may touch what. */
#include "base/atomic.h"
#include "base/context.h"
#include "base/error.h"
#include "pool/executor.h"

#include <asynctools/future.h>
#include <asynctools/promise.h>

#include <stdbool.h>

/* The phases of a future; done from VALUE on. */
typedef enum ati_phase {
    ATI_PHASE_WAITING = 0, /* for its source, or for whoever holds the promise */
    ATI_PHASE_QUEUED = 1,  /* its task is in a queue and may be claimed */
    ATI_PHASE_RUNNING = 2, /* its task runs, or continues with another future */
    ATI_PHASE_VALUE = 3,
    ATI_PHASE_ERROR = 4,
    ATI_PHASE_CANCELLED = 5,
} ati_phase;

/* The other bits of the state. */
enum {
    ATI_PHASE_MASK = 7,
    ATI_STATE_SLEEPERS = 8,     /* somebody sleeps on the word */
    ATI_STATE_LOCKED = 16,      /* see completion.c for what it guards */
    ATI_STATE_LOCK_WAITED = 32, /* somebody sleeps on the word until it is unlocked */
    ATI_STATE_LISTED = 64,      /* there are registrations */
    ATI_STATE_FIRING = 128,     /* it is done, and its registrations are being fired */
    ATI_STATE_ALONE = 256,      /* it is known to the one continuation in its list, and no other */
    ATI_STATE_ASKED = 512,      /* its task is asked to stop */
    ATI_STATE_OWN = 1024,       /* its task has an operation of its own */
    ATI_STATE_FORWARD = 2048,   /* it goes on with another future, and is in the list of that */
    ATI_STATE_NEEDED = 4096,    /* a wait runs its task in place */
};

/* What is to happen when a future completes: an element of its list. `fire` is called once, by the
 * thread that completes or attaches, under no lock; it may complete further futures into `list`. */
typedef struct ati_completions ati_completions;
typedef struct ati_registration {
    struct ati_registration *next;     /* in a ring; both under the source's lock */
    struct ati_registration *previous; /* NULL: not in the list */
    void (*fire)(struct ati_registration *registration, at_future *source, ati_completions *list);
} ati_registration;

typedef enum ati_future_kind {
    ATI_FUTURE_TASK,
    ATI_FUTURE_THEN,
    ATI_FUTURE_RECOVER,
    ATI_FUTURE_FINALLY,
    ATI_FUTURE_PLAIN,    /* completed from outside: promise */
    ATI_FUTURE_COMBINED, /* completed by others: all, any, ... */
    ATI_FUTURE_TIMEOUT,  /* completed by another, or by a timer */
} ati_future_kind;

/* What a future runs, by its kind. */
typedef union ati_function {
    at_run_fn task;
    at_then_fn then;
    at_recover_fn recover;
    at_finally_fn finally;
} ati_function;

/* Two cache lines, one block of the cache in base/block_cache.h. What is not needed at the same
 * time shares its place. */
struct at_future {
    _Atomic uint64_t references; /* all, and above them those held inside; see below */
    _Atomic uint32_t state;      /* phase and the bits above; futex */
    uint32_t fork_count;         /* of the process that made it */
    at_executor *executor;       /* retained; NULL only in the static out-of-memory future */
    union {
        struct { /* until it is done: */
            union {
                struct { /* what it runs; written before it is queued */
                    ati_function run;
                    void *argument; /* of a task, or the context of a continuation */
                    at_drop_fn argument_drop;
                };
                ati_registration forward; /* once that has run: with the future it goes on with */
            };
            at_future *source; /* retained until it has run or been passed by */
        };
        struct { /* when it is done: the outcome, written before the phase and then read by all */
            void *value;
            at_drop_fn drop;
            at_future *owner; /* whose value it is, retained, if not its own */
            at_error *error;
        };
    };
    ati_registration *last; /* of its registrations, in a ring; if it is LISTED */

    const char *site;
    union {
        ati_context *context; /* until it is done: retained, or NULL */
        at_future *link;      /* when it is done: in a list of completions or of futures to free */
    };
    union {
        ati_registration registration; /* while it waits: with the source */
        ati_task_node node;            /* from then on: its place in a queue */
    };
    uint8_t kind;                  /* ati_future_kind */
    uint8_t lane;                  /* ati_lane: the priority of what it runs */
    bool runs_on_cancelled;        /* recover's option */
    bool is_static;                /* never freed */
    _Atomic bool error_was_passed; /* on to another future; or ignored */
    _Atomic bool value_was_taken;
    char name[]; /* given by options, or "", which is in the padding */
};

/* References are counted in one word: all of them in the lower half, in the upper half those that
 * the library holds for itself and that do not use the value (a queue, a source's list, the list of
 * completions). The others are consumers. */
#define ATI_REFERENCE_INSIDE (((uint64_t)1 << 32) + 1)

static inline uint32_t ati_references_all(uint64_t references) {
    return (uint32_t)references;
}

static inline uint32_t ati_references_inside(uint64_t references) {
    return (uint32_t)(references >> 32);
}

/* Besides the library one alone has a reference, for now: only itself can give others one. */
static inline bool ati_future_has_one_consumer(const at_future *future) {
    /* ORDER future.references: acquire. What others did with the future happens before.
     * Pairs with: acq_rel in release(). If relaxed: a value is moved while another reads it. */
    uint64_t references =
        atomic_load_explicit(&((at_future *)future)->references, memory_order_acquire);
    return ati_references_all(references) - ati_references_inside(references) == 1;
}

void ati_future_retain_inside(at_future *future);
void ati_future_release_inside(at_future *future);

/* -- Making -- */

/* Makes a pending future with one reference; retains `executor` and the current context, copies
 * `name` (NULL: none). NULL: out of memory. */
at_future *ati_future_create(ati_future_kind kind, at_executor *executor, const char *site,
                             const char *name);

/* The same, and takes a reference of `executor`, also without memory. */
at_future *ati_future_create_kept(ati_future_kind kind, at_executor *executor, const char *site,
                                  const char *name);

/* The failed future for when there is no memory for another. */
at_future *ati_future_no_memory(void);

/* Makes a future that has failed; takes `error`. Never NULL. */
at_future *ati_future_failed(at_executor *executor, at_error *error);

/* -- Reading -- */

static inline uint32_t ati_future_phase(const at_future *future) {
    /* ORDER future.state: acquire. Sees the outcome.
     * Pairs with: release in ati_future_complete(). If relaxed: reads an unwritten outcome. */
    return atomic_load_explicit(&((at_future *)future)->state, memory_order_acquire) &
           ATI_PHASE_MASK;
}

static inline bool ati_phase_is_done(uint32_t phase) {
    return phase >= ATI_PHASE_VALUE;
}

/* The error of this future goes on to another one, or nobody wants it: not to be reported here. */
static inline void ati_future_mark_passed(at_future *future) {
    atomic_store_explicit(&future->error_was_passed, true, memory_order_relaxed);
}

/* Somebody reads the error of this done future: it is not to be reported anywhere. */
static inline void ati_future_mark_read(at_future *future) {
    ati_future_mark_passed(future);
    if (future->error)
        ati_error_mark_read(future->error);
}

/* The value of a successful future, borrowed; NULL once it was taken out. */
static inline void *ati_future_value(const at_future *future) {
    const at_future *owner = future->owner ? future->owner : future;
    bool taken = atomic_load_explicit(&((at_future *)owner)->value_was_taken, memory_order_relaxed);
    return taken ? NULL : future->value;
}

/* The outcome of a done future, borrowed. */
at_outcome ati_future_outcome(at_future *future);

/* -- Completing -- */

/* What is left to do when futures complete: futures whose registrations are to be fired, in order,
 * and nodes of futures that are to be started, in order. */
struct ati_completions {
    at_future *first;
    at_future *last;
    ati_task_node *start_first;
    ati_task_node *start_last;
    struct ati_stop_plan *stopping; /* combinators whose sources are to lose their interest */
};

/* How a future ends: a value with its drop, the value of another future, or an error. */
typedef struct ati_result {
    void *value;
    at_drop_fn drop;
    at_future *owner; /* taken */
    at_error *error;  /* taken */
} ati_result;

/* The result that passes the outcome of a done future on. */
ati_result ati_result_of(at_future *source);

/* Completes a future, if it is not complete yet, and appends it to `list` (which keeps it) if it
 * has registrations. False: another outcome came first; the result was dropped. */
bool ati_future_try_complete(at_future *future, const ati_result *result, ati_completions *list);

/* The same for one that nobody else may complete: cheaper. */
void ati_future_complete(at_future *future, const ati_result *result, ati_completions *list);

/* For who runs a future: whether nobody else knows it but the continuation in its list. */
bool ati_future_is_alone(const at_future *future);

/* Completes such a future, by plain stores: takes it off the list, and the reference held inside.
 * The continuation is to be claimed or fired. */
void ati_future_complete_alone(at_future *future, const ati_result *result);

/* Fires the registrations of all in the list, and of what that completes, and starts what that
 * starts. */
void ati_completions_run(ati_completions *list);

/* -- Attaching -- */

/* Adds a registration to a pending future, or to one that is firing others; fires it at once if the
 * future is done. */
void ati_future_attach(at_future *source, ati_registration *registration, ati_completions *list);

/* The same for the registration of a continuation, to which the caller gives its reference:
 * cheaper, if there is no other reference but those held inside. False: there is; nothing was done.
 */
bool ati_future_attach_alone(at_future *source, ati_registration *registration);

/* Removes a registration. False: it is being fired, or has been. */
bool ati_future_detach(at_future *source, ati_registration *registration);

/* Takes a registration out of the list of its source. True: it was there. `*unwanted`: the source
 * is pending, and nobody in its list wants it to go on. */
bool ati_future_leave(at_future *source, ati_registration *registration, bool *unwanted);

/* The same, `*left` being what it gives. False: the source is locked by another, nothing was done.
 */
bool ati_future_try_leave(at_future *source, ati_registration *registration, bool *left,
                          bool *unwanted);

/* A registration is still to be told, but does not want the source to go on: from now on it is
 * fired by `fire`, which is one of those below that say so. True: nobody in the list does now. */
bool ati_future_lose_interest(at_future *source, ati_registration *registration,
                              void (*fire)(ati_registration *registration, at_future *source,
                                           ati_completions *list));

/* The lock: gives the state before. A queued future may become a running one even so; a waiting one
 * does not, and is not completed. Unlocked, a future is not ALONE any more; the bits `clear` have
 * gone from its state and the bits `set` are there. */
uint32_t ati_future_lock(at_future *future);
bool ati_future_try_lock(at_future *future, uint32_t state); /* if that is its state */
void ati_future_unlock(at_future *future, uint32_t clear, uint32_t set);
void ati_future_wait_unlocked(at_future *future);

typedef enum ati_leaving {
    ATI_LEAVING_LATE,  /* it has been cancelled */
    ATI_LEAVING_DONE,  /* it has left */
    ATI_LEAVING_ALONE, /* and is known to nobody but the continuation in its list */
} ati_leaving;

/* Makes a waiting future a queued or running one. */
static inline ati_leaving ati_future_leave_waiting(at_future *future, ati_phase phase) {
    /* ORDER future.lock: acquire. Sees the ring, or what was done to a cancelled one.
     * Pairs with: release in ati_future_attach_alone() and ati_future_unlock(). If relaxed: the
     * caller follows unwritten links. */
    uint32_t state = atomic_load_explicit(&future->state, memory_order_acquire);
    for (;;) {
        if (state & ATI_STATE_LOCKED) {
            ati_future_wait_unlocked(future);
            state = atomic_load_explicit(&future->state, memory_order_acquire);
        } else if ((state & ATI_PHASE_MASK) != ATI_PHASE_WAITING) {
            return ATI_LEAVING_LATE;
        } else if (
            /* ORDER future.claim: acq_rel. Publishes what is to be run; and as future.lock.
             * Pairs with: acquire in ati_future_claim(), release in ati_future_unlock(). If
             * relaxed: a waiter that claims the task reads an unwritten function. */
            atomic_compare_exchange_weak_explicit(&future->state, &state, state | phase,
                                                  memory_order_acq_rel, memory_order_acquire)) {
            return state == (ATI_PHASE_WAITING | ATI_STATE_LISTED | ATI_STATE_ALONE)
                       ? ATI_LEAVING_ALONE
                       : ATI_LEAVING_DONE;
        }
    }
}

/* Makes the continuation of a done source a running one, if it runs where and how urgently the
 * source did and wants the outcome; NULL: it does not, and is to be fired. */
at_future *ati_continuation_claim(ati_registration *registration, at_future *source);

/* How the registrations of a continuation, and of a future that goes on with another, are fired. */
void ati_fire_continuation(ati_registration *registration, at_future *source,
                           ati_completions *list);
void ati_fire_forward(ati_registration *registration, at_future *source, ati_completions *list);

/* The same for the registrations of a combinator and of a continuation that have lost their
 * interest. */
void ati_fire_indifferent(ati_registration *registration, at_future *source, ati_completions *list);
void ati_fire_indifferent_continuation(ati_registration *registration, at_future *source,
                                       ati_completions *list);

/* -- Cancelling (cancel.c) -- */

/* Prepares the frame of a task for being cancelled alone; its identity is the future. */
void ati_future_prepare_cancel(ati_frame *frame);

/* Futures in which nobody is interested any more, each kept by a reference held inside. What their
 * end completes goes to `completions`, which the caller runs afterwards. */
enum { ATI_UNWANTED_ROUND = 32 };
typedef struct ati_unwanted {
    ati_completions *completions;
    size_t count;
    at_future *futures[ATI_UNWANTED_ROUND];
} ati_unwanted;

/* Takes a reference held inside; cancels what is in the list first if there is no room. */
void ati_unwanted_add(ati_unwanted *list, at_future *future);

/* Cancels all, and what that leaves without interest. No lock is held. */
void ati_unwanted_cancel(ati_unwanted *list);

/* Cancels what is completed by a combinator; the future is locked, and unlocked here. */
void ati_combination_cancel(at_future *result, ati_unwanted *list);

/* The same for the result of at_future_with_timeout. */
void ati_timeout_cancel(at_future *result, ati_unwanted *list);

/* Lets the sources of combinators go that make no difference any more. */
void ati_completions_stop(ati_completions *list);

/* Calls visit(registration, context) for each registration of a pending source, in order, as long
 * as it says NEXT; REMOVE takes the one it has seen off the list. The source is locked meanwhile.
 * The caller keeps it by a reference held inside, unless it runs it itself. */
typedef enum ati_visit { ATI_VISIT_NEXT, ATI_VISIT_STOP, ATI_VISIT_REMOVE } ati_visit;
void ati_future_visit(at_future *source,
                      ati_visit (*visit)(ati_registration *registration, void *context),
                      void *context);

/* The result of a combinator that needs the source of this registration, one in a list and locked
 * there, to complete. NULL: it is of another kind. */
at_future *ati_combination_of(const ati_registration *registration);

/* Copies the futures behind the registrations of a pending source, those for which `follower_of`
 * gives one, in order and `limit` at most, each with a reference held inside. Gives how many. */
size_t ati_future_list_followers(at_future *source, at_future *(*follower_of)(ati_registration *),
                                 at_future **followers, size_t limit);

/* Whether `future` cannot complete before `target`, which the caller runs; as far as a few links
 * show it (cycle.c). `*looks_left` says at how many lists of futures it may still look. */
enum { ATI_LOOK_LIMIT = 64 }; /* for one wait */
bool ati_future_waits_for(const at_future *future, at_future *target, int *looks_left);

/* Of a registration that only wants to know whether the future is cancelled (stop.c). */
void ati_fire_stop(ati_registration *registration, at_future *source, ati_completions *list);

/* -- Running (task.c) -- */

/* Marks a waiting future as queued and notes it in `list`, which starts it on its executor; takes
 * over one reference. If the executor refuses, the future is completed with the error. False: it
 * has been cancelled, and nothing was done. */
bool ati_future_start(at_future *future, ati_completions *list);

/* The future whose task or function this work is, or NULL. */
at_future *ati_future_of_work(const ati_work *work);

/* Starts what was noted, in order, all of one executor together. */
void ati_completions_start(ati_completions *list);

/* Submits a task with good options; and with those of a caller, whose public call is `call`. */
at_future *ati_future_submit(const char *site, at_executor *executor,
                             const at_task_options *options);
at_future *ati_future_submit_with(const char *call, const char *site, at_executor *executor,
                                  const at_task_options *options);

/* Other than AT_OK: the options of a caller are wrong, and the error says which. */
at_status ati_future_check_options(const char *call, const at_task_options *options);

/* Makes a future that is marked as queued, and takes a reference of `executor` in any case. NULL:
 * out of memory, the argument was dropped. */
at_future *ati_future_create_task(const char *site, at_executor *executor,
                                  const at_task_options *options);

/* Starts the tasks of fresh futures of one executor that are marked as queued. */
void ati_future_start_tasks(at_future *const *futures, size_t count);

/* Makes a queued future a running one, with the bits `set` in its state; only the one that succeeds
 * may run it. */
bool ati_future_claim(at_future *future, uint32_t set);

/* The calling worker has claimed the future for a wait: takes it off the deque if it lies at the
 * end, as it mostly does; else it stays in its queue, as a tombstone. */
void ati_future_leave_queue(at_future *future);

/* Runs a claimed future on this thread and completes it, and what follows from that. */
void ati_future_run(at_future *future);

/* Calls the user's drop function outside any task. */
void ati_call_drop(at_drop_fn drop, void *value);

/* Releases the argument of a task or the context of a continuation, once. */
void ati_future_drop_argument(at_future *future);

/* Gives the name of the task for errors. */
const char *ati_future_task_name(const at_future *future);

#endif
