/* SPDX-License-Identifier: MIT
 *
 * Rules W1, W3, X2 and X6: at_sleep, at_yield and at_check. */
#include "base/context.h"
#include "base/error.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/sleep.h>

#include <stdint.h>

TestSuite(sleep, .timeout = 200);

static void run_task(at_pool *pool, at_run_fn run, void *argument) {
    at_future *future = at_pool_submit(pool, run, argument);
    wait_value(future);
    at_future_release(future);
}

struct sleeper {
    at_duration duration;
    at_duration slept;
    at_status status;
};

static void *sleep_once(void *argument) {
    struct sleeper *sleeper = argument;
    int64_t began = at_clock_now(at_clock_current());
    sleeper->status = at_sleep(sleeper->duration);
    sleeper->slept = at_clock_now(at_clock_current()) - began;
    return NULL;
}

/* Never early, in a task and in a plain thread. */
Test(sleep, lasts_at_least_as_long_as_asked_for) {
    static const at_duration durations[] = {1, 1000, AT_MICROSECONDS(300), AT_MILLISECONDS(5)};
    at_pool *pool = create_pool(1);
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        struct sleeper sleeper = {.duration = durations[i]};
        run_task(pool, sleep_once, &sleeper);
        cr_expect_eq(sleeper.status, AT_OK);
        cr_expect_geq(sleeper.slept, sleeper.duration);
        sleeper = (struct sleeper){.duration = durations[i]};
        sleep_once(&sleeper);
        cr_expect_eq(sleeper.status, AT_OK);
        cr_expect_geq(sleeper.slept, sleeper.duration);
    }
    destroy_pool(pool);
}

/* Nothing and less than nothing return at once. */
Test(sleep, zero_and_less) {
    static const at_duration durations[] = {0, -1, INT64_MIN};
    at_pool *pool = create_pool(1);
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        struct sleeper sleeper = {.duration = durations[i], .status = AT_ERROR_IO};
        run_task(pool, sleep_once, &sleeper);
        cr_expect_eq(sleeper.status, AT_OK);
        sleeper.status = AT_ERROR_IO;
        sleep_once(&sleeper);
        cr_expect_eq(sleeper.status, AT_OK);
    }
    destroy_pool(pool);
}

/* Rule W3: sleepers hold no worker. */
Test(sleep, many_at_once) {
    enum { count = 1000 };
    static struct sleeper sleepers[count];
    at_clock *clock = bind_virtual_clock();
    int64_t began = at_clock_now(clock);
    at_pool *pool = create_pool(2);
    for (int i = 0; i < count; i++) {
        sleepers[i].duration = AT_MILLISECONDS(20);
        cr_assert_eq(at_pool_start(pool, sleep_once, &sleepers[i]), AT_OK);
    }
    destroy_pool(pool);
    cr_expect_eq(at_clock_now(clock), began + AT_MILLISECONDS(20));
    for (int i = 0; i < count; i++)
        cr_expect_eq(sleepers[i].slept, sleepers[i].duration);
    unbind_virtual_clock(clock);
}

struct order {
    at_deadline moment;
    int place;
    int *next_place;
};

static void *sleep_in_order(void *argument) {
    struct order *order = argument;
    (void)at_sleep(order->moment - at_clock_now(at_clock_current()));
    order->place = (*order->next_place)++;
    return NULL;
}

/* On one worker those whose time comes first go on first, whenever they fell asleep. */
Test(sleep, in_the_order_of_their_moments) {
    enum { count = 40 };
    struct order orders[count];
    int next_place = 0;
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    at_deadline base = at_after(AT_MILLISECONDS(200));
    for (int i = 0; i < count; i++) {
        int rank = i * 17 % count;
        orders[i] = (struct order){base + rank * AT_MILLISECONDS(1), -1, &next_place};
        cr_assert_eq(at_pool_start(pool, sleep_in_order, &orders[i]), AT_OK);
    }
    destroy_pool(pool);
    for (int i = 0; i < count; i++)
        cr_expect_eq(orders[i].place, i * 17 % count);
    unbind_virtual_clock(clock);
}

/* -- The current operation ------------------------------------------------------------------- */

struct operation {
    at_deadline deadline;
    bool is_cancelled;
    at_status slept;
    at_status checked;
};

static void *sleep_in_operation(void *argument) {
    struct operation *operation = argument;
    at_scope scope;
    at_scope_begin(&scope, &(at_scope_options){.deadline = operation->deadline});
    if (operation->is_cancelled)
        cr_assert_eq(at_token_cancel(at_scope_token(&scope)), AT_OK);
    operation->slept = at_sleep(AT_SECONDS(40));
    at_error_clear();
    operation->checked = at_check();
    cr_expect_eq(at_scope_end(&scope), operation->checked);
    at_error_clear();
    return NULL;
}

/* In a task and in a plain thread; gives how long the first of the two sleeps was. */
static at_duration expect_operation(at_deadline deadline, bool is_cancelled, at_status status) {
    struct operation operation = {.deadline = deadline, .is_cancelled = is_cancelled};
    at_pool *pool = create_pool(1);
    int64_t began = at_clock_now(at_clock_current());
    run_task(pool, sleep_in_operation, &operation);
    cr_expect_eq(operation.slept, status);
    cr_expect_eq(operation.checked, status);
    at_duration slept = at_clock_now(at_clock_current()) - began;
    operation.slept = AT_OK;
    operation.checked = AT_OK;
    sleep_in_operation(&operation);
    cr_expect_eq(operation.slept, status);
    cr_expect_eq(operation.checked, status);
    destroy_pool(pool);
    return slept;
}

/* Rules X2, X6: a sleep ends at the deadline of its operation, and does not begin in one that is
 * cancelled; at_check says the same. */
Test(sleep, ends_with_the_operation) {
    at_clock *clock = bind_virtual_clock();
    at_deadline soon = at_after(AT_SECONDS(10)), late = at_after(AT_SECONDS(100));
    cr_expect_eq(expect_operation(soon, false, AT_ERROR_TIMED_OUT), AT_SECONDS(10));
    cr_expect_eq(at_clock_now(clock), soon);
    cr_expect_eq(expect_operation(late, false, AT_OK), AT_SECONDS(40));
    cr_expect_eq(at_clock_now(clock), soon + AT_SECONDS(80));
    cr_expect_eq(expect_operation(1, false, AT_ERROR_TIMED_OUT), 0);
    cr_expect_eq(expect_operation(AT_FOREVER, true, AT_ERROR_CANCELLED), 0);
    unbind_virtual_clock(clock);
}

/* -- Inline continuations -------------------------------------------------------------------- */

static void *sleep_inline(void *value, void *context) {
    (void)value;
    *(at_status *)context = at_sleep(AT_MILLISECONDS(1));
    at_yield();
    return at_check() == AT_OK ? NULL : AT_FAILED;
}

/* An inline continuation is on a thread that has other things to do: it may not sleep, and yields
 * to nobody. */
Test(sleep, not_in_an_inline_continuation) {
    at_status status = AT_OK;
    at_future *source;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &source);
    at_continuation_options options = {.executor = at_executor_inline(), .context = &status};
    at_future *future = at_future_then_with(source, sleep_inline, &options);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    wait_value(future);
    cr_expect_eq(status, AT_ERROR_DEADLOCK);
    at_future_release(future);
    at_promise_destroy(promise);
    destroy_pool(pool);
}

/* -- Yielding -------------------------------------------------------------------------------- */

static void *append(void *argument) {
    char **end = argument;
    *(*end)++ = 'q';
    return NULL;
}

static void *yield_to_queued(void *argument) {
    char **end = argument;
    AT_TRY(at_pool_start(at_pool_current(), append, argument));
    *(*end)++ = '1';
    at_yield();
    *(*end)++ = '2';
    at_yield(); /* nobody is left */
    *(*end)++ = '3';
    return NULL;
}

/* One queued task runs, then the one that yielded goes on. */
Test(sleep, yield_lets_a_queued_task_run) {
    char text[8] = "";
    char *end = text;
    at_pool *pool = create_pool(1);
    run_task(pool, yield_to_queued, &end);
    cr_expect_str_eq(text, "1q23");
    destroy_pool(pool);
}

/* In a plain thread they do nothing that could be seen. */
Test(sleep, yield_and_check_in_a_plain_thread) {
    at_yield();
    cr_expect_eq(at_check(), AT_OK);
}
