/* SPDX-License-Identifier: MIT */
/* How items come into a task pool, and what becomes of them when its queue is full. */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "future/future.h"
#include "pool/cancel.h"
#include "pool/pool.h"
#include "work/outcomes.h"
#include "work/task_pool.h"

#include <string.h>

static ati_task_pool_item *create_item(at_task_pool *workers, const char *site,
                                       const at_task_options *options) {
    const char *name = options->name ? options->name : "";
    size_t name_size = strlen(name) + 1;
    ati_context *context;
    if (!ati_context_lend(workers->context, &context))
        return NULL;
    ati_task_pool_item *item = ati_allocate(sizeof *item + name_size);
    if (!item) {
        ati_context_release(context);
        return NULL;
    }
    void *lane = ati_context_in_lane(NULL, ati_lane_of(options->priority));
    *item = (ati_task_pool_item){
        .node.work = {.run = ati_task_pool_run_started, .argument = item, .context = lane},
        .workers = workers,
        .context = context,
        .run = options->run,
        .argument = options->argument,
        .drop = options->drop,
        .site = site,
    };
    memcpy(item->name, name, name_size);
    return item;
}

static at_status fail_cancelled(const char *call) {
    return ati_fail(AT_ERROR_CANCELLED, "%s: the task pool is cancelled", call);
}

static at_status check_open(at_task_pool *workers, const char *call) {
    at_pool *pool = workers->pool;
    if (ati_task_pool_is_forked(workers))
        return ati_fail(AT_ERROR_FORKED, "%s: belongs to the parent of this forked process", call);
    if (atomic_load_explicit(&pool->state, memory_order_relaxed) != ATI_POOL_RUNNING &&
        ati_pool_current() != pool)
        return ati_fail(AT_ERROR_CLOSED, "%s: pool \"%s\" is shut down", call, pool->name);
    if (ati_is_cancelled(workers->context))
        return fail_cancelled(call);
    return AT_OK;
}

/* What is to become of a submit. */
typedef enum submit_decision {
    SUBMIT_TAKE,
    SUBMIT_WAIT,
    SUBMIT_REFUSE,
    SUBMIT_RUN,
    SUBMIT_DROP
} submit_decision;

/* Under submit_lock, when there is no room, and what is queued stays there. */
static submit_decision decide_full(at_task_pool *workers, ati_task_pool_wait *wait, bool may_wait) {
    if (!may_wait)
        return SUBMIT_REFUSE;
    if (workers->when_full == AT_TASK_POOL_WAIT)
        return SUBMIT_WAIT;
    if (workers->when_full == AT_TASK_POOL_REFUSE || !ati_task_pool_may_keep(workers))
        return SUBMIT_REFUSE;
    ati_task_pool_accept(workers, wait);
    if (workers->when_full == AT_TASK_POOL_RUN_IN_CALLER) {
        workers->running_in_callers++;
        return SUBMIT_RUN;
    }
    workers->ending++;
    return SUBMIT_DROP;
}

/* What its own items submit passes the bound rather than wait for itself, or run deeper and deeper
 * on one stack. */
static bool may_pass(const at_task_pool *workers, bool may_wait) {
    return may_wait &&
           (workers->when_full == AT_TASK_POOL_WAIT ||
            workers->when_full == AT_TASK_POOL_RUN_IN_CALLER) &&
           ati_task_pool_is_inside(workers);
}

static bool has_room(const at_task_pool *workers) {
    return !workers->submits.first && ati_task_pool_has_room(workers);
}

/* Under both locks. */
static submit_decision decide(at_task_pool *workers, ati_task_pool_wait *wait, bool may_wait,
                              bool passes, ati_task_pool_changes *changes) {
    if (!has_room(workers)) {
        ati_task_pool_expire(workers, changes);
        ati_task_pool_settle(workers, changes);
    }
    bool drops_oldest = may_wait && workers->when_full == AT_TASK_POOL_DROP_OLDEST &&
                        ati_task_pool_may_keep(workers) && ati_task_pool_first(workers);
    if (!has_room(workers) && !passes) {
        if (!drops_oldest)
            return decide_full(workers, wait, may_wait);
        ati_task_pool_leave_out(workers, AT_ERROR_DROPPED, changes);
    }
    ati_task_pool_enqueue(workers, wait);
    return SUBMIT_TAKE;
}

static at_status end_wait(const ati_task_pool_wait *wait, const char *call) {
    return wait->status == AT_OK ? AT_OK : fail_cancelled(call);
}

/* Under both locks, for one who waits on: a wake that told it to lead has been seen. */
static void note_told(ati_task_pool_wait *wait, const char *call) {
    if (!wait->is_told)
        return;
    wait->is_told = false;
    ati_waiter_init(&wait->waiter, call, NULL);
}

static void leave_list(at_task_pool *workers, ati_task_pool_wait *wait) {
    ati_wait_list_remove(&workers->submits, wait);
    workers->waiting--;
}

/* What has expired makes room for those who wait. False: the wait is over, or given up. Else it is
 * to look again at `until`. */
static bool look_for_room(at_task_pool *workers, ati_task_pool_wait *wait, bool gives_up,
                          at_deadline *until, const char *call) {
    ati_task_pool_changes changes = {0};
    ati_task_pool_lock(workers);
    bool goes_on = !wait->is_over && !gives_up;
    if (goes_on)
        note_told(wait, call);
    else if (!wait->is_over)
        leave_list(workers, wait);
    else
        workers->leaving -= wait->leads;
    ati_task_pool_expire(workers, &changes);
    ati_task_pool_settle(workers, &changes);
    *until = wait->leads ? at_after(ati_task_pool_until_expiry(workers)) : AT_FOREVER;
    ati_task_pool_unlock(workers);
    ati_task_pool_apply(workers, &changes);
    return goes_on;
}

/* The wait is in the list. Gives AT_OK if the item was let in; then the task pool may be gone. */
static at_status await_room(at_task_pool *workers, ati_task_pool_wait *wait, const char *call) {
    at_deadline until = AT_FOREVER;
    bool is_woken;
    do {
        is_woken = ati_waiter_wait_cancellable(&wait->waiter, until);
        if (is_woken && !wait->leads)
            return end_wait(wait, call);
    } while (look_for_room(workers, wait, !is_woken && at_is_cancelled(), &until, call));
    if (!wait->is_over)
        return ati_cancel_check(call);
    if (!is_woken)
        (void)ati_waiter_wait(&wait->waiter, AT_FOREVER);
    return end_wait(wait, call);
}

/* The task pool may be gone when the locks have been released. Gives what is to be released. */
static ati_kept_chunk *give_spare_back(at_task_pool *workers, ati_task_pool_wait *wait) {
    ati_kept_chunk *spare = wait->spare;
    wait->spare = NULL;
    return spare ? ati_task_pool_exchange_spare(workers, spare) : NULL;
}

/* The long way, under both locks; releases them. `wait` is in the list if the caller is to wait. */
static submit_decision submit_slowly(at_task_pool *workers, ati_task_pool_wait *wait, bool may_wait,
                                     bool passes) {
    ati_task_pool_changes changes = {0};
    submit_decision decision = decide(workers, wait, may_wait, passes, &changes);
    if (decision == SUBMIT_WAIT && !ati_frame_current()->may_not_wait) {
        ati_wait_list_add(&workers->submits, wait);
        workers->waiting++;
    }
    workers->refused += decision == SUBMIT_REFUSE;
    ati_task_pool_settle(workers, &changes);
    ati_kept_chunk *spare = decision == SUBMIT_WAIT ? NULL : give_spare_back(workers, wait);
    ati_task_pool_unlock(workers);
    ati_release(spare, sizeof *spare);
    ati_task_pool_apply(workers, &changes);
    return decision;
}

/* Whether all that is to be done on a full queue can be done under submit_lock alone. */
static bool is_simple(const at_task_pool *workers, bool may_wait, bool passes) {
    bool leaves_queue = workers->when_full == AT_TASK_POOL_REFUSE ||
                        workers->when_full == AT_TASK_POOL_RUN_IN_CALLER ||
                        workers->when_full == AT_TASK_POOL_DROP_NEWEST;
    return workers->expiry == 0 && !workers->keeps_outcomes && !passes &&
           (!may_wait || leaves_queue);
}

/* The short way, for most, under submit_lock, which it releases. False: the long way is to be
 * taken, and it is held. */
static bool submit_quickly(at_task_pool *workers, ati_task_pool_wait *wait, bool may_wait,
                           bool passes, submit_decision *decision) {
    ati_push push = ati_task_pool_push(workers, wait);
    if (push == ATI_PUSH_FULL && is_simple(workers, may_wait, passes)) {
        *decision = decide_full(workers, wait, may_wait);
        workers->refused += *decision == SUBMIT_REFUSE;
    } else if (push == ATI_PUSH_DONE) {
        *decision = SUBMIT_TAKE;
    } else {
        return false;
    }
    ati_lock_release(&workers->submit_lock);
    return true;
}

static at_status refuse_full(const char *call) {
    const char *const words[3] = {call, "task pool", "the queue is full"};
    return ati_fail_in_words(AT_ERROR_FULL, words);
}

static void drop_newest(at_task_pool *workers, ati_task_pool_item *item) {
    ati_task_pool_changes changes = {0};
    ati_call_drop(item->drop, item->argument);
    item->outcome = ati_outcome_failed(AT_ERROR_DROPPED);
    ati_task_pool_finish_item(item);
    if (ati_task_pool_end_here(workers, &workers->ending, AT_ERROR_DROPPED, &changes))
        ati_task_pool_apply(workers, &changes);
}

static void run_in_caller(at_task_pool *workers, ati_task_pool_item *item) {
    ati_task_pool_changes changes = {0};
    ati_task_pool_run_item(item, NULL);
    at_status status = item->outcome.status;
    ati_task_pool_finish_item(item);
    if (ati_task_pool_end_here(workers, &workers->running_in_callers, status, &changes))
        ati_task_pool_apply(workers, &changes);
}

static at_status carry_out(at_task_pool *workers, ati_task_pool_wait *wait,
                           submit_decision decision, const char *call) {
    switch (decision) {
    case SUBMIT_WAIT:
        return ati_frame_current()->may_not_wait
                   ? ati_fail(AT_ERROR_DEADLOCK, "%s: an inline continuation may not wait for room",
                              call)
                   : await_room(workers, wait, call);
    case SUBMIT_REFUSE:
        return refuse_full(call);
    case SUBMIT_RUN:
        run_in_caller(workers, wait->item);
        return AT_OK;
    case SUBMIT_DROP:
        drop_newest(workers, wait->item);
        return AT_OK;
    default:
        return AT_OK;
    }
}

/* Under submit_lock: gets the other lock, and a spare chunk, if one may be needed. False: no
 * memory, and no lock is held. */
static bool lock_all(at_task_pool *workers, ati_task_pool_wait *wait) {
    if (!workers->keeps_outcomes) {
        ati_task_pool_lock_rest(workers);
        return true;
    }
    ati_lock_release(&workers->submit_lock);
    wait->spare = ati_task_pool_take_spare(workers);
    if (wait->spare)
        ati_task_pool_lock(workers);
    return wait->spare;
}

static at_status submit_item(at_task_pool *workers, ati_task_pool_item *item, bool may_wait,
                             const char *call) {
    ati_task_pool_wait wait;
    submit_decision decision;
    bool passes = may_pass(workers, may_wait);
    wait.item = item;
    wait.spare = NULL;
    ati_lock_acquire(&workers->submit_lock);
    if (!submit_quickly(workers, &wait, may_wait, passes, &decision)) {
        wait = (ati_task_pool_wait){.item = item};
        ati_waiter_init(&wait.waiter, call, NULL);
        if (!lock_all(workers, &wait))
            return ati_fail(AT_ERROR_NO_MEMORY, "%s: out of memory", call);
        decision = submit_slowly(workers, &wait, may_wait, passes);
    }
    at_status status = carry_out(workers, &wait, decision, call);
    if (wait.spare)
        ati_release(wait.spare, sizeof *wait.spare);
    return status;
}

static at_status submit(const char *site, at_task_pool *workers, const at_task_options *options,
                        bool may_wait, const char *call) {
    at_status status = check_open(workers, call);
    if (status != AT_OK)
        return status;
    ati_task_pool_item *item = create_item(workers, site, options);
    if (!item)
        return ati_fail(AT_ERROR_NO_MEMORY, "%s: out of memory", call);
    status = submit_item(workers, item, may_wait, call);
    if (status != AT_OK)
        ati_task_pool_free_item(item);
    return status;
}

at_status at_task_pool_submit_at(const char *site, at_task_pool *workers, at_run_fn run,
                                 void *argument) {
    ATI_CALLER_CHECK(workers, "at_task_pool_submit", "`workers` is NULL");
    ATI_CALLER_CHECK(run, "at_task_pool_submit", "`run` is NULL");
    at_task_options options = {.run = run, .argument = argument};
    return submit(site, workers, &options, true, "at_task_pool_submit");
}

at_status at_task_pool_try_submit_at(const char *site, at_task_pool *workers, at_run_fn run,
                                     void *argument) {
    ATI_CALLER_CHECK(workers, "at_task_pool_try_submit", "`workers` is NULL");
    ATI_CALLER_CHECK(run, "at_task_pool_try_submit", "`run` is NULL");
    at_task_options options = {.run = run, .argument = argument};
    return submit(site, workers, &options, false, "at_task_pool_try_submit");
}

at_status at_task_pool_submit_with_at(const char *site, at_task_pool *workers,
                                      const at_task_options *options) {
    const char *call = "at_task_pool_submit_with";
    ATI_CALLER_CHECK(workers, call, "`workers` is NULL");
    ATI_CALLER_CHECK(options && options->run, call, "`run` is NULL");
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "%s: `reserved` is not zero", call);
    if (options->is_detached)
        return ati_fail(AT_ERROR_INVALID, "%s: is_detached: an item belongs to its pool", call);
    if (!ati_priority_is_valid(options->priority))
        return ati_fail(AT_ERROR_INVALID, "%s: priority: %d is none", call, (int)options->priority);
    return submit(site, workers, options, true, call);
}
