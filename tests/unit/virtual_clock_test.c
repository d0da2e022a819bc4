/* SPDX-License-Identifier: MIT
 *
 * Rules Q1 and X6: time that jumps when everybody waits, and only then. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/blocking.h>
#include <asynctools/log.h>
#include <asynctools/sleep.h>
#include <asynctools/virtual_clock.h>

#include "pool/pool.h"

#include <sched.h>

TestSuite(virtual_clock, .timeout = 200);

static const int64_t start = AT_HOURS(1);

static at_clock *create_clock(void) {
    at_clock *clock = NULL;
    cr_assert_eq(at_virtual_clock_create(&clock), AT_OK);
    return clock;
}

static at_pool *create_pool_on(at_clock *clock, int64_t thread_count) {
    at_pool *pool = NULL;
    const at_pool_options options = {.thread_count = thread_count, .clock = clock};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    return pool;
}

static int64_t read_now(void) {
    return at_clock_now(at_clock_current());
}

/* A task that sleeps, and when it went on. */
struct sleeper {
    at_duration duration;
    int64_t woke;
    int order; /* how many had gone on before */
    _Atomic int *count;
    at_status status;
};

static void *sleep_once(void *argument) {
    struct sleeper *sleeper = argument;
    sleeper->status = at_sleep(sleeper->duration);
    sleeper->woke = read_now();
    if (sleeper->count)
        sleeper->order = atomic_fetch_add(sleeper->count, 1);
    return sleeper;
}

static void wait_and_release(at_future *future) {
    cr_expect_eq(at_future_wait(future, AT_FOREVER, NULL), AT_OK);
    at_future_release(future);
}

/* -- The clock itself ------------------------------------------------------------------------ */

/* Rule Q1: no time is near 0. */
Test(virtual_clock, starts_at_one_hour_and_stands) {
    at_clock *clock = create_clock();
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(at_clock_now(clock), start);
    at_virtual_clock_destroy(clock);
    at_virtual_clock_destroy(NULL);
}

/* Rule X6. */
Test(virtual_clock, is_the_current_one_where_it_is_bound) {
    at_clock *clock = bind_virtual_clock();
    cr_expect_eq(at_clock_current(), clock);
    cr_expect_eq(at_after(AT_SECONDS(3)), start + AT_SECONDS(3));
    at_clock_bind(clock);
    unbind_virtual_clock(clock);
    cr_expect_eq(at_clock_current(), at_clock_real());
}

/* -- Plain threads --------------------------------------------------------------------------- */

/* Rules Q1, W4: to the nanosecond. */
Test(virtual_clock, a_thread_sleeps_a_day) {
    at_clock *clock = bind_virtual_clock();
    int64_t began = at_clock_now(at_clock_real());
    cr_expect_eq(at_sleep(AT_HOURS(24)), AT_OK);
    cr_expect_eq(at_clock_now(clock), start + AT_HOURS(24));
    cr_expect_eq(at_sleep(1), AT_OK);
    cr_expect_eq(at_clock_now(clock), start + AT_HOURS(24) + 1);
    cr_expect_lt(at_clock_now(at_clock_real()) - began, AT_SECONDS(10));
    unbind_virtual_clock(clock);
}

struct thread_sleeper {
    at_clock *clock;
    struct sleeper sleeper;
    struct gate *gate; /* until all are bound */
    bool stays_bound;
};

static void *sleep_in_thread(void *argument) {
    struct thread_sleeper *thread = argument;
    at_clock_bind(thread->clock);
    gate_pass(thread->gate);
    sleep_once(&thread->sleeper);
    if (!thread->stays_bound)
        at_clock_bind(NULL);
    return NULL;
}

/* Rule Q1: the end of a thread unbinds it. */
Test(virtual_clock, threads_sleep_side_by_side) {
    enum { count = 8 };
    at_clock *clock = create_clock();
    struct thread_sleeper sleepers[count];
    struct gate gate = GATE_CLOSED;
    pthread_t threads[count];
    for (int i = 0; i < count; i++) {
        sleepers[i] = (struct thread_sleeper){.clock = clock, .gate = &gate};
        sleepers[i].sleeper.duration = AT_HOURS((i * 5) % count + 1);
        sleepers[i].stays_bound = i % 2;
        cr_assert_eq(pthread_create(&threads[i], NULL, sleep_in_thread, &sleepers[i]), 0);
    }
    gate_await(&gate, count);
    gate_open(&gate);
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        cr_expect_eq(sleepers[i].sleeper.woke, start + sleepers[i].sleeper.duration);
    }
    cr_expect_eq(at_clock_now(clock), start + AT_HOURS(count));
    at_virtual_clock_destroy(clock);
}

/* Rule W4: the deadline of a wait is one of the bound clock. */
Test(virtual_clock, a_wait_ends_at_its_deadline) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1); /* of the current clock */
    at_future *future;
    at_promise *promise = create_promise(pool, &future);
    at_deadline deadline = at_after(AT_HOURS(5));
    cr_expect_eq(at_future_wait(future, deadline, NULL), AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_clock_now(clock), deadline);
    cr_expect_eq(at_future_wait(future, deadline, NULL), AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_clock_now(clock), deadline);
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    at_future_release(future);
    at_pool_destroy(pool);
    unbind_virtual_clock(clock);
}

/* -- Tasks ----------------------------------------------------------------------------------- */

/* Rule Q1. */
Test(virtual_clock, a_task_sleeps_a_day) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool_on(clock, 2);
    struct sleeper sleeper = {.duration = AT_HOURS(24)};
    wait_and_release(at_pool_submit(pool, sleep_once, &sleeper));
    cr_expect_eq(sleeper.status, AT_OK);
    cr_expect_eq(sleeper.woke, start + AT_HOURS(24));
    cr_expect_eq(at_clock_now(clock), start + AT_HOURS(24));
    at_pool_destroy(pool);
    unbind_virtual_clock(clock);
}

static void *sleep_through_a_year(void *argument) {
    _Atomic int *late = argument;
    for (int i = 1; i <= 24 * 365; i++) {
        AT_TRY(at_sleep(AT_HOURS(1)));
        if (read_now() != start + AT_HOURS(i))
            atomic_fetch_add(late, 1);
    }
    return late;
}

Test(virtual_clock, a_year_of_hours) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool_on(clock, 2);
    _Atomic int late = 0;
    wait_and_release(at_pool_submit(pool, sleep_through_a_year, &late));
    cr_expect_eq(late, 0);
    cr_expect_eq(at_clock_now(clock), start + AT_HOURS(24 * 365));
    at_pool_destroy(pool);
    unbind_virtual_clock(clock);
}

/* Rule Q1: each at its own nanosecond, in order; those of one moment in the order of setting, which
 * one worker keeps. */
Test(virtual_clock, many_tasks_wake_in_order) {
    enum { count = 2000 };
    static struct sleeper sleepers[count];
    static at_future *futures[count];
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool_on(clock, 1);
    _Atomic int woken = 0;
    for (int i = 0; i < count; i++) {
        /* Three of each, from far to near. */
        sleepers[i].duration = AT_SECONDS(7) * ((count - i) / 3) + 1;
        sleepers[i].count = &woken;
        futures[i] = at_pool_submit(pool, sleep_once, &sleepers[i]);
    }
    for (int i = 0; i < count; i++)
        wait_and_release(futures[i]);
    for (int i = 0; i < count; i++)
        cr_assert_eq(sleepers[i].woke, start + sleepers[i].duration);
    for (int i = 0; i + 1 < count; i++) {
        bool later = sleepers[i].duration > sleepers[i + 1].duration;
        cr_assert_eq(sleepers[i].order > sleepers[i + 1].order, later);
    }
    at_pool_destroy(pool);
    unbind_virtual_clock(clock);
}

/* Rule Q1: pools on one clock, and a thread. */
Test(virtual_clock, two_pools_and_a_thread) {
    enum { count = 100 };
    static struct sleeper sleepers[2 * count];
    at_clock *clock = bind_virtual_clock();
    at_pool *pools[] = {create_pool_on(clock, 2), create_pool_on(clock, 1)};
    for (int i = 0; i < 2 * count; i++) {
        sleepers[i].duration = AT_MINUTES(i + 1);
        cr_assert_eq(at_pool_start(pools[i % 2], sleep_once, &sleepers[i]), AT_OK);
    }
    cr_expect_eq(at_sleep(AT_MINUTES(count) + 1), AT_OK);
    for (int i = 0; i < 2 * count; i++)
        cr_assert_eq(sleepers[i].woke, i < count ? start + sleepers[i].duration : 0);
    at_pool_destroy(pools[0]);
    at_pool_destroy(pools[1]);
    cr_expect_eq(at_clock_now(clock), start + AT_MINUTES(2 * count));
    for (int i = count; i < 2 * count; i++)
        cr_assert_eq(sleepers[i].woke, start + sleepers[i].duration);
    unbind_virtual_clock(clock);
}

/* Tasks of one moment come before threads, and do all that is to be done by then. */
Test(virtual_clock, tasks_come_before_threads) {
    enum { count = 50 };
    at_clock *clock = bind_virtual_clock();
    at_pool *pools[] = {create_pool_on(clock, 2), create_pool_on(clock, 1)};
    for (int round = 1; round <= 20; round++) {
        struct sleeper sleepers[count];
        _Atomic int woken = 0;
        for (int i = 0; i < count; i++) {
            sleepers[i] = (struct sleeper){.duration = AT_SECONDS(1), .count = &woken};
            cr_assert_eq(at_pool_start(pools[i % 2], sleep_once, &sleepers[i]), AT_OK);
        }
        cr_assert_eq(at_sleep(AT_SECONDS(1)), AT_OK);
        cr_assert_eq(woken, count);
        cr_assert_eq(at_clock_now(clock), start + AT_SECONDS(round));
    }
    at_pool_destroy(pools[0]);
    at_pool_destroy(pools[1]);
    unbind_virtual_clock(clock);
}

struct handover {
    at_promise *promise;
    at_future *future;
    at_duration patience;
    at_status status;
    int64_t ended;
};

static void *wait_for_handover(void *argument) {
    struct handover *handover = argument;
    handover->status = at_future_wait(handover->future, at_after(handover->patience), NULL);
    handover->ended = read_now();
    return NULL;
}

/* Rule Q1: a deadline that was not needed is not a moment to jump to. */
Test(virtual_clock, time_does_not_run_to_removed_timers) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool_on(clock, 1);
    struct handover first = {.patience = AT_HOURS(10)}, second = {.patience = AT_HOURS(10)};
    first.promise = create_promise(pool, &first.future);
    second.promise = create_promise(pool, &second.future);
    at_future *early = at_pool_submit(pool, wait_for_handover, &first);
    at_future *late = at_pool_submit(pool, wait_for_handover, &second);
    cr_expect_eq(at_sleep(AT_HOURS(1)), AT_OK);
    cr_expect_eq(at_promise_set(first.promise, NULL, NULL), AT_OK);
    wait_and_release(early);
    cr_expect_eq(first.status, AT_OK);
    cr_expect_eq(first.ended, start + AT_HOURS(1));
    cr_expect_eq(at_sleep(AT_HOURS(1)), AT_OK);
    cr_expect_eq(at_promise_set(second.promise, NULL, NULL), AT_OK);
    wait_and_release(late);
    at_pool_destroy(pool);
    cr_expect_eq(at_clock_now(clock), start + AT_HOURS(2));
    at_promise_destroy(first.promise);
    at_promise_destroy(second.promise);
    at_future_release(first.future);
    at_future_release(second.future);
    unbind_virtual_clock(clock);
}

static void *set_handover(void *argument) {
    struct handover *handover = argument;
    return at_promise_set(handover->promise, NULL, NULL) == AT_OK ? NULL : AT_FAILED;
}

/* Rules Q1, W4: an unbound thread sets a promise that a task and a bound thread wait for. With
 * nothing else to come time stands still. */
Test(virtual_clock, an_unbound_thread_sets_a_promise) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool_on(clock, 2);
    struct handover handover = {.patience = AT_FOREVER};
    handover.promise = create_promise(pool, &handover.future);
    at_future *waiting = at_pool_submit(pool, wait_for_handover, &handover);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, set_handover, &handover), 0);
    wait_and_release(waiting);
    cr_expect_eq(handover.status, AT_OK);
    cr_expect_eq(at_future_wait(handover.future, AT_FOREVER, NULL), AT_OK);
    cr_expect_eq(at_clock_now(clock), start);
    pthread_join(thread, NULL);
    at_promise_destroy(handover.promise);
    at_future_release(handover.future);
    at_pool_destroy(pool);
    unbind_virtual_clock(clock);
}

/* Rule Q1: a thread that is not bound may use such a pool; its own time is the real one. */
Test(virtual_clock, an_unbound_thread_submits) {
    at_clock *clock = create_clock();
    at_pool *pool = create_pool_on(clock, 2);
    for (int i = 1; i <= 100; i++) {
        struct sleeper sleeper = {.duration = AT_HOURS(1)};
        wait_and_release(at_pool_submit(pool, sleep_once, &sleeper));
        cr_assert_eq(sleeper.woke, start + AT_HOURS(i));
    }
    cr_expect_eq(at_clock_current(), at_clock_real());
    at_pool_destroy(pool);
    at_virtual_clock_destroy(clock);
}

/* -- What stops time ------------------------------------------------------------------------- */

/* Looks until a task is suspended and that many workers are awake. */
static void await_awake(at_pool *pool, uint64_t count) {
    while (!ati_pool_has_suspended(pool) ||
           ati_idle_awake(atomic_load(&pool->idle.counts)) != count)
        sched_yield();
}

struct computing {
    struct gate gate;
    int64_t before;
    int64_t after;
};

static void *compute(void *argument) {
    struct computing *computing = argument;
    computing->before = read_now();
    gate_pass(&computing->gate);
    computing->after = read_now();
    return NULL;
}

/* Rule Q1: no worker runs. Everybody else has fallen asleep while it did. */
Test(virtual_clock, a_task_that_computes_stops_time) {
    at_clock *clock = create_clock();
    at_pool *pool = create_pool_on(clock, 2);
    struct computing computing = {.gate = GATE_CLOSED};
    struct sleeper sleeper = {.duration = 1};
    at_virtual_clock_hold(clock);
    cr_assert_eq(at_pool_start(pool, compute, &computing), AT_OK);
    gate_await(&computing.gate, 1);
    at_future *sleeping = at_pool_submit(pool, sleep_once, &sleeper);
    await_awake(pool, 1);
    at_virtual_clock_release(clock);
    cr_expect_eq(at_clock_now(clock), start);
    gate_open(&computing.gate);
    wait_and_release(sleeping);
    at_pool_destroy(pool);
    cr_expect_eq(computing.before, start);
    cr_expect_eq(computing.after, start);
    cr_expect_eq(sleeper.woke, start + 1);
    at_virtual_clock_destroy(clock);
}

/* Rule Q1: a bound thread that is not in a wait of the library. */
Test(virtual_clock, a_bound_thread_stops_time) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool_on(clock, 2);
    struct sleeper sleeper = {.duration = AT_SECONDS(1)};
    at_future *sleeping = at_pool_submit(pool, sleep_once, &sleeper);
    await_awake(pool, 0);
    cr_expect_eq(at_clock_now(clock), start);
    cr_expect_not(at_future_is_done(sleeping));
    at_clock_bind(NULL);
    wait_and_release(sleeping);
    cr_expect_eq(at_clock_now(clock), start + AT_SECONDS(1));
    at_pool_destroy(pool);
    at_virtual_clock_destroy(clock);
}

/* Rule Q1: holds are counted. */
Test(virtual_clock, a_hold_stops_time) {
    at_clock *clock = create_clock();
    at_pool *pool = create_pool_on(clock, 2);
    struct sleeper sleeper = {.duration = AT_SECONDS(1)};
    at_virtual_clock_hold(clock);
    at_virtual_clock_hold(clock);
    at_future *sleeping = at_pool_submit(pool, sleep_once, &sleeper);
    await_awake(pool, 0);
    at_virtual_clock_release(clock);
    cr_expect_eq(at_clock_now(clock), start);
    cr_expect_not(at_future_is_done(sleeping));
    at_virtual_clock_release(clock);
    wait_and_release(sleeping);
    cr_expect_eq(sleeper.woke, start + AT_SECONDS(1));
    at_pool_destroy(pool);
    at_virtual_clock_destroy(clock);
}

static void *sleep_again_and_again(void *argument) {
    _Atomic int *count = argument;
    for (int i = 0; i < 10; i++) {
        AT_TRY(at_sleep(AT_SECONDS(1)));
        atomic_fetch_add(count, 1);
    }
    return NULL;
}

/* By hand: each step sees what the timers on its way have done. */
Test(virtual_clock, advances_by_hand) {
    for (int is_bound = 0; is_bound < 2; is_bound++) {
        at_clock *clock = create_clock();
        at_clock_bind(is_bound ? clock : NULL);
        at_pool *pool = create_pool_on(clock, 2);
        _Atomic int count = 0;
        at_virtual_clock_hold(clock);
        cr_assert_eq(at_pool_start(pool, sleep_again_and_again, &count), AT_OK);
        await_awake(pool, 0);
        at_virtual_clock_advance(clock, 0);
        at_virtual_clock_advance(clock, -AT_SECONDS(1));
        cr_expect_eq(at_clock_now(clock), start);
        at_virtual_clock_advance(clock, AT_SECONDS(3.5));
        cr_expect_eq(at_clock_now(clock), start + AT_SECONDS(3.5));
        cr_expect_eq(count, 3);
        at_virtual_clock_advance(clock, AT_SECONDS(2));
        cr_expect_eq(at_clock_now(clock), start + AT_SECONDS(5.5));
        cr_expect_eq(count, 5);
        at_virtual_clock_advance(clock, AT_SECONDS(1.5));
        cr_expect_eq(at_clock_now(clock), start + AT_SECONDS(7));
        cr_expect_eq(count, 7);
        at_virtual_clock_release(clock);
        at_pool_destroy(pool);
        cr_expect_eq(count, 10);
        cr_expect_eq(at_clock_now(clock), start + AT_SECONDS(10));
        unbind_virtual_clock(clock);
    }
}

static void *block_in_call(void *computing) {
    return at_blocking_call(compute, computing);
}

static void *block_in_section(void *computing) {
    at_blocking_begin();
    compute(computing);
    at_blocking_end();
    return NULL;
}

/* Rule Q1: blocking sections stop time, and the workers go on meanwhile. */
Test(virtual_clock, blocking_stops_time) {
    static const at_run_fn blocks[] = {block_in_call, block_in_section};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        at_clock *clock = create_clock();
        at_pool *pool = create_pool_on(clock, 1);
        struct computing computing = {.gate = GATE_CLOSED};
        struct sleeper sleeper = {.duration = AT_SECONDS(1)};
        struct tally tally = {0};
        cr_assert_eq(at_pool_start(pool, blocks[i], &computing), AT_OK);
        gate_await(&computing.gate, 1);
        at_future *sleeping = at_pool_submit(pool, sleep_once, &sleeper);
        for (int k = 0; k < 10; k++)
            wait_and_release(at_pool_submit(pool, tally_run, &tally));
        await_awake(pool, i == 0 ? 0 : 1);
        cr_expect_eq(at_clock_now(clock), start);
        gate_open(&computing.gate);
        wait_and_release(sleeping);
        cr_expect_eq(computing.after, start);
        cr_expect_eq(sleeper.woke, start + AT_SECONDS(1));
        at_pool_destroy(pool);
        at_virtual_clock_destroy(clock);
    }
}

static void *sleep_in_call(void *sleeper) {
    return at_blocking_call(sleep_once, sleeper);
}

static void *sleep_in_section(void *sleeper) {
    at_blocking_begin();
    sleep_once(sleeper);
    at_blocking_end();
    return NULL;
}

/* But a wait of the library inside of them does not. */
Test(virtual_clock, waits_inside_of_blocking_let_time_pass) {
    static const at_run_fn sleeps[] = {sleep_in_call, sleep_in_section};
    enum { count = 30 };
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool_on(clock, 2);
    struct sleeper sleepers[count];
    for (int i = 0; i < count; i++) {
        sleepers[i] = (struct sleeper){.duration = AT_SECONDS(i + 1)};
        cr_assert_eq(at_pool_start(pool, sleeps[i % 2], &sleepers[i]), AT_OK);
    }
    at_pool_destroy(pool);
    cr_expect_eq(at_clock_now(clock), start + AT_SECONDS(count));
    for (int i = 0; i < count; i++)
        cr_expect_eq(sleepers[i].woke, start + sleepers[i].duration);
    unbind_virtual_clock(clock);
}

struct inner_sleep {
    struct sleeper outer;
    struct sleeper inner;
};

static void *sleep_in_section_with_another(void *argument) {
    struct inner_sleep *sleeps = argument;
    at_future *other = at_pool_submit(at_pool_current(), sleep_once, &sleeps->inner);
    AT_TRY(at_sleep(1)); /* the other sleeps too now, on this worker */
    at_blocking_begin();
    sleep_once(&sleeps->outer);
    at_blocking_end();
    at_status status = at_future_wait(other, AT_FOREVER, NULL);
    at_future_release(other);
    AT_TRY(status);
    return NULL;
}

/* All workers are blocked: time passes the others by, as real time does. */
Test(virtual_clock, passes_by_whom_nobody_can_wake) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = NULL;
    const at_pool_options options = {.thread_count = 1, .max_spares = AT_NONE};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    struct inner_sleep sleeps = {.outer.duration = AT_SECONDS(5), .inner.duration = AT_SECONDS(2)};
    wait_and_release(at_pool_submit(pool, sleep_in_section_with_another, &sleeps));
    cr_expect_eq(sleeps.outer.woke, start + 1 + AT_SECONDS(5));
    cr_expect_eq(sleeps.inner.woke, start + 1 + AT_SECONDS(5));
    at_pool_destroy(pool);
    unbind_virtual_clock(clock);
}

/* -- The end of a pool, and the log ---------------------------------------------------------- */

/* Rule Z1: the deadline of a shutdown is one of the bound clock, and it ends at the very moment at
 * which the pool is at rest. */
Test(virtual_clock, shutdown) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool_on(clock, 2), *other = create_pool_on(clock, 1);
    struct sleeper sleeper = {.duration = AT_HOURS(3)}, further = {.duration = AT_HOURS(9)};
    cr_assert_eq(at_pool_start(pool, sleep_once, &sleeper), AT_OK);
    cr_assert_eq(at_pool_start(other, sleep_once, &further), AT_OK);
    cr_expect_eq(at_pool_shutdown(pool, at_after(AT_HOURS(2))), AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_clock_now(clock), start + AT_HOURS(2));
    cr_expect_eq(at_pool_shutdown(pool, 0), AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_pool_shutdown(pool, at_after(AT_HOURS(2))), AT_OK);
    cr_expect_eq(at_clock_now(clock), start + AT_HOURS(3));
    at_pool_destroy(pool);
    cr_expect_eq(at_clock_now(clock), start + AT_HOURS(3));
    at_pool_destroy(other);
    cr_expect_eq(at_clock_now(clock), start + AT_HOURS(9));
    unbind_virtual_clock(clock);
}

static void *destroy_pool_inside(void *pool) {
    at_pool_destroy(pool);
    return NULL;
}

/* By a task of another pool. */
Test(virtual_clock, destroy_in_a_task) {
    at_clock *clock = bind_virtual_clock();
    at_pool *outer = create_pool_on(clock, 1), *inner = create_pool_on(clock, 1);
    struct sleeper sleeper = {.duration = AT_HOURS(3)};
    cr_assert_eq(at_pool_start(inner, sleep_once, &sleeper), AT_OK);
    wait_and_release(at_pool_submit(outer, destroy_pool_inside, inner));
    cr_expect_eq(at_clock_now(clock), start + AT_HOURS(3));
    at_pool_destroy(outer);
    unbind_virtual_clock(clock);
}

static void sleep_in_hook(void *count) {
    if (at_sleep(AT_SECONDS(1)) == AT_OK)
        atomic_fetch_add((_Atomic int *)count, 1);
}

/* A worker is inside its clock while it calls a hook. */
Test(virtual_clock, a_hook_may_sleep) {
    at_clock *clock = create_clock();
    at_pool *pool = NULL;
    _Atomic int count = 0;
    const at_pool_options options = {.thread_count = 3,
                                     .clock = clock,
                                     .on_thread_start = sleep_in_hook,
                                     .on_thread_stop = sleep_in_hook,
                                     .context = &count};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    at_pool_destroy(pool);
    cr_expect_eq(count, 6);
    cr_expect_geq(at_clock_now(clock), start + AT_SECONDS(2));
    at_virtual_clock_destroy(clock);
}

struct flushing {
    at_logger *logger;
    int64_t before;
    int64_t after;
};

static void *log_and_flush(void *argument) {
    struct flushing *flushing = argument;
    flushing->before = read_now();
    at_log_info(flushing->logger, "flush", at_kv("from", "task"));
    AT_TRY(at_logger_flush(flushing->logger, at_after(AT_SECONDS(20))));
    flushing->after = read_now();
    return NULL;
}

/* Rule Q1: a flush in progress stops time, although others sleep; its deadline is not reached. */
Test(virtual_clock, a_flush_stops_time) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool_on(clock, 2);
    at_logger *logger = NULL;
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 1 << 20}), AT_OK);
    struct sleeper sleeper = {.duration = 1};
    struct flushing flushing = {.logger = logger};
    at_future *sleeping = at_pool_submit(pool, sleep_once, &sleeper);
    at_log_info(logger, "flush", at_kv("from", "thread"));
    cr_expect_eq(at_logger_flush(logger, at_after(AT_SECONDS(20))), AT_OK);
    cr_expect_eq(at_clock_now(clock), start);
    wait_and_release(at_pool_submit(pool, log_and_flush, &flushing));
    cr_expect_eq(flushing.before, flushing.after);
    wait_and_release(sleeping);
    at_pool_destroy(pool);
    at_logger_destroy(logger);
    unbind_virtual_clock(clock);
}
