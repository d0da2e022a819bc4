/* SPDX-License-Identifier: MIT */
/* The state of a task pool, and how it changes: under its locks, but for ati_task_pool_apply. */
#include "base/error.h"
#include "base/memory.h"
#include "future/future.h"
#include "pool/cancel.h"
#include "pool/pool.h"
#include "pool/report.h"
#include "work/outcomes.h"
#include "work/task_pool.h"

#include <string.h>

/* -- Lists -- */

static ati_task_pool_item *item_of(ati_task_node *node) {
    return (ati_task_pool_item *)node;
}

static void add_item(ati_item_list *list, ati_task_pool_item *item) {
    item->node.next = NULL;
    if (list->last)
        list->last->node.next = &item->node;
    else
        list->first = item;
    list->last = item;
}

static ati_task_pool_item *take_item(ati_item_list *list) {
    ati_task_pool_item *item = list->first;
    if (!item)
        return NULL;
    list->first = item_of(item->node.next);
    if (!list->first)
        list->last = NULL;
    return item;
}

void ati_wait_list_add(ati_wait_list *list, ati_task_pool_wait *wait) {
    wait->next = NULL;
    if (list->last)
        list->last->next = wait;
    else
        list->first = wait;
    list->last = wait;
}

void ati_wait_list_remove(ati_wait_list *list, ati_task_pool_wait *wait) {
    ati_task_pool_wait *before = NULL;
    ati_task_pool_wait **place = &list->first;
    while (*place != wait) {
        before = *place;
        place = &before->next;
    }
    *place = wait->next;
    if (list->last == wait)
        list->last = before;
}

/* -- The queue -- */

static uint64_t read_count(const _Atomic uint64_t *count) {
    return atomic_load_explicit((_Atomic uint64_t *)count, memory_order_relaxed);
}

static ati_task_pool_item **place_of(const at_task_pool *workers, uint64_t number) {
    return &workers->ring[number & (workers->ring_size - 1)];
}

/* Under submit_lock, when there is room. */
static void put_into_ring(at_task_pool *workers, ati_task_pool_item *item) {
    uint64_t pushed = read_count(&workers->pushed);
    *place_of(workers, pushed) = item;
    /* ORDER task_pool.pushed: release. Publishes the item and its place.
     * Pairs with: acquire in see_pushed(). If relaxed: a taker reads an unwritten item. */
    atomic_store_explicit(&workers->pushed, pushed + 1, memory_order_release);
}

/* Under submit_lock: how many items are in the ring; as far as `taken` is known. */
static uint64_t count_in_ring(const at_task_pool *workers) {
    return read_count(&workers->pushed) - workers->taken_seen;
}

static void see_taken(at_task_pool *workers) {
    /* ORDER task_pool.taken: acquire. The takers have read the places that are written anew.
     * Pairs with: release in take_from_ring(). If relaxed: an item is overwritten. */
    workers->taken_seen = atomic_load_explicit(&workers->taken, memory_order_acquire);
}

/* Under submit_lock: puts it behind all others. */
static void put_into_queue(at_task_pool *workers, ati_task_pool_item *item) {
    if (!workers->arrived.first && count_in_ring(workers) == workers->ring_size)
        see_taken(workers);
    if (!workers->arrived.first && count_in_ring(workers) < workers->ring_size) {
        put_into_ring(workers, item);
        return;
    }
    add_item(&workers->arrived, item);
    workers->arrived_count++;
}

/* Under `lock`. False: the ring is empty. */
static bool see_pushed(at_task_pool *workers) {
    uint64_t taken = read_count(&workers->taken);
    if (workers->seen == taken)
        /* ORDER task_pool.pushed: acquire. Sees the items.
         * Pairs with: release in put_into_ring(). If relaxed: reads an unwritten item. */
        workers->seen = atomic_load_explicit(&workers->pushed, memory_order_acquire);
    return workers->seen != taken;
}

/* Under `lock`, when it is not empty. */
static ati_task_pool_item *take_from_ring(at_task_pool *workers) {
    uint64_t taken = read_count(&workers->taken);
    ati_task_pool_item *item = *place_of(workers, taken);
    /* ORDER task_pool.taken: release. The place has been read.
     * Pairs with: acquire in see_taken(). If relaxed: the item is overwritten before. */
    atomic_store_explicit(&workers->taken, taken + 1, memory_order_release);
    return item;
}

/* Under both locks. */
static void fill_ring(at_task_pool *workers) {
    see_taken(workers);
    while (workers->arrived.first && count_in_ring(workers) < workers->ring_size) {
        put_into_ring(workers, take_item(&workers->arrived));
        workers->arrived_count--;
    }
}

void ati_task_pool_lock_rest(at_task_pool *workers) {
    ati_lock_acquire(&workers->lock);
    fill_ring(workers);
}

void ati_task_pool_lock(at_task_pool *workers) {
    ati_lock_acquire(&workers->submit_lock);
    ati_task_pool_lock_rest(workers);
}

void ati_task_pool_unlock(at_task_pool *workers) {
    ati_lock_release(&workers->lock);
    ati_lock_release(&workers->submit_lock);
}

ati_task_pool_item *ati_task_pool_first(const at_task_pool *workers) {
    uint64_t taken = read_count(&workers->taken);
    return taken == read_count(&workers->pushed) ? NULL : *place_of(workers, taken);
}

/* Under both locks, when there is one. */
static ati_task_pool_item *take_first(at_task_pool *workers) {
    (void)see_pushed(workers);
    ati_task_pool_item *item = take_from_ring(workers);
    fill_ring(workers);
    return item;
}

uint64_t ati_task_pool_queued(const at_task_pool *workers) {
    return read_count(&workers->pushed) - read_count(&workers->taken) + workers->arrived_count;
}

bool ati_task_pool_has_queued(const at_task_pool *workers) {
    return read_count(&workers->pushed) != read_count(&workers->taken);
}

/* -- Room -- */

bool ati_task_pool_may_keep(const at_task_pool *workers) {
    return !workers->keeps_outcomes || workers->kept < workers->kept_limit;
}

bool ati_task_pool_has_room(const at_task_pool *workers) {
    return ati_task_pool_may_keep(workers) &&
           workers->running + ati_task_pool_queued(workers) < workers->capacity;
}

static bool has_kept_room(const at_task_pool *workers) {
    return workers->last_kept && workers->last_kept->count < ATI_KEPT_OUTCOMES;
}

/* Gives the next place for an outcome. */
static at_outcome *keep(at_task_pool *workers, ati_task_pool_wait *wait) {
    if (!has_kept_room(workers)) {
        ati_kept_chunk *added = wait->spare;
        wait->spare = NULL;
        added->next = NULL;
        added->count = 0;
        if (workers->last_kept)
            workers->last_kept->next = added;
        else
            workers->first_kept = added;
        workers->last_kept = added;
    }
    workers->kept++;
    return &workers->last_kept->outcomes[workers->last_kept->count++];
}

void ati_task_pool_accept(at_task_pool *workers, ati_task_pool_wait *wait) {
    workers->submitted++;
    if (workers->keeps_outcomes)
        wait->item->kept = keep(workers, wait);
}

void ati_task_pool_enqueue(at_task_pool *workers, ati_task_pool_wait *wait) {
    ati_task_pool_item *item = wait->item;
    ati_task_pool_accept(workers, wait);
    item->expires = AT_FOREVER;
    if (workers->expiry > 0 && workers->running >= workers->pool_size) {
        int64_t now = at_clock_now(workers->pool->options.clock);
        if (workers->expiry < AT_FOREVER - now)
            item->expires = now + workers->expiry;
    }
    put_into_queue(workers, item);
}

static void note_queued(at_task_pool *workers, uint64_t queued) {
    if (queued > workers->max_queued)
        workers->max_queued = queued;
}

static bool is_cancelled(const at_task_pool *workers) {
    return ati_context_reason(workers->context) != AT_CANCEL_NONE;
}

/* At most so many; the line of the takers is read only where that might be too many. */
static uint64_t estimate_queued(at_task_pool *workers) {
    uint64_t queued = count_in_ring(workers) + workers->arrived_count;
    if (queued < workers->max_queued && workers->running + queued < workers->capacity)
        return queued;
    see_taken(workers);
    return count_in_ring(workers) + workers->arrived_count;
}

ati_push ati_task_pool_push(at_task_pool *workers, ati_task_pool_wait *wait) {
    if (workers->running < workers->pool_size || workers->submits.first || is_cancelled(workers))
        return ATI_PUSH_UNKNOWN;
    uint64_t queued = estimate_queued(workers);
    if (workers->running + queued >= workers->capacity || !ati_task_pool_may_keep(workers))
        return ATI_PUSH_FULL;
    if (workers->keeps_outcomes && !has_kept_room(workers))
        return ATI_PUSH_UNKNOWN;
    ati_task_pool_enqueue(workers, wait);
    note_queued(workers, queued + 1);
    return ATI_PUSH_DONE;
}

/* -- Items that never run -- */

void ati_task_pool_leave_out_item(at_task_pool *workers, ati_task_pool_item *item, at_status status,
                                  ati_task_pool_changes *changes) {
    workers->ending++;
    item->left_out = status;
    add_item(&changes->ends, item);
}

void ati_task_pool_leave_out(at_task_pool *workers, at_status status,
                             ati_task_pool_changes *changes) {
    ati_task_pool_leave_out_item(workers, take_first(workers), status, changes);
}

static bool has_expired(const at_task_pool *workers, const ati_task_pool_item *item) {
    return item->expires != AT_FOREVER &&
           item->expires <= at_clock_now(workers->pool->options.clock);
}

/* All wait equally long: the first is the first to expire. */
void ati_task_pool_expire(at_task_pool *workers, ati_task_pool_changes *changes) {
    const ati_task_pool_item *first;
    while (workers->expiry > 0 && (first = ati_task_pool_first(workers)) &&
           has_expired(workers, first))
        ati_task_pool_leave_out(workers, AT_ERROR_EXPIRED, changes);
}

at_duration ati_task_pool_until_expiry(const at_task_pool *workers) {
    const ati_task_pool_item *first = ati_task_pool_first(workers);
    if (!first || first->expires == AT_FOREVER)
        return AT_FOREVER;
    return first->expires - at_clock_now(workers->pool->options.clock);
}

/* -- Going on -- */

static void start_queued(at_task_pool *workers, ati_task_pool_changes *changes) {
    if (workers->running < workers->pool_size)
        ati_task_pool_expire(workers, changes);
    while (workers->running < workers->pool_size && ati_task_pool_first(workers)) {
        workers->running++;
        add_item(&changes->starts, take_first(workers));
    }
}

static ati_task_pool_wait *end_first_submit(at_task_pool *workers, ati_task_pool_changes *changes,
                                            at_status status) {
    ati_task_pool_wait *wait = workers->submits.first;
    ati_wait_list_remove(&workers->submits, wait);
    workers->waiting--;
    wait->is_over = true;
    wait->status = status;
    workers->leaving += wait->leads;
    if (!wait->is_told)
        ati_wait_list_add(&changes->wakes, wait);
    return wait;
}

/* Nothing is to be begun any more. */
static void end_queued(at_task_pool *workers, ati_task_pool_changes *changes) {
    while (ati_task_pool_first(workers))
        ati_task_pool_leave_out(workers, AT_ERROR_CANCELLED, changes);
    while (workers->submits.first)
        (void)end_first_submit(workers, changes, AT_ERROR_CANCELLED);
}

static bool let_one_in(at_task_pool *workers, ati_task_pool_changes *changes) {
    if (!workers->submits.first || !ati_task_pool_has_room(workers))
        return false;
    ati_task_pool_enqueue(workers, end_first_submit(workers, changes, AT_OK));
    return true;
}

bool ati_task_pool_has_ended(const at_task_pool *workers) {
    return workers->running == 0 && workers->running_in_callers == 0 && workers->ending == 0 &&
           workers->leaving == 0 && !ati_task_pool_first(workers);
}

/* Under the locks, so that it is woken before it can be over. */
static void tell_first_submit(at_task_pool *workers) {
    ati_task_pool_wait *first = workers->submits.first;
    if (!first || first->leads || workers->expiry == 0)
        return;
    first->leads = true;
    first->is_told = true;
    ati_waiter_wake(&first->waiter);
}

void ati_task_pool_settle(at_task_pool *workers, ati_task_pool_changes *changes) {
    if (is_cancelled(workers))
        end_queued(workers, changes);
    do
        start_queued(workers, changes);
    while (let_one_in(workers, changes));
    note_queued(workers, ati_task_pool_queued(workers));
    workers->is_awaited = workers->submits.first;
    tell_first_submit(workers);
    if (!workers->joins.first || !ati_task_pool_has_ended(workers))
        return;
    changes->joins = workers->joins;
    workers->joins = (ati_wait_list){0};
    for (ati_task_pool_wait *wait = changes->joins.first; wait; wait = wait->next)
        wait->is_over = true;
}

ati_task_pool_item *ati_task_pool_take(at_task_pool *workers) {
    if (workers->is_awaited || is_cancelled(workers) || !see_pushed(workers) ||
        (workers->expiry > 0 && has_expired(workers, ati_task_pool_first(workers))))
        return NULL;
    return take_from_ring(workers);
}

void ati_task_pool_count(ati_task_pool_ends *ends, at_status status) {
    if (status == AT_OK)
        ends->succeeded++;
    else if (status == AT_ERROR_CANCELLED)
        ends->cancelled++;
    else if (status == AT_ERROR_DROPPED)
        ends->dropped++;
    else if (status == AT_ERROR_EXPIRED)
        ends->expired++;
    else
        ends->failed++;
}

ati_task_pool_item *ati_task_pool_take_start(ati_task_pool_changes *changes) {
    return take_item(&changes->starts);
}

/* -- Without the locks -- */

void ati_task_pool_free_item(ati_task_pool_item *item) {
    ati_context_release(item->context);
    ati_release(item, sizeof *item + strlen(item->name) + 1);
}

/* What was dropped or has expired did so by the rules of the task pool, and the numbers tell of it:
 * under load it would flood the log. */
static bool is_worth_a_line(const at_outcome *outcome) {
    return outcome->status != AT_OK && outcome->status != AT_ERROR_DROPPED &&
           outcome->status != AT_ERROR_EXPIRED;
}

void ati_task_pool_discard(at_outcome *outcome) {
    if (is_worth_a_line(outcome)) {
        ati_report_dropped_error((at_error *)outcome->error);
        outcome->error = NULL;
    }
    at_outcomes_release(outcome, 1);
}

void ati_task_pool_finish_item(ati_task_pool_item *item) {
    if (item->kept)
        *item->kept = item->outcome;
    else
        ati_task_pool_discard(&item->outcome);
    ati_task_pool_free_item(item);
}

ati_kept_chunk *ati_task_pool_exchange_spare(at_task_pool *workers, ati_kept_chunk *chunk) {
    /* ORDER task_pool.spare: acq_rel. Hands the chunk over, and gets the one that was there.
     * Pairs with: ati_task_pool_exchange_spare(). If relaxed: a chunk is written while it is read,
     * or released. */
    return atomic_exchange_explicit(&workers->spare, chunk, memory_order_acq_rel);
}

ati_kept_chunk *ati_task_pool_take_spare(at_task_pool *workers) {
    ati_kept_chunk *spare = ati_task_pool_exchange_spare(workers, NULL);
    return spare ? spare : ati_allocate(sizeof *spare);
}

static void wake_all(ati_wait_list *list) {
    for (ati_task_pool_wait *wait = list->first; wait;) {
        ati_task_pool_wait *next = wait->next;
        ati_waiter_wake(&wait->waiter);
        wait = next;
    }
}

bool ati_task_pool_end_here(at_task_pool *workers, uint64_t *among, at_status status,
                            ati_task_pool_changes *changes) {
    ati_lock_acquire(&workers->submit_lock);
    --*among;
    ati_task_pool_count(&workers->ends_here, status);
    bool is_joined = workers->joins.first;
    if (is_joined) {
        ati_task_pool_lock_rest(workers);
        ati_task_pool_settle(workers, changes);
        ati_lock_release(&workers->lock);
    }
    ati_lock_release(&workers->submit_lock);
    return is_joined;
}

/* Their arguments first, then they have ended. */
static void end_items(at_task_pool *workers, ati_item_list *ends, ati_task_pool_changes *next) {
    ati_task_pool_item *item;
    while ((item = take_item(ends))) {
        at_status status = item->left_out;
        ati_call_drop(item->drop, item->argument);
        item->outcome = ati_outcome_failed(status);
        ati_task_pool_finish_item(item);
        (void)ati_task_pool_end_here(workers, &workers->ending, status, next);
    }
}

/* A pool that has stopped meanwhile takes no more: that is what becomes of the item. */
static void start_items(at_task_pool *workers, ati_item_list *starts, ati_task_pool_changes *next) {
    ati_task_pool_item *item;
    while ((item = take_item(starts))) {
        item->node.next = NULL;
        at_status status = ati_pool_start_nodes(workers->pool, &item->node, 1, true);
        if (status == AT_OK)
            continue;
        at_error_clear();
        ati_task_pool_lock(workers);
        workers->running--;
        ati_task_pool_leave_out_item(workers, item, status, next);
        ati_task_pool_settle(workers, next);
        ati_task_pool_unlock(workers);
    }
}

void ati_task_pool_start(at_task_pool *workers, ati_task_pool_item *item) {
    ati_task_pool_changes changes = {0};
    add_item(&changes.starts, item);
    ati_task_pool_apply(workers, &changes);
}

void ati_task_pool_apply(at_task_pool *workers, ati_task_pool_changes *changes) {
    ati_task_pool_changes now = *changes;
    for (;;) {
        ati_task_pool_changes next = {0};
        start_items(workers, &now.starts, &next);
        wake_all(&now.wakes);
        end_items(workers, &now.ends, &next);
        if (now.joins.first)
            wake_all(&now.joins);
        if (!next.starts.first && !next.ends.first && !next.wakes.first && !next.joins.first)
            return;
        now = next;
    }
}
