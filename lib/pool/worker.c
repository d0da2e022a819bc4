/* SPDX-License-Identifier: MIT */
#include "pool/worker.h"

#include "base/barrier.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "pool/cancel.h"
#include "pool/crash.h"
#include "pool/exception.h"
#include "pool/pool.h"
#include "pool/report.h"
#include "pool/suspend.h"
#include "pool/turn.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    deque_room = 256,          /* places a deque starts with, at least ATI_BATCH_LIMIT */
    nesting_limit = 64,        /* tasks on one stack */
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
    worker->picks_left = ATI_TURN_INTERVAL;
    worker->random = ati_random_next();
    ati_forks_init(&worker->forks, ati_barrier_is_unequal());
    ati_owner_lock_init(&worker->suspended_lock);
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

/* What runs inline or drops a value is in the middle of a task. The forks of that stay its own: the
 * short way ends here, as in a plain thread, and calls forked meanwhile are made by their joins. */
static void begin_above_forks(ati_worker *worker, const ati_frame *frame, bool is_task) {
    if (is_task)
        ati_fork_set_owner(worker, frame);
    else
        at_inline_worker_current = NULL;
}

void ati_task_begin(ati_worker *worker, ati_task_run *run, ati_context *context, const char *site,
                    const char *name) {
    ati_frame_enter(&run->frame, context, site, name);
    if (worker)
        ati_counter_add_after(&worker->counts.begun, 1);
    ati_worker *current = ati_worker_current;
    if (!current)
        return;
    current->depth++;
    if (context)
        ati_worker_ask_to_look(current);
    if (current->quiet != ATI_QUIET_NO)
        ati_worker_end_quiet(current);
    run->outer_operation_id = atomic_load_explicit(&current->operation_id, memory_order_relaxed);
    ati_worker_show_operation(current, ati_context_operation_id(context));
    run->outer_owner = current->forks.owner;
    run->outer_line = at_inline_worker_current;
    run->fork_count = ati_forks_count(&current->forks);
    if (run->fork_count > 0)
        begin_above_forks(current, &run->frame, worker);
    else
        current->forks.owner = &run->frame;
    atomic_store_explicit(&current->site, site, memory_order_relaxed);
    if (name && *name)
        ati_view_show_named(current, &run->frame);
}

/* In the child the pool has no other thread. */
void ati_task_end_forked_process(void) {
    fputs("asynctools: task: a task that forked the process may not return in the child; call exec "
          "or _exit there\n",
          stderr);
    _exit(70);
}

/* The task below on this stack goes on, if there is one. */
static inline void go_on_below(ati_worker *worker, const ati_task_run *run) {
    const ati_frame *frame = &run->frame;
    if (--worker->depth > 0)
        atomic_store_explicit(&worker->site, frame->outer->site, memory_order_relaxed);
    if (frame->name && *frame->name)
        ati_view_hide_named(worker, frame);
    ati_worker_show_operation(worker, run->outer_operation_id);
    at_inline_worker_current = run->outer_line;
    /* Where it has stayed there may be private calls, and thieves that read it. */
    if (worker->forks.owner != run->outer_owner)
        worker->forks.owner = run->outer_owner;
}

static _Noreturn void abort_open_section(const ati_frame *frame) {
    const char *kind = frame->blocking_depth > 0 ? "blocking" : "scope";
    char call[30];
    char sentence[200];
    snprintf(call, sizeof call, "at_%s_begin", kind);
    snprintf(sentence, sizeof sentence, "task %s returned without at_%s_end",
             ati_task_name_of(frame), kind);
    ati_caller_abort(call, sentence);
}

void ati_task_end(ati_worker *worker, ati_task_run *run, at_status status) {
    ati_worker *current = ati_worker_current;
    ATI_CALLER_CHECK(ati_frame_current() == &run->frame, "task",
                     "a function that a wait or a drop ran inside this task was left by longjmp; "
                     "return from it instead");
    ATI_CALLER_CHECK(!current || ati_forks_count(&current->forks) == run->fork_count, "task",
                     "a task or forked call has returned before its forks were joined; call "
                     "at_fork_join for each");
    if ((run->frame.blocking_depth | run->frame.scope_depth) > 0)
        abort_open_section(&run->frame);
    if (run->frame.next_future)
        run->frame.next_release(run->frame.next_future);
    ati_frame_leave(&run->frame);
    if (current)
        go_on_below(current, run);
    if (!worker)
        return;
    if (ati_pool_is_forked(worker->pool))
        ati_task_end_forked_process();
    ati_worker_counts *counts = &worker->counts;
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
    ati_task_begin(worker, &run, context, work->site, NULL);
    bool is_cancelled = context && ati_is_cancelled(context);
    ATI_STOP_EXCEPTIONS;
    at_error *error = NULL;
    at_status status = AT_ERROR_CANCELLED;
    if (!is_cancelled) {
        void *returned = work->run(work->argument);
        status = ati_task_outcome(&run.frame, returned, work->site, &error);
        if (status == AT_OK)
            ati_frame_drop_returned(&run.frame, returned);
    }
    ati_task_end(worker, &run, status);
    if (error)
        ati_report_dropped_error(error);
    if (context)
        ati_context_stock_put(context, 1);
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
    ati_worker_begin_task_turn(worker);
    worker->lane = lane;
    atomic_store_explicit(&worker->forks.is_low, lane == ATI_LANE_LOW, memory_order_relaxed);
    ati_worker_end_yield(worker);
    if (work->run)
        ati_worker_run(worker, work);
    else
        (void)ati_worker_resume_next(worker);
    if (lane == ATI_LANE_LOW)
        ati_lane_leave_low(worker->pool);
}

void ati_worker_loop(ati_worker *worker) {
    ati_work work;
    while (!worker->ended && ati_worker_find_work(worker, &work)) {
        ati_worker_hand_time_over(worker);
        run_work(worker, &work);
    }
    worker->ended = true;
}

/* -- The thread -- */

static void abort_dying_worker(void *argument) {
    const ati_worker *worker = argument;
    ati_fiber_tools_forget_frames(&worker->thread_fiber.tools, __builtin_frame_address(0));
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
    pthread_cleanup_push(abort_dying_worker, worker);
    if (options->on_thread_start)
        options->on_thread_start(options->context);
    ati_worker_current = worker; /* what the hooks call is called by a plain thread */
    ati_context_stock_set_worker(true);
    at_inline_worker_current = &worker->forks.line;
    ati_worker_loop_on_stacks(worker);
    ati_context_stock_set_worker(false);
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
