/* SPDX-License-Identifier: MIT */
/* How the items of a task pool run: in tasks of the pool, one after the other. */
#include "base/error.h"
#include "pool/cancel.h"
#include "pool/exception.h"
#include "pool/pool.h"
#include "work/outcomes.h"
#include "work/task_pool.h"

enum {
    next_limit = 3,   /* items run one after the other without a way through the deque */
    linger_least = 4, /* items that a task has run before it lingers */
};

/* Takes the next item in the short way. */
static ati_task_pool_item *take_next(at_task_pool *workers, at_status ended_as) {
    ati_lock_acquire(&workers->lock);
    ati_task_pool_item *next = ati_task_pool_take(workers);
    if (next)
        ati_task_pool_count(&workers->ends, ended_as);
    ati_lock_release(&workers->lock);
    return next;
}

/* The place becomes free, or that of the next item, with all that follows. Gives that item. */
static ati_task_pool_item *leave_place(at_task_pool *workers, at_status ended_as) {
    ati_task_pool_changes changes = {0};
    ati_task_pool_lock(workers);
    workers->running--;
    ati_task_pool_count(&workers->ends, ended_as);
    ati_task_pool_settle(workers, &changes);
    ati_task_pool_unlock(workers);
    ati_task_pool_item *next = ati_task_pool_take_start(&changes);
    ati_task_pool_apply(workers, &changes);
    return next;
}

/* Nothing is queued: lets some items gather. */
static void linger(const at_task_pool *workers) {
    for (int i = 0; i < ATI_LINGER_TIMES && !ati_task_pool_has_queued(workers); i++)
        if (!ati_worker_linger(ati_worker_current))
            return;
}

/* An item has ended that a task has run. Gives the one that takes its place; NULL: none does, and
 * the task pool may be gone. */
static ati_task_pool_item *end_item(ati_task_pool_item *item) {
    at_task_pool *workers = item->workers;
    at_status status = item->outcome.status;
    uint32_t in_a_row = item->in_a_row + 1;
    ati_task_pool_finish_item(item);
    ati_task_pool_item *next = take_next(workers, status);
    if (!next) {
        if (in_a_row >= linger_least)
            linger(workers);
        next = leave_place(workers, status);
    }
    if (next)
        next->in_a_row = in_a_row;
    return next;
}

void ati_task_pool_run_item(ati_task_pool_item *item, ati_worker *worker) {
    at_task_pool *workers = item->workers;
    bool is_cancelled = ati_is_cancelled(workers->context);
    ati_task_run run;
    ati_context *context = item->context ? item->context : workers->context;
    ati_task_begin(worker, &run, context, item->site, item->name);
    ATI_STOP_EXCEPTIONS;
    if (!is_cancelled) {
        void *returned = item->run(item->argument);
        const char *name = *item->name ? item->name : ati_site_name(item->site);
        ati_outcome_take(&item->outcome, &run.frame, returned, AT_NONE, name, item->site);
    } else {
        if (item->drop)
            item->drop(item->argument);
        item->outcome = ati_outcome_failed(AT_ERROR_CANCELLED);
    }
    ati_task_end(worker, &run, item->outcome.status);
    if (worker && worker->depth == 0)
        worker->quiet = ATI_QUIET_FIRST;
}

void *ati_task_pool_run_started(void *argument) {
    ati_worker *worker = ati_worker_current;
    ati_task_pool_item *item = argument;
    at_task_pool *workers = item->workers;
    ati_lane lane = ati_work_lane(&item->node.work);
    for (int in_a_row = 0;; in_a_row++) {
        ati_task_pool_run_item(item, worker);
        item = end_item(item);
        if (!item)
            return NULL;
        if (in_a_row == next_limit || ati_work_lane(&item->node.work) != lane)
            break;
        ati_counter_add(&worker->counts.accepted, 1); /* before it can end */
    }
    ati_task_pool_start(workers, item);
    return NULL;
}
