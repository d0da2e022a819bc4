/* SPDX-License-Identifier: MIT */
/* Purpose: a worker forks calls and joins them for a few nanoseconds, without an allocation, a
 * locked instruction or a fence, while nobody else wants one; and whoever wants one gets the oldest
 * in bounded time, even from an owner that never calls the library again.
 *
 * The unjoined forks of the running stack are the places [base, head) of an array. Those in
 * [split, head) are the owner's alone; those in [base, split) were handed out: each has a record
 * (forked_call.c), through which its owner and others agree who makes the call.
 *
 * Fields
 *   line.head     written by the owner; read by thieves.
 *   line.split    as `split`, for the owner's test without the lock. Without unequal barriers it is
 *                 all ones, so that every join takes the long way.
 *   line.limit    NULL: every start takes the long way, because a call is wanted, there is no
 *                 array, or there are no unequal barriers; else `end`.
 *   places        written by the owner while above split. A place that was handed out has its
 *                 record for an argument; or NULL for a function, and its join makes the call.
 *   base, array   written by the owner under `lock`.
 *   split         written under `lock`: raised by the owner and by thieves, lowered by joins.
 *   wanted        written under `lock`, by all.
 *
 * States of a place:
 *
 *   free -start-> private -join-> free
 *   private -share_one (owner), take_by_force (thief)-> handed out -join-> free
 *
 * Invariants
 *   1. Joins come last in first out, so the handed out places are always the oldest.
 *   2. A private call is made by its owner or handed out, never both. A thief raises split over it,
 *      heavy barrier, reads head; a join lowers head to it, light barrier, reads split. One of the
 *      two sees the other: the thief then gives the call back, or the owner takes the lock, which
 *      the thief holds until it has decided. If both see each other, the thief gives it back.
 *   3. Who asks all workers sets `wanted` and limit, heavy barrier, and looks at every head. A
 *      start raises head, light barrier, reads limit. So it is seen, or it answers.
 *   4. Without unequal barriers, start and join always take the lock after they have changed head.
 *      The thief decides, and asks, under the lock: the same holds.
 *   5. All private calls belong to `owner`, and to the lane of the worker: what changes these hands
 *      them out first. A thief reads both when it has won a call and holds the lock still, which an
 *      owner with unjoined forks takes before it changes them.
 *   6. While has_answer is false, every worker is asked, or is being asked: it is reset before the
 *      first is, and set after one has answered.
 *
 * Progress: start and join do not wait unless they take the long way; that waits for a thief that
 * holds the lock for the time of one heavy barrier.
 *
 * Source: the split array follows Lace (van Dijk, van de Pol, 2014); taking by force is the THE
 * protocol of Cilk-5 (Frigo, Leiserson, Randall, PLDI 1998) with the fence on the thief's side.
 *
 * Checked by: tests/model/fork_model.c, tests/unit/fork_test.c, tests/stress/fork_test.c. */
#include "pool/fork.h"

#include "base/barrier.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "pool/pool.h"

#include <asynctools/inline/fork.h>

#include <string.h>

_Static_assert(sizeof(struct at_inline_call) == 16, "part of the binary interface");
_Static_assert(sizeof(at_fork) == 16, "part of the binary interface");

enum { bytes_per_place = 16 }; /* of the stack: a handle takes as much */

static const at_duration answer_time = AT_MICROSECONDS(10); /* before a thief uses force */
static const at_duration force_interval = AT_MICROSECONDS(50);
static const at_duration look_interval = 500; /* ns, after a call handed out in vain; doubled */
static const uint32_t look_doublings = 6;

struct ati_fork_array {
    size_t count;
    struct at_inline_call places[]; /* one more: a start writes before it looks at the limit */
};

__thread struct at_inline_worker *at_inline_worker_current;

static ati_worker *worker_of(struct at_inline_worker *line) {
    return (ati_worker *)((char *)line - offsetof(ati_worker, forks.line));
}

static struct at_inline_call *read_head(const ati_forks *forks) {
    return AT_INLINE_LOAD(&((ati_forks *)forks)->line.head, __ATOMIC_RELAXED);
}

static struct at_inline_call *read_split(const ati_forks *forks) {
    return atomic_load_explicit(&((ati_forks *)forks)->split, memory_order_relaxed);
}

static bool is_wanted(ati_forks *forks) {
    return atomic_load_explicit(&forks->wanted, memory_order_relaxed);
}

/* -- Under the lock -- */

static void set_split(ati_forks *forks, struct at_inline_call *split) {
    atomic_store_explicit(&forks->split, split, memory_order_relaxed);
    if (forks->is_unequal)
        AT_INLINE_STORE(&forks->line.split, split, __ATOMIC_RELAXED);
}

static void update_limit(ati_forks *forks) {
    bool is_short = forks->is_unequal && forks->array && !is_wanted(forks);
    AT_INLINE_STORE(&forks->line.limit, is_short ? forks->end : NULL, __ATOMIC_RELAXED);
}

static void set_wanted(ati_forks *forks, bool wanted) {
    atomic_store_explicit(&forks->wanted, wanted, memory_order_relaxed);
    update_limit(forks);
}

/* Puts an array (NULL: none) in place, of which the places below `head` are in use and were handed
 * out; gives the one before. */
static ati_fork_array *set_array(ati_forks *forks, ati_fork_array *array,
                                 struct at_inline_call *head) {
    ati_fork_array *before = forks->array;
    forks->array = array;
    forks->base = array ? array->places : &forks->line.place;
    forks->end = forks->base + (array ? array->count : 0);
    AT_INLINE_STORE(&forks->line.head, head ? head : forks->base, __ATOMIC_RELAXED);
    set_split(forks, head ? head : forks->base);
    update_limit(forks);
    return before;
}

/* Gives a private call its record. */
static void hand_out(ati_forks *forks, struct at_inline_call *call, ati_forked_call *record) {
    ati_forked_call_fill(record, AT_INLINE_LOAD(&call->run, __ATOMIC_RELAXED),
                         AT_INLINE_LOAD(&call->argument, __ATOMIC_RELAXED), forks->owner,
                         worker_of(&forks->line)->lane);
    AT_INLINE_STORE(&call->argument, (void *)record, __ATOMIC_RELAXED);
}

/* -- Life -- */

static size_t fork_array_size(size_t count) {
    return sizeof(ati_fork_array) + (count + 1) * sizeof(struct at_inline_call);
}

void ati_forks_init(ati_forks *forks, bool is_unequal) {
    forks->is_unequal = is_unequal;
    atomic_init(&forks->wanted, true);
    memset(&forks->line.split, 0xff, sizeof forks->line.split);
    set_array(forks, NULL, NULL);
}

static void release_array(ati_fork_array *array) {
    if (array)
        ati_release(array, fork_array_size(array->count));
}

void ati_forks_deinit(ati_forks *forks) {
    release_array(forks->array);
    release_array(forks->spare);
}

/* -- The owner -- */

static bool push(ati_worker *worker, ati_forked_call *record) {
    ati_work work = ati_forked_call_work(record);
    ati_counter_add(&worker->counts.claimed, 1); /* it is no task, and does not count as queued */
    if (ati_deque_push(&worker->deque, &work, 1))
        return true;
    ati_counter_add(&worker->counts.claimed, (uint64_t)-1);
    ati_forked_call_release(record);
    return false;
}

/* A thief that has raised split may lower it again; the lock waits for its decision. */
static bool has_private(ati_forks *forks) {
    ati_lock_acquire(&forks->lock);
    bool found = read_split(forks) < read_head(forks);
    ati_lock_release(&forks->lock);
    return found;
}

/* Hands out the oldest private call; without memory for a record it is made by its join if
 * `anyhow`. False: there is no private call. */
static bool share_one(ati_worker *worker, bool anyhow) {
    ati_forks *forks = &worker->forks;
    if (!has_private(forks))
        return false;
    ati_forked_call *record = ati_forked_call_create();
    ati_lock_acquire(&forks->lock);
    struct at_inline_call *oldest = read_split(forks);
    bool found = oldest < read_head(forks);
    bool handed_out = found && record;
    if (handed_out)
        hand_out(forks, oldest, record);
    else if (found && anyhow)
        AT_INLINE_STORE(&oldest->run, NULL, __ATOMIC_RELAXED);
    if (handed_out || (found && anyhow))
        set_split(forks, oldest + 1);
    ati_lock_release(&forks->lock);
    if (handed_out && push(worker, record))
        ati_counter_add(&forks->shared, 1);
    else if (record && !handed_out)
        ati_forked_call_discard(record);
    return found;
}

void ati_fork_share_all(ati_worker *worker) {
    bool found = false;
    while (share_one(worker, true))
        found = true;
    if (found)
        ati_idle_notify(worker->pool, &worker->pool->idle);
}

/* Whether no other worker may run a call of this one's task now. */
static bool is_barred(ati_worker *worker) {
    return atomic_load_explicit(&worker->forks.is_low, memory_order_relaxed) &&
           !ati_lane_has_place(worker->pool);
}

/* Gives a call to whoever wants one, and may have it. */
static void answer(ati_worker *worker) {
    ati_forks *forks = &worker->forks;
    ati_fork_market *market = &worker->pool->fork_market;
    ati_lock_acquire(&forks->lock);
    bool wanted = is_wanted(forks);
    if (wanted)
        set_wanted(forks, false);
    ati_lock_release(&forks->lock);
    if (!wanted)
        return;
    atomic_store_explicit(&market->is_open, true, memory_order_relaxed);
    /* ORDER fork.has_answer: seq_cst. Comes before the look at who sleeps and who searches.
     * Pairs with: seq_cst in ati_fork_needs_watch() and ati_fork_watch(). If release: all sleep,
     * and nobody watches. */
    atomic_store_explicit(&market->has_answer, true, memory_order_seq_cst);
    if (!is_barred(worker))
        share_one(worker, false);
    ati_idle_notify(worker->pool, &worker->pool->idle);
}

/* Gets the running stack an array; the call just started moves into it. False: no memory. */
static bool find_array(ati_worker *worker) {
    ati_forks *forks = &worker->forks;
    ati_fork_array *array = forks->spare;
    if (!array) {
        size_t count = (size_t)worker->pool->options.stack_bytes / bytes_per_place;
        array = ati_allocate(fork_array_size(count));
        if (!array)
            return false;
        array->count = count;
    }
    ati_lock_acquire(&forks->lock);
    forks->spare = NULL;
    array->places[0] = forks->line.place;
    set_array(forks, array, NULL);
    /* ORDER fork.head: release. Publishes the call.
     * Pairs with: acquire in take_by_force(). If relaxed: a thief runs an unwritten call. */
    AT_INLINE_STORE(&forks->line.head, forks->base + 1, __ATOMIC_RELEASE);
    ati_lock_release(&forks->lock);
    return true;
}

struct at_inline_call *at_inline_fork_start(struct at_inline_worker *line,
                                            struct at_inline_call *call) {
    ati_worker *worker = worker_of(line);
    ati_forks *forks = &worker->forks;
    if (!forks->array && find_array(worker))
        call = forks->base;
    if (call == forks->end) {
        AT_INLINE_STORE(&line->head, call, __ATOMIC_RELAXED);
        call = NULL;
    }
    answer(worker);
    return call;
}

void *at_inline_fork_join(struct at_inline_worker *line, struct at_inline_call *call,
                          void *(*run)(void *argument)) {
    ati_worker *worker = worker_of(line);
    ati_forks *forks = &worker->forks;
    bool has_record = false;
    ati_lock_acquire(&forks->lock);
    if (call < read_split(forks)) {
        ATI_ASSERT(call + 1 == read_split(forks));
        has_record = AT_INLINE_LOAD(&call->run, __ATOMIC_RELAXED) != NULL;
        set_split(forks, call);
    }
    ati_lock_release(&forks->lock);
    void *argument = AT_INLINE_LOAD(&call->argument, __ATOMIC_RELAXED);
    if (!has_record)
        return run(argument);
    bool in_vain;
    void *value = ati_forked_call_join(worker, argument, run, &in_vain);
    uint32_t vain = atomic_load_explicit(&forks->vain, memory_order_relaxed);
    atomic_store_explicit(&forks->vain, in_vain ? vain + 1 : 0, memory_order_relaxed);
    return value;
}

void *at_inline_fork_run(struct at_inline_worker *line, struct at_inline_call *call,
                         void *(*run)(void *argument), void *argument) {
    ATI_CALLER_CHECK(call != AT_INLINE_JOINED, "at_fork_join",
                     "the fork was joined before; join each fork once");
    if (!line && call && ati_process_fork_count() > 0)
        ati_task_end_forked_process();
    ATI_CALLER_CHECK(!call, "at_fork_join",
                     "another fork was started after this one and is not joined; join the last one "
                     "first, in the task that started it");
    return run(argument);
}

/* -- Stacks and contexts -- */

void ati_fork_set_owner(ati_worker *worker, const ati_frame *owner) {
    if (ati_forks_count(&worker->forks) > 0)
        ati_fork_share_all(worker);
    worker->forks.owner = owner;
}

void ati_fork_leave_stack(ati_worker *worker, ati_fork_stack *stack) {
    ati_forks *forks = &worker->forks;
    *stack = (ati_fork_stack){.owner = forks->owner};
    if (ati_forks_count(forks) == 0)
        return;
    ati_fork_share_all(worker);
    ati_lock_acquire(&forks->lock);
    stack->head = read_head(forks);
    stack->array = set_array(forks, NULL, NULL);
    ati_lock_release(&forks->lock);
}

void ati_fork_enter_stack(ati_worker *worker, const ati_fork_stack *stack) {
    ati_forks *forks = &worker->forks;
    worker->forks.owner = stack->owner;
    if (!stack->array)
        return;
    ATI_ASSERT(ati_forks_count(forks) == 0);
    ati_lock_acquire(&forks->lock);
    ati_fork_array *before = set_array(forks, stack->array, stack->head);
    ati_lock_release(&forks->lock);
    if (forks->spare)
        release_array(before);
    else
        forks->spare = before;
}

/* -- Thieves -- */

bool ati_pool_has_forks(at_pool *pool) {
    /* ORDER pool.workers: acquire. Sees the workers below the count.
     * Pairs with: release in add_worker(). If relaxed: reads an unwritten pointer. */
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++)
        if (ati_forks_has_private(&pool->workers[i]->forks) && !is_barred(pool->workers[i]))
            return true;
    return false;
}

/* Hands out the oldest private call of an owner that runs on. */
static bool take_by_force(ati_forks *forks, ati_forked_call *record) {
    ati_lock_acquire(&forks->lock);
    struct at_inline_call *oldest = read_split(forks);
    bool taken = false;
    if (forks->array && oldest < forks->end && oldest < read_head(forks)) {
        set_split(forks, oldest + 1);
        if (forks->is_unequal)
            ati_heavy_barrier();
        /* ORDER fork.head: acquire. Sees the call.
         * Pairs with: release in at_fork_start() and find_array(). If relaxed: runs an unwritten
         * call. */
        taken = AT_INLINE_LOAD(&forks->line.head, __ATOMIC_ACQUIRE) > oldest;
        if (taken)
            hand_out(forks, oldest, record);
        else
            set_split(forks, oldest);
        forks->wanted_since = ati_monotonic_ns();
    }
    ati_lock_release(&forks->lock);
    return taken;
}

/* One thief of the pool at a time, and not too often. */
static bool force(ati_worker *thief, ati_forks *forks, int64_t now, ati_work *work) {
    ati_fork_market *market = &thief->pool->fork_market;
    if (!ati_try_lock_acquire(&market->force_lock))
        return false;
    bool taken = false;
    if (now - market->last_force >= force_interval) {
        ati_forked_call *record = ati_forked_call_create();
        market->last_force = now;
        taken = record && take_by_force(forks, record);
        if (taken) {
            ati_counter_add(&thief->counts.claimed, 1);
            *work = ati_forked_call_work(record);
        } else if (record) {
            ati_forked_call_discard(record);
        }
    }
    ati_try_lock_release(&market->force_lock);
    if (taken)
        ati_counter_add(&thief->forks.forced, 1);
    return taken;
}

/* Where calls were handed out in vain, because they are short, thieves look less often. */
static int64_t interval_of(const ati_forks *forks) {
    uint32_t vain = atomic_load_explicit(&((ati_forks *)forks)->vain, memory_order_relaxed);
    if (vain == 0)
        return 0;
    return look_interval << (vain < look_doublings ? vain : look_doublings);
}

/* Asks, unless that was done before. True: it was in vain. */
static bool ask(ati_forks *forks, int64_t now) {
    if (!is_wanted(forks)) {
        forks->wanted_since = now;
        set_wanted(forks, true);
    }
    return now - forks->wanted_since >= answer_time;
}

bool ati_fork_steal(ati_worker *thief, ati_worker *victim, int64_t now, ati_work *work) {
    ati_forks *forks = &victim->forks;
    bool too_soon = now < atomic_load_explicit(&forks->next_look, memory_order_relaxed);
    if ((too_soon && !is_wanted(forks)) || !ati_forks_has_private(forks) || is_barred(victim) ||
        !ati_lock_try(&forks->lock))
        return false;
    atomic_store_explicit(&forks->next_look, now + interval_of(forks), memory_order_relaxed);
    bool in_vain = ask(forks, now);
    ati_lock_release(&forks->lock);
    thief->forks.awaits_answer |= !in_vain;
    return in_vain && force(thief, forks, now, work);
}

void ati_fork_ask_all(at_pool *pool) {
    atomic_store_explicit(&pool->fork_market.has_answer, false, memory_order_relaxed);
    /* ORDER pool.workers: acquire. Sees the workers below the count.
     * Pairs with: release in add_worker(). If relaxed: reads an unwritten pointer. */
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_acquire);
    bool is_unequal = false;
    int64_t now = ati_monotonic_ns();
    for (uint32_t i = 0; i < count; i++) {
        ati_forks *forks = &pool->workers[i]->forks;
        ati_lock_acquire(&forks->lock);
        (void)ask(forks, now);
        is_unequal = is_unequal || forks->is_unequal;
        ati_lock_release(&forks->lock);
    }
    if (is_unequal)
        ati_heavy_barrier();
}
