/* SPDX-License-Identifier: MIT
 *
 * Rule C1: completion and freeing are iterative: a chain of a million links does not overflow the
 * stack, whatever goes down it. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <stdint.h>

FAULT_INSTALL;

TestSuite(future_chain_stress, .timeout = 200);

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { link_count = 200000 };
#else
enum { link_count = 1000000 };
#endif

static void *add_one(void *value, void *context) {
    (void)context;
    return (char *)value + 1;
}

static void *pass_error(const at_error *error, void *context) {
    (void)context;
    return at_fail_from(at_error_retain(error), at_error_status(error), "again");
}

static void look_on(const at_outcome *outcome, void *context) {
    (void)outcome;
    (void)context;
}

/* Runs on a thread with a small stack, so that recursion would not go unseen. */
static void run_on_small_stack(void *(*run)(void *), void *argument) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    cr_assert_eq(pthread_create(&thread, &attributes, run, argument), 0);
    pthread_join(thread, NULL);
}

static void *release_future(void *future) {
    at_future_release(future);
    return NULL;
}

static void *destroy_promise(void *promise) {
    at_promise_destroy(promise);
    return NULL;
}

/* A pool with the smallest stacks there are. */
static at_pool *create_small_pool(void) {
    at_pool *pool = NULL;
    cr_assert_eq(
        at_pool_create(&pool, &(at_pool_options){.thread_count = 2, .stack_bytes = 64 * 1024}),
        AT_OK);
    return pool;
}

static void end(at_pool *pool) {
    destroy_pool(pool);
    fault_check_leaks((struct fault_usage){0});
}

Test(future_chain_stress, values_go_down) {
    at_future *future;
    at_pool *pool = create_small_pool();
    at_promise *promise = create_promise(pool, &future);
    for (int i = 0; i < link_count; i++)
        future = at_future_then(future, add_one, NULL);
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    cr_expect_eq((intptr_t)wait_value(future), link_count);
    run_on_small_stack(release_future, future);
    end(pool);
}

/* Links attached while the chain is running already. */
Test(future_chain_stress, values_go_down_while_it_grows) {
    at_pool *pool = create_small_pool();
    at_future *future = at_future_then(at_pool_submit(pool, release_future, NULL), add_one, NULL);
    for (int i = 1; i < link_count; i++)
        future = at_future_then(future, add_one, NULL);
    cr_expect_eq((intptr_t)wait_value(future), link_count);
    at_future_release(future);
    end(pool);
}

/* An error passes a million functions that are not called, in one thread. */
Test(future_chain_stress, errors_pass_by) {
    at_future *future;
    at_pool *pool = create_small_pool();
    at_promise *promise = create_promise(pool, &future);
    for (int i = 0; i < link_count; i++)
        future = at_future_then(future, add_one, NULL);
    run_on_small_stack(destroy_promise, promise);
    expect_outcome(future, AT_ERROR_ABANDONED);
    run_on_small_stack(release_future, future);
    end(pool);
}

/* A value passes a million recoveries: a million futures that share one value. */
Test(future_chain_stress, values_pass_by) {
    struct tally value = {0};
    at_future *future;
    at_pool *pool = create_small_pool();
    at_promise *promise = create_promise(pool, &future);
    for (int i = 0; i < link_count; i++)
        future = at_future_recover(future, pass_error, NULL);
    cr_expect_eq(at_promise_set(promise, &value, tally_drop), AT_OK);
    at_promise_destroy(promise);
    cr_expect_eq(wait_value(future), &value);
    cr_expect_eq(tally_drops(&value), 0);
    run_on_small_stack(release_future, future);
    end(pool);
    cr_expect_eq(tally_drops(&value), 1);
}

/* Each link adds a cause: a million errors in a chain. */
Test(future_chain_stress, causes_pile_up) {
    at_future *future;
    at_pool *pool = create_small_pool();
    at_promise *promise = create_promise(pool, &future);
    for (int i = 0; i < link_count; i++)
        future = at_future_recover(future, pass_error, NULL);
    at_promise_destroy(promise);
    expect_outcome(future, AT_ERROR_ABANDONED);
    cr_expect_str_eq(at_error_text(at_future_error(future)), "again");
    at_error_clear();
    run_on_small_stack(release_future, future);
    end(pool);
}

Test(future_chain_stress, finally_passes_on) {
    struct tally value = {0};
    at_future *future;
    at_pool *pool = create_small_pool();
    at_promise *promise = create_promise(pool, &future);
    for (int i = 0; i < link_count; i++)
        future = at_future_finally(future, look_on, NULL);
    cr_expect_eq(at_promise_set(promise, &value, tally_drop), AT_OK);
    at_promise_destroy(promise);
    cr_expect_eq(wait_value(future), &value);
    run_on_small_stack(release_future, future);
    end(pool);
    cr_expect_eq(tally_drops(&value), 1);
}

static void *set_promise(void *promise) {
    if (at_promise_set(promise, NULL, NULL) == AT_OK)
        at_promise_destroy(promise);
    return NULL;
}

/* Inline, all in the call that completes. */
Test(future_chain_stress, inline_links) {
    at_promise *promise;
    cr_assert_eq(at_promise_create(&promise, at_executor_inline()), AT_OK);
    at_future *future = at_promise_future(promise);
    for (int i = 0; i < link_count; i++)
        future = at_future_then(future, add_one, NULL);
    run_on_small_stack(set_promise, promise);
    cr_expect_eq((intptr_t)wait_value(future), link_count);
    run_on_small_stack(release_future, future);
    fault_check_leaks((struct fault_usage){0});
}

/* The last link is let go first: nobody waits, and all is freed when it is over. */
Test(future_chain_stress, nobody_keeps_it) {
    at_future *future;
    at_pool *pool = create_small_pool();
    at_promise *promise = create_promise(pool, &future);
    for (int i = 0; i < link_count; i++)
        future = at_future_then(future, add_one, NULL);
    run_on_small_stack(release_future, future);
    run_on_small_stack(set_promise, promise);
    end(pool);
}

/* A million continuations of one future. */
Test(future_chain_stress, a_wide_fan) {
    struct tally tally = {0};
    at_future *source;
    at_pool *pool = create_small_pool();
    at_promise *promise = create_promise(pool, &source);
    for (int i = 0; i < link_count; i++) {
        at_continuation_options options = {.context = &tally, .drop = tally_drop};
        at_future_release(at_future_then_with(at_future_retain(source), add_one, &options));
    }
    at_future_release(source);
    run_on_small_stack(set_promise, promise);
    end(pool);
    cr_expect_eq(tally_drops(&tally), link_count);
}

static void *continue_deeper(void *left) {
    if (!left)
        return NULL;
    return at_return_future(at_pool_submit(at_pool_current(), continue_deeper, (char *)left - 1));
}

/* Futures that continue with futures that continue with futures. */
Test(future_chain_stress, continued_futures) {
    at_pool *pool = create_small_pool();
    at_future *future = at_pool_submit(pool, continue_deeper, (void *)(intptr_t)link_count);
    cr_expect_null(wait_value(future));
    run_on_small_stack(release_future, future);
    end(pool);
}
