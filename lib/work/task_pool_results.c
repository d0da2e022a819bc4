/* SPDX-License-Identifier: MIT */
/* What a task pool gives back: its end, its outcomes, its numbers. */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "pool/cancel.h"
#include "work/task_pool.h"

/* False: it has ended already. */
static bool begin_wait(at_task_pool *workers, ati_task_pool_wait *wait, const char *call) {
    *wait = (ati_task_pool_wait){.item = NULL};
    ati_waiter_init(&wait->waiter, call, NULL);
    ati_task_pool_lock(workers);
    bool must_wait = !ati_task_pool_has_ended(workers);
    if (must_wait)
        ati_wait_list_add(&workers->joins, wait);
    ati_task_pool_unlock(workers);
    return must_wait;
}

void ati_task_pool_await_end(at_task_pool *workers) {
    ati_task_pool_wait wait;
    if (begin_wait(workers, &wait, "at_task_pool_destroy"))
        (void)ati_waiter_wait(&wait.waiter, AT_FOREVER);
}

/* The deadline has passed, or the caller's operation is cancelled. */
static at_status give_up(at_task_pool *workers, ati_task_pool_wait *wait, const char *call) {
    ati_task_pool_lock(workers);
    bool is_over = wait->is_over;
    if (!is_over)
        ati_wait_list_remove(&workers->joins, wait);
    ati_task_pool_unlock(workers);
    if (is_over) {
        (void)ati_waiter_wait(&wait->waiter, AT_FOREVER);
        return AT_OK;
    }
    at_status status = ati_cancel_check(call);
    if (status != AT_OK)
        return status;
    return ati_fail(AT_ERROR_TIMED_OUT, "%s: items have not ended", call);
}

static at_status join(at_task_pool *workers, const char *call, at_deadline deadline) {
    ati_task_pool_wait wait;
    if (ati_task_pool_is_forked(workers))
        return ati_fail(AT_ERROR_FORKED, "%s: belongs to the parent of this forked process", call);
    if (ati_task_pool_is_inside(workers))
        return ati_fail(AT_ERROR_DEADLOCK, "%s: an item would wait for itself", call);
    if (!begin_wait(workers, &wait, call))
        return AT_OK;
    if (!ati_frame_current()->may_not_wait) {
        if (ati_waiter_wait_cancellable(&wait.waiter, deadline))
            return AT_OK;
        return give_up(workers, &wait, call);
    }
    at_status status = give_up(workers, &wait, call);
    if (status != AT_ERROR_TIMED_OUT)
        return status;
    return ati_fail(AT_ERROR_DEADLOCK, "%s: an inline continuation may not wait", call);
}

at_status at_task_pool_join(at_task_pool *workers, at_deadline deadline) {
    ATI_CALLER_CHECK(workers, "at_task_pool_join", "`workers` is NULL");
    return join(workers, "at_task_pool_join", deadline);
}

/* -- Results -- */

typedef struct gathered {
    ati_kept_chunk *first;
    uint64_t count;
    at_outcome *outcomes; /* or NULL */
    uint64_t room;        /* in `outcomes` */
} gathered;

/* Takes all items out, if all have ended and there is room for just their outcomes. False: others
 * have come, or there is not; `count` says how many there are. */
static bool take_kept(at_task_pool *workers, gathered *all) {
    ati_task_pool_changes changes = {0};
    ati_task_pool_lock(workers);
    bool ended = ati_task_pool_has_ended(workers);
    all->count = workers->kept;
    bool taken = ended && all->count == all->room;
    if (taken) {
        all->first = workers->first_kept;
        workers->first_kept = NULL;
        workers->last_kept = NULL;
        workers->kept = 0;
        ati_task_pool_settle(workers, &changes);
    }
    ati_task_pool_unlock(workers);
    ati_task_pool_apply(workers, &changes);
    return taken;
}

static void free_room(gathered *all) {
    ati_release(all->outcomes, all->room * sizeof *all->outcomes);
    all->outcomes = NULL;
    all->room = 0;
}

/* False: no memory. */
static bool make_room(gathered *all, uint64_t wanted) {
    if (wanted == all->room)
        return true;
    free_room(all);
    if (wanted > 0)
        all->outcomes = ati_allocate(wanted * sizeof *all->outcomes);
    all->room = all->outcomes ? wanted : 0;
    return all->room == wanted;
}

static void hand_over(const gathered *all) {
    at_outcome *to = all->outcomes;
    ati_kept_chunk *chunk = all->first;
    while (chunk) {
        ati_kept_chunk *next = chunk->next;
        for (size_t i = 0; i < chunk->count; i++)
            *to++ = chunk->outcomes[i];
        ati_release(chunk, sizeof *chunk);
        chunk = next;
    }
}

at_status at_task_pool_gather_results(at_task_pool *workers, at_outcome **outcomes, size_t *count) {
    const char *call = "at_task_pool_gather_results";
    ATI_CALLER_CHECK(workers, call, "`workers` is NULL");
    ATI_CALLER_CHECK(outcomes && count, call, "`outcomes` or `count` is NULL");
    gathered all = {0};
    do {
        at_status status = join(workers, call, AT_FOREVER);
        if (status == AT_OK && !make_room(&all, all.count))
            status = ati_fail(AT_ERROR_NO_MEMORY, "%s: no memory for %llu outcomes", call,
                              (unsigned long long)all.count);
        if (status != AT_OK) {
            free_room(&all);
            return status;
        }
    } while (!take_kept(workers, &all));
    hand_over(&all);
    *outcomes = all.outcomes;
    *count = all.count;
    return AT_OK;
}

void at_task_pool_results_release(at_outcome *outcomes, size_t count) {
    at_outcomes_release(outcomes, count);
    ati_release(outcomes, count * sizeof *outcomes);
}

/* -- Numbers -- */

static void count(at_task_pool *workers, at_task_pool_statistics *statistics) {
    ati_task_pool_lock(workers);
    const ati_task_pool_ends *ends = &workers->ends;
    const ati_task_pool_ends *ends_here = &workers->ends_here;
    *statistics = (at_task_pool_statistics){
        .submitted = workers->submitted,
        .succeeded = ends->succeeded + ends_here->succeeded,
        .failed = ends->failed + ends_here->failed,
        .cancelled = ends->cancelled + ends_here->cancelled,
        .dropped = ends->dropped + ends_here->dropped,
        .expired = ends->expired + ends_here->expired,
        /* With those that never ran, and are about to be counted as what they are. */
        .running = workers->running + workers->running_in_callers + workers->ending,
        .queued = ati_task_pool_queued(workers),
        .waiting = workers->waiting,
        .kept = workers->kept,
        .refused = workers->refused,
        .max_queued = workers->max_queued,
    };
    ati_task_pool_unlock(workers);
}

void at_task_pool_get_statistics(at_task_pool *workers, at_task_pool_statistics *statistics) {
    ATI_CALLER_CHECK(workers, "at_task_pool_get_statistics", "`workers` is NULL");
    ATI_CALLER_CHECK(statistics, "at_task_pool_get_statistics", "`statistics` is NULL");
    *statistics = (at_task_pool_statistics){0};
    if (!ati_task_pool_is_forked(workers))
        count(workers, statistics);
}

/* -- The dump -- */

static const char *name_policy(at_task_pool_policy policy) {
    static const char *const names[] = {
        [AT_TASK_POOL_WAIT] = "wait",
        [AT_TASK_POOL_REFUSE] = "refuse",
        [AT_TASK_POOL_RUN_IN_CALLER] = "run_in_caller",
        [AT_TASK_POOL_DROP_NEWEST] = "drop_newest",
        [AT_TASK_POOL_DROP_OLDEST] = "drop_oldest",
    };
    return names[policy];
}

static bool write_task_pool(const void *it, ati_json *json) {
    at_task_pool *workers = (at_task_pool *)it;
    at_task_pool_statistics now;
    count(workers, &now);
    ati_json_begin_object(json, NULL);
    ati_json_unsigned(json, "pool_size", workers->pool_size);
    ati_json_unsigned(json, "queue_size", workers->capacity - workers->pool_size);
    ati_json_text(json, "when_full", name_policy(workers->when_full));
    ati_json_bool(json, "cancelled", ati_context_reason(workers->context) != AT_CANCEL_NONE);
    ati_json_begin_object(json, "items");
    ati_json_unsigned(json, "submitted", now.submitted);
    ati_json_unsigned(json, "succeeded", now.succeeded);
    ati_json_unsigned(json, "failed", now.failed);
    ati_json_unsigned(json, "cancelled", now.cancelled);
    ati_json_unsigned(json, "dropped", now.dropped);
    ati_json_unsigned(json, "expired", now.expired);
    ati_json_unsigned(json, "running", now.running);
    ati_json_unsigned(json, "queued", now.queued);
    ati_json_end_object(json);
    ati_json_unsigned(json, "waiting", now.waiting);
    ati_json_unsigned(json, "kept", now.kept);
    ati_json_unsigned(json, "refused", now.refused);
    ati_json_end_object(json);
    return true;
}

const ati_part_section ati_task_pool_section = {.name = "task_pools", .write = write_task_pool};
