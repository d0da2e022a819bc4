/* SPDX-License-Identifier: MIT */
/* Purpose: a clock that stands still while anybody works, and then jumps to the next timer.
 *
 * `inside` counts who may still do something at this very moment. Each has one entry:
 *
 *   a worker         from before its thread starts until its thread ends, but while it sleeps, is
 *                    parked or waits in place
 *   a bound thread   from at_clock_bind until it is unbound, but while it waits
 *   a blocking call  has that of the thread that it is made on, unless it waits
 *   a hold           until it is released
 *
 * Who sets another going that is outside enters for it first, being inside itself or not bound to
 * this clock at all. A worker that falls asleep leaves only after its last look at the queues. So
 * nothing that anybody inside has started is under way while `inside` is 0.
 *
 * Who leaves as the last runs on (run_on): it moves the time to the next timer, enters again, sets
 * going whoever waits for that moment, and leaves. If nobody went on, it does the same at the next
 * timer. If there is none, time stands still until somebody has come from outside and gone again.
 * At one moment tasks come first; threads go on when these have done what was to be done by then.
 *
 * Invariants
 *   1. `inside` gets to 0 only under both locks, and the time is changed only there, at once, and
 *      never backwards.
 *   2. Whoever sets a timer or a deadline is inside. So what is found to be the next moment while
 *      `inside` is 0 is the next one for everybody.
 *   3. The clock is used only by those who are inside or a user, and under jump_lock by the one who
 *      runs on.
 *
 * The next moment has to be exact, to the nanosecond, and not that of a timer which has been
 * removed: time would have passed for nothing. Pools know a moment that is possibly too early,
 * which costs them one look; here it is settled first.
 *
 * A pool all of whose workers are blocked cannot fire its timers. Time passes it by, as real time
 * does, until one of the workers goes on.
 *
 * Checked by: tests/unit/virtual_clock_test.c, tests/stress/virtual_clock_test.c. */
#include "pool/virtual_clock.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "pool/pool.h"

#include <sched.h>
#include <string.h>

static const int64_t first_moment = AT_HOURS(1);

typedef struct virtual_clock {
    at_clock clock; /* first: an at_clock of this kind is this */
    uint64_t fork_count;
    _Atomic int64_t now; /* written under both locks */

    ati_lock jump_lock; /* guards `pools`, their next_of_clock and is_passed_by; idle.lock and
                           `lock` are inside */
    at_pool *pools;

    ati_lock lock; /* guards what follows; of all locks only timers.lock is inside */
    uint64_t inside;
    uint64_t user_count; /* pools, bound threads, holds */
    uint64_t hold_count;
    ati_timer_wheel deadlines; /* of threads; the last: much of it is never touched */
} virtual_clock;

static int64_t read_virtual(at_clock *clock) {
    return atomic_load_explicit(&((virtual_clock *)clock)->now, memory_order_relaxed);
}

/* The other threads are not there, and a lock may be held by one of them. */
static bool is_forked(const virtual_clock *clock) {
    return clock->fork_count != ati_process_fork_count();
}

/* -- Running on; all under jump_lock -- */

/* The pool whose timers may be the next. */
static at_pool *find_next_pool(const virtual_clock *clock, int64_t *next) {
    at_pool *found = NULL;
    *next = AT_FOREVER;
    for (at_pool *pool = clock->pools; pool; pool = pool->next_of_clock) {
        int64_t its_next = ati_timers_next(&pool->timers);
        if (its_next < *next && !pool->is_passed_by) {
            *next = its_next;
            found = pool;
        }
    }
    return found;
}

/* The next moment of a pool, exact unless it is later than `deadline`. */
static int64_t find_next_timer(const virtual_clock *clock, int64_t deadline) {
    int64_t next;
    at_pool *pool;
    do
        pool = find_next_pool(clock, &next);
    while (pool && next <= deadline && ati_timers_settle(&pool->timers) != next);
    return next;
}

/* Under both locks: sets going the threads whose deadline has come. */
static void time_out_threads(virtual_clock *clock, int64_t now) {
    uint32_t budget = UINT32_MAX;
    ati_timer *timer;
    while ((timer = ati_timer_wheel_take(&clock->deadlines, now, &budget))) {
        clock->inside++;
        if (!ati_waiter_time_out_thread(timer))
            clock->inside--;
    }
}

/* Leaves. If nobody is inside then, moves the time and enters again. False: somebody is inside, or
 * nobody waits for a moment. */
static bool jump(virtual_clock *clock) {
    int64_t timer = AT_FOREVER, deadline = AT_FOREVER;
    ati_lock_acquire(&clock->lock);
    if (--clock->inside == 0) {
        deadline = ati_timer_wheel_earliest(&clock->deadlines);
        timer = find_next_timer(clock, deadline);
    }
    int64_t next = timer <= deadline ? timer : deadline;
    if (next < AT_FOREVER) {
        int64_t now = read_virtual(&clock->clock);
        if (now < next)
            now = next;
        atomic_store_explicit(&clock->now, now, memory_order_relaxed);
        clock->inside++;
        if (deadline < timer)
            time_out_threads(clock, now);
    }
    ati_lock_release(&clock->lock);
    return next < AT_FOREVER;
}

static void wake_pools(virtual_clock *clock) {
    int64_t now = read_virtual(&clock->clock);
    for (at_pool *pool = clock->pools; pool; pool = pool->next_of_clock)
        if (ati_timers_next(&pool->timers) <= now)
            pool->is_passed_by = !ati_idle_wake_for_time(pool);
}

static void run_on(virtual_clock *clock) {
    ati_lock_acquire(&clock->jump_lock);
    for (at_pool *pool = clock->pools; pool; pool = pool->next_of_clock)
        pool->is_passed_by = false;
    while (jump(clock))
        wake_pools(clock);
    ati_lock_release(&clock->jump_lock);
}

/* -- Coming and going -- */

static void enter(at_clock *entered) {
    virtual_clock *clock = (virtual_clock *)entered;
    if (is_forked(clock))
        return;
    ati_lock_acquire(&clock->lock);
    clock->inside++;
    ati_lock_release(&clock->lock);
}

static void leave(at_clock *left) {
    virtual_clock *clock = (virtual_clock *)left;
    if (is_forked(clock))
        return;
    ati_lock_acquire(&clock->lock);
    ATI_ASSERT(clock->inside > 0);
    bool is_last = clock->inside == 1;
    if (!is_last)
        clock->inside--;
    ati_lock_release(&clock->lock);
    if (is_last)
        run_on(clock);
}

static void add_users(virtual_clock *clock, uint64_t change) {
    ati_lock_acquire(&clock->lock);
    clock->user_count += change;
    ati_lock_release(&clock->lock);
}

static void bind_thread(at_clock *bound) {
    virtual_clock *clock = (virtual_clock *)bound;
    if (is_forked(clock))
        return;
    add_users(clock, 1);
    enter(bound);
}

static void unbind_thread(at_clock *bound) {
    virtual_clock *clock = (virtual_clock *)bound;
    if (is_forked(clock))
        return;
    add_users(clock, (uint64_t)-1);
    leave(bound);
}

void ati_virtual_clock_add_pool(at_pool *pool) {
    virtual_clock *clock = (virtual_clock *)pool->options.clock;
    if (!ati_clock_is_virtual(&clock->clock) || is_forked(clock))
        return;
    add_users(clock, 1);
    ati_lock_acquire(&clock->jump_lock);
    pool->next_of_clock = clock->pools;
    clock->pools = pool;
    ati_lock_release(&clock->jump_lock);
}

void ati_virtual_clock_remove_pool(at_pool *pool) {
    virtual_clock *clock = (virtual_clock *)pool->options.clock;
    if (!ati_clock_is_virtual(&clock->clock) || is_forked(clock))
        return;
    ati_lock_acquire(&clock->jump_lock);
    at_pool **link = &clock->pools;
    while (*link != pool)
        link = &(*link)->next_of_clock;
    *link = pool->next_of_clock;
    ati_lock_release(&clock->jump_lock);
    add_users(clock, (uint64_t)-1);
}

/* -- Threads that wait -- */

void ati_virtual_clock_begin_wait(at_clock *left, ati_timer *timer, at_deadline deadline) {
    virtual_clock *clock = (virtual_clock *)left;
    if (deadline != AT_FOREVER && !is_forked(clock)) {
        ati_lock_acquire(&clock->lock);
        ati_timer_wheel_add(&clock->deadlines, timer, deadline);
        ati_lock_release(&clock->lock);
    }
    leave(left);
}

void ati_virtual_clock_end_wait(at_clock *entered, ati_timer *timer) {
    virtual_clock *clock = (virtual_clock *)entered;
    if (is_forked(clock))
        return;
    ati_lock_acquire(&clock->lock);
    (void)ati_timer_wheel_remove(&clock->deadlines, timer);
    ati_lock_release(&clock->lock);
}

/* -- Public calls -- */

static virtual_clock *check_virtual(at_clock *clock, const char *call) {
    ATI_CALLER_CHECK(clock && clock->now == read_virtual, call, "`clock` is no virtual clock");
    return (virtual_clock *)clock;
}

at_status at_virtual_clock_create(at_clock **clock) {
    ATI_CALLER_CHECK(clock, "at_virtual_clock_create", "`clock` is NULL");
    virtual_clock *created = ati_allocate(sizeof *created);
    if (!created)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_virtual_clock_create: out of memory");
    memset(created, 0, offsetof(virtual_clock, deadlines));
    ati_timer_wheel_init(&created->deadlines);
    created->clock = (at_clock){.now = read_virtual,
                                .enter = enter,
                                .leave = leave,
                                .bind = bind_thread,
                                .unbind = unbind_thread};
    created->fork_count = ati_process_fork_count();
    atomic_init(&created->now, first_moment);
    *clock = &created->clock;
    return AT_OK;
}

/* Whether somebody who is no user, or no user any more, is still on the way out. */
static bool is_being_left(virtual_clock *clock) {
    ati_lock_acquire(&clock->jump_lock);
    ati_lock_acquire(&clock->lock);
    ATI_CALLER_CHECK(clock->user_count == 0, "at_virtual_clock_destroy",
                     "a pool, a thread or a hold still uses the clock; destroy the pools, bind the "
                     "threads to NULL and release the holds first");
    ATI_CALLER_CHECK(atomic_load_explicit(&clock->clock.operation_count, memory_order_relaxed) == 0,
                     "at_virtual_clock_destroy",
                     "an operation that was begun on the clock has not ended; end it first");
    bool is_left = clock->inside == 0;
    ati_lock_release(&clock->lock);
    ati_lock_release(&clock->jump_lock);
    return !is_left;
}

void at_virtual_clock_destroy(at_clock *destroyed) {
    if (!destroyed)
        return;
    virtual_clock *clock = check_virtual(destroyed, "at_virtual_clock_destroy");
    while (!is_forked(clock) && is_being_left(clock))
        sched_yield();
    ati_release(clock, sizeof *clock);
}

/* Adds to the holds. False: there would be fewer than none. */
static bool add_holds(virtual_clock *clock, int change) {
    ati_lock_acquire(&clock->lock);
    bool possible = change > 0 || clock->hold_count > 0;
    if (possible)
        clock->hold_count += (uint64_t)change;
    ati_lock_release(&clock->lock);
    return possible;
}

void at_virtual_clock_hold(at_clock *held) {
    virtual_clock *clock = check_virtual(held, "at_virtual_clock_hold");
    (void)add_holds(clock, 1);
    bind_thread(held);
}

void at_virtual_clock_release(at_clock *held) {
    virtual_clock *clock = check_virtual(held, "at_virtual_clock_release");
    ATI_CALLER_CHECK(add_holds(clock, -1), "at_virtual_clock_release",
                     "nobody holds the clock; call at_virtual_clock_hold first");
    unbind_thread(held);
}

/* Waits in the place of the hold. */
void at_virtual_clock_advance(at_clock *held, at_duration duration) {
    virtual_clock *clock = check_virtual(held, "at_virtual_clock_advance");
    ATI_CALLER_CHECK(!ati_worker_current, "at_virtual_clock_advance",
                     "called by a task, in whose time nothing passes; call it outside");
    ATI_CALLER_CHECK(add_holds(clock, -1), "at_virtual_clock_advance",
                     "nobody holds the clock; call at_virtual_clock_hold first");
    int64_t moment;
    bool is_beyond = __builtin_add_overflow(read_virtual(held), duration, &moment);
    ATI_CALLER_CHECK(!is_beyond && moment < AT_FOREVER, "at_virtual_clock_advance",
                     "`duration` leads beyond the end of time");
    bool is_bound = at_clock_current() == held;
    ati_waiter waiter;
    ati_waiter_init(&waiter, "at_virtual_clock_advance", NULL);
    if (is_bound)
        leave(held);
    (void)ati_waiter_sleep(&waiter, held, moment, AT_FOREVER);
    if (is_bound)
        enter(held);
    (void)add_holds(clock, 1);
}
