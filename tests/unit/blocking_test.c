/* SPDX-License-Identifier: MIT
 *
 * Rule B1: calls that block run on spare threads while their tasks are suspended; sections that
 * block their thread have it replaced. */
#include "base/context.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/blocking.h>
#include <asynctools/parallel.h>
#include <asynctools/pool_statistics.h>
#include <asynctools/sleep.h>

#include "pool/pool.h"

#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

TestSuite(blocking, .timeout = 200);

static void run_task(at_pool *pool, at_run_fn run, void *argument) {
    at_future *future = at_pool_submit(pool, run, argument);
    wait_value(future);
    at_future_release(future);
}

/* -- The pipe -------------------------------------------------------------------------------- */

struct pipe_test {
    int ends[2];
    char byte;
    at_promise *promise;
    at_future *future;
};

static void *read_byte(void *argument) {
    struct pipe_test *test = argument;
    return read(test->ends[0], &test->byte, 1) == 1 ? test : NULL;
}

static void *write_when_told(void *argument) {
    struct pipe_test *test = argument;
    AT_TRY(at_future_wait(test->future, AT_FOREVER, NULL));
    return write(test->ends[1], "x", 1) == 1 ? NULL : AT_FAILED;
}

static void *read_what_another_writes(void *argument) {
    struct pipe_test *test = argument;
    at_yield(); /* the writer is suspended on this worker now */
    AT_TRY(at_promise_set(test->promise, NULL, NULL));
    return at_blocking_call(read_byte, test) == test ? NULL : AT_FAILED;
}

/* A task blocks in `read` on a pipe that a task suspended on the same worker will write. */
Test(blocking, the_worker_goes_on) {
    for (int i = 0; i < 50; i++) {
        struct pipe_test test = {.byte = 0};
        at_pool *pool = create_pool(1);
        cr_assert_eq(pipe(test.ends), 0);
        test.promise = create_promise(pool, &test.future);
        at_future *reader = at_pool_submit(pool, read_what_another_writes, &test);
        run_task(pool, write_when_told, &test);
        wait_value(reader);
        cr_expect_eq(test.byte, 'x');
        at_future_release(reader);
        at_future_release(test.future);
        at_promise_destroy(test.promise);
        destroy_pool(pool);
        close(test.ends[0]);
        close(test.ends[1]);
    }
}

/* Calls that wait for each other: more than there are CPUs. Further threads come in time. */
static void *meet(void *barrier) {
    pthread_barrier_wait(barrier);
    return NULL;
}

static void *call_meet(void *barrier) {
    return at_blocking_call(meet, barrier);
}

Test(blocking, calls_that_wait_for_each_other) {
    enum { count = 12 };
    pthread_barrier_t barrier;
    cr_assert_eq(pthread_barrier_init(&barrier, NULL, count), 0);
    at_pool *pool = create_pool(1);
    for (int i = 0; i < count; i++)
        cr_assert_eq(at_pool_start(pool, call_meet, &barrier), AT_OK);
    cr_expect_eq(destroy_pool(pool).succeeded, count);
    pthread_barrier_destroy(&barrier);
}

/* -- What the call gives --------------------------------------------------------------------- */

struct seen {
    pthread_t thread;
    at_pool *pool;
    const ati_context *context;
};

static void *look_around(void *argument) {
    struct seen *seen = argument;
    *seen = (struct seen){pthread_self(), at_pool_current(), ati_context_current()};
    return seen;
}

static void *call_look_around(void *argument) {
    ati_context *context = ati_context_create(NULL, "own", AT_FOREVER, "", 0);
    (void)ati_context_exchange(context);
    struct seen *seen = at_blocking_call(look_around, argument);
    bool well = seen == argument && !pthread_equal(seen->thread, pthread_self()) &&
                seen->pool == at_pool_current() && seen->context == context;
    (void)ati_context_exchange(NULL);
    ati_context_release(context);
    return well ? NULL : AT_FAILED;
}

/* It runs on another thread, under the task's operation, and in the task's pool. */
Test(blocking, on_another_thread) {
    struct seen seen;
    at_pool *pool = create_pool(1);
    run_task(pool, call_look_around, &seen);
    destroy_pool(pool);
}

static void *fail_in_call(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "in the call");
}

static void *call_failing(void *unused) {
    return at_blocking_call(fail_in_call, unused);
}

/* Its error is the task's own. */
Test(blocking, errors) {
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, call_failing, NULL);
    expect_outcome(future, AT_ERROR_IO);
    cr_expect_str_eq(at_error_text(at_future_error(future)), "in the call");
    cr_expect_str_eq(at_error_task(at_future_error(future)), "call_failing");
    at_future_release(future);
    destroy_pool(pool);
}

static void *return_with_drop(void *argument) {
    return at_return(argument, tally_drop);
}

static void *call_return_with_drop(void *argument) {
    return at_blocking_call(return_with_drop, argument);
}

static void *say_nothing(void *argument) {
    return argument;
}

static void *return_before_call(void *argument) {
    void *value = at_return(argument, tally_drop);
    (void)at_blocking_call(say_nothing, NULL);
    return value;
}

/* What it says by at_return counts as said by the task; what the task has said before stays. */
Test(blocking, values_with_a_drop) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    run_task(pool, call_return_with_drop, &tally);
    run_task(pool, return_before_call, &tally);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&tally), 2);
}

struct next {
    at_pool *pool;
    int value;
};

static void *continue_from_call(void *argument) {
    struct next *next = argument;
    return at_return_future(at_pool_submit(next->pool, say_nothing, &next->value));
}

static void *call_continuing(void *argument) {
    return at_blocking_call(continue_from_call, argument);
}

/* at_return_future too. */
Test(blocking, continuing_with_another_future) {
    struct next next = {0};
    next.pool = create_pool(1);
    at_future *future = at_pool_submit(next.pool, call_continuing, &next);
    cr_expect_eq(wait_value(future), &next.value);
    at_future_release(future);
    destroy_pool(next.pool);
}

/* -- What the call starts -------------------------------------------------------------------- */

struct starting {
    struct gate gate;
    at_pool *pool;
    struct tally tally;
    at_status statuses[3];
};

static void *add_turn(int64_t index, void *tally) {
    (void)index;
    return tally_run(tally);
}

static void *start_in_call(void *argument) {
    struct starting *starting = argument;
    at_pool *pool = starting->pool;
    gate_pass(&starting->gate);
    starting->statuses[0] = at_pool_start(pool, tally_run, &starting->tally);
    at_future *future = at_pool_submit(pool, tally_run, &starting->tally);
    starting->statuses[1] = at_future_wait(future, AT_FOREVER, NULL);
    at_future_release(future);
    starting->statuses[2] = at_parallel_for(pool, 0, 10, add_turn, &starting->tally, NULL);
    return NULL;
}

static void *call_start(void *argument) {
    return at_blocking_call(start_in_call, argument);
}

/* Its starts are those of an accepted task: no bound and no shutdown refuses them. */
Test(blocking, starts_while_the_pool_closes) {
    struct starting starting = {.gate = GATE_CLOSED};
    at_pool_options options = {.thread_count = 1, .queue_bound = 1};
    cr_assert_eq(at_pool_create(&starting.pool, &options), AT_OK);
    cr_assert_eq(at_pool_start(starting.pool, call_start, &starting), AT_OK);
    gate_await(&starting.gate, 1);
    cr_assert_eq(at_pool_shutdown(starting.pool, 0), AT_ERROR_TIMED_OUT);
    cr_assert_eq(at_pool_start(starting.pool, tally_run, &starting.tally), AT_ERROR_CLOSED);
    gate_open(&starting.gate);
    destroy_pool(starting.pool);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(starting.statuses[i], AT_OK, "%d: %d", i, (int)starting.statuses[i]);
    cr_expect_eq(tally_runs(&starting.tally), 12);
}

struct inheriting {
    struct gate worker; /* held by a task */
    struct gate call;
    _Atomic int order[2];
    _Atomic int count;
};

static struct inheriting inheriting = {.worker = GATE_CLOSED, .call = GATE_CLOSED};

static void *note_number(void *number) {
    atomic_store(&inheriting.order[atomic_fetch_add(&inheriting.count, 1)], *(int *)number);
    return NULL;
}

static void *start_one(void *number) {
    AT_TRY(at_pool_start(at_pool_current(), gate_pass, &inheriting.worker));
    gate_pass(&inheriting.call);
    return at_pool_start(at_pool_current(), note_number, number) == AT_OK ? NULL : AT_FAILED;
}

static void *call_start_one(void *number) {
    return at_blocking_call(start_one, number);
}

/* Rule S4: they have the priority of the task. */
Test(blocking, starts_inherit_the_priority) {
    int numbers[2] = {1, 2};
    at_pool *pool = create_pool(1);
    at_task_options options = {
        .run = call_start_one, .argument = &numbers[0], .priority = AT_PRIORITY_HIGH};
    cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
    gate_await(&inheriting.worker, 1);
    cr_assert_eq(at_pool_start(pool, note_number, &numbers[1]), AT_OK);
    gate_open(&inheriting.call);
    at_pool_statistics statistics;
    do
        at_pool_get_statistics(pool, &statistics);
    while (statistics.blocking_calls > 0);
    gate_open(&inheriting.worker);
    destroy_pool(pool);
    cr_expect_eq(inheriting.order[0], 1);
    cr_expect_eq(inheriting.order[1], 2);
}

/* -- In place -------------------------------------------------------------------------------- */

static void *stay(void *thread) {
    *(pthread_t *)thread = pthread_self();
    return thread;
}

static void *call_stay(void *argument) {
    pthread_t thread;
    return at_blocking_call(stay, &thread) == &thread && pthread_equal(thread, pthread_self())
               ? argument
               : AT_FAILED;
}

/* In a plain thread, and where there may be no spares. */
Test(blocking, in_place) {
    int value;
    cr_expect_eq(call_stay(&value), &value);
    at_pool *pool = NULL;
    at_pool_options options = {.thread_count = 1, .max_spares = AT_NONE};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    run_task(pool, call_stay, &value);
    destroy_pool(pool);
}

static void *call_nested(void *argument) {
    return at_blocking_call(call_stay, argument);
}

/* A call inside a call is made in place: its thread is a spare already. */
Test(blocking, nested_calls) {
    int value;
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, call_nested, &value);
    cr_expect_eq(wait_value(future), &value);
    at_future_release(future);
    destroy_pool(pool);
}

/* -- Sections -------------------------------------------------------------------------------- */

struct section {
    struct gate gate;
    _Atomic bool ran;
    at_status status;
};

static void *run_meanwhile(void *argument) {
    struct section *section = argument;
    atomic_store(&section->ran, true);
    gate_open(&section->gate);
    return NULL;
}

static void *block_in_section(void *argument) {
    struct section *section = argument;
    at_blocking_begin();
    at_blocking_begin();
    AT_TRY(at_pool_start(at_pool_current(), run_meanwhile, section));
    gate_pass(&section->gate);
    at_blocking_end();
    at_blocking_end();
    return atomic_load(&section->ran) ? NULL : AT_FAILED;
}

/* A spare does the worker's work meanwhile, also what the task itself has queued. */
Test(blocking, a_section_has_its_worker_replaced) {
    for (int i = 0; i < 50; i++) {
        struct section section = {.gate = GATE_CLOSED};
        at_pool *pool = create_pool(1);
        run_task(pool, block_in_section, &section);
        destroy_pool(pool);
    }
}

static void *wait_in_section(void *argument) {
    struct section *section = argument;
    at_blocking_begin();
    pthread_t thread = pthread_self();
    at_future *future = at_pool_submit(at_pool_current(), run_meanwhile, section);
    section->status = at_future_wait(future, PATIENCE, NULL);
    if (section->status == AT_OK)
        section->status = at_sleep(AT_MILLISECONDS(1));
    at_future_release(future);
    (void)at_blocking_call(say_nothing, NULL);
    bool same = pthread_equal(thread, pthread_self());
    at_blocking_end();
    AT_TRY(section->status);
    return same ? NULL : AT_FAILED;
}

/* The library's waits inside a section block the thread. */
Test(blocking, waits_in_a_section) {
    struct section section = {.gate = GATE_CLOSED};
    at_pool *pool = create_pool(1);
    run_task(pool, wait_in_section, &section);
    destroy_pool(pool);
}

/* In a plain thread they do nothing. */
Test(blocking, sections_in_a_plain_thread) {
    at_blocking_begin();
    at_blocking_end();
    at_blocking_end();
}

/* A spare worker whose task yields keeps its worker until the task has ended. */
static void *yield_often(void *count) {
    for (int i = 0; i < 200; i++)
        at_yield();
    atomic_fetch_add((_Atomic int *)count, 1);
    return NULL;
}

static void *start_yielding_in_section(void *count) {
    at_blocking_begin();
    for (int i = 0; i < 10; i++)
        AT_TRY(at_pool_start(at_pool_current(), yield_often, count));
    (void)at_sleep(AT_MICROSECONDS(200));
    at_blocking_end();
    return NULL;
}

Test(blocking, a_spare_does_not_park_on_its_tasks) {
    enum { rounds = 50 };
    _Atomic int count = 0;
    at_pool *pool = create_pool(1);
    for (int i = 0; i < rounds; i++)
        run_task(pool, start_yielding_in_section, &count);
    int64_t began = at_clock_now(at_clock_real());
    destroy_pool(pool);
    cr_expect_eq(count, rounds * 10);
    cr_expect_lt(at_clock_now(at_clock_real()) - began, AT_SECONDS(20));
}

static void *block_until_spare_sleeps(void *unused) {
    at_pool *pool = at_pool_current();
    at_blocking_begin();
    while (ati_idle_sleeping(atomic_load(&pool->idle.counts)) != 1)
        sched_yield();
    at_blocking_end();
    return unused;
}

/* A spare that sleeps when it comes to be one too many ends, though there is nothing to do. */
Test(blocking, a_sleeping_spare_ends) {
    at_pool *pool = create_pool(1);
    run_task(pool, block_until_spare_sleeps, NULL);
    at_deadline limit = at_clock_now(at_clock_real()) + AT_SECONDS(20);
    at_pool_statistics statistics;
    do {
        at_pool_get_statistics(pool, &statistics);
        sched_yield();
    } while (statistics.spares > 0 && at_clock_now(at_clock_real()) < limit);
    cr_expect_eq(statistics.spares, 0);
    cr_expect_eq(statistics.max_spares, 1);
    destroy_pool(pool);
}

/* The threads go with the pool. */
Test(blocking, threads_end_with_the_pool) {
    destroy_pool(
        create_pool(1)); /* what a sanitizer starts for itself comes with the first thread */
    int before = count_threads();
    at_pool *pool = create_pool(1);
    pthread_barrier_t barrier;
    cr_assert_eq(pthread_barrier_init(&barrier, NULL, 3), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(at_pool_start(pool, call_meet, &barrier), AT_OK);
    destroy_pool(pool);
    pthread_barrier_destroy(&barrier);
    cr_expect(threads_fall_to(before));
}
