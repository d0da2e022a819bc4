/* SPDX-License-Identifier: MIT
 *
 * References of operations that a thread keeps in stock for tasks (rule S4). */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include "base/context.h"
#include "pool/pool.h"

#include <asynctools/future.h>
#include <asynctools/promise.h>

#include <sched.h>

FAULT_INSTALL;

TestSuite(context_stock, .timeout = 200);

static uint32_t count_of(const ati_context *context) {
    return atomic_load(&((ati_context *)context)->references);
}

static ati_context *create(ati_context *parent) {
    ati_context *context = ati_context_create(parent, "work", AT_FOREVER, NULL, 0);
    cr_assert_not_null(context);
    return context;
}

/* What is taken one by one comes in batches that grow, and what is put is taken next. */
Test(context_stock, batches_grow) {
    ati_context *context = create(NULL);
    (void)ati_context_exchange(context);
    const uint32_t counts[] = {2, 4, 4, 8, 8, 8, 8, 16};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        ati_context_stock_take(context, 1);
        cr_expect_eq(count_of(context), counts[i], "%zu: %u", i, count_of(context));
    }
    ati_context_stock_put(context, 8);
    cr_expect_eq(ati_context_stock_own.count, 15);
    ati_context_stock_take(context, 15);
    cr_expect_eq(count_of(context), 16);
    ati_context_stock_put(context, 15);
    (void)ati_context_exchange(NULL);
    cr_expect_eq(count_of(context), 1);
    ati_context_release(context);
    ati_context_stock_take(NULL, 1);
    ati_context_stock_put(NULL, 1);
    fault_check_leaks((struct fault_usage){0});
}

/* However many are put, and however many are taken at once, a bounded number is kept. */
Test(context_stock, is_bounded) {
    enum { many = 100000 };
    ati_context *context = create(NULL);
    (void)ati_context_exchange(context);
    ati_context_stock_take(context, many);
    cr_expect_eq(count_of(context), 1 + many);
    ati_context_stock_put(context, many / 2);
    cr_expect_eq(count_of(context), 1 + many / 2);
    for (int i = 0; i < many / 2; i++)
        ati_context_stock_put(context, 1);
    cr_expect_leq(ati_context_stock_own.count, 1000);
    cr_expect_eq(count_of(context), 1 + ati_context_stock_own.count);
    (void)ati_context_exchange(NULL);
    cr_expect_eq(count_of(context), 1);
    ati_context_release(context);
}

/* A frame under another operation, or none, gives back, unless one below it is under this. */
Test(context_stock, goes_with_the_frames) {
    ati_context *outer = create(NULL);
    ati_context *inner = create(NULL);
    ati_frame frame, nested;
    ati_context_stock_put((ati_context_retain(outer), outer), 1);
    cr_expect_eq(count_of(outer), 1, "nothing runs under it");
    ati_frame_enter(&frame, outer, NULL, NULL);
    ati_context_stock_take(outer, 1);
    ati_context_stock_put(outer, 1);
    cr_expect_eq(count_of(outer), 2);
    ati_frame_enter(&nested, NULL, NULL, NULL);
    cr_expect_eq(count_of(outer), 2);
    ati_frame_leave(&nested);
    ati_frame_enter(&nested, inner, NULL, NULL);
    cr_expect_eq(count_of(outer), 2);
    ati_context_stock_take(inner, 1);
    ati_context_stock_put(inner, 1);
    cr_expect_eq(count_of(outer), 1, "one record at a time");
    cr_expect_eq(count_of(inner), 2);
    ati_frame_leave(&nested);
    cr_expect_eq(count_of(inner), 1);
    ati_frame_leave(&frame);
    ati_context_release(outer);
    ati_context_release(inner);
    fault_check_leaks((struct fault_usage){0});
}

/* A task that has an operation of its own starts others under the one around that. */
Test(context_stock, own_operations) {
    ati_context *context = create(NULL);
    ati_context *own = create(context);
    own->is_own = true;
    ati_frame frame;
    ati_frame_enter(&frame, own, NULL, NULL);
    ati_context_stock_take(ati_context_to_share(), 1);
    ati_context_stock_put(context, 1);
    cr_expect_eq(count_of(context), 3);
    ati_context_stock_return();
    ati_context_stock_put((ati_context_retain(own), own), 1);
    cr_expect_eq(count_of(own), 1);
    ati_frame_leave(&frame);
    ati_context_release(own);
    ati_context_release(context);
}

/* Who asks ati_context_has_others() gets the true answer, also below. */
Test(context_stock, exact_ones_have_none) {
    ati_context *exact =
        ati_context_create_scope(NULL, AT_FOREVER, ATI_CONTEXT_SHIELDED | ATI_CONTEXT_EXACT);
    ati_context *below = ati_context_create_scope(exact, AT_FOREVER, 0);
    ati_context *both[] = {exact, below};
    for (int i = 0; i < 2; i++) {
        uint32_t before = count_of(both[i]);
        ati_frame frame;
        ati_frame_enter(&frame, both[i], NULL, NULL);
        ati_context_stock_take(both[i], 1);
        ati_context_stock_take(both[i], 2);
        cr_expect_eq(count_of(both[i]), before + 3);
        ati_context_stock_put(both[i], 2);
        ati_context_stock_put(both[i], 1);
        cr_expect_eq(count_of(both[i]), before);
        cr_expect_not(ati_context_has_others(both[i], before));
        ati_frame_leave(&frame);
    }
    ati_context_release(below);
    ati_context_release(exact);
}

/* -- In a pool -- */

static at_pool *pool;

static void *pass(void *unused) {
    return unused;
}

static void *start_some(void *count) {
    for (int i = 0; i < *(int *)count; i++)
        if (at_pool_start(at_pool_current(), pass, NULL) != AT_OK)
            return AT_FAILED;
    return NULL;
}

static void await_rest(void) {
    while (!ati_idle_is_at_rest(pool))
        sched_yield();
}

/* A worker that rests keeps nothing, and the thread that leaves the operation neither. */
Test(context_stock, rest_gives_back) {
    enum { starts = 1000 };
    int count = 7;
    pool = create_pool(2);
    ati_context *context = create(NULL);
    (void)ati_context_exchange(context);
    for (int i = 0; i < starts; i++) {
        cr_assert_eq(at_pool_start(pool, start_some, &count), AT_OK);
        at_future_release(at_pool_submit(pool, start_some, &count));
    }
    (void)ati_context_exchange(NULL);
    await_rest();
    cr_expect_eq(count_of(context), 1);
    ati_context_release(context);
    (void)destroy_pool(pool);
    fault_check_leaks((struct fault_usage){0});
}

/* A worker that runs a long task of another operation, or of none, keeps nothing of the one before.
 */
Test(context_stock, long_tasks_keep_nothing_of_others) {
    enum { starts = 30 }; /* fewer than a worker takes from outside at once */
    pool = create_pool(1);
    ati_context *other = create(NULL);
    ati_context *under[] = {NULL, other};
    for (int i = 0; i < 2; i++) {
        ati_context *context = create(NULL);
        struct gate first = GATE_CLOSED, last = GATE_CLOSED;
        cr_assert_eq(at_pool_start(pool, gate_pass, &first), AT_OK);
        gate_await(&first, 1);
        (void)ati_context_exchange(context);
        for (int started = 0; started < starts; started++)
            cr_assert_eq(at_pool_start(pool, pass, NULL), AT_OK);
        (void)ati_context_exchange(under[i]);
        cr_assert_eq(at_pool_start(pool, gate_pass, &last), AT_OK);
        (void)ati_context_exchange(NULL);
        gate_open(&first);
        gate_await(&last, 1);
        cr_expect_eq(count_of(context), 1);
        gate_open(&last);
        ati_context_release(context);
        await_rest();
    }
    ati_context_release(other);
    (void)destroy_pool(pool);
    fault_check_leaks((struct fault_usage){0});
}

/* The same for a task that goes on, and for one that ran another in place while it waited. */
struct nest {
    ati_context *inner;
    uint32_t left; /* references of `inner` after the wait */
};

static void *wait_for_other(void *argument) {
    struct nest *nest = argument;
    ati_context *before = ati_context_exchange(nest->inner);
    at_future *future = at_pool_submit(pool, pass, NULL);
    (void)ati_context_exchange(before);
    if (at_future_wait(future, AT_FOREVER, NULL) != AT_OK)
        return AT_FAILED;
    at_future_release(future);
    nest->left = count_of(nest->inner);
    return NULL;
}

Test(context_stock, tasks_that_run_in_place) {
    pool = create_pool(1);
    struct nest nest = {.inner = create(NULL)};
    at_future *future = at_pool_submit(pool, wait_for_other, &nest);
    cr_expect_eq(at_future_wait(future, AT_FOREVER, NULL), AT_OK);
    cr_expect_eq(nest.left, 1);
    at_future_release(future);
    await_rest();
    ati_context_release(nest.inner);
    (void)destroy_pool(pool);
    fault_check_leaks((struct fault_usage){0});
}

struct resumed {
    ati_context *other;
    at_future *awaited;
    uint32_t left; /* references of `other` when the task has gone on */
};

static void *wait_suspended(void *argument) {
    struct resumed *resumed = argument;
    if (at_future_wait(resumed->awaited, AT_FOREVER, NULL) != AT_OK)
        return AT_FAILED;
    resumed->left = count_of(resumed->other);
    return NULL;
}

static void *keep_promise(void *promise) {
    (void)at_promise_set(promise, NULL, NULL);
    return NULL;
}

Test(context_stock, tasks_that_go_on) {
    pool = create_pool(1);
    struct resumed resumed = {.other = create(NULL)};
    at_promise *promise = create_promise(pool, &resumed.awaited);
    at_future *future = at_pool_submit(pool, wait_suspended, &resumed);
    while (!ati_pool_has_suspended(pool))
        sched_yield();
    (void)ati_context_exchange(resumed.other);
    cr_assert_eq(at_pool_start(pool, keep_promise, promise), AT_OK);
    (void)ati_context_exchange(NULL);
    cr_expect_eq(at_future_wait(future, AT_FOREVER, NULL), AT_OK);
    cr_expect_eq(resumed.left, 1);
    at_future_release(future);
    at_future_release(resumed.awaited);
    at_promise_destroy(promise);
    await_rest();
    ati_context_release(resumed.other);
    (void)destroy_pool(pool);
    fault_check_leaks((struct fault_usage){0});
}
