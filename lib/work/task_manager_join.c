/* SPDX-License-Identifier: MIT */
/* The life of a task manager: how it is made, waited for and ended. */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "future/future.h"
#include "log/default_logger.h"
#include "pool/cancel.h"
#include "pool/pool.h"
#include "pool/report.h"
#include "pool/turn.h"
#include "work/task_manager.h"

#include <asynctools/log.h>

#include <inttypes.h>
#include <string.h>

/* -- Making -- */

static at_status complete_options(at_task_manager_options *options, const char *call) {
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "%s: `reserved` is not zero", call);
    if (options->max_concurrent < 0)
        return ati_fail(AT_ERROR_INVALID, "%s: max_concurrent: %" PRId64 " is negative", call,
                        options->max_concurrent);
    if ((unsigned)options->policy > AT_TASK_MANAGER_COLLECT)
        return ati_fail(AT_ERROR_INVALID, "%s: policy: %d is none", call, (int)options->policy);
    if (options->decide && options->policy != AT_TASK_MANAGER_ALL)
        return ati_fail(AT_ERROR_INVALID, "%s: policy: `decide` stands in its place", call);
    if (options->max_concurrent == 0)
        options->max_concurrent = AT_UNLIMITED;
    if (!options->name)
        options->name = "task manager";
    return AT_OK;
}

at_status at_task_manager_create(at_task_manager **created, at_pool *pool,
                                 const at_task_manager_options *given) {
    static const char call[] = "at_task_manager_create";
    ATI_CALLER_CHECK(created, call, "`manager` is NULL");
    ATI_CALLER_CHECK(pool, call, "`pool` is NULL");
    at_task_manager_options options = given ? *given : (at_task_manager_options){0};
    at_status status = complete_options(&options, call);
    if (status != AT_OK)
        return status;
    at_task_manager *manager = ati_allocate_aligned(sizeof *manager, ATI_CACHE_LINE);
    ati_context *context =
        manager ? ati_context_create(ati_context_own(), options.name, AT_FOREVER, NULL, 0) : NULL;
    if (!context) {
        ati_release(manager, sizeof *manager);
        return ati_fail(AT_ERROR_NO_MEMORY, "%s: out of memory", call);
    }
    ati_pool_retain(pool);
    memset(manager, 0, sizeof *manager);
    manager->pool = pool;
    manager->context = context;
    manager->max_concurrent = (uint64_t)options.max_concurrent;
    manager->policy = options.policy;
    manager->decide = options.decide;
    manager->decide_context = options.context;
    manager->keeps_outcomes = !options.no_outcomes;
    manager->fork_count = ati_process_fork_count();
    ati_part_add(pool, &manager->part, &ati_task_manager_section, manager);
    *created = manager;
    return AT_OK;
}

at_status at_task_manager_cancel(at_task_manager *manager) {
    ATI_CALLER_CHECK(manager, "at_task_manager_cancel", "`manager` is NULL");
    if (manager->fork_count != ati_process_fork_count())
        return AT_ERROR_FORKED;
    return ati_cancel(manager->context, AT_CANCEL_EXPLICIT) ? AT_OK : AT_ERROR_ALREADY;
}

/* Under both locks nobody moves on. */
static void count(at_task_manager *manager, at_task_manager_counts *counts) {
    uint64_t pushed = atomic_load_explicit(&manager->pushed, memory_order_relaxed);
    uint64_t taken = atomic_load_explicit(&manager->taken, memory_order_relaxed);
    uint64_t ended = taken - manager->refused - manager->running;
    *counts = (at_task_manager_counts){.started = pushed - manager->refused,
                                       .queued = pushed - taken,
                                       .running = manager->running,
                                       .succeeded = ended - manager->failed - manager->cancelled,
                                       .failed = manager->failed,
                                       .cancelled = manager->cancelled};
}

void at_task_manager_count(at_task_manager *manager, at_task_manager_counts *counts) {
    ATI_CALLER_CHECK(manager && counts, "at_task_manager_count", "`manager` or `counts` is NULL");
    *counts = (at_task_manager_counts){0};
    if (manager->fork_count != ati_process_fork_count())
        return;
    ati_lock_acquire(&manager->start_lock);
    ati_lock_acquire(&manager->lock);
    count(manager, counts);
    ati_lock_release(&manager->lock);
    ati_lock_release(&manager->start_lock);
}

bool ati_task_manager_is_inside(const at_task_manager *manager) {
    for (const ati_context *context = ati_context_current(); context; context = context->parent)
        if (context == manager->context)
            return true;
    return false;
}

/* -- Waiting -- */

/* False: every child has ended, there is nothing to wait for. */
static bool begin_join(at_task_manager *manager, ati_join_wait *wait) {
    ati_lock_acquire(&manager->start_lock);
    bool some_are_left = manager->running > 0;
    if (some_are_left) {
        wait->next = manager->joins;
        manager->joins = wait;
    } else {
        manager->is_closed = true;
    }
    ati_lock_release(&manager->start_lock);
    return some_are_left;
}

/* True: the wait was still to be woken, and will not be. */
static bool leave_join(at_task_manager *manager, ati_join_wait *wait) {
    ati_lock_acquire(&manager->start_lock);
    ati_join_wait **place = &manager->joins;
    while (*place && *place != wait)
        place = &(*place)->next;
    bool is_found = *place;
    if (is_found)
        *place = wait->next;
    ati_lock_release(&manager->start_lock);
    return is_found;
}

/* False: the deadline has passed before the last child has ended. */
static bool await_children(at_task_manager *manager, at_deadline deadline, const char *call) {
    ati_join_wait wait;
    ati_waiter_init(&wait.waiter, call, NULL);
    if (!begin_join(manager, &wait))
        return true;
    if (ati_waiter_wait_cancellable(&wait.waiter, deadline))
        return true;
    if (ati_is_cancelled(ati_context_current())) {
        (void)ati_cancel(manager->context, AT_CANCEL_PARENT);
        if (ati_waiter_wait(&wait.waiter, deadline))
            return true;
    }
    if (leave_join(manager, &wait))
        return false;
    return ati_waiter_wait(&wait.waiter, AT_FOREVER); /* it is being woken */
}

static at_status check_wait(const at_task_manager *manager, const char *call) {
    if (manager->fork_count != ati_process_fork_count())
        return ati_fail(AT_ERROR_FORKED, "%s: \"%s\" belongs to the parent of this forked process",
                        call, manager->context->name);
    if (ati_task_manager_is_inside(manager))
        return ati_fail(AT_ERROR_DEADLOCK, "%s: a child of \"%s\" waits for itself", call,
                        manager->context->name);
    if (ati_frame_current()->may_not_wait)
        return ati_fail(AT_ERROR_DEADLOCK, "%s: an inline continuation may not wait", call);
    if (ati_worker_current)
        ati_worker_give_turn(ati_worker_current);
    return AT_OK;
}

/* -- Results -- */

/* The first failure with the others; every child has ended. NULL: none has failed. */
static at_error *collect_errors(const at_task_manager *manager) {
    if (!manager->first_error)
        return NULL;
    at_error *error = ati_error_copy(manager->first_error);
    for (size_t i = 0; i < manager->other_count; i++)
        ati_error_add_other(error, at_error_retain(manager->others[i]));
    ati_error_count_others(error, manager->others_dropped);
    return error;
}

/* How the children have ended. */
static at_status give_result(at_task_manager *manager, const char *call) {
    if (manager->decision == AT_TASK_MANAGER_SUCCEED)
        return AT_OK;
    at_error *error = collect_errors(manager);
    if (error) {
        at_status status = at_error_status(error);
        ati_error_slot_put(error, false);
        return status;
    }
    if (manager->decision == AT_TASK_MANAGER_FAIL)
        return ati_fail(AT_ERROR_FAILED, "%s: %s: `decide` says so", call, manager->context->name);
    at_task_manager_counts counts;
    at_task_manager_count(manager, &counts);
    if (counts.cancelled == 0)
        return AT_OK;
    at_status status = ati_cancel_check(call);
    if (status != AT_OK)
        return status;
    return ati_fail(AT_ERROR_CANCELLED, "%s: %s: %" PRIu64 " of %" PRIu64 " were cancelled", call,
                    manager->context->name, counts.cancelled, counts.started);
}

at_status at_task_manager_join(at_task_manager *manager, at_deadline deadline) {
    static const char call[] = "at_task_manager_join";
    ATI_CALLER_CHECK(manager, call, "`manager` is NULL");
    at_status status = check_wait(manager, call);
    if (status != AT_OK)
        return status;
    if (!await_children(manager, deadline, call))
        return ati_fail(AT_ERROR_TIMED_OUT, "%s: the deadline has passed", call);
    return give_result(manager, call);
}

/* What a gather has no use for any more; it is released when the lock is not held. */
typedef struct leftovers {
    ati_child_extra *extras;
    ati_child_chunk *chunks;
} leftovers;

/* The value of a submitted child belongs to its future, which the manager keeps for the caller. */
static void put_extra_away(at_task_manager *manager, ati_child_extra *extra, leftovers *left) {
    if (!extra)
        return;
    ati_child_extra **list = extra->future ? &manager->lent : &left->extras;
    extra->next = *list;
    *list = extra;
}

/* That of a submitted child is its future's, and somebody may have taken it. */
static void *value_of(const ati_child *child) {
    bool is_lent = child->extra && child->extra->future && child->status == AT_OK;
    return is_lent ? ati_future_value(child->extra->future) : child->value;
}

/* Hands over the next `n` outcomes, which are there; under the lock. */
static void hand_over(at_task_manager *manager, at_outcome *outcomes, size_t n, leftovers *left) {
    manager->given += n;
    while (n > 0) {
        ati_child_chunk *chunk = manager->first_chunk;
        if (manager->gathered == ATI_CHUNK_CHILDREN) {
            manager->first_chunk = chunk->next;
            manager->gathered = 0;
            chunk->next = left->chunks;
            left->chunks = chunk;
            continue;
        }
        const ati_child *child = &chunk->children[manager->gathered++];
        if (child->was_refused)
            continue;
        *outcomes++ = (at_outcome){.status = child->status,
                                   .value = value_of(child),
                                   .error = child->error,
                                   .drop = child->drop};
        put_extra_away(manager, child->extra, left);
        n--;
    }
}

static void release_extras(ati_child_extra *extra) {
    while (extra) {
        ati_child_extra *next = extra->next;
        ati_child_extra_release(extra);
        extra = next;
    }
}

static void release_chunks(ati_child_chunk *chunk) {
    while (chunk) {
        ati_child_chunk *next = chunk->next;
        ati_release(chunk, sizeof *chunk);
        chunk = next;
    }
}

static at_status fill_with_error(at_status status, at_outcome *outcomes, size_t n) {
    for (size_t i = 0; i < n; i++)
        outcomes[i] = (at_outcome){.status = status, .error = at_error_retain(at_error_last())};
    return status;
}

at_status at_task_manager_gather(at_task_manager *manager, at_outcome *outcomes, size_t n) {
    static const char call[] = "at_task_manager_gather";
    ATI_CALLER_CHECK(manager, call, "`manager` is NULL");
    ATI_CALLER_CHECK(outcomes || n == 0, call, "`outcomes` is NULL");
    at_status status = check_wait(manager, call);
    if (status == AT_OK && !manager->keeps_outcomes && n > 0)
        status = ati_fail(AT_ERROR_INVALID, "%s: \"%s\" keeps no outcomes", call,
                          manager->context->name);
    if (status != AT_OK)
        return fill_with_error(status, outcomes, n);
    (void)await_children(manager, AT_FOREVER, call);
    leftovers left = {0};
    ati_lock_acquire(&manager->lock);
    uint64_t kept = atomic_load_explicit(&manager->pushed, memory_order_relaxed) -
                    manager->refused - manager->given;
    if (kept >= n)
        hand_over(manager, outcomes, n, &left);
    ati_lock_release(&manager->lock);
    release_extras(left.extras);
    release_chunks(left.chunks);
    if (kept < n) {
        status = ati_fail(AT_ERROR_INVALID, "%s: n: %zu, and there are %" PRIu64 " outcomes", call,
                          n, kept);
        return fill_with_error(status, outcomes, n);
    }
    return give_result(manager, call);
}

/* -- Ending -- */

static bool is_joined(at_task_manager *manager) {
    ati_lock_acquire(&manager->start_lock);
    bool is_closed = manager->is_closed;
    ati_lock_release(&manager->start_lock);
    return is_closed;
}

static void join_abandoned(at_task_manager *manager) {
    at_task_manager_counts counts;
    at_task_manager_count(manager, &counts);
    if (is_joined(manager) || counts.started == 0)
        return;
    ATI_CALLER_CHECK(counts.running == 0 || !ati_frame_current()->may_not_wait,
                     "at_task_manager_destroy",
                     "children are left, and an inline continuation may not wait for them");
    at_logger *logger = ati_default_logger_take();
    at_log_error(logger, "task_manager.unjoined", at_kv("task_manager", manager->context->name),
                 at_kv("started", counts.started), at_kv("queued", counts.queued),
                 at_kv("running", counts.running), at_kv("failed", counts.failed));
    ati_default_logger_give_back(logger);
    (void)ati_cancel(manager->context, AT_CANCEL_EXPLICIT);
    ati_join_wait wait;
    ati_waiter_init(&wait.waiter, "at_task_manager_destroy", NULL);
    if (begin_join(manager, &wait))
        (void)ati_waiter_wait(&wait.waiter, AT_FOREVER);
    at_error *error = collect_errors(manager);
    if (error)
        ati_report_dropped_error(error);
}

static void drop_children(at_task_manager *manager) {
    uint64_t pushed = atomic_load_explicit(&manager->pushed, memory_order_relaxed);
    uint32_t first = manager->gathered;
    for (ati_child_chunk *chunk = manager->first_chunk; chunk; chunk = chunk->next) {
        uint64_t left = pushed - chunk->first_index;
        for (uint32_t i = first; i < ATI_CHUNK_CHILDREN && i < left; i++)
            if (!chunk->children[i].was_refused)
                ati_child_drop(&chunk->children[i]);
        first = 0;
    }
}

static void drop_outcomes(at_task_manager *manager) {
    if (manager->keeps_outcomes)
        drop_children(manager);
    release_chunks(manager->keeps_outcomes ? manager->first_chunk : manager->cursor_chunk);
    release_chunks(ati_chunk_take_spare(manager));
    release_extras(manager->lent);
    at_error_release(manager->first_error);
    for (size_t i = 0; i < manager->other_count; i++)
        at_error_release(manager->others[i]);
}

static void release_places(at_task_manager *manager) {
    ati_task_node *node = manager->free_places;
    while (node) {
        ati_place *place = (ati_place *)((char *)node - offsetof(ati_place, node));
        node = node->next;
        ati_block_release(place);
    }
}

void at_task_manager_destroy(at_task_manager *manager) {
    if (!manager)
        return;
    if (manager->fork_count == ati_process_fork_count()) {
        ATI_CALLER_CHECK(!ati_task_manager_is_inside(manager), "at_task_manager_destroy",
                         "a child may not destroy its own task manager; who created it does");
        join_abandoned(manager);
        drop_outcomes(manager);
        release_places(manager);
    }
    ati_part_remove(&manager->part);
    ati_context_release(manager->context);
    ati_pool_release(manager->pool);
    ati_release(manager, sizeof *manager);
}
