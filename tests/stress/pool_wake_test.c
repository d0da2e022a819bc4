/* SPDX-License-Identifier: MIT
 *
 * L3: work never waits behind a running task while a worker sleeps. In each test one task keeps its
 * worker until another one has run, without any wait of the library; a lost wake-up hangs. */
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <sched.h>
#include <stdatomic.h>

enum { round_count = 20000 };

static at_pool *pool;
static _Atomic bool flag;
static _Atomic int failures;

static void init(void) {
    cr_assert_eq(at_pool_create(&pool, &(at_pool_options){.thread_count = 2}), AT_OK);
}

static void deinit(void) {
    at_pool_destroy(pool);
    cr_assert_eq(failures, 0);
}

TestSuite(pool_wake, .init = init, .fini = deinit, .timeout = 200);

static void *raise_flag(void *unused) {
    (void)unused;
    atomic_store_explicit(&flag, true, memory_order_release);
    return NULL;
}

static void keep_worker_until_flag(void) {
    while (!atomic_load_explicit(&flag, memory_order_acquire))
        sched_yield();
    atomic_store_explicit(&flag, false, memory_order_relaxed);
}

static void *start_and_keep_worker(void *unused) {
    (void)unused;
    if (at_pool_start(pool, raise_flag, NULL) != AT_OK)
        atomic_fetch_add(&failures, 1);
    else
        keep_worker_until_flag();
    return NULL;
}

static void *keep_worker(void *unused) {
    (void)unused;
    keep_worker_until_flag();
    return NULL;
}

static void wait_and_release(at_future *future) {
    cr_assert_eq(at_future_wait(future, AT_FOREVER, NULL), AT_OK);
    at_future_release(future);
}

Test(pool_wake, work_that_a_running_task_starts) {
    for (int i = 0; i < round_count; i++)
        wait_and_release(at_pool_submit(pool, start_and_keep_worker, NULL));
}

Test(pool_wake, work_from_outside_while_a_task_runs) {
    for (int i = 0; i < round_count; i++) {
        at_future *kept = at_pool_submit(pool, keep_worker, NULL);
        cr_assert_eq(at_pool_start(pool, raise_flag, NULL), AT_OK);
        wait_and_release(kept);
    }
}

static void *keep_worker_then(void *value, void *unused) {
    (void)unused;
    keep_worker_until_flag();
    return value;
}

static void *raise_flag_then(void *value, void *unused) {
    raise_flag(unused);
    return value;
}

/* Both continuations are released by one completion on one worker, which takes one of them itself.
 */
Test(pool_wake, the_second_of_two_continuations) {
    for (int i = 0; i < round_count; i++) {
        at_future *source = at_pool_submit(pool, start_and_keep_worker, NULL);
        at_future *first = at_future_then(at_future_retain(source), keep_worker_then, NULL);
        wait_and_release(at_future_then(source, raise_flag_then, NULL));
        wait_and_release(first);
    }
}

static void keep_worker_drop(void *unused) {
    (void)unused;
    keep_worker_until_flag();
}

static void *value_with_slow_drop(void *unused) {
    (void)unused;
    return at_return(&flag, keep_worker_drop);
}

static void *pass_on(void *value, void *unused) {
    (void)value;
    return unused;
}

/* The value is dropped by the worker that has just released the second continuation. */
Test(pool_wake, a_continuation_while_a_drop_runs) {
    for (int i = 0; i < round_count; i++) {
        at_future *passed =
            at_future_then(at_pool_submit(pool, value_with_slow_drop, NULL), pass_on, NULL);
        wait_and_release(at_future_then(passed, raise_flag_then, NULL));
    }
}

static _Atomic bool go;

static void *keep_worker_until_go(void *unused) {
    while (!atomic_load_explicit(&go, memory_order_acquire))
        sched_yield();
    return unused;
}

/* Runs `run` inline behind a task, on its worker, and behind a `then` on the pool before it if
 * there is one. */
static void run_inline_behind_a_task(at_then_fn first, at_then_fn run) {
    at_continuation_options options = {.executor = at_executor_inline()};
    for (int i = 0; i < round_count; i++) {
        atomic_store(&go, false);
        at_future *source = at_pool_submit(pool, keep_worker_until_go, NULL), *before = NULL;
        if (first)
            before = at_future_then(at_future_retain(source), first, NULL);
        at_future *last = at_future_then_with(source, run, &options);
        atomic_store(&go, true);
        wait_and_release(last);
        if (before)
            wait_and_release(before);
    }
}

/* The first continuation is on the pool; the second runs inline and keeps the worker that has just
 * released the first. */
Test(pool_wake, a_continuation_while_an_inline_one_runs) {
    run_inline_behind_a_task(raise_flag_then, keep_worker_then);
}

static void *start_and_keep_worker_then(void *value, void *unused) {
    (void)value;
    return start_and_keep_worker(unused);
}

Test(pool_wake, work_that_an_inline_continuation_starts) {
    run_inline_behind_a_task(NULL, start_and_keep_worker_then);
}
