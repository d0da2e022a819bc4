/* SPDX-License-Identifier: MIT
 *
 * Rules W1, W3, W5 and L3: a task that waits keeps its stack and what belongs to it, gives its
 * worker away, and starves nobody. */
#include "base/context.h"
#include "pool/cancel.h"
#include "pool/waiter.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/blocking.h>
#include <asynctools/sleep.h>

#include <errno.h>
#include <fenv.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <urcu/urcu-bp.h>

TestSuite(pool_suspend, .timeout = 200);

enum { turn_limit = 2 * 61 + 8 }; /* picks until everybody must have had a turn */

static void *give(void *argument) {
    return argument;
}

static void run_task(at_pool *pool, at_run_fn run, void *argument) {
    at_future *future = at_pool_submit(pool, run, argument);
    wait_value(future);
    at_future_release(future);
}

/* -- What is kept ---------------------------------------------------------------------------- */

struct keeper {
    int index;
    int wrong;
    at_promise *promise;
    at_future *future;
};

static void wait_somehow(struct keeper *keeper, int round) {
    switch (round % 3) {
    case 0:
        at_yield();
        break;
    case 1:
        (void)at_sleep(AT_MICROSECONDS(10));
        break;
    default:
        keeper->wrong += at_future_wait(keeper->future, at_after(AT_MICROSECONDS(10)), NULL) !=
                         AT_ERROR_TIMED_OUT;
        break;
    }
}

/* Each task has its own errno, rounding, error slot and operation; a timed-out wait changes the
 * slot, so that is set anew each time. */
static void *keep_own_things(void *argument) {
    struct keeper *keeper = argument;
    static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    int mode = modes[keeper->index % 4];
    int outer_mode = fegetround();
    ati_context *outer_context = ati_context_own(); /* else the first wait makes one */
    ati_context *context = ati_context_create(NULL, "own", AT_FOREVER, "", 0);
    (void)ati_context_exchange(context);
    fesetround(mode);
    for (int round = 0; round < 60; round++) {
        errno = 1000 + keeper->index;
        at_fail_status(AT_ERROR_IO, "of task %d", keeper->index);
        wait_somehow(keeper, round);
        char text[32];
        snprintf(text, sizeof text, "of task %d", keeper->index);
        bool timed_out = round % 3 == 2;
        keeper->wrong += errno != 1000 + keeper->index;
        keeper->wrong += fegetround() != mode;
        keeper->wrong += ati_context_current() != context;
        keeper->wrong += !timed_out && strcmp(at_error_text(at_error_last()), text) != 0;
    }
    fesetround(outer_mode);
    (void)ati_context_exchange(outer_context);
    ati_context_release(context);
    at_error_clear();
    return NULL;
}

/* Rule W1: errno, floating point control, error slot and operation belong to the task. */
Test(pool_suspend, keeps_what_belongs_to_the_task) {
    enum { count = 16 };
    static struct keeper keepers[count];
    at_future *tasks[count];
    at_pool *pool = create_pool(1);
    for (int i = 0; i < count; i++) {
        keepers[i].index = i;
        keepers[i].promise = create_promise(pool, &keepers[i].future);
        tasks[i] = at_pool_submit(pool, keep_own_things, &keepers[i]);
    }
    for (int i = 0; i < count; i++) {
        wait_value(tasks[i]);
        cr_expect_eq(keepers[i].wrong, 0, "task %d", i);
        at_future_release(tasks[i]);
        at_future_release(keepers[i].future);
        at_promise_destroy(keepers[i].promise);
    }
    destroy_pool(pool);
}

/* -- Fairness -------------------------------------------------------------------------------- */

/* Two tasks give the turn to each other until somebody else has had his. */
struct turns {
    at_pool *pool;
    int turns; /* of both; one worker */
    bool stop;
    int turns_until_queued;
    int turns_until_outside;
    int turns_until_timer;
    int turns_at_start;
};

static void *note_queued(void *argument) {
    struct turns *turns = argument;
    turns->turns_until_queued = turns->turns - turns->turns_at_start;
    return NULL;
}

static void *note_outside(void *argument) {
    struct turns *turns = argument;
    turns->turns_until_outside = turns->turns - turns->turns_at_start;
    return NULL;
}

static void *note_timer(void *argument) {
    struct turns *turns = argument;
    (void)at_sleep(AT_MILLISECONDS(20));
    turns->turns_until_timer = turns->turns - turns->turns_at_start;
    return NULL;
}

static void *start_from_outside(void *argument) {
    struct turns *turns = argument;
    return at_pool_start(turns->pool, note_outside, turns) == AT_OK ? NULL : AT_FAILED;
}

static void *take_turns(void *argument) {
    struct turns *turns = argument;
    while (!turns->stop) {
        turns->turns++;
        at_yield();
    }
    return NULL;
}

static void compute_until(at_deadline moment) {
    while (at_clock_now(at_clock_real()) < moment)
        ;
}

/* Starts all the others, and takes turns with its twin meanwhile. */
static void *take_turns_with_others(void *argument) {
    struct turns *turns = argument;
    pthread_t thread;
    AT_TRY(at_pool_start(turns->pool, take_turns, turns));
    AT_TRY(at_pool_start(turns->pool, note_timer, turns));
    for (int i = 0; i < 3; i++)
        at_yield();
    compute_until(at_after(AT_MILLISECONDS(25)));
    turns->turns_at_start = turns->turns;
    if (pthread_create(&thread, NULL, start_from_outside, turns) != 0)
        return AT_FAILED;
    pthread_join(thread, NULL);
    AT_TRY(at_pool_start(turns->pool, note_queued, turns));
    while (turns->turns - turns->turns_at_start < 10 * turn_limit) {
        turns->turns++;
        at_yield();
    }
    turns->stop = true;
    return NULL;
}

/* Rule L3: tasks that yield to each other keep nobody waiting: neither what is queued, nor what
 * comes from outside, nor a timer. */
Test(pool_suspend, tasks_that_yield_starve_nobody) {
    struct turns turns = {0};
    turns.pool = create_pool(1);
    run_task(turns.pool, take_turns_with_others, &turns);
    destroy_pool(turns.pool);
    cr_expect_gt(turns.turns_until_queued, 0);
    cr_expect_leq(turns.turns_until_queued, turn_limit, "%d", turns.turns_until_queued);
    cr_expect_gt(turns.turns_until_outside, 0);
    cr_expect_leq(turns.turns_until_outside, turn_limit, "%d", turns.turns_until_outside);
    cr_expect_gt(turns.turns_until_timer, 0);
    cr_expect_leq(turns.turns_until_timer, turn_limit, "%d", turns.turns_until_timer);
}

/* The same where tasks wake each other: two turns for each time that one of them waits. */
enum { ring_rounds = 20 * turn_limit };

struct ring {
    struct turns turns;
    ati_waiter waiters[2][ring_rounds];
    _Atomic int stopped_at;
};

static void pass_round(struct ring *ring, int self, int round) {
    ring->turns.turns++;
    ati_waiter_wake(&ring->waiters[1 - self][round]);
    ati_waiter_wait(&ring->waiters[self][round], AT_FOREVER);
}

static void *pass_to_first(void *argument) {
    struct ring *ring = argument;
    for (int i = 0; i < ring_rounds; i++)
        pass_round(ring, 1, i);
    return NULL;
}

static void *pass_to_second(void *argument) {
    struct ring *ring = argument;
    struct turns *turns = &ring->turns;
    pthread_t thread;
    AT_TRY(at_pool_start(turns->pool, pass_to_first, ring));
    AT_TRY(at_pool_start(turns->pool, note_timer, turns));
    int round = 0;
    while (round < 10)
        pass_round(ring, 0, round++);
    compute_until(at_after(AT_MILLISECONDS(25)));
    turns->turns_at_start = turns->turns;
    if (pthread_create(&thread, NULL, start_from_outside, turns) != 0)
        return AT_FAILED;
    pthread_join(thread, NULL);
    AT_TRY(at_pool_start(turns->pool, note_queued, turns));
    while (round < ring_rounds)
        pass_round(ring, 0, round++);
    return NULL;
}

Test(pool_suspend, tasks_that_wake_each_other_starve_nobody) {
    static struct ring ring;
    for (int i = 0; i < ring_rounds; i++) {
        ati_waiter_init(&ring.waiters[0][i], "test", NULL);
        ati_waiter_init(&ring.waiters[1][i], "test", NULL);
    }
    ring.turns.pool = create_pool(1);
    run_task(ring.turns.pool, pass_to_second, &ring);
    destroy_pool(ring.turns.pool);
    cr_expect_gt(ring.turns.turns_until_queued, 0);
    cr_expect_leq(ring.turns.turns_until_queued, 2 * turn_limit, "%d",
                  ring.turns.turns_until_queued);
    cr_expect_gt(ring.turns.turns_until_outside, 0);
    cr_expect_leq(ring.turns.turns_until_outside, 2 * turn_limit, "%d",
                  ring.turns.turns_until_outside);
    cr_expect_gt(ring.turns.turns_until_timer, 0);
    cr_expect_leq(ring.turns.turns_until_timer, 2 * turn_limit, "%d", ring.turns.turns_until_timer);
}

static void *sleep_and_stop(void *argument) {
    struct turns *turns = argument;
    (void)at_sleep(AT_MILLISECONDS(2));
    turns->stop = true;
    return NULL;
}

static void *yield_until_stopped(void *argument) {
    struct turns *turns = argument;
    AT_TRY(at_pool_start(turns->pool, sleep_and_stop, turns));
    at_deadline limit = PATIENCE;
    while (!turns->stop && at_clock_now(at_clock_real()) < limit)
        at_yield();
    return turns->stop ? NULL : AT_FAILED;
}

static void *check_until_stopped(void *argument) {
    struct turns *turns = argument;
    AT_TRY(at_pool_start(turns->pool, sleep_and_stop, turns));
    at_yield();
    at_deadline limit = PATIENCE;
    while (!turns->stop && at_clock_now(at_clock_real()) < limit)
        AT_TRY(at_check());
    return turns->stop ? NULL : AT_FAILED;
}

/* A task that has nobody to yield to still lets timers fire; at_check does too. */
Test(pool_suspend, a_lonely_task_lets_timers_fire) {
    struct turns turns = {0};
    turns.pool = create_pool(1);
    run_task(turns.pool, yield_until_stopped, &turns);
    cr_expect(turns.stop);
    turns.stop = false;
    run_task(turns.pool, check_until_stopped, &turns);
    cr_expect(turns.stop);
    destroy_pool(turns.pool);
}

/* Each starts another one and yields to it, so that the queue never becomes empty. */
static void *start_another_and_yield(void *argument) {
    struct turns *turns = argument;
    if (++turns->turns < 100 * turn_limit && !turns->stop)
        AT_TRY(at_pool_start(turns->pool, start_another_and_yield, turns));
    at_yield();
    return NULL;
}

static void *yield_once_to_many(void *argument) {
    struct turns *turns = argument;
    AT_TRY(at_pool_start(turns->pool, start_another_and_yield, turns));
    at_yield();
    turns->turns_until_queued = turns->turns;
    turns->stop = true;
    return NULL;
}

/* Who yields to what is queued comes next when one of that has had its turn, not all. */
Test(pool_suspend, who_yields_goes_on_after_one_other) {
    struct turns turns = {0};
    turns.pool = create_pool(1);
    run_task(turns.pool, yield_once_to_many, &turns);
    destroy_pool(turns.pool);
    cr_expect_leq(turns.turns_until_queued, turn_limit);
}

/* -- Where it may not give way --------------------------------------------------------------- */

static void *yield_in_section(void *argument) {
    struct turns *turns = argument;
    at_blocking_begin();
    AT_TRY(at_pool_start(at_pool_current(), give, NULL));
    for (int i = 0; i < 10; i++)
        at_yield();
    compute_until(at_after(AT_MILLISECONDS(2)));
    at_status status = at_check();
    compute_until(at_after(AT_MILLISECONDS(2)));
    if (status == AT_OK)
        status = at_check();
    at_blocking_end();
    turns->stop = true;
    AT_TRY(status);
    return NULL;
}

static void *yield_for_ever(void *argument) {
    struct turns *turns = argument;
    while (!turns->stop)
        at_yield();
    return NULL;
}

/* A task in a blocking section stays on its thread: at_yield and at_check do not leave it. */
Test(pool_suspend, no_yield_in_a_blocking_section) {
    struct turns turns = {0};
    at_pool *pool = NULL;
    at_pool_options options = {.thread_count = 1, .max_spares = AT_NONE};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    at_future *other = at_pool_submit(pool, yield_for_ever, &turns);
    run_task(pool, yield_in_section, &turns);
    wait_value(other);
    at_future_release(other);
    destroy_pool(pool);
}

static void *check_in_read_section(void *argument) {
    struct turns *turns = argument;
    at_status status = AT_OK;
    for (int i = 0; i < 5 && status == AT_OK; i++) {
        urcu_bp_read_lock();
        compute_until(at_after(AT_MILLISECONDS(2)));
        status = at_check();
        urcu_bp_read_unlock();
        at_yield();
    }
    turns->stop = true;
    AT_TRY(status);
    return NULL;
}

/* Rule W1: at_check never gives way inside an RCU read section. */
Test(pool_suspend, no_turn_is_given_in_a_read_section) {
    struct turns turns = {0};
    at_pool *pool = create_pool(1);
    at_future *other = at_pool_submit(pool, yield_for_ever, &turns);
    run_task(pool, check_in_read_section, &turns);
    wait_value(other);
    at_future_release(other);
    destroy_pool(pool);
}

struct inlined {
    at_promise *promise;
    at_future *source;
    at_future *done;
    bool is_inside;
    bool stop;
    int others_inside;
};

static void *look_and_yield(void *argument) {
    struct inlined *inlined = argument;
    while (!inlined->stop) {
        inlined->others_inside += inlined->is_inside;
        at_yield();
    }
    return NULL;
}

static void *wait_inline(void *value, void *argument) {
    struct inlined *inlined = argument;
    (void)value;
    inlined->is_inside = true;
    at_status status = AT_OK;
    for (int i = 0; i < 3 && status == AT_OK; i++) {
        compute_until(at_after(AT_MILLISECONDS(2)));
        status = at_future_wait(inlined->done, AT_FOREVER, NULL);
    }
    inlined->is_inside = false;
    AT_TRY(status);
    return NULL;
}

static void *complete_beside_others(void *argument) {
    struct inlined *inlined = argument;
    AT_TRY(at_pool_start(at_pool_current(), look_and_yield, inlined));
    for (int i = 0; i < 3; i++)
        at_yield();
    at_status status = at_promise_set(inlined->promise, NULL, NULL);
    inlined->stop = true;
    AT_TRY(status);
    return NULL;
}

/* Rule C1: no other task of the worker comes between, however long an inline continuation takes,
 * and though it looks at futures that are done. */
Test(pool_suspend, no_turn_is_given_in_an_inline_continuation) {
    struct inlined inlined = {0};
    at_pool *pool = create_pool(1);
    inlined.promise = create_promise(pool, &inlined.source);
    inlined.done = at_pool_submit(pool, give, NULL);
    wait_value(inlined.done);
    at_continuation_options options = {.executor = at_executor_inline(), .context = &inlined};
    at_future *chained = at_future_then_with(inlined.source, wait_inline, &options);
    run_task(pool, complete_beside_others, &inlined);
    wait_value(chained);
    cr_expect_eq(inlined.others_inside, 0);
    at_promise_destroy(inlined.promise);
    at_future_release(chained);
    at_future_release(inlined.done);
    destroy_pool(pool);
}

/* -- Drop functions and hooks ---------------------------------------------------------------- */

struct dropped {
    at_promise *promise;
    at_future *future;
    int drops;
    at_status status;
};

static void drop_and_wait(void *argument) {
    struct dropped *dropped = argument;
    dropped->status = at_future_wait(dropped->future, PATIENCE, NULL);
    dropped->drops++;
}

static void *give_with_drop(void *argument) {
    return at_return(argument, drop_and_wait);
}

static void count_drop(void *count) {
    ++*(int *)count;
}

static void *give_counted(void *argument) {
    return at_return(argument, count_drop);
}

/* While a drop function waits on this worker, what others release is freed at once. */
static void *release_and_set(void *argument) {
    struct dropped *dropped = argument;
    int drops = 0;
    at_future *future = at_pool_submit(at_pool_current(), give_counted, &drops);
    at_status status = at_future_wait(future, AT_FOREVER, NULL);
    at_future_release(future);
    AT_TRY(status);
    AT_TRY(at_promise_set(dropped->promise, NULL, NULL));
    return drops == 1 ? NULL : at_fail(AT_ERROR_FAILED, "not freed");
}

Test(pool_suspend, a_drop_function_may_wait) {
    struct dropped dropped = {0};
    at_pool *pool = create_pool(1);
    dropped.promise = create_promise(pool, &dropped.future);
    at_future_release(at_pool_submit(pool, give_with_drop, &dropped));
    run_task(pool, release_and_set, &dropped);
    destroy_pool(pool);
    cr_expect_eq(dropped.drops, 1);
    cr_expect_eq(dropped.status, AT_OK);
    at_future_release(dropped.future);
    at_promise_destroy(dropped.promise);
}

static void *drop_inline(void *value, void *context) {
    (void)value;
    at_future_release(context);
    return NULL;
}

static void *complete_and_look(void *argument) {
    struct dropped *dropped = argument;
    at_future *outer = at_pool_submit(at_pool_current(), give_with_drop, dropped);
    at_status status = at_future_wait(outer, AT_FOREVER, NULL);
    at_future *source = at_pool_submit(at_pool_current(), give, NULL);
    at_continuation_options options = {.executor = at_executor_inline(), .context = outer};
    at_future *chained = at_future_then_with(source, drop_inline, &options);
    if (status == AT_OK)
        status = at_future_wait(chained, AT_FOREVER, NULL);
    at_future_release(chained);
    AT_TRY(status);
    return NULL;
}

/* What an inline continuation drops may not wait either: it is on a thread with other duties. */
Test(pool_suspend, a_drop_function_inside_an_inline_continuation) {
    struct dropped dropped = {0};
    at_pool *pool = create_pool(1);
    dropped.promise = create_promise(pool, &dropped.future);
    run_task(pool, complete_and_look, &dropped);
    cr_expect_eq(dropped.drops, 1);
    cr_expect_eq(dropped.status, AT_ERROR_DEADLOCK);
    destroy_pool(pool);
    at_future_release(dropped.future);
    at_promise_destroy(dropped.promise);
}

static _Atomic int hooks_run;

static void sleep_in_hook(void *context) {
    (void)context;
    if (at_sleep(AT_MILLISECONDS(1)) == AT_OK)
        atomic_fetch_add(&hooks_run, 1);
    at_yield();
}

/* The hooks of a worker's thread may wait, as any thread. */
Test(pool_suspend, hooks_may_wait) {
    at_pool *pool = NULL;
    at_pool_options options = {
        .thread_count = 2, .on_thread_start = sleep_in_hook, .on_thread_stop = sleep_in_hook};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    run_task(pool, give, NULL);
    destroy_pool(pool);
    cr_expect_eq(hooks_run, 4);
}

/* -- The end --------------------------------------------------------------------------------- */

static void *wait_for(void *future) {
    AT_TRY(at_future_wait(future, AT_FOREVER, NULL));
    return NULL;
}

/* Shutdown waits for tasks that wait. */
Test(pool_suspend, shutdown_waits_for_suspended_tasks) {
    at_future *future;
    at_pool *other = create_pool(1);
    at_pool *pool = create_pool(2);
    at_promise *promise = create_promise(other, &future);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(at_pool_start(pool, wait_for, future), AT_OK);
    at_pool_audit_result audit = {0};
    while (audit.running != 100) /* suspended counts as running */
        at_pool_audit(pool, &audit);
    cr_expect_eq(at_pool_shutdown(pool, at_after(AT_MILLISECONDS(20))), AT_ERROR_TIMED_OUT);
    at_pool_audit(pool, &audit);
    cr_expect_eq(audit.running, 100);
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    cr_expect_eq(destroy_pool(pool).succeeded, 100);
    at_future_release(future);
    at_promise_destroy(promise);
    destroy_pool(other);
}

struct shutting {
    at_pool *other;
    at_promise *promise;
    at_future *future;
    bool is_told; /* both tasks are on one worker */
};

static void *set_when_told(void *argument) {
    struct shutting *shutting = argument;
    while (!shutting->is_told)
        at_yield();
    AT_TRY(at_promise_set(shutting->promise, NULL, NULL));
    return NULL;
}

static void *shut_other_down(void *argument) {
    struct shutting *shutting = argument;
    AT_TRY(at_pool_start(at_pool_current(), set_when_told, shutting));
    at_yield(); /* it is suspended on this worker now */
    if (at_pool_shutdown(shutting->other, at_after(AT_MILLISECONDS(1))) != AT_ERROR_TIMED_OUT)
        return AT_FAILED;
    at_error_clear();
    shutting->is_told = true;
    AT_TRY(at_pool_shutdown(shutting->other, PATIENCE));
    return NULL;
}

/* A task that shuts another pool down is suspended: what that waits for may be done by a task of
 * the same worker. There are no spares. */
Test(pool_suspend, a_task_shuts_another_pool_down) {
    struct shutting shutting = {.other = create_pool(1)};
    at_pool *pool = NULL;
    at_pool_options options = {.thread_count = 1, .max_spares = AT_NONE};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    shutting.promise = create_promise(pool, &shutting.future);
    cr_assert_eq(at_pool_start(shutting.other, wait_for, shutting.future), AT_OK);
    run_task(pool, shut_other_down, &shutting);
    destroy_pool(shutting.other);
    destroy_pool(pool);
    at_future_release(shutting.future);
    at_promise_destroy(shutting.promise);
}

/* -- Stacks ---------------------------------------------------------------------------------- */

static __attribute__((noinline)) size_t use_stack(size_t bytes) {
    volatile char block[4096];
    memset((char *)block, (int)bytes, sizeof block);
    return bytes > sizeof block ? use_stack(bytes - sizeof block) + (size_t)block[17] * 0 + 1 : 1;
}

struct depth {
    size_t bytes;
    size_t blocks;
};

static void *use_stack_and_wait(void *argument) {
    struct depth *depth = argument;
    at_yield();
    depth->blocks = use_stack(depth->bytes);
    (void)at_sleep(AT_MICROSECONDS(100));
    depth->blocks += use_stack(depth->bytes);
    return NULL;
}

/* Rule W5: every task has the stack that the pool's options say, whichever stack it runs on. */
Test(pool_suspend, stacks_have_the_size_of_the_options) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    static const int64_t sizes[] = {2 * 1024 * 1024, 8 * 1024 * 1024};
#else
    static const int64_t sizes[] = {64 * 1024, 256 * 1024, 64 * 1024 * 1024};
#endif
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        enum { count = 8 };
        struct depth depths[count] = {0};
        at_pool *pool = NULL;
        at_pool_options options = {.thread_count = 1, .stack_bytes = sizes[i]};
        cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
        for (int j = 0; j < count; j++) {
            depths[j].bytes = (size_t)sizes[i] / 2;
            cr_assert_eq(at_pool_start(pool, use_stack_and_wait, &depths[j]), AT_OK);
        }
        destroy_pool(pool);
        for (int j = 0; j < count; j++)
            cr_expect_gt(depths[j].blocks, 0);
    }
}
