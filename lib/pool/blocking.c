/* SPDX-License-Identifier: MIT */
/* Purpose: calls that block run on threads of their own, and the tasks that make them are
 * suspended. So a worker is never held, and what a call waits for may be done by a task that is
 * suspended on the very worker that made it.
 *
 * The first threads, one for each CPU, are started at once: calls that block for a short time need
 * no more. Further ones come one by one, 25 ms apart, while a call waits for a thread: a burst of
 * short calls does not make a crowd of threads, and calls that wait for each other get going in the
 * end. (The pace is that of the .NET thread pool.)
 *
 * A thread is inside the pool's clock unless it is idle. A virtual clock stands still while calls
 * block, whatever others wait for, so under one all threads may be started at once.
 *
 * Checked by: tests/unit/blocking_test.c, tests/stress/blocking_test.c. */
#include "pool/blocking.h"

#include "base/check.h"
#include "base/memory.h"
#include "pool/cancel.h"
#include "pool/exception.h"
#include "pool/pool.h"
#include "pool/suspend.h"
#include "pool/thread.h"

#include <asynctools/blocking.h>

static const at_duration growth_interval = AT_MILLISECONDS(25);
static const at_duration idle_time = AT_SECONDS(1);

/* A call in progress, on the stack of the task. */
typedef struct ati_blocking_call {
    struct ati_blocking_call *next;
    at_run_fn run;
    void *argument;
    ati_context *context;
    ati_blocking_caller caller;
    const ati_frame *task;
    ati_frame frame; /* what the call left in its frame */
    void *returned;
    ati_waiter waiter;
} blocking_call;

typedef struct ati_blocking_thread {
    at_pool *pool;
    pthread_t thread;
    struct ati_blocking_thread *next;      /* in the list of all */
    struct ati_blocking_thread *next_idle; /* in the list of idle ones */
    _Atomic uint32_t signal;               /* futex; 1: look again */
    uint32_t number;                       /* in its name */
    bool is_idle;                          /* in that list */
    bool has_call;                         /* in progress, or just done; under the lock */
    bool runs;                             /* or is being started */
    bool is_joinable;                      /* `thread` was started and not joined */
} blocking_thread;

/* -- The thread -- */

static void run_call(blocking_call *call) {
    ati_frame frame;
    ati_frame_enter(&frame, call->context, call->task->site, call->task->name);
    ati_blocking_caller_current = call->caller;
    ATI_STOP_EXCEPTIONS;
    call->returned = call->run(call->argument);
    ati_blocking_caller_current = (ati_blocking_caller){0};
    call->frame = frame;
    frame.error = NULL;
    ati_frame_leave(&frame);
    ati_waiter_wake(&call->waiter);
}

/* Under the lock. */
static blocking_call *take_call(ati_blocking *blocking) {
    blocking_call *call = blocking->first;
    if (call) {
        blocking->first = call->next;
        if (!blocking->first)
            blocking->last = NULL;
        blocking->queued_count--;
    }
    return call;
}

/* Under the lock. */
static void leave_idle(ati_blocking *blocking, blocking_thread *thread) {
    blocking_thread **link = &blocking->idle;
    while (*link != thread)
        link = &(*link)->next_idle;
    *link = thread->next_idle;
    thread->is_idle = false;
}

/* Gives the next call, waiting for it. NULL: the thread is to end. */
static blocking_call *next_call(blocking_thread *thread) {
    ati_blocking *blocking = &thread->pool->blocking;
    at_deadline until = ati_monotonic_ns() + idle_time;
    bool late = false;
    for (;;) {
        ati_lock_acquire(&blocking->lock);
        if (thread->is_idle) {
            leave_idle(blocking, thread);
            ati_pool_enter_clock(thread->pool);
        }
        blocking->call_count -= thread->has_call;
        blocking_call *call = take_call(blocking);
        thread->has_call = call;
        blocking->call_count += thread->has_call;
        bool ends = !call && (late || blocking->ending);
        if (ends) {
            thread->runs = false;
            blocking->thread_count--;
        } else if (!call) {
            thread->is_idle = true;
            thread->next_idle = blocking->idle;
            blocking->idle = thread;
        }
        atomic_store_explicit(&thread->signal, 0, memory_order_relaxed);
        ati_lock_release(&blocking->lock);
        if (call)
            return call;
        ati_pool_leave_clock(thread->pool);
        if (ends)
            return NULL;
        late = !ati_futex_wait(&thread->signal, 0, until);
    }
}

static void abort_dying_thread(void *unused) {
    (void)unused;
    ati_caller_abort("at_blocking_call", "pthread_exit or a cancellation of the thread may not "
                                         "leave the function; return from it instead");
}

static void *run_thread(void *argument) {
    blocking_thread *thread = argument;
    blocking_call *call;
    ati_clock_lend(thread->pool->options.clock);
    pthread_cleanup_push(abort_dying_thread, NULL);
    while ((call = next_call(thread)))
        run_call(call);
    pthread_cleanup_pop(0);
    ati_clock_lend(NULL);
    return NULL;
}

static void wake_thread(blocking_thread *thread) {
    atomic_store_explicit(&thread->signal, 1, memory_order_relaxed);
    ati_futex_wake(&thread->signal, 1);
}

/* -- Starting and ending threads -- */

/* Under the lock: counts one more thread, and gives a record whose thread has ended, or NULL.
 * False: there are enough. */
static bool reserve_thread(ati_blocking *blocking, uint32_t limit, blocking_thread **record) {
    if (blocking->thread_count >= limit)
        return false;
    blocking->thread_count++;
    *record = blocking->threads;
    while (*record && (*record)->runs)
        *record = (*record)->next;
    if (*record)
        (*record)->runs = true;
    return true;
}

static bool run_on_system_thread(at_pool *pool, blocking_thread *thread) {
    const ati_thread_options options = {
        .stack_bytes = (size_t)pool->options.stack_bytes,
        .cpus = pool->cpus,
        .cpu_count = (size_t)pool->options.cpu_count,
        .name = pool->name,
        .is_helper = true,
        .number = thread->number,
    };
    return ati_thread_start(&thread->thread, &options, run_thread, thread);
}

static blocking_thread *create_record(at_pool *pool) {
    ati_blocking *blocking = &pool->blocking;
    blocking_thread *thread = ati_allocate_zeroed(sizeof *thread);
    if (!thread)
        return NULL;
    thread->pool = pool;
    thread->runs = true;
    ati_lock_acquire(&blocking->lock);
    thread->number = blocking->record_count++;
    thread->next = blocking->threads;
    blocking->threads = thread;
    ati_lock_release(&blocking->lock);
    return thread;
}

static void join_thread(blocking_thread *thread) {
    if (thread->is_joinable)
        pthread_join(thread->thread, NULL);
    thread->is_joinable = false;
}

/* Starts the thread that was counted, outside the lock. False: the system has none to give. */
static bool start_thread(at_pool *pool, blocking_thread *record) {
    ati_blocking *blocking = &pool->blocking;
    blocking_thread *thread = record ? record : create_record(pool);
    if (thread) {
        join_thread(thread);
        ati_pool_enter_clock(pool);
        thread->is_joinable = run_on_system_thread(pool, thread);
        if (thread->is_joinable)
            return true;
        ati_pool_leave_clock(pool);
    }
    ati_lock_acquire(&blocking->lock);
    blocking->thread_count--;
    if (thread)
        thread->runs = false;
    ati_lock_release(&blocking->lock);
    return false;
}

/* Under the lock: whether the timer is to be set, for a further thread while calls wait. */
static bool needs_growth(ati_blocking *blocking) {
    if (blocking->grows || !blocking->first || blocking->thread_count >= blocking->limit)
        return false;
    blocking->grows = true;
    return true;
}

static void set_growth(at_pool *pool) {
    int64_t moment = at_clock_now(pool->options.clock) + growth_interval;
    if (ati_timers_add(&pool->timers, &pool->blocking.growth, moment))
        ati_idle_keep_time(pool);
}

static void grow(at_pool *pool) {
    ati_blocking *blocking = &pool->blocking;
    blocking_thread *record = NULL;
    ati_lock_acquire(&blocking->lock);
    blocking->grows = false;
    bool starts =
        blocking->first && !blocking->idle && reserve_thread(blocking, blocking->limit, &record);
    ati_lock_release(&blocking->lock);
    if (starts)
        (void)start_thread(pool, record);
    ati_lock_acquire(&blocking->lock);
    bool grows_further = needs_growth(blocking);
    ati_lock_release(&blocking->lock);
    if (grows_further)
        set_growth(pool);
}

void ati_blocking_grow(ati_pool_timer *timer) {
    ati_pool_start_chore((at_pool *)((char *)timer - offsetof(at_pool, blocking.growth)), grow);
}

void ati_blocking_end_threads(at_pool *pool) {
    ati_blocking *blocking = &pool->blocking;
    (void)ati_timers_remove(&pool->timers, &blocking->growth);
    ati_lock_acquire(&blocking->lock);
    blocking->ending = true;
    for (blocking_thread *thread = blocking->idle; thread; thread = thread->next_idle)
        wake_thread(thread);
    ati_lock_release(&blocking->lock);
    while (blocking->threads) { /* nobody adds to it any more */
        blocking_thread *thread = blocking->threads;
        blocking->threads = thread->next;
        join_thread(thread);
        ati_release(thread, sizeof *thread);
    }
}

/* -- The calls -- */

/* A thread could not be started: the call is taken back unless there are others, or there seem to
 * be. Those that go on waiting have the timer, in case that there are none. */
static bool take_back(at_pool *pool, blocking_call *call) {
    ati_blocking *blocking = &pool->blocking;
    ati_lock_acquire(&blocking->lock);
    blocking_call **link = &blocking->first;
    blocking_call *last = NULL;
    while (*link && *link != call) {
        last = *link;
        link = &(*link)->next;
    }
    bool taken = *link && blocking->thread_count == 0;
    if (taken) {
        *link = call->next;
        if (!call->next)
            blocking->last = last;
        blocking->queued_count--;
    }
    bool grows = needs_growth(blocking);
    ati_lock_release(&blocking->lock);
    if (grows)
        set_growth(pool);
    return taken;
}

/* Hands the call to a thread. False: there is none and there will be none. */
static bool hand_over(at_pool *pool, blocking_call *call) {
    ati_blocking *blocking = &pool->blocking;
    blocking_thread *record = NULL;
    bool starts = false;
    ati_lock_acquire(&blocking->lock);
    if (blocking->last)
        blocking->last->next = call;
    else
        blocking->first = call;
    blocking->last = call;
    blocking->queued_count++;
    blocking_thread *idle = blocking->idle;
    if (idle) {
        leave_idle(blocking, idle);
        ati_pool_enter_clock(pool);
        wake_thread(idle);
    } else {
        starts = reserve_thread(blocking, blocking->at_once, &record);
    }
    bool grows = !idle && !starts && needs_growth(blocking);
    ati_lock_release(&blocking->lock);
    if (grows)
        set_growth(pool);
    return !starts || start_thread(pool, record) || !take_back(pool, call);
}

static void *call_in_place(at_run_fn run, void *argument) {
    at_blocking_begin();
    void *returned = run(argument);
    at_blocking_end();
    return returned;
}

void *at_blocking_call(at_run_fn run, void *argument) {
    ATI_CALLER_CHECK(run, "at_blocking_call", "`run` is NULL");
    ati_worker *worker = ati_worker_current;
    if (!worker || ati_frame_current()->may_not_wait || worker->pool->blocking.limit == 0)
        return call_in_place(run, argument);
    blocking_call call = {
        .run = run,
        .argument = argument,
        .context = ati_context_own(),
        .caller = {worker->pool, ati_lane_of(AT_PRIORITY_INHERITED)},
        .task = ati_frame_current(),
    };
    ati_waiter_init(&call.waiter, "at_blocking_call", NULL);
    if (!hand_over(worker->pool, &call))
        return call_in_place(run, argument);
    (void)ati_waiter_wait(&call.waiter, AT_FOREVER);
    ati_frame_take_over(&call.frame);
    return call.returned;
}

void at_blocking_begin(void) {
    ati_worker *worker = ati_worker_current;
    if (!worker)
        return;
    ati_frame_current()->blocking_depth++;
    if (worker->blocking_depth++ > 0)
        return;
    ati_worker_hand_time_over(worker);
    atomic_store_explicit(&worker->blocks, true, memory_order_relaxed);
    worker->is_replaced = ati_pool_block_begin(worker);
}

void at_blocking_end(void) {
    ati_worker *worker = ati_worker_current;
    if (!worker)
        return;
    ati_frame *frame = ati_frame_current();
    ATI_CALLER_CHECK(frame->blocking_depth > 0, "at_blocking_end",
                     "no at_blocking_begin came before it in this task");
    frame->blocking_depth--;
    if (--worker->blocking_depth > 0)
        return;
    atomic_store_explicit(&worker->blocks, false, memory_order_relaxed);
    if (worker->is_replaced)
        ati_pool_block_end(worker);
}
