/* SPDX-License-Identifier: MIT */
/* Purpose: the box for one outcome, and the order in which outcomes spread.
 *
 * States, in `state`:
 *
 *   WAITING -ati_future_start-> QUEUED -ati_future_claim-> RUNNING -complete-> VALUE
 *   WAITING, QUEUED, RUNNING -complete-> VALUE, ERROR, CANCELLED
 *
 * Invariants
 *   1. The step to a done phase is made once, under `lock`; the outcome is written before it and
 *      not changed after it, but for the value that is taken out (value_was_taken).
 *   2. A registration is in the list, or it is fired, or it was detached: exactly one of them. Both
 *      the list and the step to done are under `lock`.
 *   3. A waiting future is kept by its source's list, a queued one by its queue; so a future is
 *      freed only when it is done, or when it can never be started.
 *   4. Nothing here recurses: completions spread through a list (ati_completions), frees through
 *      another. No user code runs under a lock.
 *
 * Checked by: tests/unit/future_*_test.c, tests/stress/future_*_test.c. */
#include "future/future.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "pool/report.h"

#include <pthread.h>
#include <string.h>

/* -- Making -- */

at_future *ati_future_create(ati_future_kind kind, at_executor *executor, const char *site,
                             const char *name) {
    size_t name_size = name ? strlen(name) + 1 : 1;
    size_t size = sizeof(at_future) + name_size;
    at_future *future = ati_allocate(size);
    if (!future)
        return NULL;
    memset(future, 0, sizeof *future);
    atomic_init(&future->references, 1);
    future->kind = kind;
    future->executor = executor;
    executor->retain(executor);
    future->site = site;
    future->context = ati_context_current;
    ati_context_retain(future->context);
    future->fork_count = ati_process_fork_count();
    future->size = size;
    memcpy(future->name, name ? name : "", name_size);
    return future;
}

static at_future no_memory = {.references = 1, .state = ATI_PHASE_ERROR, .error_was_passed = true};
static pthread_once_t no_memory_once = PTHREAD_ONCE_INIT;

static void fill_no_memory(void) {
    no_memory.error = ati_error_static(AT_ERROR_NO_MEMORY);
}

at_future *ati_future_no_memory(void) {
    pthread_once(&no_memory_once, fill_no_memory);
    return &no_memory;
}

at_future *ati_future_failed(at_executor *executor, at_error *error) {
    at_future *future = ati_future_create(ATI_FUTURE_PLAIN, executor, "", NULL);
    if (!future) {
        at_error_release(error);
        return ati_future_no_memory();
    }
    ati_completions list = {0};
    ati_future_complete(future, &(ati_result){.error = error}, &list);
    ati_completions_run(&list);
    return future;
}

/* -- Keeping -- */

at_future *at_future_retain(at_future *future) {
    ATI_CALLER_CHECK(future, "at_future_retain", "`future` is NULL");
    if (future->size != 0)
        atomic_fetch_add_explicit(&future->references, 1, memory_order_relaxed);
    return future;
}

/* Futures whose last reference went while this thread was freeing another: freeing a value may
 * release further futures, and so on without end, so the outermost call frees them all. */
static _Thread_local at_future *doomed;
static _Thread_local bool freeing;

static void report_unread_error(at_future *future) {
    if (future->error && !atomic_load_explicit(&future->error_was_passed, memory_order_relaxed) &&
        !ati_error_mark_read(future->error))
        ati_report_dropped_error(at_error_retain(future->error));
}

static void free_future(at_future *future) {
    report_unread_error(future);
    bool taken = atomic_load_explicit(&future->value_was_taken, memory_order_relaxed);
    if (future->value && future->drop && !future->owner && !taken)
        ati_call_drop(future->drop, future->value);
    at_error_release(future->error);
    ati_future_drop_argument(future);
    at_future_release(future->owner);
    at_future_release(future->source);
    ati_context_release(future->context);
    future->executor->release(future->executor);
    ati_release(future, future->size);
}

/* Takes `change` references away; the last one frees the future. */
static void release(at_future *future, uint64_t change) {
    if (!future || future->size == 0)
        return;
    /* ORDER future.references: acq_rel. All uses by others happen before the free.
     * Pairs with: itself in release(), acquire in is_only_consumer(). If relaxed: freed while
     * another still reads. */
    uint64_t before = atomic_fetch_sub_explicit(&future->references, change, memory_order_acq_rel);
    ATI_CALLER_CHECK(ati_references_all(before) != 0, "at_future_release",
                     "released more often than it was retained");
    if (ati_references_all(before) != 1)
        return;
    future->link = doomed;
    doomed = future;
    if (freeing)
        return;
    freeing = true;
    while (doomed) {
        at_future *next = doomed;
        doomed = next->link;
        free_future(next);
    }
    freeing = false;
}

void at_future_release(at_future *future) {
    release(future, 1);
}

void ati_future_retain_inside(at_future *future) {
    if (future->size != 0)
        atomic_fetch_add_explicit(&future->references, ATI_REFERENCE_INSIDE, memory_order_relaxed);
}

void ati_future_release_inside(at_future *future) {
    release(future, ATI_REFERENCE_INSIDE);
}

void at_future_ignore(at_future *future) {
    ATI_CALLER_CHECK(future, "at_future_ignore", "`future` is NULL");
    ati_future_mark_passed(future);
}

/* -- Reading -- */

at_outcome ati_future_outcome(at_future *future) {
    if (future->error)
        return (at_outcome){.status = at_error_status(future->error), .error = future->error};
    return (at_outcome){.status = AT_OK, .value = ati_future_value(future)};
}

bool at_future_is_done(const at_future *future) {
    ATI_CALLER_CHECK(future, "at_future_is_done", "`future` is NULL");
    return ati_phase_is_done(ati_future_phase(future));
}

const at_error *at_future_error(at_future *future) {
    ATI_CALLER_CHECK(future, "at_future_error", "`future` is NULL");
    if (!ati_phase_is_done(ati_future_phase(future)))
        return NULL;
    ati_future_mark_read(future);
    return future->error;
}

at_status at_future_take(at_future *future, void **value, at_drop_fn *drop) {
    ATI_CALLER_CHECK(future && value, "at_future_take", "`future` or `value` is NULL");
    if (!ati_phase_is_done(ati_future_phase(future)))
        return ati_fail(AT_ERROR_UNAVAILABLE, "at_future_take: the future is pending");
    if (future->error) {
        ati_future_mark_read(future);
        ati_error_slot_put(at_error_retain(future->error), false);
        return at_error_status(future->error);
    }
    at_future *owner = future->owner ? future->owner : future;
    if (atomic_exchange_explicit(&owner->value_was_taken, true, memory_order_relaxed))
        return ati_fail(AT_ERROR_ALREADY, "at_future_take: the value was taken before");
    *value = owner->value;
    if (drop)
        *drop = owner->drop;
    return AT_OK;
}

/* -- Completing -- */

ati_result ati_result_of(at_future *source) {
    ati_future_mark_passed(source);
    if (source->error)
        return (ati_result){.error = at_error_retain(source->error)};
    at_future *owner = source->owner ? source->owner : source;
    return (ati_result){.value = ati_future_value(source), .owner = at_future_retain(owner)};
}

static void drop_result(const ati_result *result) {
    if (result->value && result->drop && !result->owner)
        ati_call_drop(result->drop, result->value);
    at_future_release(result->owner);
    at_error_release(result->error);
}

static uint32_t phase_of(const ati_result *result) {
    if (!result->error)
        return ATI_PHASE_VALUE;
    return at_error_status(result->error) == AT_ERROR_CANCELLED ? ATI_PHASE_CANCELLED
                                                                : ATI_PHASE_ERROR;
}

static void append(ati_completions *list, at_future *future) {
    future->link = NULL;
    if (list->last)
        list->last->link = future;
    else
        list->first = future;
    list->last = future;
}

/* Under the lock: takes the oldest registration off the list; NULL: there is none. */
static ati_registration *unlink_first(at_future *future) {
    ati_registration *registration = future->first;
    if (!registration)
        return NULL;
    future->first = registration->next;
    if (future->first)
        future->first->previous = NULL;
    registration->linked = false;
    return registration;
}

bool ati_future_complete(at_future *future, const ati_result *result, ati_completions *list) {
    ati_lock_acquire(&future->lock);
    uint32_t state = atomic_load_explicit(&future->state, memory_order_relaxed);
    if (ati_phase_is_done(state & ATI_PHASE_MASK)) {
        ati_lock_release(&future->lock);
        drop_result(result);
        return false;
    }
    future->value = result->value;
    future->drop = result->drop;
    future->owner = result->owner;
    future->error = result->error;
    future->firing = unlink_first(future);
    bool fires = future->firing;
    /* ORDER future.state: acq_rel. Publishes the outcome.
     * Pairs with: acquire in ati_future_phase(). If relaxed: a reader sees an unwritten outcome. */
    state = atomic_exchange_explicit(&future->state, phase_of(result), memory_order_acq_rel);
    ati_lock_release(&future->lock);
    if (state & ATI_STATE_SLEEPERS)
        ati_futex_wake(&future->state, INT32_MAX);
    if (fires) {
        ati_future_retain_inside(future);
        append(list, future);
    }
    return true;
}

static void fire_registrations(at_future *future, ati_completions *list) {
    while (future->firing) {
        future->firing->fire(future->firing, future, list);
        ati_lock_acquire(&future->lock);
        future->firing = unlink_first(future);
        ati_lock_release(&future->lock);
    }
}

void ati_completions_run(ati_completions *list) {
    while (list->first || list->start_first) {
        ati_completions_start(list);
        at_future *future = list->first;
        if (!future)
            continue;
        list->first = future->link;
        if (!list->first)
            list->last = NULL;
        fire_registrations(future, list);
        ati_completions_start(list);
        ati_future_release_inside(future);
    }
}

/* -- Attaching -- */

void ati_future_attach(at_future *source, ati_registration *registration, ati_completions *list) {
    ati_lock_acquire(&source->lock);
    uint32_t state = atomic_load_explicit(&source->state, memory_order_relaxed);
    /* A done future that is still firing takes it at the end of its list, for the order's sake. */
    bool links = !ati_phase_is_done(state & ATI_PHASE_MASK) || source->firing;
    if (links) {
        registration->next = NULL;
        registration->previous = source->first ? source->last : NULL;
        if (source->first)
            source->last->next = registration;
        else
            source->first = registration;
        source->last = registration;
        registration->linked = true;
    }
    ati_lock_release(&source->lock);
    if (!links)
        registration->fire(registration, source, list);
}

bool ati_future_detach(at_future *source, ati_registration *registration) {
    ati_lock_acquire(&source->lock);
    bool linked = registration->linked;
    if (linked) {
        registration->linked = false;
        if (registration->previous)
            registration->previous->next = registration->next;
        else
            source->first = registration->next;
        if (registration->next)
            registration->next->previous = registration->previous;
        else
            source->last = registration->previous;
    }
    ati_lock_release(&source->lock);
    return linked;
}
