/* SPDX-License-Identifier: MIT
 *
 * Tasks that start at a moment: at_timer and at_pool_start_later. Rules X6, S3, S4, S5, Z1. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include "base/clock.h"
#include "base/context.h"

#include <asynctools/fork.h>
#include <asynctools/sleep.h>
#include <asynctools/timer.h>

#include <stdlib.h>

FAULT_INSTALL;

TestSuite(timer, .timeout = 200);

enum { order_max = 100 };

/* A clock that stands where it is put, an hour ahead of the real one. */
static struct standing_clock {
    at_clock clock; /* first */
    _Atomic int64_t time;
} standing;

static int64_t read_standing(at_clock *clock) {
    return atomic_load(&((struct standing_clock *)clock)->time);
}

static at_pool *create_standing_pool(void) {
    standing.clock.now = read_standing;
    atomic_store(&standing.time, at_clock_now(at_clock_real()) + AT_HOURS(1));
    at_pool *pool = NULL;
    at_pool_options options = {.thread_count = 1, .clock = &standing.clock};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    return pool;
}

static void *do_nothing(void *argument) {
    return argument;
}

/* Lets time pass, and the worker look at it. */
static void pass(at_pool *pool, at_duration duration) {
    atomic_fetch_add(&standing.time, duration);
    at_future *future = at_pool_submit(pool, do_nothing, NULL);
    wait_value(future);
    at_future_release(future);
}

static at_deadline in(at_duration duration) {
    return atomic_load(&standing.time) + duration;
}

static void await_runs(const struct tally *tally, int runs) {
    while (tally_runs(tally) < runs)
        at_sleep(AT_MICROSECONDS(100));
}

/* -- What a timer does -- */

struct moment {
    at_deadline due;
    at_deadline seen;
};

static void *see_moment(void *moment) {
    ((struct moment *)moment)->seen = at_clock_now(at_clock_current());
    return NULL;
}

/* Rule X6. */
Test(timer, starts_its_task_at_its_moment_and_never_early) {
    enum { count = 50 };
    at_pool *pool = create_pool(2);
    struct moment moments[count];
    at_timer timers[count];
    for (int i = 0; i < count; i++) {
        moments[i] = (struct moment){.due = at_after(AT_MICROSECONDS(137) * (i % 10))};
        at_timer_init(&timers[i], pool, see_moment, &moments[i]);
        cr_assert_eq(at_timer_start(&timers[i], moments[i].due), AT_OK);
    }
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.succeeded, count, "the shutdown waited for all");
    for (int i = 0; i < count; i++)
        cr_expect_geq(moments[i].seen, moments[i].due);
}

static struct {
    int numbers[order_max];
    int count;
} order;

static void *note_order(void *number) {
    order.numbers[order.count++] = *(int *)number;
    return NULL;
}

Test(timer, tasks_start_in_the_order_of_their_moments) {
    enum { count = order_max };
    at_pool *pool = create_standing_pool();
    at_timer timers[count];
    int numbers[count];
    for (int i = 0; i < count; i++) {
        int place = i * 37 % count;
        numbers[place] = place;
        at_timer_init(&timers[place], pool, note_order, &numbers[place]);
        cr_assert_eq(at_timer_start(&timers[place], in(AT_SECONDS(1 + place / 10))), AT_OK);
    }
    pass(pool, AT_SECONDS(1) - 1);
    cr_expect_eq(order.count, 0, "not a nanosecond early");
    pass(pool, AT_SECONDS(60));
    destroy_pool(pool);
    cr_assert_eq(order.count, count);
    for (int i = 1; i < count; i++)
        cr_expect_leq(order.numbers[i - 1] / 10, order.numbers[i] / 10, "number %d", i);
}

Test(timer, a_moment_that_has_passed_starts_at_once) {
    static const at_deadline moments[] = {0, -1, INT64_MIN, 1};
    at_pool *pool = create_pool(1);
    struct tally tally = {0};
    at_timer timers[4];
    for (int i = 0; i < 4; i++) {
        at_timer_init(&timers[i], pool, tally_run, &tally);
        cr_expect_eq(at_timer_start(&timers[i], moments[i]), AT_OK);
    }
    await_runs(&tally, 4);
    destroy_pool(pool);
}

Test(timer, refuses_what_never_comes) {
    at_pool *pool = create_pool(1);
    struct tally tally = {0};
    at_timer timer;
    at_timer_init(&timer, pool, tally_run, &tally);
    cr_expect_eq(at_timer_start(&timer, AT_FOREVER), AT_ERROR_INVALID);
    cr_expect_eq(at_pool_start_later(pool, tally_run, &tally, AT_FOREVER), AT_ERROR_INVALID);
    cr_expect(!at_timer_cancel(&timer));
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 0);
}

/* -- Cancelling and moving -- */

Test(timer, a_cancelled_timer_does_not_start) {
    at_pool *pool = create_standing_pool();
    struct tally tally = {0};
    at_timer timer;
    at_timer_init(&timer, pool, tally_run, &tally);
    cr_expect(!at_timer_cancel(&timer), "not set yet");
    cr_assert_eq(at_timer_start(&timer, in(AT_SECONDS(1))), AT_OK);
    cr_expect(at_timer_cancel(&timer));
    cr_expect(!at_timer_cancel(&timer), "cancelled before");
    pass(pool, AT_SECONDS(2));
    cr_expect_eq(tally_runs(&tally), 0);
    cr_assert_eq(at_timer_start(&timer, in(AT_SECONDS(1))), AT_OK);
    pass(pool, AT_SECONDS(1));
    await_runs(&tally, 1);
    cr_expect(!at_timer_cancel(&timer), "it has begun");
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 1);
}

Test(timer, a_set_timer_is_moved) {
    at_pool *pool = create_standing_pool();
    struct tally tally = {0};
    at_timer timer;
    at_timer_init(&timer, pool, tally_run, &tally);
    cr_assert_eq(at_timer_start(&timer, in(AT_SECONDS(1))), AT_OK);
    cr_assert_eq(at_timer_start(&timer, in(AT_SECONDS(3))), AT_OK);
    pass(pool, AT_SECONDS(2));
    cr_expect_eq(tally_runs(&tally), 0, "moved back");
    cr_assert_eq(at_timer_start(&timer, in(AT_MILLISECONDS(1))), AT_OK);
    pass(pool, AT_MILLISECONDS(1));
    await_runs(&tally, 1);
    pass(pool, AT_SECONDS(10));
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 1, "once");
}

/* Two that expire together: when the first runs, the second is queued. */
static struct {
    at_timer first;
    at_timer second;
    struct tally tally;
    at_duration restart; /* of the second by the first; AT_NONE: cancelled; 0: both */
    bool was_set;
} pair;

static void *meet_second(void *unused) {
    (void)unused;
    if (pair.restart > 0)
        AT_TRY(at_timer_start(&pair.second, in(AT_HOURS(5))));
    if (pair.restart > 0)
        AT_TRY(at_timer_start(&pair.second, in(pair.restart)));
    else
        pair.was_set = at_timer_cancel(&pair.second);
    if (pair.restart == 0)
        AT_TRY(at_timer_start(&pair.second, in(AT_SECONDS(1))));
    return NULL;
}

static at_pool *start_pair(at_duration restart) {
    at_pool *pool = create_standing_pool();
    pair.restart = restart;
    at_timer_init(&pair.first, pool, meet_second, NULL);
    at_timer_init(&pair.second, pool, tally_run, &pair.tally);
    cr_assert_eq(at_timer_start(&pair.first, in(AT_SECONDS(1))), AT_OK);
    cr_assert_eq(at_timer_start(&pair.second, in(AT_SECONDS(1))), AT_OK);
    pass(pool, AT_SECONDS(1));
    at_timer_unregister(&pair.first);
    return pool;
}

/* Rule X2. */
Test(timer, a_queued_task_is_cancelled) {
    at_pool *pool = start_pair(AT_NONE);
    pass(pool, AT_SECONDS(10));
    at_timer_unregister(&pair.second);
    cr_expect(pair.was_set);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.cancelled, 1);
    cr_expect_eq(tally_runs(&pair.tally), 0);
}

Test(timer, a_queued_task_is_moved) {
    at_pool *pool = start_pair(AT_SECONDS(1));
    pass(pool, AT_SECONDS(1) - 1);
    cr_expect_eq(tally_runs(&pair.tally), 0);
    pass(pool, 1);
    await_runs(&pair.tally, 1);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&pair.tally), 1);
}

Test(timer, a_queued_task_is_cancelled_and_set_again) {
    at_pool *pool = start_pair(0);
    cr_expect(pair.was_set);
    cr_expect_eq(tally_runs(&pair.tally), 0);
    pass(pool, AT_SECONDS(1));
    await_runs(&pair.tally, 1);
    cr_assert_eq(at_timer_start(&pair.second, in(AT_SECONDS(1))), AT_OK);
    cr_expect(at_timer_cancel(&pair.second));
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&pair.tally), 1);
}

/* -- Setting its own timer again -- */

static struct {
    at_timer timer;
    int left;
} periodic;

static void *run_again(void *unused) {
    (void)unused;
    if (--periodic.left > 0)
        AT_TRY(at_timer_start(&periodic.timer, at_after(AT_MICROSECONDS(50))));
    return NULL;
}

Test(timer, a_task_sets_its_own_timer_again) {
    at_pool *pool = create_pool(2);
    periodic.left = 200;
    at_timer_init(&periodic.timer, pool, run_again, NULL);
    cr_assert_eq(at_timer_start(&periodic.timer, at_after(0)), AT_OK);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(periodic.left, 0, "also while the pool is closing");
    cr_expect_eq(audit.succeeded, 200);
}

/* -- The end of a timer -- */

static void *pass_and_count(void *argument) {
    struct {
        struct gate gate;
        struct tally tally;
    } *both = argument;
    gate_pass(&both->gate);
    at_sleep(AT_MILLISECONDS(5));
    return tally_run(&both->tally);
}

Test(timer, unregister_waits_while_the_task_runs) {
    struct {
        struct gate gate;
        struct tally tally;
    } both = {.gate = GATE_CLOSED};
    at_pool *pool = create_pool(1);
    at_timer timer;
    at_timer_init(&timer, pool, pass_and_count, &both);
    cr_assert_eq(at_timer_start(&timer, 0), AT_OK);
    gate_await(&both.gate, 1);
    cr_expect(!at_timer_cancel(&timer), "it runs");
    gate_open(&both.gate);
    at_timer_unregister(&timer);
    cr_expect_eq(tally_runs(&both.tally), 1);
    at_timer_unregister(&timer);
    destroy_pool(pool);
}

Test(timer, unregister_of_a_set_timer_does_not_wait) {
    at_pool *pool = create_pool(1);
    struct tally tally = {0};
    at_timer timer;
    at_timer_init(&timer, pool, tally_run, &tally);
    at_timer_unregister(&timer);
    at_timer_init(&timer, pool, tally_run, &tally);
    cr_assert_eq(at_timer_start(&timer, at_after(AT_HOURS(1))), AT_OK);
    at_timer_unregister(&timer);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 0);
}

struct session {
    at_timer timer;
    struct tally *tally;
};

static void *end_session(void *argument) {
    struct session *session = argument;
    struct tally *tally = session->tally;
    at_timer_unregister(&session->timer);
    free(session);
    return tally_run(tally);
}

Test(timer, a_task_frees_its_own_timer) {
    at_pool *pool = create_pool(1);
    struct tally tally = {0};
    for (int i = 0; i < 10; i++) {
        struct session *session = malloc(sizeof *session);
        session->tally = &tally;
        at_timer_init(&session->timer, pool, end_session, session);
        cr_assert_eq(at_timer_start(&session->timer, at_after(AT_MICROSECONDS(10))), AT_OK);
    }
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 10);
}

/* Forks a call, and waits until another worker has taken it. */
struct forking {
    at_timer timer;
    _Atomic bool is_taken;
    struct tally tally;
};

static void *unregister_forked(void *argument) {
    struct forking *forking = argument;
    atomic_store(&forking->is_taken, true);
    at_timer_unregister(&forking->timer);
    return tally_run(&forking->tally);
}

static void *fork_unregister(void *argument) {
    struct forking *forking = argument;
    at_fork fork;
    at_fork_start(&fork, unregister_forked, forking);
    while (!atomic_load(&forking->is_taken))
        continue;
    at_fork_join(&fork, unregister_forked);
    return NULL;
}

/* A part of the timer's own task, made by another worker, ends the timer like the rest of it. */
Test(timer, a_forked_call_of_its_task_unregisters_it) {
    at_pool *pool = create_pool(2);
    struct forking forking = {.is_taken = false};
    at_timer_init(&forking.timer, pool, fork_unregister, &forking);
    cr_assert_eq(at_timer_start(&forking.timer, at_after(0)), AT_OK);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&forking.tally), 1);
}

/* -- The operation, and failing -- */

static void *see_context(void *seen) {
    *(ati_context **)seen = ati_context_current();
    return NULL;
}

/* Rule S4. */
Test(timer, tasks_run_under_the_operation_of_the_start) {
    at_pool *pool = create_standing_pool();
    ati_context *seen[2] = {NULL}, *other = NULL;
    ati_context *context = ati_context_create(NULL, "operation", AT_FOREVER, NULL, 0);
    at_timer timer, moved;
    at_timer_init(&timer, pool, see_context, &seen[0]);
    at_timer_init(&moved, pool, see_context, &other);
    (void)ati_context_exchange(context);
    cr_assert_eq(at_timer_start(&timer, in(10)), AT_OK);
    cr_assert_eq(at_timer_start(&moved, in(10)), AT_OK);
    cr_assert_eq(at_pool_start_later(pool, see_context, &seen[1], in(10)), AT_OK);
    (void)ati_context_exchange(NULL);
    cr_assert_eq(at_timer_start(&moved, in(20)), AT_OK);
    pass(pool, 20);
    destroy_pool(pool);
    cr_expect_eq(seen[0], context);
    cr_expect_eq(seen[1], context);
    cr_expect_null(other, "that of the last start");
    cr_expect_eq(atomic_load(&context->references), 1);
    ati_context_release(context);
}

static void *fail(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "the disk is full");
}

/* Rule S5. */
Test(timer, a_failing_task_is_counted) {
    at_pool *pool = create_pool(1);
    at_timer timer;
    at_timer_init(&timer, pool, fail, NULL);
    cr_assert_eq(at_timer_start(&timer, 0), AT_OK);
    at_timer_unregister(&timer);
    cr_assert_eq(at_pool_start_later(pool, fail, NULL, 0), AT_OK);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_leq(audit.failed, 2);
    cr_expect_eq(audit.failed + audit.cancelled >= 1, true);
}

/* -- Shutdown: rule Z1 -- */

Test(timer, a_shutdown_waits_for_what_is_set) {
    at_pool *pool = create_pool(1);
    struct tally tally = {0};
    at_timer timer;
    at_timer_init(&timer, pool, tally_run, &tally);
    cr_assert_eq(at_timer_start(&timer, at_after(AT_HOURS(1))), AT_OK);
    cr_expect_eq(at_pool_shutdown(pool, 0), AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_timer_start(&timer, 0), AT_ERROR_CLOSED);
    cr_expect_eq(at_pool_start_later(pool, tally_run, &tally, 0), AT_ERROR_CLOSED);
    cr_expect(at_timer_cancel(&timer), "the refused start has changed nothing");
    cr_expect_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 0);
}

static void *shut_down(void *pool) {
    return (void *)(intptr_t)at_pool_shutdown(pool, PATIENCE);
}

Test(timer, a_shutdown_ends_when_the_last_timer_is_cancelled) {
    at_pool *pool = create_pool(2);
    struct tally tally = {0};
    at_timer timer;
    at_timer_init(&timer, pool, tally_run, &tally);
    cr_assert_eq(at_timer_start(&timer, at_after(AT_HOURS(1))), AT_OK);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, shut_down, pool), 0);
    struct tally probe = {0};
    while (at_pool_start(pool, tally_run, &probe) == AT_OK)
        at_sleep(AT_MICROSECONDS(100));
    cr_expect(at_timer_cancel(&timer));
    void *status;
    pthread_join(thread, &status);
    cr_expect_eq((intptr_t)status, AT_OK);
    destroy_pool(pool);
}

/* -- at_pool_start_later -- */

Test(timer, start_later_starts_at_its_moment) {
    at_pool *pool = create_standing_pool();
    struct fault_usage before = fault_usage();
    struct tally tally = {0};
    cr_assert_eq(at_pool_start_later(pool, tally_run, &tally, in(AT_SECONDS(1))), AT_OK);
    cr_assert_eq(at_pool_start_later(pool, tally_run, &tally, in(AT_SECONDS(2))), AT_OK);
    pass(pool, AT_SECONDS(1) - 1);
    cr_expect_eq(tally_runs(&tally), 0);
    pass(pool, 1);
    await_runs(&tally, 1);
    pass(pool, AT_SECONDS(1));
    await_runs(&tally, 2);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect(audit.balanced);
    cr_expect_lt(fault_usage().blocks, before.blocks);
}

static void *pass_on(void *value, void *context) {
    (void)context;
    return value;
}

static void *wait_for_then(void *argument) {
    at_future *then = at_future_then(at_future_retain(argument), pass_on, NULL);
    at_status status = at_future_wait(then, AT_FOREVER, NULL);
    at_future_release(then);
    AT_TRY(status);
    return NULL;
}

/* The task of a timer has no future, and who looks for waits for oneself takes nothing for one. */
Test(timer, its_task_waits_for_a_continuation) {
    at_pool *pool = create_pool(1);
    at_future *source;
    at_promise *promise = create_promise(pool, &source);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(at_pool_start_later(pool, wait_for_then, source, at_after(0)), AT_OK);
    cr_assert_eq(at_sleep(AT_MILLISECONDS(5)), AT_OK);
    cr_assert_eq(at_promise_set(promise, &pool, NULL), AT_OK);
    at_promise_destroy(promise);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.succeeded, 40);
    at_future_release(source);
}
