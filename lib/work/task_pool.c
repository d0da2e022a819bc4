/* SPDX-License-Identifier: MIT */
/* A task pool: a bounded queue in front of a pool. An item that is submitted is queued, and started
 * as a task of the pool at once if fewer than pool_size run; each that ends starts the next. So the
 * queue holds something only while pool_size items run, and one of them will look at it.
 *
 * Everything is decided under one lock, by ati_task_pool_settle, which notes what is to be done: to
 * start tasks, to drop arguments, to wake those who wait. ati_task_pool_apply does it without the
 * lock, the waking of those who wait for the end last: they may destroy the task pool.
 *
 * A submit that waits leaves its item in a list; whoever makes room puts it into the queue from
 * there, so that nobody can come in between. */
#include "work/task_pool.h"
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "pool/cancel.h"
#include "pool/exception.h"
#include "pool/pool.h"
#include "work/outcomes.h"

#include <string.h>

enum { size_limit = 1000000 };

static const int64_t default_queue_size = 1024;
static const int64_t default_kept_outcomes = 65536;

/* -- Life -- */

static at_status refuse_option(const char *member, int64_t value) {
    return ati_fail(AT_ERROR_INVALID, "at_task_pool_create: %s: %lld is out of range", member,
                    (long long)value);
}

static at_status check_options(const at_task_pool_options *options) {
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_task_pool_create: `reserved` is not zero");
    if (options->pool_size < 0 || options->pool_size > size_limit)
        return refuse_option("pool_size", options->pool_size);
    if (options->queue_size < AT_NONE)
        return refuse_option("queue_size", options->queue_size);
    if ((unsigned)options->when_full > AT_TASK_POOL_DROP_OLDEST)
        return refuse_option("when_full", options->when_full);
    if (options->expiry < 0)
        return refuse_option("expiry", options->expiry);
    if (options->kept_outcomes < AT_NONE)
        return refuse_option("kept_outcomes", options->kept_outcomes);
    return AT_OK;
}

/* Zero is the default, AT_NONE is none. */
static uint64_t complete_count(int64_t given, int64_t otherwise) {
    if (given == AT_NONE)
        return 0;
    return (uint64_t)(given != 0 ? given : otherwise);
}

static void set_options(at_task_pool *workers, const at_task_pool_options *options) {
    workers->pool_size = complete_count(options->pool_size, at_pool_thread_count(workers->pool));
    workers->capacity =
        workers->pool_size + complete_count(options->queue_size, default_queue_size);
    workers->kept_limit = complete_count(options->kept_outcomes, default_kept_outcomes);
    workers->keeps_outcomes = options->kept_outcomes != AT_NONE;
    workers->when_full = options->when_full;
    workers->expiry = options->expiry;
}

/* On the thread that cancels: what is queued ends at once, whatever those do that run. */
static void settle_cancelled(void *context) {
    at_task_pool *workers = context;
    ati_task_pool_changes changes = {0};
    if (ati_task_pool_is_forked(workers))
        return;
    ati_lock_acquire(&workers->lock);
    ati_task_pool_settle(workers, &changes);
    ati_lock_release(&workers->lock);
    ati_task_pool_apply(workers, &changes);
}

at_status at_task_pool_create(at_task_pool **workers, at_pool *pool,
                              const at_task_pool_options *options) {
    static const at_task_pool_options defaults = {0};
    ATI_CALLER_CHECK(workers, "at_task_pool_create", "`workers` is NULL");
    ATI_CALLER_CHECK(pool, "at_task_pool_create", "`pool` is NULL");
    if (!options)
        options = &defaults;
    at_status status = check_options(options);
    if (status != AT_OK)
        return status;
    ati_context *outer = ati_context_own();
    at_task_pool *made = ati_allocate_zeroed(sizeof *made);
    ati_context *context =
        made ? ati_context_create(outer, "task_pool", AT_FOREVER, NULL, 0) : NULL;
    if (!context) {
        ati_release(made, sizeof *made);
        return ati_fail(AT_ERROR_NO_MEMORY, "at_task_pool_create: out of memory");
    }
    made->pool = pool;
    made->process_fork_count = ati_process_fork_count();
    made->context = context;
    set_options(made, options);
    at_cancel_callback_register(&made->on_cancel, (at_token *)context, settle_cancelled, made);
    ati_part_add(pool, &made->part, &ati_task_pool_section, made);
    *workers = made;
    return AT_OK;
}

/* In the child of a fork: other threads of the parent may have been in the middle of anything, and
 * items are the parent's. An operation around it, which may be cancelled still, knows of it. */
static void abandon(at_task_pool *workers) {
    if (workers->context->parent)
        return;
    ati_context_release(workers->context);
    ati_release(workers, sizeof *workers);
}

void at_task_pool_destroy(at_task_pool *workers) {
    if (!workers)
        return;
    if (ati_task_pool_is_forked(workers)) {
        abandon(workers);
        return;
    }
    ATI_CALLER_CHECK(!ati_task_pool_is_inside(workers), "at_task_pool_destroy",
                     "called by an item of this task pool, which would wait for itself; destroy it "
                     "where it was created");
    ati_task_pool_await_end(workers);
    ati_part_remove(&workers->part);
    at_cancel_callback_unregister(&workers->on_cancel);
    while (workers->first_kept) {
        ati_task_pool_item *item = workers->first_kept;
        workers->first_kept = item->next_kept;
        ati_task_pool_discard_item(item);
    }
    ati_context_release(workers->context);
    ati_release(workers, sizeof *workers);
}

bool ati_task_pool_is_inside(const at_task_pool *workers) {
    const ati_context *context = ati_context_current();
    while (context && context != workers->context)
        context = context->parent;
    return context;
}

/* -- Running -- */

/* Without the lock, when the item is the caller's alone; kept ones are not touched afterwards. */
static void end_item(ati_task_pool_item *item, bool in_caller) {
    at_task_pool *workers = item->workers;
    at_status status = item->outcome.status;
    ati_task_pool_changes changes = {0};
    if (!workers->keeps_outcomes)
        ati_task_pool_discard_item(item);
    ati_lock_acquire(&workers->lock);
    if (in_caller)
        workers->running_in_callers--;
    else
        workers->running--;
    if (status == AT_OK)
        workers->statistics.succeeded++;
    else if (status == AT_ERROR_CANCELLED)
        workers->statistics.cancelled++;
    else
        workers->statistics.failed++;
    ati_task_pool_settle(workers, &changes);
    ati_lock_release(&workers->lock);
    ati_task_pool_apply(workers, &changes);
}

/* In a task of the pool, which counts it, or with `worker` NULL as a part of what runs here. */
static void run_item(ati_task_pool_item *item, ati_worker *worker) {
    at_task_pool *workers = item->workers;
    bool is_cancelled = ati_is_cancelled(workers->context);
    ati_task_run run;
    ati_task_begin(worker, &run, workers->context, item->site, item->name);
    ATI_STOP_EXCEPTIONS;
    if (!is_cancelled) {
        void *returned = item->run(item->argument);
        const char *name = *item->name ? item->name : ati_site_name(item->site);
        ati_outcome_take(&item->outcome, &run.frame, returned, name, item->site);
    } else {
        item->outcome = ati_outcome_failed(AT_ERROR_CANCELLED);
        if (item->drop)
            item->drop(item->argument);
    }
    ati_task_end(worker, &run, item->outcome.status);
}

static void *run_started(void *argument) {
    run_item(argument, ati_worker_current);
    end_item(argument, false);
    return NULL;
}

/* -- Submitting -- */

static ati_task_pool_item *create_item(at_task_pool *workers, const char *site,
                                       const at_task_options *options) {
    const char *name = options->name ? options->name : "";
    size_t name_size = strlen(name) + 1;
    ati_task_pool_item *item = ati_allocate(sizeof *item + name_size);
    if (!item)
        return NULL;
    void *lane = ati_context_in_lane(NULL, ati_lane_of(options->priority));
    *item = (ati_task_pool_item){
        .node.work = {.run = run_started, .argument = item, .context = lane},
        .workers = workers,
        .run = options->run,
        .argument = options->argument,
        .drop = options->drop,
        .site = site,
        .size = sizeof *item + name_size,
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
    SUBMIT_RUN
} submit_decision;

/* Under the lock, when there is no room, or others wait for it. */
static submit_decision decide_full(at_task_pool *workers, ati_task_pool_item *item, bool may_wait,
                                   ati_task_pool_changes *changes) {
    if (!may_wait)
        return SUBMIT_REFUSE;
    if (workers->when_full == AT_TASK_POOL_WAIT)
        return SUBMIT_WAIT;
    if (workers->when_full == AT_TASK_POOL_REFUSE || !ati_task_pool_may_keep(workers))
        return SUBMIT_REFUSE;
    if (workers->when_full == AT_TASK_POOL_RUN_IN_CALLER) {
        ati_task_pool_accept(workers, item);
        workers->running_in_callers++;
        return SUBMIT_RUN;
    }
    if (workers->when_full == AT_TASK_POOL_DROP_OLDEST && workers->queue.first) {
        ati_task_pool_leave_out(workers, AT_ERROR_DROPPED, changes);
        ati_task_pool_enqueue(workers, item);
    } else {
        ati_task_pool_accept(workers, item);
        ati_task_pool_leave_out_item(workers, item, AT_ERROR_DROPPED, changes);
    }
    return SUBMIT_TAKE;
}

/* Under the lock. */
static submit_decision decide(at_task_pool *workers, ati_task_pool_item *item, bool may_wait,
                              bool is_inside, ati_task_pool_changes *changes) {
    bool has_room = !workers->submits.first && ati_task_pool_has_room(workers);
    if (!has_room) {
        ati_task_pool_expire(workers, changes);
        ati_task_pool_settle(workers, changes);
        has_room = !workers->submits.first && ati_task_pool_has_room(workers);
    }
    /* What its own items submit passes the bound rather than wait for itself, or run deeper and
     * deeper on one stack. */
    bool passes = may_wait && is_inside &&
                  (workers->when_full == AT_TASK_POOL_WAIT ||
                   workers->when_full == AT_TASK_POOL_RUN_IN_CALLER);
    if (!has_room && !passes)
        return decide_full(workers, item, may_wait, changes);
    ati_task_pool_enqueue(workers, item);
    return SUBMIT_TAKE;
}

static at_status end_wait(const ati_task_pool_wait *wait, const char *call) {
    return wait->status == AT_OK ? AT_OK : fail_cancelled(call);
}

/* The wait is in the list. Gives AT_OK if the item was let in. */
static at_status await_room(at_task_pool *workers, ati_task_pool_wait *wait, const char *call) {
    if (ati_waiter_wait_cancellable(&wait->waiter, AT_FOREVER))
        return end_wait(wait, call);
    ati_lock_acquire(&workers->lock);
    bool is_over = wait->is_over;
    if (!is_over) {
        ati_wait_list_remove(&workers->submits, wait);
        workers->statistics.waiting--;
    }
    ati_lock_release(&workers->lock);
    if (!is_over)
        return ati_cancel_check(call);
    (void)ati_waiter_wait(&wait->waiter, AT_FOREVER);
    return end_wait(wait, call);
}

static at_status submit_item(at_task_pool *workers, ati_task_pool_item *item, bool may_wait,
                             const char *call) {
    ati_task_pool_changes changes = {0};
    ati_task_pool_wait wait = {.item = item};
    ati_waiter_init(&wait.waiter, call, NULL);
    bool is_inside = ati_task_pool_is_inside(workers);
    bool may_not_wait = ati_frame_current()->may_not_wait;
    ati_lock_acquire(&workers->lock);
    submit_decision decision = decide(workers, item, may_wait, is_inside, &changes);
    if (decision == SUBMIT_WAIT && !may_not_wait) {
        ati_wait_list_add(&workers->submits, &wait);
        workers->statistics.waiting++;
    }
    workers->statistics.refused += decision == SUBMIT_REFUSE;
    ati_task_pool_settle(workers, &changes);
    ati_lock_release(&workers->lock);
    ati_task_pool_apply(workers, &changes);
    switch (decision) {
    case SUBMIT_WAIT:
        return may_not_wait ? ati_fail(AT_ERROR_DEADLOCK,
                                       "%s: an inline continuation may not wait for room", call)
                            : await_room(workers, &wait, call);
    case SUBMIT_REFUSE:
        return ati_fail(AT_ERROR_FULL, "%s: the queue is full", call);
    case SUBMIT_RUN:
        run_item(item, NULL);
        end_item(item, true);
        return AT_OK;
    default:
        return AT_OK;
    }
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
