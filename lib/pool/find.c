/* SPDX-License-Identifier: MIT */
/* Where a worker finds what it does next: tasks that were woken, works of high priority, its own
 * deque, what was started from outside, what others have in their deques and among their forks,
 * works of low priority; and, now and then, in another order. */
#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/yield.h"
#include "pool/pool.h"
#include "pool/search.h"
#include "pool/suspend.h"

enum {
    search_rounds = 16, /* looks at every queue before a worker sleeps: some 10 microseconds */
    nap_rounds = 1,     /* the same after a nap, see fork_watch.c */
};

/* -- Its own deque and what comes from outside -- */

static bool is_work(const ati_work *work, void *(*run)(void *argument), const void *argument) {
    return work->run == run && work->argument == argument;
}

bool ati_worker_take_back(ati_worker *worker, void *(*run)(void *argument), const void *argument) {
    ati_work last;
    if (!ati_deque_peek(&worker->deque, &last))
        return false;
    if (is_work(&last, run, argument))
        return ati_deque_pop(&worker->deque, &last);
    /* What a probe stands for can be read only once it has been taken. */
    if (!ati_sample_is_probe(&last) || !ati_deque_pop(&worker->deque, &last))
        return false;
    bool found = is_work(ati_sample_work(&last), run, argument);
    if (found) {
        ati_sample_discard(&last);
    } else {
        (void)ati_deque_push(&worker->deque, &last, 1);     /* where it was */
        ati_idle_notify(worker->pool, &worker->pool->idle); /* somebody may have missed it */
    }
    return found;
}

/* Takes up to `limit` works, ATI_BATCH_LIMIT at most, from the injector: the first to run, the
 * others onto the deque, where they can be stolen. */
static bool take_injected(ati_worker *worker, ati_work *work, size_t limit) {
    at_pool *pool = worker->pool;
    ati_works batch;
    size_t room = ati_deque_room(&worker->deque) + 1;
    if (limit > room)
        limit = room;
    if (pool->options.queue_bound != AT_UNLIMITED)
        limit = 1; /* what is queued is counted until it runs */
    ati_injector_shard *shard =
        ati_injector_begin_take(&pool->injector, worker->next_shard++, limit, &batch);
    if (!shard)
        return false;
    *work = *batch.first;
    if (batch.count > 1) {
        ati_work second = ati_works_get(&batch, 1);
        ati_works others = {batch.step == 0 ? batch.first + 1 : &second, batch.count - 1,
                            batch.step};
        bool pushed = ati_deque_push_works(&worker->deque, &others);
        ATI_ASSERT(pushed); /* there was room */
        (void)pushed;
    }
    bool more = ati_injector_end_take(shard, batch.count);
    ati_pool_uncount_bounded(pool, 1);
    worker->took_few = batch.count > 1 && !more;
    return true;
}

bool ati_worker_linger(ati_worker *worker) {
    if (ati_ticks() - worker->crowded_at < ATI_TICKS_LONG)
        return false;
    if (ati_yield_briefly())
        return true;
    worker->crowded_at = ati_ticks();
    return false;
}

/* The last batch was all there was: works come one after the other, hardly faster than this worker
 * runs them. If it looked for each single one, it would take the cache lines of the queue away from
 * the producer each time, which costs that several times what a start costs. So it lets some
 * gather. */
static void let_gather(ati_worker *worker) {
    int times = worker->took_few ? ATI_LINGER_TIMES : 0;
    worker->took_few = false;
    while (times > 0 && ati_worker_linger(worker))
        times--;
}

/* -- Priorities -- */

/* Takes one work that has another priority. */
static bool take_from_lane(ati_worker *worker, ati_priority_lane *lane, ati_work *work) {
    ati_works works;
    ati_injector_shard *shard =
        ati_injector_begin_take(&lane->injector, worker->next_shard++, 1, &works);
    if (!shard)
        return false;
    *work = *works.first;
    ati_injector_end_take(shard, 1);
    atomic_fetch_sub_explicit(&lane->queued, 1, memory_order_relaxed);
    ati_pool_uncount_bounded(worker->pool, 1);
    return true;
}

static bool lane_has_work(const ati_priority_lane *lane) {
    return atomic_load_explicit(&((ati_priority_lane *)lane)->queued, memory_order_relaxed) != 0;
}

static bool take_high(ati_worker *worker, ati_work *work) {
    at_pool *pool = worker->pool;
    return lane_has_work(&pool->high) && take_from_lane(worker, &pool->high, work);
}

static bool take_low(ati_worker *worker, ati_work *work) {
    at_pool *pool = worker->pool;
    if (!lane_has_work(&pool->low) || !ati_lane_enter_low(pool))
        return false;
    if (take_from_lane(worker, &pool->low, work))
        return true;
    ati_lane_leave_low(pool);
    return false;
}

/* -- Other workers -- */

/* Steals one work from a worker, if there is one in its deque. */
static bool steal_from(ati_worker *worker, ati_worker *victim, ati_work *work) {
    ati_steal result;
    do
        result = ati_deque_steal(&victim->deque, work);
    while (result == ATI_STEAL_LOST);
    if (result != ATI_STEAL_DONE)
        return false;
    ati_counter_add(&worker->counts.stolen, 1);
    return ati_lane_admit(worker, work);
}

/* Steals from one of `count` victims, from a random one on. */
static bool steal_from_some(ati_worker *worker, const uint32_t *victims, uint32_t count,
                            ati_work *work) {
    uint32_t start = count > 1 ? (uint32_t)(ati_random_step(&worker->random) % count) : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = start + i < count ? start + i : start + i - count;
        if (steal_from(worker, worker->pool->workers[victims[index]], work))
            return true;
    }
    return false;
}

static bool steal_nearby(ati_worker *worker, ati_work *work) {
    uint32_t begin = 0;
    for (int distance = 0; distance < ATI_CPU_DISTANCES; distance++) {
        uint32_t end = worker->victim_ends[distance];
        if (steal_from_some(worker, worker->victims + begin, end - begin, work))
            return true;
        begin = end;
    }
    return false;
}

/* Steals one work from another worker: from near ones first where it is known who is near, else
 * from a random one on; then looks at forked calls. */
static bool steal(ati_worker *worker, ati_work *work) {
    at_pool *pool = worker->pool;
    if (worker->victims && steal_nearby(worker, work))
        return true;
    /* ORDER pool.workers: acquire. Sees the workers below the count.
     * Pairs with: release in add_worker(). If relaxed: reads an unwritten pointer. */
    uint32_t count = atomic_load_explicit(&pool->worker_count, memory_order_acquire);
    uint32_t start = (uint32_t)(ati_random_step(&worker->random) % count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = start + i < count ? start + i : start + i - count;
        ati_worker *victim = pool->workers[index];
        if (victim != worker && steal_from(worker, victim, work))
            return true;
    }
    if (!atomic_load_explicit(&pool->fork_market.is_open, memory_order_relaxed))
        return false;
    int64_t now = ati_monotonic_ns();
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = start + i < count ? start + i : start + i - count;
        ati_worker *victim = pool->workers[index];
        if (victim != worker && ati_fork_steal(worker, victim, now, work))
            return ati_lane_admit(worker, work);
    }
    return false;
}

/* -- In which order -- */

static bool take_oldest(ati_worker *worker, ati_work *work) {
    return ati_deque_steal(&worker->deque, work) == ATI_STEAL_DONE && ati_lane_admit(worker, work);
}

static bool take_newest(ati_worker *worker, ati_work *work) {
    while (ati_deque_pop(&worker->deque, work))
        if (ati_lane_admit(worker, work))
            return true;
    return false;
}

static bool take_outside(ati_worker *worker, ati_work *work) {
    return ati_overflow_take(worker->pool, work) || take_injected(worker, work, 1);
}

/* Every so many picks: one work that waits outside, or the oldest of the own deque, in turns. The
 * oldest has its turn only if it may be starving: if the deque was not empty at the last fair pick
 * and has not become shorter since. So works that were pushed in an order keep it. Nothing of this
 * if all in the deque came from outside. */
static bool pick_fairly(ati_worker *worker, ati_work *work) {
    ati_worker_note_clock(worker, ati_coarse_ns());
    size_t size = ati_deque_size(&worker->deque);
    bool starves = worker->size_before > 0 && size >= worker->size_before;
    worker->size_before = size;
    if (!worker->has_own)
        return false;
    bool oldest_first = worker->turn_count / 2 % 2;
    bool found = starves && oldest_first && take_oldest(worker, work);
    found = found || take_outside(worker, work);
    found = found || (starves && take_oldest(worker, work));
    /* A quiet push may have left a work here that nobody was told of. */
    if (found && ati_deque_size(&worker->deque) > 0)
        ati_idle_notify(worker->pool, &worker->pool->idle);
    return found;
}

/* Whether a busy worker has better things to do than to look at the clock, which costs as much as a
 * small task: it has just done so, or what expired then has not been run yet. */
static bool puts_timers_off(const ati_worker *worker, uint64_t ticks) {
    uint64_t since = ticks - worker->ticks;
    return since < ATI_TICKS_SHORT ||
           (since < ATI_TICKS_LONG && ati_deque_size(&worker->deque) > worker->size_before_expired);
}

bool ati_worker_fire_set_timers(ati_worker *worker, bool busy) {
    at_pool *pool = worker->pool;
    uint64_t ticks = ati_ticks();
    if (busy && puts_timers_off(worker, ticks))
        return false;
    worker->ticks = ticks;
    size_t size_before = ati_deque_size(&worker->deque);
    worker->size_before_expired = size_before;
    ati_expired expired;
    size_t count = ati_timers_run(&pool->timers, at_clock_now(pool->options.clock), &expired);
    if (count > 0)
        ati_timer_start_tasks(pool, &expired);
    else
        worker->size_before_expired = SIZE_MAX;
    return ati_deque_size(&worker->deque) > size_before;
}

/* The task that is ready next has low priority, and as many as may run such do: every other time
 * something else has its turn first. */
static bool puts_ready_off(ati_worker *worker) {
    worker->puts_off = ati_worker_is_crowded(worker) && !worker->puts_off;
    return worker->puts_off;
}

/* A task that was woken goes on before anything new is begun. */
static bool take_ready(ati_worker *worker, ati_work *work) {
    *work = (ati_work){0};
    return ati_worker_has_ready(worker);
}

/* The same, unless it is put off. */
static bool take_woken(ati_worker *worker, ati_work *work) {
    return ati_worker_may_have_ready(worker) && !puts_ready_off(worker) && take_ready(worker, work);
}

void ati_worker_begin_turn(ati_worker *worker) {
    worker->picks_left = ATI_TURN_INTERVAL - 1;
    worker->owes |= ++worker->turn_count % 2 ? ATI_TURN_LOW : ATI_TURN_FAIR;
}

/* Takes what is at hand, without looking at other workers. */
static bool pick(ati_worker *worker, ati_work *work) {
    (void)ati_worker_fire_timers(worker, true);
    ati_worker_count_pick(worker);
    uint32_t owes = worker->owes;
    worker->owes = 0;
    if ((owes & ATI_TURN_LOW) && take_low(worker, work))
        return true;
    if (owes & ATI_TURN_FAIR ? pick_fairly(worker, work)
                             : take_woken(worker, work) || take_high(worker, work))
        return true;
    if (take_newest(worker, work))
        return true;
    worker->has_own = false;
    let_gather(worker);
    if (take_injected(worker, work, ATI_BATCH_LIMIT) || ati_overflow_take(worker->pool, work))
        return true;
    ati_worker_end_yield(worker);
    return take_ready(worker, work) || take_high(worker, work);
}

/* Looks everywhere for a bounded moment: some rounds, fewer if others want this CPU, and while
 * another worker has been asked for a forked call and may still answer. */
static bool search(ati_worker *worker, ati_work *work) {
    int rounds = worker->forks.watch_began != 0 ? nap_rounds : search_rounds;
    for (; rounds > 0 || worker->forks.awaits_answer; rounds--) {
        worker->forks.awaits_answer = false;
        if (ati_worker_fire_timers(worker, false) && take_newest(worker, work))
            return true;
        if (take_ready(worker, work) || take_high(worker, work) ||
            take_injected(worker, work, ATI_BATCH_LIMIT) || ati_overflow_take(worker->pool, work) ||
            steal(worker, work) || take_low(worker, work))
            return true;
        if (!ati_yield_briefly())
            rounds = 1;
    }
    return false;
}

/* A spare worker with nothing of its own to do, while there are more threads than asked for. */
static bool is_superfluous(ati_worker *worker) {
    return worker->is_spare &&
           atomic_load_explicit(&worker->pool->surplus, memory_order_relaxed) > 0 &&
           ati_deque_size(&worker->deque) == 0 && ati_counter_read(&worker->suspended_count) == 0 &&
           !worker->ready.first && !worker->yielded.first;
}

/* The same, and has slept for so long that it is to park. */
static bool is_retiring(ati_worker *worker) {
    return is_superfluous(worker) && worker->retires_at <= ati_monotonic_ns();
}

static bool may_return_stacks(const at_pool *pool) {
    int64_t from = ati_stacks_return_at(&pool->stacks);
    return from != AT_FOREVER && from <= ati_coarse_ns();
}

bool ati_worker_find_work(ati_worker *worker, ati_work *work) {
    at_pool *pool = worker->pool;
    bool searching = false;
    for (;;) {
        if (!searching) {
            if (is_superfluous(worker) && !ati_spare_park(worker))
                return false;
            if (pick(worker, work))
                return true;
            ati_worker_show_none(worker);
            searching = ati_idle_start_searching(&pool->idle);
        }
        if (searching && search(worker, work)) {
            ati_fork_found_work(worker);
            ati_idle_stop_searching(pool);
            return true;
        }
        if (may_return_stacks(pool)) {
            ati_stacks_return(&pool->stacks);
            continue;
        }
        if (ati_search_own(worker))
            continue;
        if (!ati_idle_sleep(worker, searching))
            return false;
        ati_worker_note_clock(worker, ati_coarse_ns());
        searching = !is_retiring(worker); /* whoever woke us counted us so */
        if (!searching) {
            ati_idle_stop_searching(pool);
            ati_worker_hand_time_over(worker);
        }
    }
}
