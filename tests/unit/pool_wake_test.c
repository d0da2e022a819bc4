/* SPDX-License-Identifier: MIT
 *
 * Rule L3: what a worker leaves to others while it computes is done by them. The computing tasks
 * here go on until that is so; one of them that has lost patience fails. */
#include "pool/pool.h"
#include "pool/waiter.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/sleep.h>
#include <asynctools/timer.h>

#include <sched.h>

TestSuite(pool_wake, .timeout = 200);

/* Computes until so many workers of the pool are asleep. */
static void await_sleepers(at_pool *pool, uint64_t count) {
    while (ati_idle_sleeping(atomic_load(&pool->idle.counts)) < count)
        sched_yield();
}

/* Computes until the other one has run; false: it has not in all this time. */
static bool compute_until_run(const struct tally *other) {
    at_deadline limit = PATIENCE;
    while (tally_runs(other) == 0)
        if (at_clock_now(at_clock_real()) > limit)
            return false;
    return true;
}

static void *never_run(void) {
    return at_fail(AT_ERROR_FAILED, "the other worker did not run it");
}

/* -- After a wait ---------------------------------------------------------------------------- */

struct after_wait {
    at_pool *pool;
    struct gate gate; /* holds the other worker until the wait is about to end */
    struct tally other;
};

static void *release_other_worker(void *argument) {
    struct after_wait *wait = argument;
    at_deadline moment = at_after(AT_MILLISECONDS(150));
    while (at_clock_now(at_clock_real()) < moment)
        ; /* no timer of the pool is to wake the other one by chance */
    gate_open(&wait->gate);
    await_sleepers(wait->pool, 1);
    return NULL;
}

static void *submit_after_wait(void *argument) {
    struct after_wait *wait = argument;
    at_future *first = at_pool_submit(wait->pool, release_other_worker, wait);
    at_status status = at_future_wait(first, PATIENCE, NULL);
    at_future_release(first);
    AT_TRY(status);
    AT_TRY(at_pool_start(wait->pool, tally_run, &wait->other));
    return compute_until_run(&wait->other) ? NULL : never_run();
}

static void *run_second(void *value, void *other) {
    (void)value;
    return tally_run(other);
}

static void *wait_beside_continuation(void *argument) {
    struct after_wait *wait = argument;
    at_future *first = at_pool_submit(wait->pool, release_other_worker, wait);
    at_future *second = at_future_then(at_future_retain(first), run_second, &wait->other);
    at_status status = at_future_wait(first, PATIENCE, NULL);
    at_future_release(first);
    at_future_release(second);
    AT_TRY(status);
    return compute_until_run(&wait->other) ? NULL : never_run();
}

/* While one worker is held, everything is on the other; it falls asleep before the wait ends. Who
 * waits with a deadline does not run the first task itself. */
static void run_after_wait(at_run_fn run) {
    struct after_wait wait = {.gate = GATE_CLOSED};
    wait.pool = create_pool(2);
    cr_assert_eq(at_pool_start(wait.pool, gate_pass, &wait.gate), AT_OK);
    gate_await(&wait.gate, 1);
    at_future *future = at_pool_submit(wait.pool, run, &wait);
    wait_value(future);
    at_future_release(future);
    destroy_pool(wait.pool);
}

/* A task that goes on after a wait and computes keeps nothing that it starts. */
Test(pool_wake, what_is_started_after_a_wait) {
    run_after_wait(submit_after_wait);
}

/* Nor does it keep what became ready together with it. */
Test(pool_wake, a_continuation_beside_a_waiter) {
    run_after_wait(wait_beside_continuation);
}

/* -- Time ------------------------------------------------------------------------------------ */

struct timed {
    at_pool *pool;
    struct gate gate;
    at_timer timer;
    struct tally other;
    bool began; /* both are on one worker */
    bool sleeps;
};

static void *compute_until_timer(void *argument) {
    struct timed *timed = argument;
    timed->began = true;
    while (!timed->sleeps)
        at_yield();
    AT_TRY(at_timer_start(&timed->timer, at_after(AT_MILLISECONDS(20))));
    return compute_until_run(&timed->other) ? NULL : never_run();
}

static void *sleep_beside(void *argument) {
    struct timed *timed = argument;
    at_future *computing = at_pool_submit(timed->pool, compute_until_timer, timed);
    while (!timed->began)
        at_yield();
    gate_open(&timed->gate);
    await_sleepers(timed->pool, 1);
    timed->sleeps = true;
    at_status status = at_sleep(AT_MILLISECONDS(5));
    if (status == AT_OK)
        status = at_future_wait(computing, AT_FOREVER, NULL);
    at_future_release(computing);
    AT_TRY(status);
    return NULL;
}

/* The worker that knows of the next timer goes right on with a task that computes: from then on the
 * sleeping one keeps the time. */
Test(pool_wake, a_timer_while_the_next_task_computes) {
    struct timed timed = {.gate = GATE_CLOSED};
    timed.pool = create_pool(2);
    at_timer_init(&timed.timer, timed.pool, tally_run, &timed.other);
    cr_assert_eq(at_pool_start(timed.pool, gate_pass, &timed.gate), AT_OK);
    gate_await(&timed.gate, 1);
    at_future *future = at_pool_submit(timed.pool, sleep_beside, &timed);
    wait_value(future);
    at_future_release(future);
    at_timer_unregister(&timed.timer);
    destroy_pool(timed.pool);
}

/* -- Who is woken ---------------------------------------------------------------------------- */

static void *wait_for_waker(void *waiter) {
    ati_waiter_wait(waiter, AT_FOREVER);
    return NULL;
}

/* New work goes to a worker on which no task waits, though another fell asleep later: whatever the
 * work does, the task that waits goes on when it is woken. */
Test(pool_wake, new_work_spares_a_worker_with_a_suspended_task) {
    enum { count = 3 };
    struct gate gate = GATE_CLOSED;
    ati_waiter waiter;
    at_pool *pool = create_pool(count);
    ati_waiter_init(&waiter, "test", NULL);
    await_sleepers(pool, count);
    at_future *waiting = at_pool_submit(pool, wait_for_waker, &waiter);
    while (!ati_pool_has_suspended(pool))
        sched_yield();
    await_sleepers(pool, count);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    ati_waiter_wake(&waiter);
    wait_value(waiting);
    gate_open(&gate);
    at_future_release(waiting);
    destroy_pool(pool);
}
