/* SPDX-License-Identifier: MIT */
/* The state of a task pool, and how it changes: under its lock, but for ati_task_pool_apply. */
#include "base/error.h"
#include "base/memory.h"
#include "future/future.h"
#include "pool/cancel.h"
#include "pool/pool.h"
#include "pool/report.h"
#include "work/outcomes.h"
#include "work/task_pool.h"

/* -- Lists -- */

static void add_item(ati_item_list *list, ati_task_pool_item *item) {
    item->next = NULL;
    if (list->last)
        list->last->next = item;
    else
        list->first = item;
    list->last = item;
    list->count++;
}

static ati_task_pool_item *take_item(ati_item_list *list) {
    ati_task_pool_item *item = list->first;
    if (!item)
        return NULL;
    list->first = item->next;
    if (!list->first)
        list->last = NULL;
    list->count--;
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

/* -- Room -- */

bool ati_task_pool_may_keep(const at_task_pool *workers) {
    return !workers->keeps_outcomes || workers->statistics.kept < workers->kept_limit;
}

bool ati_task_pool_has_room(const at_task_pool *workers) {
    return ati_task_pool_may_keep(workers) &&
           workers->running + workers->queue.count < workers->capacity;
}

void ati_task_pool_accept(at_task_pool *workers, ati_task_pool_item *item) {
    workers->statistics.submitted++;
    if (!workers->keeps_outcomes)
        return;
    if (workers->last_kept)
        workers->last_kept->next_kept = item;
    else
        workers->first_kept = item;
    workers->last_kept = item;
    workers->statistics.kept++;
}

void ati_task_pool_enqueue(at_task_pool *workers, ati_task_pool_item *item) {
    ati_task_pool_accept(workers, item);
    item->expires = AT_FOREVER;
    if (workers->expiry > 0 && workers->running >= workers->pool_size) {
        int64_t now = at_clock_now(workers->pool->options.clock);
        if (workers->expiry < AT_FOREVER - now)
            item->expires = now + workers->expiry;
    }
    add_item(&workers->queue, item);
}

static void note_queued(at_task_pool *workers) {
    if (workers->queue.count > workers->statistics.max_queued)
        workers->statistics.max_queued = workers->queue.count;
}

/* -- Items that never run -- */

void ati_task_pool_leave_out_item(at_task_pool *workers, ati_task_pool_item *item, at_status status,
                                  ati_task_pool_changes *changes) {
    workers->ending++;
    item->outcome = ati_outcome_failed(status);
    add_item(&changes->ends, item);
}

void ati_task_pool_leave_out(at_task_pool *workers, at_status status,
                             ati_task_pool_changes *changes) {
    ati_task_pool_leave_out_item(workers, take_item(&workers->queue), status, changes);
}

/* All wait equally long: the first is the first to expire. */
void ati_task_pool_expire(at_task_pool *workers, ati_task_pool_changes *changes) {
    if (workers->expiry == 0 || !workers->queue.first)
        return;
    int64_t now = at_clock_now(workers->pool->options.clock);
    while (workers->queue.first && workers->queue.first->expires <= now)
        ati_task_pool_leave_out(workers, AT_ERROR_EXPIRED, changes);
}

/* -- Going on -- */

static bool is_cancelled(const at_task_pool *workers) {
    return ati_context_reason(workers->context) != AT_CANCEL_NONE;
}

static void start_queued(at_task_pool *workers, ati_task_pool_changes *changes) {
    if (workers->running < workers->pool_size)
        ati_task_pool_expire(workers, changes);
    while (workers->running < workers->pool_size && workers->queue.first) {
        workers->running++;
        add_item(&changes->starts, take_item(&workers->queue));
    }
}

static ati_task_pool_wait *end_first_submit(at_task_pool *workers, ati_task_pool_changes *changes,
                                            at_status status) {
    ati_task_pool_wait *wait = workers->submits.first;
    ati_wait_list_remove(&workers->submits, wait);
    workers->statistics.waiting--;
    wait->is_over = true;
    wait->status = status;
    ati_wait_list_add(&changes->wakes, wait);
    return wait;
}

/* Nothing is to be begun any more. */
static void end_queued(at_task_pool *workers, ati_task_pool_changes *changes) {
    while (workers->queue.first)
        ati_task_pool_leave_out(workers, AT_ERROR_CANCELLED, changes);
    while (workers->submits.first)
        (void)end_first_submit(workers, changes, AT_ERROR_CANCELLED);
}

static bool let_one_in(at_task_pool *workers, ati_task_pool_changes *changes) {
    if (!workers->submits.first || !ati_task_pool_has_room(workers))
        return false;
    ati_task_pool_enqueue(workers, end_first_submit(workers, changes, AT_OK)->item);
    return true;
}

bool ati_task_pool_has_ended(const at_task_pool *workers) {
    return workers->running == 0 && workers->running_in_callers == 0 && workers->ending == 0 &&
           !workers->queue.first;
}

void ati_task_pool_settle(at_task_pool *workers, ati_task_pool_changes *changes) {
    if (is_cancelled(workers))
        end_queued(workers, changes);
    do
        start_queued(workers, changes);
    while (let_one_in(workers, changes));
    note_queued(workers);
    if (!workers->joins.first || !ati_task_pool_has_ended(workers))
        return;
    changes->joins = workers->joins;
    workers->joins = (ati_wait_list){0};
    for (ati_task_pool_wait *wait = changes->joins.first; wait; wait = wait->next)
        wait->is_over = true;
}

/* -- Without the lock -- */

void ati_task_pool_free_item(ati_task_pool_item *item) {
    ati_release(item, item->size);
}

/* What was dropped or has expired did so by the rules of the task pool, and the numbers tell of it:
 * under load it would flood the log. */
static bool is_worth_a_line(const at_outcome *outcome) {
    return outcome->status != AT_OK && outcome->status != AT_ERROR_DROPPED &&
           outcome->status != AT_ERROR_EXPIRED;
}

void ati_task_pool_discard_item(ati_task_pool_item *item) {
    if (is_worth_a_line(&item->outcome)) {
        ati_report_dropped_error((at_error *)item->outcome.error);
        item->outcome.error = NULL;
    }
    at_outcomes_release(&item->outcome, 1);
    ati_task_pool_free_item(item);
}

static void wake_all(ati_wait_list *list) {
    for (ati_task_pool_wait *wait = list->first; wait;) {
        ati_task_pool_wait *next = wait->next;
        ati_waiter_wake(&wait->waiter);
        wait = next;
    }
}

static void count_left_out(at_task_pool *workers, at_status status) {
    at_task_pool_statistics *statistics = &workers->statistics;
    workers->ending--;
    if (status == AT_ERROR_DROPPED)
        statistics->dropped++;
    else if (status == AT_ERROR_EXPIRED)
        statistics->expired++;
    else if (status == AT_ERROR_CANCELLED)
        statistics->cancelled++;
    else
        statistics->failed++;
}

/* Their arguments first, then they have ended; gives what follows from that. */
static void end_items(at_task_pool *workers, ati_item_list *ends, ati_task_pool_changes *next) {
    for (ati_task_pool_item *item = ends->first; item; item = item->next)
        ati_call_drop(item->drop, item->argument);
    bool keeps = workers->keeps_outcomes;
    ati_lock_acquire(&workers->lock);
    for (ati_task_pool_item *item = ends->first; item; item = item->next)
        count_left_out(workers, item->outcome.status);
    ati_task_pool_settle(workers, next);
    ati_lock_release(&workers->lock);
    ati_task_pool_item *item;
    while (!keeps && (item = take_item(ends)))
        ati_task_pool_discard_item(item);
}

/* A pool that has stopped meanwhile takes no more: that is what becomes of the item. */
static void start_items(at_task_pool *workers, ati_item_list *starts, ati_task_pool_changes *next) {
    ati_task_pool_item *item;
    while ((item = take_item(starts))) {
        at_status status = ati_pool_start_nodes(workers->pool, &item->node, 1, true);
        if (status == AT_OK)
            continue;
        at_error_clear();
        ati_lock_acquire(&workers->lock);
        workers->running--;
        ati_task_pool_leave_out_item(workers, item, status, next);
        ati_lock_release(&workers->lock);
    }
}

void ati_task_pool_apply(at_task_pool *workers, ati_task_pool_changes *changes) {
    ati_task_pool_changes now = *changes;
    for (;;) {
        ati_task_pool_changes next = {0};
        start_items(workers, &now.starts, &next);
        wake_all(&now.wakes);
        if (now.ends.first)
            end_items(workers, &now.ends, &next);
        if (now.joins.first)
            wake_all(&now.joins);
        if (!next.starts.first && !next.ends.first && !next.wakes.first && !next.joins.first)
            return;
        now = next;
    }
}
