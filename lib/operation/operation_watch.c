/* SPDX-License-Identifier: MIT */
/* Purpose: operations that go on for too long are logged while they do.
 *
 * A look goes through the lists of live operations, under their locks, and chooses those that have
 * something due; then it writes their lines under no lock. An operation may end meanwhile, and from
 * then on its logger may go. So who ends one takes it out of its list, and then sees in `watched`
 * whether it was chosen:
 *
 *   NOT -choose, in its list-> CHOSEN -begin_writing-> WRITTEN -end_writing-> NOT
 *                              CHOSEN -its end-> ENDED: no line is written
 *                              WRITTEN -its end-> AWAITED -end_writing-> NOT: its end waits
 *
 * Invariants
 *   1. One is chosen only while it is listed, under the lock of its list: its owner has not let go
 *      of it, so it can be retained, and its end sees it.
 *   2. late_said is used under the lock that all visitors hold; late_due and next_late belong to
 *      whoever has chosen it, until end_writing, or for good where it is ENDED.
 *   3. An end waits for the lines of its own operation, two at most, and for no others.
 *
 * The timer of the watch is not counted among those that are to start a task, so no shutdown waits
 * for it; once all is at rest there it starts nothing any more, and the watch has stopped. Under
 * the lock of the watch:
 *
 *   SET -fire-> LOOKING -end_look-> SET           fire at the pool's end, or a destroy -> STOPPED
 *
 * Who destroys it takes the timer out of the wheel, or waits for the end of the look.
 *
 * Checked by: tests/model/operation_watch_model.c, tests/unit/operation_watch_test.c,
 * tests/stress/operation_watch_test.c. */
#include "operation/operation_watch.h"

#include "base/check.h"
#include "base/error.h"
#include "base/futex.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "pool/pool.h"
#include "pool/waiter.h"

#include <asynctools/operation_watch.h>

static const at_duration default_interval = AT_SECONDS(1);
static const at_duration least_interval = AT_MILLISECONDS(1);

typedef enum watch_state { WATCH_SET, WATCH_LOOKING, WATCH_STOPPED } watch_state;

struct at_operation_watch {
    ati_task_timer timer; /* first */
    at_pool *pool;        /* retained */
    at_logger *logger;    /* or NULL */
    at_duration interval;
    uint64_t fork_count; /* of the process that it looks in */
    ati_lock lock;       /* guards what follows; outside the lock of the pool's timers */
    watch_state state;
    bool is_ended;      /* no timer is to be set any more */
    ati_waiter *waiter; /* of who destroys it while it looks */
    at_deadline moment; /* of the next look */
};

/* -- Operations -- */

void ati_operation_leave_watch_chosen(at_operation *operation) {
    uint32_t chosen = ATI_WATCHED_CHOSEN;
    uint32_t written = ATI_WATCHED_WRITTEN;
    if (atomic_compare_exchange_strong_explicit(&operation->watched, &chosen, ATI_WATCHED_ENDED,
                                                memory_order_relaxed, memory_order_relaxed))
        return;
    (void)atomic_compare_exchange_strong_explicit(&operation->watched, &written,
                                                  ATI_WATCHED_AWAITED, memory_order_relaxed,
                                                  memory_order_relaxed);
    /* ORDER operation.watched: acquire. What was logged for it comes before its end.
     * Pairs with: release in end_writing(). If relaxed: its logger goes while it is being used. */
    while (atomic_load_explicit(&operation->watched, memory_order_acquire) == ATI_WATCHED_AWAITED)
        (void)ati_futex_wait(&operation->watched, ATI_WATCHED_AWAITED, AT_FOREVER);
}

/* False: it has ended. */
static bool begin_writing(at_operation *operation) {
    uint32_t chosen = ATI_WATCHED_CHOSEN;
    return atomic_compare_exchange_strong_explicit(&operation->watched, &chosen,
                                                   ATI_WATCHED_WRITTEN, memory_order_relaxed,
                                                   memory_order_relaxed);
}

static void end_writing(at_operation *operation) {
    /* ORDER operation.watched: release. What was logged for it comes before its end.
     * Pairs with: acquire in ati_operation_leave_watch() and ati_operation_leave_watch_chosen().
     * If relaxed: its logger goes while it is being used. */
    if (atomic_exchange_explicit(&operation->watched, ATI_WATCHED_NOT, memory_order_release) ==
        ATI_WATCHED_AWAITED)
        ati_futex_wake(&operation->watched, 1);
}

/* -- A look -- */

typedef struct look {
    at_clock *clock; /* of the operation before */
    int64_t now;     /* of that clock */
    at_operation *chosen;
} look;

/* What is due; where nothing is, and nothing can be, the clock is not asked. */
static uint32_t find_due(look *it, const at_operation *operation) {
    bool may_be_late =
        operation->slow != AT_FOREVER || ati_operation_context(operation)->deadline != AT_FOREVER;
    if (!may_be_late || operation->end_level == AT_LOG_OFF)
        return 0;
    if (it->clock != operation->clock) {
        it->clock = operation->clock;
        it->now = at_clock_now(it->clock);
    }
    return ati_operation_late(operation, it->now) & ~(uint32_t)operation->late_said;
}

static void choose(at_operation *operation, void *context) {
    look *it = context;
    uint32_t due = find_due(it, operation);
    if (due == 0 ||
        atomic_load_explicit(&operation->watched, memory_order_relaxed) != ATI_WATCHED_NOT)
        return;
    ati_context_retain(ati_operation_context(operation));
    operation->late_said |= (uint8_t)due;
    operation->late_due = (uint8_t)due;
    operation->next_late = it->chosen;
    it->chosen = operation;
    atomic_store_explicit(&operation->watched, ATI_WATCHED_CHOSEN, memory_order_relaxed);
}

static void look_at_operations(at_logger *logger) {
    look it = {0};
    ati_live_visit(choose, &it);
    at_operation *operation = it.chosen;
    while (operation) {
        at_operation *next = operation->next_late;
        if (begin_writing(operation)) {
            ati_operation_log_late(operation, operation->late_due, logger);
            end_writing(operation);
        }
        ati_context_release(ati_operation_context(operation));
        operation = next;
    }
}

/* -- The task -- */

/* Sets the timer; under the lock. */
static void set_timer(at_operation_watch *watch) {
    int64_t now = at_clock_now(watch->pool->options.clock);
    watch->moment += watch->interval;
    if (watch->moment <= now)
        watch->moment = now + watch->interval;
    watch->state = WATCH_SET;
    ati_pool_timer_start(watch->pool, &watch->timer.timer, watch->moment);
}

/* The last access to a watch that is being destroyed. */
static void end_look(at_operation_watch *watch) {
    ati_waiter *waiter = NULL;
    ati_lock_acquire(&watch->lock);
    if (watch->is_ended) {
        watch->state = WATCH_STOPPED;
        waiter = watch->waiter;
    } else {
        set_timer(watch);
    }
    ati_lock_release(&watch->lock);
    if (waiter)
        ati_waiter_wake(waiter);
}

static void *run_look(void *argument) {
    at_operation_watch *watch = argument;
    ati_worker *worker = ati_worker_current;
    ati_task_run run;
    ati_task_begin(worker, &run, NULL, AT_SITE("at_operation_watch"), NULL);
    look_at_operations(watch->logger);
    end_look(watch);
    ati_task_end(worker, &run, AT_OK);
    return NULL;
}

static void fire(ati_pool_timer *timer) {
    at_operation_watch *watch = (at_operation_watch *)timer;
    bool goes_on = !atomic_load_explicit(&watch->pool->has_rested, memory_order_relaxed);
    ati_lock_acquire(&watch->lock);
    watch->state = goes_on ? WATCH_LOOKING : WATCH_STOPPED;
    ati_lock_release(&watch->lock);
    if (goes_on)
        (void)ati_pool_start_nodes(watch->pool, &watch->timer.node, 1, true); /* not refused */
}

/* -- The calls -- */

static at_status check_options(const at_operation_watch_options *options) {
    if (options->interval != 0 && options->interval < least_interval)
        return ati_fail(AT_ERROR_INVALID,
                        "at_operation_watch_create: `interval` is %lld ns, less than 1 ms",
                        (long long)options->interval);
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_operation_watch_create: `reserved` is not zero");
    return AT_OK;
}

at_status at_operation_watch_create(at_operation_watch **watch, at_pool *pool,
                                    const at_operation_watch_options *options) {
    static const at_operation_watch_options defaults = {0};
    ATI_CALLER_CHECK(watch, "at_operation_watch_create", "`watch` is NULL");
    ATI_CALLER_CHECK(pool, "at_operation_watch_create", "`pool` is NULL");
    if (!options)
        options = &defaults;
    at_status status = check_options(options);
    if (status == AT_OK)
        status = ati_pool_check_open(pool);
    if (status != AT_OK)
        return status;
    at_operation_watch *made = ati_allocate_zeroed(sizeof *made);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_operation_watch_create: out of memory");
    made->timer.timer.fire = fire;
    made->timer.node.work = (ati_work){
        .run = run_look, .argument = made, .context = ati_context_in_lane(NULL, ATI_LANE_NORMAL)};
    made->pool = pool;
    ati_pool_retain(pool);
    made->logger = options->logger;
    made->interval = options->interval != 0 ? options->interval : default_interval;
    made->fork_count = ati_process_fork_count();
    *watch = made;
    ati_lock_acquire(&made->lock);
    made->moment = at_clock_now(pool->options.clock);
    set_timer(made);
    ati_lock_release(&made->lock);
    return AT_OK;
}

/* Afterwards it does not look, and is not to. */
static void stop(at_operation_watch *watch) {
    ati_waiter waiter;
    ati_waiter_init(&waiter, "at_operation_watch_destroy", watch);
    ati_lock_acquire(&watch->lock);
    watch->is_ended = true;
    ati_lock_release(&watch->lock);
    if (ati_timers_remove(&watch->pool->timers, &watch->timer.timer))
        return;
    ati_lock_acquire(&watch->lock);
    bool looks = watch->state == WATCH_LOOKING;
    if (looks)
        watch->waiter = &waiter;
    ati_lock_release(&watch->lock);
    if (looks)
        (void)ati_waiter_wait(&waiter, AT_FOREVER);
}

void at_operation_watch_destroy(at_operation_watch *watch) {
    if (!watch)
        return;
    ATI_CALLER_CHECK(!ati_frame_current()->may_not_wait, "at_operation_watch_destroy",
                     "an inline continuation may not wait; call it in a task");
    /* In the child of a fork there is nothing to stop, and a lock may be held for ever. */
    if (watch->fork_count == ati_process_fork_count())
        stop(watch);
    ati_pool_release(watch->pool);
    ati_release(watch, sizeof *watch);
}
