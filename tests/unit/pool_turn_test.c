/* SPDX-License-Identifier: MIT
 *
 * Rules W1 and X4: at_check costs a look at one word while there is nothing to do, misses no
 * reason, and gives way to tasks that are ready once the task has run for a millisecond. */
#include "base/context.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/sleep.h>
#include <asynctools/timer.h>

#include <pthread.h>
#include <sched.h>

TestSuite(pool_turn, .timeout = 200);

/* Checks, at least as many as it takes until a worker sees that there is nothing to do. */
enum { some = 3 };

static void run_task(at_pool *pool, at_run_fn run, void *argument) {
    at_future *future = at_pool_submit(pool, run, argument);
    wait_value(future);
    at_future_release(future);
}

static bool is_asked_to_look(void) {
    return __atomic_load_n(&at_inline_worker_current->look, __ATOMIC_RELAXED) != 0;
}

static void compute_for(at_duration duration) {
    at_deadline end = at_clock_now(at_clock_real()) + duration;
    while (at_clock_now(at_clock_real()) < end)
        continue;
}

/* A task that computes, one that waits for `gate` on the same worker, and what is seen of both. */
struct pair {
    at_promise *gate;
    at_future *opened;
    bool has_gone_on;
    int checks; /* of the computing task, up to the one that let the other go on */
    bool was_asked;
};

static void *wait_for_gate(void *argument) {
    struct pair *pair = argument;
    AT_TRY(at_future_wait(pair->opened, AT_FOREVER, NULL));
    pair->has_gone_on = true;
    return NULL;
}

static void check_until_other_goes_on(struct pair *pair) {
    while (!pair->has_gone_on && at_check() == AT_OK)
        pair->checks++;
}

/* Runs `compute` on one worker, where another task waits for the gate. */
static struct pair run_pair(at_run_fn compute) {
    struct pair pair = {0};
    at_pool *pool = create_pool(1);
    pair.gate = create_promise(pool, &pair.opened);
    at_future *other = at_pool_submit(pool, wait_for_gate, &pair);
    run_task(pool, compute, &pair);
    wait_value(other);
    at_future_release(other);
    at_future_release(pair.opened);
    at_promise_destroy(pair.gate);
    destroy_pool(pool);
    return pair;
}

/* -- The word -------------------------------------------------------------------------------- */

static void *check_often(void *argument) {
    bool *was_asked = argument;
    was_asked[0] = is_asked_to_look();
    for (int i = 0; i < some; i++)
        AT_TRY(at_check());
    was_asked[1] = is_asked_to_look();
    at_yield();
    was_asked[2] = is_asked_to_look();
    return NULL;
}

/* Rule X4: the first look of a turn finds nothing to do, and then there is none until the next. */
Test(pool_turn, nobody_is_asked_to_look_for_nothing) {
    bool was_asked[3];
    at_pool *pool = create_pool(1);
    run_task(pool, check_often, was_asked);
    cr_expect(was_asked[0]);
    cr_expect_not(was_asked[1]);
    cr_expect_not(was_asked[2], "it has yielded to nobody");
    destroy_pool(pool);
}

static void *open_gate(void *argument) {
    struct pair *pair = argument;
    (void)at_promise_set(pair->gate, NULL, NULL);
    return NULL;
}

static void *be_woken_from_outside(void *argument) {
    struct pair *pair = argument;
    pthread_t thread;
    at_yield();
    for (int i = 0; i < some; i++)
        AT_TRY(at_check());
    pair->was_asked = is_asked_to_look();
    if (pthread_create(&thread, NULL, open_gate, pair) != 0)
        return AT_FAILED;
    pthread_join(thread, NULL);
    pair->was_asked |= !is_asked_to_look();
    check_until_other_goes_on(pair);
    return NULL;
}

/* Who wakes a task of the worker asks for a look. */
Test(pool_turn, a_wake_from_outside_is_seen) {
    struct pair pair = run_pair(be_woken_from_outside);
    cr_expect_not(pair.was_asked);
}

static void *be_woken_by_itself(void *argument) {
    struct pair *pair = argument;
    at_yield();
    for (int i = 0; i < some; i++)
        AT_TRY(at_check());
    pair->was_asked = is_asked_to_look();
    open_gate(pair);
    pair->was_asked |= !is_asked_to_look();
    check_until_other_goes_on(pair);
    return NULL;
}

Test(pool_turn, a_wake_by_the_task_itself_is_seen) {
    struct pair pair = run_pair(be_woken_by_itself);
    cr_expect_not(pair.was_asked);
}

static void *give(void *argument) {
    return argument;
}

static void *set_a_timer(void *argument) {
    bool *was_asked = argument;
    at_timer timer;
    for (int i = 0; i < some; i++)
        AT_TRY(at_check());
    was_asked[0] = is_asked_to_look();
    at_timer_init(&timer, at_pool_current(), give, NULL);
    AT_TRY(at_timer_start(&timer, at_after(AT_SECONDS(1000))));
    for (int i = 0; i < some; i++)
        AT_TRY(at_check());
    was_asked[1] = is_asked_to_look();
    at_timer_unregister(&timer);
    return NULL;
}

/* While all workers are busy, the running tasks look at the timers. */
Test(pool_turn, busy_workers_look_at_the_timers) {
    bool was_asked[2];
    at_pool *pool = create_pool(1);
    run_task(pool, set_a_timer, was_asked);
    cr_expect_not(was_asked[0]);
    cr_expect(was_asked[1]);
    destroy_pool(pool);
}

/* A worker that sleeps keeps the time for the others. */
Test(pool_turn, a_sleeper_looks_at_the_timers_for_the_others) {
    bool was_asked[2] = {0};
    at_pool *pool = create_pool(2);
    at_deadline limit = PATIENCE;
    do /* the other may be on its way to sleep */
        run_task(pool, set_a_timer, was_asked);
    while (was_asked[1] && at_clock_now(at_clock_real()) < limit);
    cr_expect_not(was_asked[1]);
    destroy_pool(pool);
}

/* -- The current operation ------------------------------------------------------------------- */

static at_status check_after_others(ati_context *context) {
    for (int i = 0; i < some; i++) {
        at_status status = at_check();
        if (status != AT_OK)
            return status;
    }
    atomic_store(&context->cancelled, (uint32_t)-AT_ERROR_CANCELLED);
    return at_check();
}

static void *check_in_operation(void *unused) {
    (void)unused;
    return check_after_others(ati_context_current()) == AT_ERROR_CANCELLED ? NULL : AT_FAILED;
}

static void *check_without_operation(void *unused) {
    for (int i = 0; i < some; i++)
        AT_TRY(at_check());
    return unused;
}

static void *check_above_operation(void *argument) {
    at_future *inner = argument;
    for (int i = 0; i < some; i++)
        AT_TRY(at_check());
    AT_TRY(at_future_wait(inner, AT_FOREVER, NULL)); /* in place, most likely */
    return check_in_operation(NULL);
}

/* Rule X4: also after many a look, and after a task of no operation has run in place. */
Test(pool_turn, an_operation_that_is_cancelled_is_seen) {
    at_pool *pool = create_pool(1);
    static at_run_fn const functions[] = {check_in_operation, check_above_operation};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        struct gate gate = GATE_CLOSED;
        ati_context *context = ati_context_create(NULL, "named", AT_FOREVER, "", 0);
        cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
        gate_await(&gate, 1);
        at_future *inner = at_pool_submit(pool, check_without_operation, NULL);
        (void)ati_context_exchange(context);
        at_future *outer = at_pool_submit_with(
            pool, &(at_task_options){
                      .run = functions[i], .argument = inner, .priority = AT_PRIORITY_HIGH});
        (void)ati_context_exchange(NULL);
        gate_open(&gate);
        wait_value(outer);
        wait_value(inner);
        at_future_release(outer);
        at_future_release(inner);
        ati_context_release(context);
    }
    destroy_pool(pool);
}

static void *enter_operation(void *unused) {
    (void)unused;
    for (int i = 0; i < some; i++)
        AT_TRY(at_check());
    ati_context *context = ati_context_create(NULL, "named", AT_FOREVER, "", 0);
    ati_context *outer = ati_context_exchange(context);
    at_status status = check_after_others(context);
    (void)ati_context_exchange(outer);
    ati_context_release(context);
    at_error_clear();
    return status == AT_ERROR_CANCELLED ? NULL : AT_FAILED;
}

Test(pool_turn, an_operation_that_is_entered_is_seen) {
    at_pool *pool = create_pool(1);
    run_task(pool, enter_operation, NULL);
    destroy_pool(pool);
}

/* -- A millisecond --------------------------------------------------------------------------- */

static void *check_once_after_a_wake(void *argument) {
    struct pair *pair = argument;
    pthread_t thread;
    at_yield();
    if (pthread_create(&thread, NULL, open_gate, pair) != 0)
        return AT_FAILED;
    pthread_join(thread, NULL);
    compute_for(AT_MILLISECONDS(2));
    check_until_other_goes_on(pair);
    return NULL;
}

/* Rule W1: the moment counts at which somebody asked for the turn, not the first look. */
Test(pool_turn, the_first_check_gives_way_if_the_wake_was_long_ago) {
    struct pair pair = run_pair(check_once_after_a_wake);
    cr_expect_eq(pair.checks, 1, "%d", pair.checks);
}

static void *check_before_and_after(void *argument) {
    struct pair *pair = argument;
    at_yield();
    AT_TRY(at_check());
    compute_for(AT_MILLISECONDS(2));
    open_gate(pair);
    check_until_other_goes_on(pair);
    return NULL;
}

/* Rule W1: what a task had run before somebody became ready counts too. */
Test(pool_turn, the_millisecond_begins_before_the_wake) {
    struct pair pair = run_pair(check_before_and_after);
    cr_expect_eq(pair.checks, 1, "%d", pair.checks);
}

static void *check_at_once(void *argument) {
    struct pair *pair = argument;
    at_yield();
    open_gate(pair);
    AT_TRY(at_check());
    pair->was_asked = pair->has_gone_on;
    check_until_other_goes_on(pair);
    return NULL;
}

/* Rule W1: a task that has run for less does not give way. One whose thread lost the CPU for a
 * millisecond may. */
Test(pool_turn, no_turn_is_given_at_once) {
    bool was_asked = true;
    for (int i = 0; i < 100 && was_asked; i++)
        was_asked = run_pair(check_at_once).was_asked;
    cr_expect_not(was_asked);
}
