/* SPDX-License-Identifier: MIT */
/* Purpose: the step from pending to done, and the order in which outcomes spread.
 *
 * Phases, in `state`:
 *
 *   WAITING -ati_future_start-> QUEUED -ati_future_claim-> RUNNING -complete-> VALUE
 *   WAITING -ati_continuation_claim-> RUNNING
 *   WAITING, QUEUED, RUNNING -complete-> VALUE, ERROR, CANCELLED
 *
 * Other bits of `state`
 *   LOCKED   a lock, for some ten instructions: guards the ring of registrations, and the outcome
 *            where several may complete (a promise).
 *   LISTED   the ring is not empty. Written by who has the lock, or from empty by
 *            ati_future_attach_alone().
 *   FIRING   a done future with registrations, until the last of them has been fired.
 *   ALONE    the ring holds one continuation, to which the only reference was given that was not
 *            held inside. Who waits for a future or races it registers on a reference that stays
 *            its user's; therefore the count of references alone does not tell.
 *   SLEEPERS, LOCK_WAITED   somebody sleeps on the word; who clears them wakes all.
 *
 * Invariants
 *   1. The step to done is made once; the outcome is written before it and not changed after it,
 *      but for the value that is taken out (value_was_taken). Who may complete: the one that runs
 *      a future or passes it by; of a promise, who has the lock and finds it pending.
 *   2. A registration is in the ring, or it is fired, or it was detached: exactly one of them. The
 *      step to done carries LISTED along, so it sees whoever has attached before, and whoever
 *      attaches after sees it.
 *   3. A waiting future is kept by its source's list, a queued one by its queue; so a future is
 *      freed only when it is done, or when it can never be started.
 *   4. Nothing here recurses: completions spread through a list (ati_completions). No user code
 *      runs under a lock.
 *   5. (Who cancels, cancel.c, follows `source` as well, and keeps to what is said there.)
 *      A future that is ALONE and has two references, that of who runs it and that of the
 *      continuation, is known to nobody else: only who has a reference can make another, and only
 *      who fires or runs a continuation follows its `source`. It is completed by plain stores.
 *
 * Progress: blocking in the small, by the lock. Who waits for it looks some times, then sleeps.
 *
 * Checked by: tests/model/future_model.c, tests/unit/future_*_test.c,
 * tests/stress/future_*_test.c. */
#include "base/futex.h"
#include "future/future.h"

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

static void append(ati_completions *list, at_future *future) {
    future->link = NULL;
    if (list->last)
        list->last->link = future;
    else
        list->first = future;
    list->last = future;
}

/* -- The lock -- */

enum { look_count = 40 }; /* before it sleeps: its holder was preempted */

/* Looks some times whether the future is unlocked, then sleeps until it is. */
void ati_future_wait_unlocked(at_future *future) {
    for (int i = 0; i < look_count; i++) {
        if (!(atomic_load_explicit(&future->state, memory_order_relaxed) & ATI_STATE_LOCKED))
            return;
        ati_cpu_relax();
    }
    for (;;) {
        uint32_t state = atomic_load_explicit(&future->state, memory_order_relaxed);
        if (!(state & ATI_STATE_LOCKED))
            return;
        if ((state & ATI_STATE_LOCK_WAITED) ||
            atomic_compare_exchange_weak_explicit(&future->state, &state,
                                                  state | ATI_STATE_LOCK_WAITED,
                                                  memory_order_relaxed, memory_order_relaxed))
            ati_futex_wait(&future->state, state | ATI_STATE_LOCK_WAITED, AT_FOREVER);
    }
}

/* Gives the state before. */
uint32_t ati_future_lock(at_future *future) {
    uint32_t state = atomic_load_explicit(&future->state, memory_order_relaxed);
    for (;;) {
        if (state & ATI_STATE_LOCKED) {
            ati_future_wait_unlocked(future);
            state = atomic_load_explicit(&future->state, memory_order_relaxed);
        } else if (
            /* ORDER future.lock: acquire. Sees the ring as the last holder left it.
             * Pairs with: release in unlock() and ati_future_unlock() and
             * ati_future_attach_alone(). If relaxed: the ring breaks. */
            atomic_compare_exchange_weak_explicit(&future->state, &state, state | ATI_STATE_LOCKED,
                                                  memory_order_acquire, memory_order_relaxed)) {
            return state;
        }
    }
}

static void wake(at_future *future, uint32_t state) {
    if (state & (ATI_STATE_SLEEPERS | ATI_STATE_LOCK_WAITED))
        ati_futex_wake(&future->state, INT32_MAX);
}

/* Unlocks, and says whether there are registrations. */
static void unlock(at_future *future, bool listed) {
    uint32_t state = atomic_load_explicit(&future->state, memory_order_relaxed);
    uint32_t next;
    do {
        next = state & ~(uint32_t)(ATI_STATE_LOCKED | ATI_STATE_LOCK_WAITED | ATI_STATE_LISTED |
                                   ATI_STATE_ALONE);
        next |= listed ? ATI_STATE_LISTED : 0;
        /* ORDER future.lock: release. Publishes the ring.
         * Pairs with: acquire in ati_future_lock() and publish(). If relaxed: the next holder
         * follows unwritten links. */
    } while (!atomic_compare_exchange_weak_explicit(&future->state, &state, next,
                                                    memory_order_release, memory_order_relaxed));
    wake(future, state & ATI_STATE_LOCK_WAITED);
}

bool ati_future_try_lock(at_future *future, uint32_t state) {
    /* ORDER future.lock: acquire. Sees the ring.
     * Pairs with: release in unlock() and ati_future_unlock(). If relaxed: the ring breaks. */
    return !(state & ATI_STATE_LOCKED) &&
           atomic_compare_exchange_strong_explicit(&future->state, &state, state | ATI_STATE_LOCKED,
                                                   memory_order_acquire, memory_order_relaxed);
}

void ati_future_unlock(at_future *future, uint32_t clear, uint32_t set) {
    uint32_t state = atomic_load_explicit(&future->state, memory_order_relaxed);
    uint32_t next;
    clear |= ATI_STATE_LOCKED | ATI_STATE_LOCK_WAITED | ATI_STATE_ALONE;
    do
        next = (state & ~clear) | set;
    /* ORDER future.lock: release. Publishes what was done under it.
     * Pairs with: acquire in ati_future_lock() and ati_future_leave_waiting(). If relaxed: the next
     * holder reads stale data. */
    while (!atomic_compare_exchange_weak_explicit(&future->state, &state, next,
                                                  memory_order_release, memory_order_relaxed));
    wake(future, state & ATI_STATE_LOCK_WAITED);
}

/* -- The ring; under the lock -- */

static void link_last(at_future *source, ati_registration *registration, bool listed) {
    if (listed) {
        registration->previous = source->last;
        registration->next = source->last->next;
        registration->next->previous = registration;
        source->last->next = registration;
    } else {
        registration->next = registration;
        registration->previous = registration;
    }
    source->last = registration;
}

/* True: others are left. */
static bool unlink_one(at_future *source, ati_registration *registration) {
    bool left = registration->next != registration;
    registration->next->previous = registration->previous;
    registration->previous->next = registration->next;
    if (source->last == registration)
        source->last = registration->previous;
    registration->previous = NULL;
    return left;
}

/* -- Completing -- */

/* Puts the outcome in the place of what the future does not need any more. */
static void write_outcome(at_future *future, const ati_result *result) {
    future->link = NULL;
    future->value = result->value;
    future->drop = result->drop;
    future->owner = result->owner;
    future->error = result->error;
}

static uint32_t phase_of(const at_future *future) {
    if (!future->error)
        return ATI_PHASE_VALUE;
    return at_error_status(future->error) == AT_ERROR_CANCELLED ? ATI_PHASE_CANCELLED
                                                                : ATI_PHASE_ERROR;
}

/* Makes the step to done, from a state that is locked by this thread or not. */
static void publish(at_future *future, bool locked, ati_completions *list) {
    uint32_t phase = phase_of(future);
    uint32_t state = atomic_load_explicit(&future->state, memory_order_relaxed);
    for (;;) {
        uint32_t next = phase;
        if (state & ATI_STATE_LISTED)
            next |= ATI_STATE_LISTED | ATI_STATE_FIRING;
        if (!locked && (state & ATI_STATE_LOCKED)) {
            ati_future_wait_unlocked(future);
            state = atomic_load_explicit(&future->state, memory_order_relaxed);
        } else if (
            /* ORDER future.state: acq_rel. Publishes the outcome, and sees the ring.
             * Pairs with: acquire in ati_future_phase(), release in unlock() and
             * ati_future_unlock(). If relaxed: a reader sees an unwritten outcome. */
            atomic_compare_exchange_weak_explicit(&future->state, &state, next,
                                                  memory_order_acq_rel, memory_order_relaxed)) {
            break;
        }
    }
    wake(future, state);
    if (state & ATI_STATE_LISTED) {
        ati_future_retain_inside(future);
        append(list, future);
    }
}

bool ati_future_try_complete(at_future *future, const ati_result *result, ati_completions *list) {
    uint32_t state = ati_future_lock(future);
    if (ati_phase_is_done(state & ATI_PHASE_MASK)) {
        unlock(future, state & ATI_STATE_LISTED);
        drop_result(result);
        return false;
    }
    ati_context *context = future->context;
    write_outcome(future, result);
    publish(future, true, list);
    ati_context_stock_put(context, 1);
    return true;
}

void ati_future_complete(at_future *future, const ati_result *result, ati_completions *list) {
    ati_context *context = future->context;
    /* Who cancels it may be looking at its operation. */
    bool is_shared = atomic_load_explicit(&future->state, memory_order_relaxed) & ATI_STATE_OWN;
    if (is_shared)
        (void)ati_future_lock(future);
    write_outcome(future, result);
    publish(future, is_shared, list);
    ati_context_stock_put(context, 1);
}

bool ati_future_is_alone(const at_future *future) {
    at_future *mine = (at_future *)future;
    /* ORDER future.lock: acquire. Sees the ring.
     * Pairs with: release in ati_future_attach_alone(). If relaxed: follows unwritten links. */
    uint32_t state = atomic_load_explicit(&mine->state, memory_order_acquire);
    if (state != (ATI_PHASE_RUNNING | ATI_STATE_LISTED | ATI_STATE_ALONE))
        return false;
    /* ORDER future.references: acquire. What others did with the future happens before.
     * Pairs with: acq_rel in release(). If relaxed: the plain stores of
     * ati_future_complete_alone() race with theirs. */
    return atomic_load_explicit(&mine->references, memory_order_acquire) ==
           ATI_REFERENCE_INSIDE + 1;
}

void ati_future_complete_alone(at_future *future, const ati_result *result) {
    ati_context *context = future->context;
    write_outcome(future, result);
    future->last->previous = NULL;
    atomic_store_explicit(&future->references, 1, memory_order_relaxed);
    atomic_store_explicit(&future->state, phase_of(future), memory_order_relaxed);
    ati_context_stock_put(context, 1);
}

/* Fires in order what is registered, and what comes while that lasts. */
static void fire_registrations(at_future *future, ati_completions *list) {
    uint32_t state = atomic_load_explicit(&future->state, memory_order_relaxed);
    for (;;) {
        if (state & (ATI_STATE_LISTED | ATI_STATE_LOCKED)) {
            state = ati_future_lock(future);
            ati_registration *first = NULL;
            bool left = false;
            if (state & ATI_STATE_LISTED) {
                first = future->last->next;
                left = unlink_one(future, first);
                __builtin_prefetch(first->next); /* somebody's stack: most likely in no cache */
            }
            unlock(future, left);
            if (first)
                first->fire(first, future, list);
            state = atomic_load_explicit(&future->state, memory_order_relaxed);
        } else if (list->start_first) { /* before what is attached once nothing is fired any more */
            ati_completions_start(list);
            state = atomic_load_explicit(&future->state, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak_explicit(
                       &future->state, &state, state & ~(uint32_t)ATI_STATE_FIRING,
                       memory_order_relaxed, memory_order_relaxed)) {
            return;
        }
    }
}

void ati_completions_run(ati_completions *list) {
    while (list->first || list->start_first || list->stopping) {
        ati_completions_start(list);
        at_future *future = list->first;
        if (!future) {
            if (list->stopping)
                ati_completions_stop(list);
            continue;
        }
        list->first = future->link;
        if (!list->first)
            list->last = NULL;
        fire_registrations(future, list);
        ati_future_release_inside(future);
    }
}

/* -- Attaching -- */

void ati_future_attach(at_future *source, ati_registration *registration, ati_completions *list) {
    uint32_t state = ati_future_lock(source);
    /* A done future that is still firing takes it at the end of its list, for the order's sake. */
    bool links = !ati_phase_is_done(state & ATI_PHASE_MASK) || (state & ATI_STATE_FIRING);
    if (links)
        link_last(source, registration, state & ATI_STATE_LISTED);
    unlock(source, links || (state & ATI_STATE_LISTED));
    if (!links)
        registration->fire(registration, source, list);
}

bool ati_future_attach_alone(at_future *source, ati_registration *registration) {
    if (!ati_future_has_one_consumer(source))
        return false;
    uint32_t state = atomic_load_explicit(&source->state, memory_order_relaxed);
    do {
        registration->previous = NULL;
        if (ati_phase_is_done(state & ATI_PHASE_MASK) ||
            (state & (ATI_STATE_LISTED | ATI_STATE_LOCKED)))
            return false;
        link_last(source, registration, false);
        /* ORDER future.lock: release. Publishes the ring; nobody else can write it: it is empty, so
         * nobody who completes looks at it, and there is nobody else to attach.
         * Pairs with: acquire in ati_future_lock() and publish(). If relaxed: whoever completes
         * follows unwritten links. */
    } while (!atomic_compare_exchange_weak_explicit(&source->state, &state,
                                                    state | ATI_STATE_LISTED | ATI_STATE_ALONE,
                                                    memory_order_release, memory_order_relaxed));
    return true;
}

bool ati_future_detach(at_future *source, ati_registration *registration) {
    uint32_t state = ati_future_lock(source);
    bool linked = registration->previous;
    bool left = linked ? unlink_one(source, registration) : state & ATI_STATE_LISTED;
    unlock(source, left);
    return linked;
}

static bool is_interested(const ati_registration *registration) {
    return registration->fire != ati_fire_indifferent &&
           registration->fire != ati_fire_indifferent_continuation &&
           registration->fire != ati_fire_stop;
}

/* Looks from both ends: many lose their interest in the order of the list, or against it. */
static bool is_anybody_interested(const at_future *source) {
    const ati_registration *last = source->last;
    const ati_registration *first = last->next;
    while (!is_interested(first) && !is_interested(last)) {
        if (first == last || first->next == last)
            return false;
        first = first->next;
        last = last->previous;
    }
    return true;
}

/* Whether a pending source is wanted by nobody; under the lock, with its state and whether there
 * are registrations. */
static bool is_unwanted(const at_future *source, uint32_t state, bool listed) {
    bool may_be = !ati_phase_is_done(state & ATI_PHASE_MASK) && !(state & ATI_STATE_NEEDED);
    return may_be && !(listed && is_anybody_interested(source));
}

/* The source is locked, and unlocked here. */
static bool leave_locked(at_future *source, uint32_t state, ati_registration *registration,
                         bool *unwanted) {
    bool linked = registration->previous;
    bool left = linked ? unlink_one(source, registration) : state & ATI_STATE_LISTED;
    *unwanted = is_unwanted(source, state, left);
    unlock(source, left);
    return linked;
}

bool ati_future_leave(at_future *source, ati_registration *registration, bool *unwanted) {
    return leave_locked(source, ati_future_lock(source), registration, unwanted);
}

bool ati_future_try_leave(at_future *source, ati_registration *registration, bool *left,
                          bool *unwanted) {
    uint32_t state = atomic_load_explicit(&source->state, memory_order_relaxed);
    while (!(state & ATI_STATE_LOCKED))
        if (ati_future_try_lock(source, state)) {
            *left = leave_locked(source, state, registration, unwanted);
            return true;
        } else {
            state = atomic_load_explicit(&source->state, memory_order_relaxed);
        }
    return false;
}

bool ati_future_lose_interest(at_future *source, ati_registration *registration,
                              void (*fire)(ati_registration *registration, at_future *source,
                                           ati_completions *list)) {
    uint32_t state = ati_future_lock(source);
    bool unwanted = false;
    if (registration->previous) {
        registration->fire = fire;
        unwanted = is_unwanted(source, state, true);
    }
    unlock(source, state & ATI_STATE_LISTED);
    return unwanted;
}

void ati_future_visit(at_future *source,
                      ati_visit (*visit)(ati_registration *registration, void *context),
                      void *context) {
    uint32_t state = ati_future_lock(source);
    bool listed = state & ATI_STATE_LISTED;
    ati_visit wish = ATI_VISIT_STOP;
    ati_registration *registration = source->last;
    if (listed && !ati_phase_is_done(state & ATI_PHASE_MASK))
        do {
            registration = registration->next;
            wish = visit(registration, context);
        } while (wish == ATI_VISIT_NEXT && registration != source->last);
    if (wish == ATI_VISIT_REMOVE)
        listed = unlink_one(source, registration);
    unlock(source, listed);
}

size_t ati_future_list_followers(at_future *source, at_future *(*follower_of)(ati_registration *),
                                 at_future **followers, size_t limit) {
    size_t count = 0;
    bool listed = ati_future_lock(source) & ATI_STATE_LISTED;
    ati_registration *registration = source->last;
    if (listed)
        do {
            registration = registration->next;
            followers[count] = follower_of(registration);
            if (followers[count])
                ati_future_retain_inside(followers[count++]);
        } while (registration != source->last && count < limit);
    unlock(source, listed);
    return count;
}
