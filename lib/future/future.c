/* SPDX-License-Identifier: MIT */
/* Purpose: the box for one outcome: how it is made, kept and read. How it gets its outcome, and the
 * argument about who may touch what, is in completion.c.
 *
 * References. All are counted in one word. Whoever has accounted for every one of them has the
 * future for itself and needs no locked instruction: only a reference leads to a future, and only
 * who has one can make another. So the last one is given back by a load.
 *
 * Frees do not recurse: what is released while the thread frees a future goes to a list.
 *
 * Checked by: tests/model/future_model.c, tests/unit/future_*_test.c,
 * tests/stress/future_*_test.c. */
#include "future/future.h"

#include "base/block_cache.h"
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "pool/pool.h"
#include "pool/report.h"

#include <pthread.h>
#include <string.h>

_Static_assert(sizeof(at_future) <= ATI_BLOCK_SIZE, "a future does not fit a block");
_Static_assert(offsetof(at_future, name) < sizeof(at_future), "there is no room for the name \"\"");

/* -- Making -- */

at_future *ati_future_create(ati_future_kind kind, at_executor *executor, const char *site,
                             const char *name) {
    executor->retain(executor);
    return ati_future_create_kept(kind, executor, site, name);
}

at_future *ati_future_create_kept(ati_future_kind kind, at_executor *executor, const char *site,
                                  const char *name) {
    size_t name_size = name && *name ? strlen(name) + 1 : 0;
    at_future *future = ati_allocate(sizeof(at_future) + name_size);
    if (!future) {
        executor->release(executor);
        return NULL;
    }
    memset(future, 0, sizeof *future);
    atomic_init(&future->references, 1);
    future->kind = (uint8_t)kind;
    future->lane = (uint8_t)ati_lane_inherited();
    future->executor = executor;
    future->site = site;
    future->context = ati_context_to_share();
    ati_context_stock_take(future->context, 1);
    future->fork_count = (uint32_t)ati_process_fork_count();
    if (name_size > 0)
        memcpy(future->name, name, name_size);
    return future;
}

static size_t size_of(const at_future *future) {
    return sizeof *future + (*future->name ? strlen(future->name) + 1 : 0);
}

static at_future no_memory = {
    .references = 1, .state = ATI_PHASE_ERROR, .is_static = true, .error_was_passed = true};
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
    if (!future->is_static)
        atomic_fetch_add_explicit(&future->references, 1, memory_order_relaxed);
    return future;
}

/* Futures whose last reference went while this thread was freeing another: freeing a value may
 * release further futures, and so on without end, so the outermost call frees them all. */
static _Thread_local at_future *doomed;
static _Thread_local bool freeing;

static void report_unread_error(at_future *future) {
    if (!atomic_load_explicit(&future->error_was_passed, memory_order_relaxed) &&
        !ati_error_mark_read(future->error))
        ati_report_dropped_error(at_error_retain(future->error));
}

static void release_outcome(at_future *future) {
    if (future->error) {
        report_unread_error(future);
        at_error_release(future->error);
    }
    bool taken = atomic_load_explicit(&future->value_was_taken, memory_order_relaxed);
    if (future->value && future->drop && !future->owner && !taken)
        ati_call_drop(future->drop, future->value);
    at_future_release(future->owner);
}

static void free_future(at_future *future) {
    uint32_t state = atomic_load_explicit(&future->state, memory_order_relaxed);
    if (ati_phase_is_done(state & ATI_PHASE_MASK)) {
        release_outcome(future);
    } else { /* it can never be started */
        ati_future_drop_argument(future);
        at_future_release(future->source);
    }
    future->executor->release(future->executor);
    ati_release(future, size_of(future));
}

/* Frees a future that nobody has any more; if this thread is freeing another, when that is done. */
static void doom(at_future *future) {
    uint32_t state = atomic_load_explicit(&future->state, memory_order_relaxed);
    if (!ati_phase_is_done(state & ATI_PHASE_MASK))
        ati_context_stock_put(future->context, 1);
    if (freeing) {
        future->link = doomed;
        doomed = future;
        return;
    }
    freeing = true;
    free_future(future);
    while (doomed) {
        at_future *next = doomed;
        doomed = next->link;
        free_future(next);
    }
    freeing = false;
}

/* Takes `change` references away; the last one frees the future. */
static void release(at_future *future, uint64_t change) {
    if (!future || future->is_static)
        return;
    /* ORDER future.references: acquire. As below, for the last one, which nobody can make more of:
     * it needs no locked instruction. Pairs with: acq_rel in release(). If relaxed: freed while
     * another still reads. */
    if (atomic_load_explicit(&future->references, memory_order_acquire) == change) {
        atomic_store_explicit(&future->references, 0, memory_order_relaxed);
        doom(future);
        return;
    }
    /* ORDER future.references: acq_rel. All uses by others happen before the free.
     * Pairs with: itself in release(), acquire in ati_future_has_one_consumer(). If relaxed: freed
     * while another still reads. */
    uint64_t before = atomic_fetch_sub_explicit(&future->references, change, memory_order_acq_rel);
    ATI_CALLER_CHECK(ati_references_all(before) != 0, "at_future_release",
                     "released more often than it was retained");
    if (ati_references_all(before) == 1)
        doom(future);
}

void at_future_release(at_future *future) {
    release(future, 1);
}

void ati_future_retain_inside(at_future *future) {
    if (!future->is_static)
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
