/* SPDX-License-Identifier: MIT
 *
 * Rule W2: when waits are searched for cycles. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/sleep.h>

#include "pool/pool.h"
#include "pool/search.h"

#include <sched.h>

TestSuite(search, .timeout = 200);

/* One worker computes above a task that waits, another one is free; the search does not end before
 * a timer has fired. */
static struct {
    struct gate gate; /* holds the other worker back */
    at_future *awaited;
    ati_pool_timer timer;
    _Atomic bool has_begun, has_fired, has_searched, is_late;
} searching = {.gate = GATE_CLOSED};

static void fire(ati_pool_timer *timer) {
    (void)timer;
    atomic_store(&searching.has_fired, true);
}

static bool spin_until(_Atomic bool *flag, at_duration patience) {
    at_deadline limit = at_clock_now(at_clock_real()) + patience;
    while (!atomic_load(flag))
        if (at_clock_now(at_clock_real()) > limit)
            return false;
    return true;
}

static void pass_over(ati_waiter *waiter, void *context) {
    (void)waiter;
    (void)context;
}

static bool search_for_long(ati_worker *worker, int64_t moment) {
    while (ati_search_take(worker, moment, pass_over, NULL))
        ;
    searching.timer.fire = fire;
    (void)ati_timers_add(&worker->pool->timers, &searching.timer, at_clock_now(at_clock_real()));
    ati_idle_keep_time(ati_worker_current->pool);
    atomic_store(&searching.is_late, !spin_until(&searching.has_fired, AT_SECONDS(40)));
    atomic_store(&searching.has_searched, true);
    return true;
}

static void *compute_until_searched(void *unused) {
    ati_search_install(search_for_long);
    atomic_store(&searching.has_begun, true);
    while (!atomic_load(&searching.has_searched))
        if (at_check() != AT_OK)
            return AT_FAILED;
    return unused;
}

static void *start_and_wait(void *unused) {
    AT_TRY(at_pool_start(at_pool_current(), compute_until_searched, NULL));
    AT_TRY(at_future_wait(searching.awaited, AT_FOREVER, NULL));
    return unused;
}

static void *then_nothing(void *value, void *context) {
    (void)context;
    return value;
}

/* The search of a wait that lasts holds no other timer up, and is no task. */
Test(search, beside_the_timers) {
    at_pool *pool = create_pool(2);
    at_future *news;
    at_promise *promise = create_promise(pool, &news);
    searching.awaited = at_future_then(at_future_retain(news), then_nothing, NULL);
    cr_assert_eq(at_pool_start(pool, gate_pass, &searching.gate), AT_OK);
    gate_await(&searching.gate, 1);
    cr_assert_eq(at_pool_start(pool, start_and_wait, NULL), AT_OK);
    while (!atomic_load(&searching.has_begun))
        sched_yield();
    gate_open(&searching.gate);
    while (!atomic_load(&searching.has_searched))
        sched_yield();
    cr_expect(!searching.is_late);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    wait_value(searching.awaited);
    cr_expect_eq(destroy_pool(pool).accepted, 4);
    at_future_release(searching.awaited);
    at_future_release(news);
    at_promise_destroy(promise);
}
