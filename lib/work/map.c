/* SPDX-License-Identifier: MIT */
/* Purpose: calls a function for each of many items, by a bounded number of tasks, the runners.
 *
 * Items are given out in runs from one counter, `next`. A run begins with one item and grows while
 * its items take no more than some microseconds together; near the end runs are short. A runner
 * takes the items of its run one by one, and when the counter is used up, runners without items
 * take over half of what others have left: so an item that takes long, or waits, holds nobody up
 * but its runner. With more runners than share_limit, which wait more than they compute, each run
 * is one item.
 *
 * Fields: runner->range is a run, `begin` in the upper 40 bits and its length in the lower 24. Its
 * runner sets it when it is empty; everybody takes items out of it by compare and swap.
 *
 * Invariants:
 *   1. Each index below items.count is at or above `next`, or in one range, or taken, which
 * somebody does once: two equal values of a range stand for the same indices, none of which is
 * taken, so a compare and swap that succeeds late is right.
 *   2. An outcome is written by who has taken its index; by the caller once `left` is 0.
 *   3. A runner is QUEUED -> BEGUN (by itself), or -> GONE (by the caller, whose operation has been
 *      cancelled: it is not waited for). Only one that is BEGUN touches what the caller lends.
 *
 * Progress: a runner that has lost a compare and swap has lost it to one that took an item.
 *
 * Checked by: tests/unit/concurrent_executor_test.c, tests/stress/concurrent_executor_test.c. */
#include "work/map.h"

#include "base/error.h"
#include "base/memory.h"
#include "pool/cancel.h"
#include "pool/exception.h"
#include "pool/pool.h"
#include "work/map_errors.h"
#include "work/outcomes.h"

static const at_duration run_time_min = AT_MICROSECONDS(4);
static const at_duration run_time_max = AT_MICROSECONDS(16);

/* A runner tells of what it has run about so often; items that take longer one by one. */
static const at_duration tell_interval = AT_MICROSECONDS(50);

enum {
    share_limit = 64,    /* runners that look at each other's runs */
    parts = 4,           /* a run is at most such a part of each runner's share of the rest */
    length_bits = 24,    /* of a range */
    run_limit = 1 << 16, /* items */
    untold_limit = 4096, /* items that a runner does not tell of, however short */
    fetch_ahead = 16     /* outcomes, so that who takes an item need not wait for the one before
                            to be written */
};

typedef enum runner_state { RUNNER_QUEUED, RUNNER_BEGUN, RUNNER_GONE } runner_state;

typedef struct map_runner {
    _Alignas(ATI_CACHE_LINE) ati_task_node node;
    ati_item_map *map;
    _Atomic uint64_t range;
    _Atomic uint32_t state; /* runner_state */
} map_runner;

struct ati_item_map {
    ati_map_call call;
    ati_context *context; /* the operation of the items, owned */
    ati_map_progress progress;
    ati_map_errors errors;
    _Atomic bool has_cause; /* fail_fast: an item has ended the others by its failure */
    ati_waiter waiter;      /* of the caller */
    uint32_t runner_count;
    size_t size;                                    /* of this allocation */
    _Alignas(ATI_CACHE_LINE) _Atomic uint64_t next; /* the first item not given out */
    _Alignas(ATI_CACHE_LINE) _Atomic uint32_t left; /* runners that the caller waits for */
    _Atomic uint32_t references;                    /* of the runners, and the caller's */
    map_runner runners[];
};

/* -- Items -- */

static uint64_t make_range(uint64_t begin, uint64_t length) {
    return begin << length_bits | length;
}

static uint64_t length_of(uint64_t range) {
    return range & ((UINT64_C(1) << length_bits) - 1);
}

static uint64_t begin_of(uint64_t range) {
    return range >> length_bits;
}

/* Takes the first item of the runner's own run. */
static bool take_item(map_runner *runner, uint64_t *index) {
    uint64_t range = atomic_load_explicit(&runner->range, memory_order_relaxed);
    do {
        if (length_of(range) == 0)
            return false;
        *index = begin_of(range);
    } while (!atomic_compare_exchange_weak_explicit(&runner->range, &range,
                                                    make_range(*index + 1, length_of(range) - 1),
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

/* Takes over the second half of what another runner has not begun. */
static bool take_half(map_runner *victim, uint64_t *taken) {
    uint64_t range = atomic_load_explicit(&victim->range, memory_order_relaxed);
    uint64_t kept;
    do {
        if (length_of(range) == 0)
            return false;
        kept = length_of(range) / 2;
        *taken = make_range(begin_of(range) + kept, length_of(range) - kept);
    } while (!atomic_compare_exchange_weak_explicit(&victim->range, &range,
                                                    make_range(begin_of(range), kept),
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static uint64_t limit_run(const ati_item_map *map, uint64_t wanted, uint64_t left) {
    uint64_t limit = map->runner_count > share_limit ? 1 : left / parts / map->runner_count;
    if (limit > run_limit)
        limit = run_limit;
    if (wanted > limit)
        wanted = limit;
    return wanted > 0 ? wanted : 1;
}

static bool take_run(ati_item_map *map, uint64_t wanted, uint64_t *taken) {
    uint64_t total = map->call.items.count;
    uint64_t next = atomic_load_explicit(&map->next, memory_order_relaxed);
    uint64_t length;
    do {
        if (next == total)
            return false;
        length = limit_run(map, wanted, total - next);
    } while (!atomic_compare_exchange_weak_explicit(&map->next, &next, next + length,
                                                    memory_order_relaxed, memory_order_relaxed));
    *taken = make_range(next, length);
    return true;
}

/* Finds the runner, which has none, items to go on with. False: all have been begun. */
static bool find_items(ati_item_map *map, map_runner *finder, uint64_t wanted) {
    uint64_t taken;
    bool found = take_run(map, wanted, &taken);
    uint32_t others = map->runner_count > share_limit ? 0 : map->runner_count;
    uint32_t self = (uint32_t)(finder - map->runners);
    for (uint32_t i = 1; !found && i < others; i++)
        found = take_half(&map->runners[(self + i) % others], &taken);
    if (found)
        atomic_store_explicit(&finder->range, taken, memory_order_relaxed);
    return found;
}

/* -- Running -- */

/* Under fail_fast the others end on account of the first that fails, so its error comes first. */
static void note_failure(ati_item_map *map, uint64_t index, const at_error *error) {
    bool is_fatal = map->call.options->fail_fast;
    bool is_cause = is_fatal && at_error_status(error) != AT_ERROR_CANCELLED &&
                    !atomic_exchange_explicit(&map->has_cause, true, memory_order_relaxed);
    ati_map_errors_note(&map->errors, index, error, is_cause);
    if (is_fatal)
        (void)ati_cancel(map->context, AT_CANCEL_SIBLING);
}

/* Where the outcome of an item goes; the next ones are fetched. */
static at_outcome *find_outcome(const ati_map_call *call, uint64_t index, at_outcome *unwanted) {
    if (!call->outcomes)
        return unwanted;
    if (index + fetch_ahead < call->items.count)
        __builtin_prefetch(&call->outcomes[index + fetch_ahead], 1);
    return &call->outcomes[index];
}

static void run_item(ati_item_map *map, uint64_t index) {
    const ati_map_call *call = &map->call;
    ati_task_run run;
    at_outcome unwanted;
    at_outcome *outcome = find_outcome(call, index, &unwanted);
    ati_task_begin(NULL, &run, map->context, call->site, NULL);
    ATI_STOP_EXCEPTIONS;
    void *returned = call->run((char *)call->items.data + index * call->items.size);
    ati_outcome_take(outcome, &run.frame, returned, (int64_t)index, ati_site_name(call->site),
                     call->site);
    ati_task_end(NULL, &run, outcome->status);
    if (outcome->status != AT_OK)
        note_failure(map, index, outcome->error);
    if (!call->outcomes)
        at_outcomes_release(outcome, 1);
}

static uint64_t next_length(uint64_t length, int64_t elapsed) {
    if (elapsed > run_time_max && length > 1)
        return length / 2;
    if (elapsed < run_time_min && length < run_limit)
        return length * 2;
    return length;
}

/* Runs what is in the runner's range, until the operation is cancelled. Gives how many. */
static uint64_t run_range(ati_item_map *map, map_runner *runner) {
    uint64_t count = 0;
    uint64_t index;
    while (ati_context_reason(map->context) == AT_CANCEL_NONE && take_item(runner, &index)) {
        run_item(map, index);
        count++;
    }
    return count;
}

static void run_items(ati_item_map *map, map_runner *runner) {
    uint64_t length = 1;
    uint64_t untold = 0;
    at_clock *clock = at_clock_current();
    int64_t began = at_clock_now(clock);
    int64_t told = began;
    while (!ati_is_cancelled(map->context) && find_items(map, runner, length)) {
        untold += run_range(map, runner);
        int64_t now = at_clock_now(clock);
        length = next_length(length, now - began);
        if (now - told >= tell_interval || untold >= untold_limit) {
            ati_map_progress_add(&map->progress, untold);
            untold = 0;
            told = now;
        }
        began = now;
    }
    ati_map_progress_add(&map->progress, untold);
}

void ati_map_release(ati_item_map *map) {
    /* ORDER map.references: acq_rel. Publishes that one has done with it, and sees that all have.
     * Pairs with: ati_map_release(). If relaxed: the last frees what another still reads. */
    if (atomic_fetch_sub_explicit(&map->references, 1, memory_order_acq_rel) > 1)
        return;
    ati_context_release(map->context);
    ati_release(map, map->size);
}

/* The caller need not wait for so many any more. */
static void leave_map(ati_item_map *map, uint32_t count) {
    /* ORDER map.left: acq_rel. Publishes outcomes, and sees those of the others.
     * Pairs with: leave_map(). If relaxed: the caller reads unwritten outcomes. */
    if (atomic_fetch_sub_explicit(&map->left, count, memory_order_acq_rel) == count)
        ati_waiter_wake(&map->waiter);
}

static bool claim_runner(map_runner *runner, runner_state state) {
    uint32_t queued = RUNNER_QUEUED;
    return atomic_compare_exchange_strong_explicit(&runner->state, &queued, state,
                                                   memory_order_relaxed, memory_order_relaxed);
}

static void *run_runner(void *argument) {
    map_runner *runner = argument;
    ati_item_map *map = runner->map;
    ati_worker *worker = ati_worker_current;
    ati_task_run run;
    bool is_begun = claim_runner(runner, RUNNER_BEGUN);
    ati_task_begin(worker, &run, is_begun ? map->context : NULL, map->call.site, NULL);
    if (is_begun)
        run_items(map, runner);
    ati_task_end(worker, &run, is_begun ? AT_OK : AT_ERROR_CANCELLED);
    if (is_begun)
        leave_map(map, 1);
    ati_map_release(map);
    return NULL;
}

/* -- The caller -- */

ati_item_map *ati_map_create(const ati_map_call *call) {
    uint64_t count = call->max_workers < call->items.count ? call->max_workers : call->items.count;
    uint32_t runner_count = (uint32_t)count;
    size_t size = sizeof(ati_item_map) + runner_count * sizeof(map_runner);
    ati_item_map *made = ati_allocate_aligned(size, _Alignof(ati_item_map));
    if (!made)
        return NULL;
    ati_context_retain(call->context);
    *made = (ati_item_map){
        .call = *call, .context = call->context, .runner_count = runner_count, .size = size};
    atomic_init(&made->references, 1);
    ati_waiter_init(&made->waiter, "at_concurrent_executor_map", NULL);
    ati_map_progress_init(&made->progress, call->options, call->context, call->items.count);
    ati_map_errors_init(&made->errors);
    void *lane = ati_context_in_lane(NULL, ati_lane_inherited());
    for (uint32_t i = 0; i < runner_count; i++)
        made->runners[i] = (map_runner){
            .map = made,
            .node.next = i + 1 < runner_count ? &made->runners[i + 1].node : NULL,
            .node.work = {.run = run_runner, .argument = &made->runners[i], .context = lane}};
    return made;
}

/* A bounded pool may have room for fewer runners than are allowed. */
static at_status start_runners(ati_item_map *map) {
    uint32_t count = map->runner_count;
    for (;;) {
        map->runner_count = count;
        map->runners[count - 1].node.next = NULL;
        atomic_store_explicit(&map->left, count, memory_order_relaxed);
        atomic_store_explicit(&map->references, count + 1, memory_order_relaxed);
        at_status status =
            ati_pool_start_nodes(map->call.pool, &map->runners[0].node, count, false);
        if (status == AT_OK)
            return AT_OK;
        atomic_store_explicit(&map->references, 1, memory_order_relaxed);
        if (status != AT_ERROR_FULL || count == 1)
            return status;
        count /= 2;
    }
}

/* The caller's operation has been cancelled: runners that are still queued are not waited for. */
static void give_up_queued(ati_item_map *map) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < map->runner_count; i++)
        count += claim_runner(&map->runners[i], RUNNER_GONE);
    if (count > 0)
        leave_map(map, count);
}

static void await_runners(ati_item_map *map) {
    if (ati_waiter_wait_cancellable(&map->waiter, AT_FOREVER))
        return;
    (void)ati_is_cancelled(map->context);
    give_up_queued(map);
    (void)ati_waiter_wait(&map->waiter, AT_FOREVER);
}

/* Gives so many items from `begin` on the outcome of those that were not begun. */
static void leave_out(ati_item_map *map, uint64_t begin, uint64_t count) {
    for (uint64_t i = 0; map->call.outcomes && i < count; i++)
        map->call.outcomes[begin + i] = ati_outcome_failed(AT_ERROR_CANCELLED);
}

/* Gives how many there were. */
static uint64_t leave_out_unbegun(ati_item_map *map) {
    uint64_t next = atomic_load_explicit(&map->next, memory_order_relaxed);
    uint64_t count = map->call.items.count - next;
    leave_out(map, next, count);
    for (uint32_t i = 0; i < map->runner_count; i++) {
        uint64_t range = atomic_load_explicit(&map->runners[i].range, memory_order_relaxed);
        leave_out(map, begin_of(range), length_of(range));
        count += length_of(range);
    }
    return count;
}

/* One error, with those of the others that failed by themselves. */
static at_status fail_as_items(ati_item_map *map) {
    at_error *error = ati_map_errors_join(&map->errors);
    at_status status = at_error_status(error);
    ati_error_slot_put(error, false);
    return status;
}

static at_status judge(ati_item_map *map, uint64_t unbegun) {
    at_status status = unbegun > 0 ? ati_cancel_check("at_concurrent_executor_map") : AT_OK;
    if (status == AT_OK && (unbegun > 0 || ati_map_errors_count(&map->errors) > 0))
        status = fail_as_items(map);
    return status;
}

static at_status finish(ati_item_map *map) {
    uint64_t unbegun = leave_out_unbegun(map);
    ati_map_progress_end(&map->progress, unbegun);
    at_status status = judge(map, unbegun);
    ati_map_errors_deinit(&map->errors);
    return status;
}

at_status ati_map_run(ati_item_map *map, bool *ran) {
    at_status status = start_runners(map);
    *ran = status == AT_OK;
    if (!*ran)
        return status;
    await_runners(map);
    return finish(map);
}

uint64_t ati_map_given_out(const ati_item_map *map) {
    return atomic_load_explicit(&((ati_item_map *)map)->next, memory_order_relaxed);
}
