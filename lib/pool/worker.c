/* SPDX-License-Identifier: MIT */
#include "pool/worker.h"

#include "base/barrier.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "pool/crash.h"
#include "pool/pool.h"
#include "pool/report.h"
#include "pool/search.h"
#include "pool/suspend.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    deque_room = 256,   /* places a deque starts with, at least ATI_BATCH_LIMIT */
    search_rounds = 16, /* looks at every queue before a worker sleeps: some 10 microseconds */
    nap_rounds = 1,     /* the same after a nap, see fork_watch.c */
    nesting_limit = 64, /* tasks on one stack */
    nesting_stack = 32 * 1024, /* bytes of stack that must be left for one more */
};

_Thread_local ati_worker *ati_worker_current;

ati_worker *ati_worker_create(at_pool *pool, uint32_t index, bool is_spare) {
    ati_worker *worker = ati_allocate_aligned(sizeof *worker, _Alignof(ati_worker));
    if (!worker)
        return NULL;
    memset(worker, 0, sizeof *worker);
    if (!ati_deque_reserve(&worker->deque, deque_room)) {
        ati_release(worker, sizeof *worker);
        return NULL;
    }
    worker->pool = pool;
    worker->index = index;
    worker->is_spare = is_spare;
    worker->cpu = -1;
    worker->random = ati_random_next();
    ati_forks_init(&worker->forks, ati_barrier_is_unequal());
    return worker;
}

void ati_worker_destroy(ati_worker *worker) {
    ati_sample_deinit(worker);
    ati_deque_deinit(&worker->deque);
    ati_forks_deinit(&worker->forks);
    ati_release(worker, sizeof *worker);
}

void ati_worker_signal(ati_worker *worker) {
    /* ORDER worker.signal: release. What the waker did happens before the worker goes on.
     * Pairs with: acquire in wait_for_signal() and ati_spare_park(). If relaxed: it goes on with
     * stale state. */
    atomic_store_explicit(&worker->signal, 1, memory_order_release);
}

void ati_worker_wake(ati_worker *worker) {
    ati_worker_signal(worker);
    ati_futex_wake(&worker->signal, 1);
}

bool ati_worker_may_nest(const ati_worker *worker) {
    const char *here = __builtin_frame_address(0);
    return worker->depth < nesting_limit && here - worker->stack_end > nesting_stack;
}

/* -- Running a task -- */

/* Whatever runs now may take long: others are told of the work that a quiet push has left, and what
 * is pushed from now on is not quiet. */
void ati_worker_end_quiet(ati_worker *worker) {
    if (worker->quiet == ATI_QUIET_SECOND && ati_deque_size(&worker->deque) > 0)
        ati_idle_notify(worker->pool, &worker->pool->idle);
    worker->quiet = ATI_QUIET_NO;
}

void ati_task_begin(ati_worker *worker, ati_task_run *run, ati_context *context) {
    if (worker)
        ati_counter_add_after(&worker->counts.running, 1);
    ati_worker *current = ati_worker_current;
    if (current) {
        current->depth++;
        ati_worker_end_quiet(current);
        run->fork_count = ati_forks_count(&current->forks);
        ati_fork_set_context(current, context);
    }
    run->frame = (ati_frame){0};
    ati_frame_enter(&run->frame);
    run->outer_context = ati_context_current;
    ati_context_current = context;
}

/* A task called process_fork and returned in the child, where the pool has no other thread. */
_Noreturn static void end_forked_process(void) {
    fputs("asynctools: task: a task that forked the process may not return in the child; call exec "
          "or _exit there\n",
          stderr);
    _exit(70);
}

/* The task below on this stack goes on, if there is one. */
static void hide(ati_worker *worker, const ati_frame *frame) {
    worker->depth--;
    if (frame->name && *frame->name)
        ati_view_hide_named(worker, frame);
    worker->site_before = frame->site;
    atomic_store_explicit(&worker->site, frame->outer->site, memory_order_relaxed);
}

void ati_task_end(ati_worker *worker, ati_task_run *run, at_status status) {
    ati_worker *current = ati_worker_current;
    ATI_CALLER_CHECK(!current || ati_forks_count(&current->forks) == run->fork_count, "task",
                     "a task or forked call has returned before its forks were joined; call "
                     "at_fork_join for each");
    if (run->frame.next_future)
        run->frame.next_release(run->frame.next_future);
    ati_context_current = run->outer_context;
    ati_frame_leave(&run->frame);
    if (current) {
        hide(current, &run->frame);
        ati_fork_set_context(current, run->outer_context);
    }
    if (!worker)
        return;
    ATI_CALLER_CHECK(worker->depth > 0 || worker->blocking_depth == 0, "at_blocking_begin",
                     "a task returned without at_blocking_end");
    if (ati_pool_is_forked(worker->pool))
        end_forked_process();
    ati_worker_counts *counts = &worker->counts;
    ati_counter_add(&counts->running, (uint64_t)-1);
    ati_counter_add_after(status == AT_OK                ? &counts->succeeded
                          : status == AT_ERROR_CANCELLED ? &counts->cancelled
                                                         : &counts->failed,
                          1);
}

at_status ati_task_outcome(ati_frame *frame, void *returned, const char *site, at_error **error) {
    if (returned != AT_FAILED)
        return AT_OK;
    /* An error that was only looked at is not the reason. */
    if (frame->in_flight) {
        *error = frame->error;
        frame->error = NULL;
    }
    if (!*error)
        *error =
            ati_error_create(site, NULL, AT_ERROR_FAILED, "returned AT_FAILED without saying why");
    ati_error_set_task(*error, ati_site_name(site), false, site);
    return at_error_status(*error);
}

/* A task that at_pool_start started: nobody wants its value. */
static void run_started(ati_worker *worker, const ati_work *work) {
    ati_task_run run;
    ati_context *context = ati_work_context(work);
    ati_task_begin(worker, &run, context);
    ati_task_show(&run, work->site, NULL);
    void *returned = work->run(work->argument);
    at_error *error = NULL;
    at_status status = ati_task_outcome(&run.frame, returned, work->site, &error);
    if (status == AT_OK)
        ati_frame_drop_returned(&run.frame, returned);
    ati_task_end(worker, &run, status);
    if (error)
        ati_report_dropped_error(error);
    ati_context_release(context);
}

void ati_worker_run(ati_worker *worker, const ati_work *work) {
    if (work->site)
        run_started(worker, work);
    else
        work->run(work->argument);
}

/* A work without a function stands for the task that is ready to go on. */
static void run_work(ati_worker *worker, const ati_work *work) {
    ati_lane lane = ati_work_lane(work);
    worker->turn_began = 0;
    worker->lane = lane;
    ati_worker_end_yield(worker);
    if (work->run)
        ati_worker_run(worker, work);
    else
        (void)ati_worker_resume_next(worker);
    if (lane == ATI_LANE_LOW)
        ati_lane_leave_low(worker->pool);
}

/* -- Finding work -- */

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
    const ati_work *batch;
    size_t room = ati_deque_room(&worker->deque) + 1;
    if (limit > room)
        limit = room;
    if (pool->options.queue_bound != AT_UNLIMITED)
        limit = 1; /* what is queued is counted until it runs */
    size_t count;
    ati_injector_shard *shard =
        ati_injector_begin_take(&pool->injector, worker->next_shard++, limit, &batch, &count);
    if (!shard)
        return false;
    if (count > 1) {
        bool pushed = ati_deque_push(&worker->deque, batch + 1, count - 1);
        ATI_ASSERT(pushed); /* there was room */
        (void)pushed;
    }
    *work = batch[0];
    ati_injector_end_take(shard, count);
    ati_pool_uncount_bounded(pool, 1);
    return true;
}

/* Takes one work that has another priority. */
static bool take_from_lane(ati_worker *worker, ati_priority_lane *lane, ati_work *work) {
    if (atomic_load_explicit(&lane->queued, memory_order_relaxed) == 0)
        return false;
    size_t count;
    const ati_work *first;
    ati_injector_shard *shard =
        ati_injector_begin_take(&lane->injector, worker->next_shard++, 1, &first, &count);
    if (!shard)
        return false;
    *work = *first;
    ati_injector_end_take(shard, 1);
    atomic_fetch_sub_explicit(&lane->queued, 1, memory_order_relaxed);
    ati_pool_uncount_bounded(worker->pool, 1);
    return true;
}

static bool take_high(ati_worker *worker, ati_work *work) {
    return take_from_lane(worker, &worker->pool->high, work);
}

static bool take_low(ati_worker *worker, ati_work *work) {
    at_pool *pool = worker->pool;
    if (atomic_load_explicit(&pool->low.queued, memory_order_relaxed) == 0 ||
        !ati_lane_enter_low(pool))
        return false;
    if (take_from_lane(worker, &pool->low, work))
        return true;
    ati_lane_leave_low(pool);
    return false;
}

/* Steals one work from a worker, if there is one in its deque. */
static bool steal_from(ati_worker *worker, ati_worker *victim, ati_work *work) {
    ati_steal result;
    do
        result = ati_deque_steal(&victim->deque, work);
    while (result == ATI_STEAL_LOST);
    if (result == ATI_STEAL_DONE)
        ati_counter_add(&worker->counts.stolen, 1);
    return result == ATI_STEAL_DONE;
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
            return true;
    }
    return false;
}

static bool take_oldest(ati_worker *worker, ati_work *work) {
    return ati_deque_steal(&worker->deque, work) == ATI_STEAL_DONE;
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
    bool oldest_first = worker->pick_count / ATI_FAIRNESS_INTERVAL % 2;
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

bool ati_worker_fire_timers(ati_worker *worker, bool busy) {
    at_pool *pool = worker->pool;
    if (ati_timers_next(&pool->timers) == AT_FOREVER)
        return false;
    uint64_t ticks = ati_ticks();
    if (busy && puts_timers_off(worker, ticks))
        return false;
    worker->ticks = ticks;
    worker->size_before_expired = ati_deque_size(&worker->deque);
    ati_task_node *tasks;
    size_t count = ati_timers_run(&pool->timers, at_clock_now(pool->options.clock), &tasks);
    if (count > 0)
        ati_timer_start_tasks(pool, tasks);
    else
        worker->size_before_expired = SIZE_MAX;
    return count > 0;
}

/* A task that was woken goes on before anything new is begun. */
static bool take_ready(ati_worker *worker, ati_work *work) {
    *work = (ati_work){0};
    return ati_worker_has_ready(worker);
}

/* Takes what is at hand, without looking at other workers. */
static bool pick(ati_worker *worker, ati_work *work) {
    (void)ati_worker_fire_timers(worker, true);
    ati_worker_count_pick(worker);
    bool low_first = worker->owes_low;
    worker->owes_low = false;
    if (low_first && take_low(worker, work))
        return true;
    bool fair = worker->owes_fairness;
    worker->owes_fairness = false;
    if (fair ? pick_fairly(worker, work) : take_ready(worker, work) || take_high(worker, work))
        return true;
    if (ati_deque_pop(&worker->deque, work))
        return true;
    worker->has_own = false;
    if (take_injected(worker, work, ATI_BATCH_LIMIT) || ati_overflow_take(worker->pool, work))
        return true;
    ati_worker_end_yield(worker);
    return take_ready(worker, work) || take_high(worker, work);
}

/* Looks everywhere for a bounded moment: some rounds, and while another worker has been asked for a
 * forked call and may still answer. */
static bool search(ati_worker *worker, ati_work *work) {
    int rounds = worker->forks.watch_began != 0 ? nap_rounds : search_rounds;
    for (int round = 0; round < rounds || worker->forks.awaits_answer; round++) {
        worker->forks.awaits_answer = false;
        if (ati_worker_fire_timers(worker, false) && ati_deque_pop(&worker->deque, work))
            return true;
        if (take_ready(worker, work) || take_high(worker, work) ||
            take_injected(worker, work, ATI_BATCH_LIMIT) || ati_overflow_take(worker->pool, work) ||
            steal(worker, work) || take_low(worker, work))
            return true;
        sched_yield();
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

/* Finds the next work, sleeping until there is one. False: the thread is to end. */
static bool find_work(ati_worker *worker, ati_work *work) {
    at_pool *pool = worker->pool;
    bool searching = false;
    for (;;) {
        if (!searching) {
            if (is_superfluous(worker) && !ati_spare_park(worker))
                return false;
            if (pick(worker, work))
                return true;
            searching = ati_idle_start_searching(&pool->idle);
        }
        if (searching && search(worker, work)) {
            ati_fork_found_work(worker);
            ati_idle_stop_searching(pool);
            return true;
        }
        if (ati_stacks_has_spent(&pool->stacks)) {
            ati_stacks_return(&pool->stacks);
            continue;
        }
        if (ati_search_own(worker))
            continue;
        if (!ati_idle_sleep(worker, searching))
            return false;
        ati_worker_note_clock(worker, ati_coarse_ns());
        searching = true; /* whoever woke us counted us so */
    }
}

void ati_worker_loop(ati_worker *worker) {
    ati_work work;
    while (!worker->ended && find_work(worker, &work)) {
        if (worker->kept_time) {
            worker->kept_time = false;
            ati_idle_keep_time(worker->pool);
        }
        run_work(worker, &work);
    }
    worker->ended = true;
}

/* -- The thread -- */

static void abort_dying_worker(void *unused) {
    (void)unused;
    ati_caller_abort("task", "pthread_exit or a cancellation of the thread may not leave a task; "
                             "return from its function instead");
}

void *ati_worker_main(void *argument) {
    ati_worker *worker = argument;
    const at_pool_options *options = &worker->pool->options;
    worker->ended = false;
    ati_worker_note_clock(worker, ati_coarse_ns());
    ati_clock_lend(options->clock);
    prctl(PR_SET_TIMERSLACK, 1UL);  /* timers on time: the default lets them be 50 us late */
    (void)ati_crash_thread_enter(); /* without it an overflow is only not reported */
    pthread_cleanup_push(abort_dying_worker, NULL);
    if (options->on_thread_start)
        options->on_thread_start(options->context);
    ati_worker_current = worker; /* what the hooks call is called by a plain thread */
    at_inline_worker_current = &worker->forks.line;
    ati_worker_loop_on_stacks(worker);
    at_inline_worker_current = NULL;
    ati_worker_current = NULL;
    if (options->on_thread_stop)
        options->on_thread_stop(options->context);
    ati_clock_lend(NULL);
    ati_pool_leave_clock(worker->pool);
    pthread_cleanup_pop(0);
    ati_crash_thread_leave();
    return NULL;
}
