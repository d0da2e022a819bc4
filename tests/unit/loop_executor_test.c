/* SPDX-License-Identifier: MIT
 *
 * Loop executors: rule W4 (continuations on an executor of the loop's own), W2 (what runs there may
 * not wait), S1 and X2. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

TestSuite(loop_executor, .timeout = 200);

static at_loop_executor *create_loop(void) {
    at_loop_executor *loop = NULL;
    cr_assert_eq(at_loop_executor_create(&loop), AT_OK);
    cr_assert_not_null(loop);
    return loop;
}

static at_future *submit(at_loop_executor *loop, at_run_fn run, void *argument) {
    return at_executor_submit(at_loop_executor_executor(loop), run, argument);
}

static int64_t dispatch(at_loop_executor *loop, int64_t max_works, at_duration budget) {
    int64_t count = -1;
    cr_expect_eq(at_loop_executor_dispatch(loop, max_works, budget, &count), AT_OK);
    return count;
}

static bool is_readable(at_loop_executor *loop, int timeout_ms) {
    struct pollfd polled = {.fd = at_loop_executor_fd(loop), .events = POLLIN};
    return poll(&polled, 1, timeout_ms) == 1;
}

/* The descriptor is readable as long as there is work, whoever asks. */
Test(loop_executor, descriptor_follows_the_queue) {
    struct tally tally = {0};
    at_loop_executor *loop = create_loop();
    cr_expect_not(is_readable(loop, 0));
    cr_expect_eq(dispatch(loop, 10, AT_FOREVER), 0);
    for (int i = 0; i < 5; i++)
        at_future_release(submit(loop, tally_run, &tally));
    cr_expect(is_readable(loop, 0));
    cr_expect_eq(tally_runs(&tally), 0);
    cr_expect_eq(dispatch(loop, 3, AT_FOREVER), 3);
    cr_expect(is_readable(loop, 0));
    cr_expect_eq(dispatch(loop, 3, AT_FOREVER), 2);
    cr_expect_not(is_readable(loop, 0));
    cr_expect_eq(tally_runs(&tally), 5);
    cr_expect_eq(dispatch(loop, 0, 0), 0);
    at_loop_executor_destroy(loop);
}

/* One write for many works: the count in the descriptor is 1. */
Test(loop_executor, descriptor_is_written_once) {
    struct tally tally = {0};
    uint64_t count = 0;
    at_loop_executor *loop = create_loop();
    for (int i = 0; i < 100; i++)
        at_future_release(submit(loop, tally_run, &tally));
    cr_expect_eq(read(at_loop_executor_fd(loop), &count, sizeof count), sizeof count);
    cr_expect_eq(count, 1);
    cr_expect_eq(dispatch(loop, AT_UNLIMITED, AT_FOREVER), 100);
    at_loop_executor_destroy(loop);
}

static pthread_t dispatching;
static int next_number;

static void *check_order(void *number) {
    cr_expect(pthread_equal(pthread_self(), dispatching));
    cr_expect_eq(*(int *)number, next_number++);
    return number;
}

Test(loop_executor, runs_in_order_where_dispatched) {
    static int numbers[200];
    at_loop_executor *loop = create_loop();
    dispatching = pthread_self();
    next_number = 0;
    for (int i = 0; i < 200; i++) {
        numbers[i] = i;
        at_future_release(submit(loop, check_order, &numbers[i]));
    }
    while (next_number < 200)
        cr_expect_eq(dispatch(loop, 7, AT_FOREVER), next_number == 200 ? 4 : 7);
    at_loop_executor_destroy(loop);
}

static at_clock *moved;

static void *take_time(void *tally) {
    at_virtual_clock_advance(moved, AT_MILLISECONDS(2));
    return tally_run(tally);
}

/* The budget is looked at after each work, on the current clock. */
Test(loop_executor, budget) {
    struct tally tally = {0};
    at_loop_executor *loop = create_loop();
    moved = bind_virtual_clock();
    at_virtual_clock_hold(moved);
    for (int i = 0; i < 20; i++)
        at_future_release(submit(loop, take_time, &tally));
    cr_expect_eq(dispatch(loop, AT_UNLIMITED, 0), 1);
    cr_expect_eq(dispatch(loop, AT_UNLIMITED, AT_MILLISECONDS(5)), 3);
    cr_expect_eq(dispatch(loop, AT_UNLIMITED, AT_FOREVER), 16);
    at_virtual_clock_release(moved);
    unbind_virtual_clock(moved);
    at_loop_executor_destroy(loop);
}

static void *note_thread(void *value, void *thread) {
    *(pthread_t *)thread = pthread_self();
    return value;
}

/* Rule W4: the pool computes, the loop is told. */
Test(loop_executor, continuations_come_to_the_loop) {
    pthread_t thread = {0};
    at_loop_executor *loop = create_loop();
    at_pool *pool = create_pool(2);
    at_continuation_options options = {.executor = at_loop_executor_executor(loop),
                                       .context = &thread};
    at_future *told = at_future_then_with(at_pool_submit(pool, tally_run, &(struct tally){0}),
                                          note_thread, &options);
    cr_expect(is_readable(loop, 50000));
    cr_expect_not(at_future_is_done(told));
    cr_expect_eq(dispatch(loop, 10, AT_FOREVER), 1);
    cr_expect(at_future_is_done(told));
    cr_expect(pthread_equal(thread, pthread_self()));
    at_future_release(told);
    at_future *computed =
        at_future_then_with(submit(loop, tally_run, &(struct tally){0}), note_thread,
                            &(at_continuation_options){
                                .executor = at_pool_executor(pool),
                                .context = &thread,
                            });
    cr_expect_eq(dispatch(loop, 10, AT_FOREVER), 1);
    wait_value(computed);
    cr_expect_not(pthread_equal(thread, pthread_self()));
    at_future_release(computed);
    at_loop_executor_destroy(loop);
    destroy_pool(pool);
}

static void *wait_inside(void *future) {
    cr_expect_eq(at_future_wait(future, AT_FOREVER, NULL), AT_ERROR_DEADLOCK);
    at_error_clear();
    return future;
}

/* Rule W2: a loop has other things to do than to wait. */
Test(loop_executor, works_may_not_wait) {
    at_future *pending;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &pending);
    at_loop_executor *loop = create_loop();
    at_future *future = submit(loop, wait_inside, pending);
    cr_expect_eq(dispatch(loop, 1, AT_FOREVER), 1);
    cr_expect(at_future_is_done(future));
    at_promise_set(promise, NULL, NULL);
    at_promise_destroy(promise);
    at_future_release(pending);
    at_future_release(future);
    at_loop_executor_destroy(loop);
    destroy_pool(pool);
}

struct ticking {
    at_loop_executor *loop;
    int left;
};

static void *tick(void *argument) {
    struct ticking *ticking = argument;
    if (ticking->left-- > 0) {
        at_future *next = submit(ticking->loop, tick, ticking);
        at_future_ignore(next); /* a loop that is being destroyed refuses it */
        at_future_release(next);
    }
    return ticking;
}

/* What works queue is run by the same dispatch, as far as that goes. */
Test(loop_executor, works_queue_more) {
    at_loop_executor *loop = create_loop();
    struct ticking ticking = {loop, 9};
    at_future_release(submit(loop, tick, &ticking));
    cr_expect_eq(dispatch(loop, 4, AT_FOREVER), 4);
    cr_expect(is_readable(loop, 0));
    cr_expect_eq(dispatch(loop, AT_UNLIMITED, AT_FOREVER), 6);
    at_loop_executor_destroy(loop);
}

/* Rule X2: what is cancelled in the queue never runs. */
Test(loop_executor, cancelled_works_never_run) {
    struct tally tally = {0};
    at_loop_executor *loop = create_loop();
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    at_future *future = at_executor_submit_with(at_loop_executor_executor(loop), &options);
    at_future_cancel(future);
    expect_outcome(future, AT_ERROR_CANCELLED);
    cr_expect_eq(dispatch(loop, 10, AT_FOREVER), 1);
    cr_expect_not(is_readable(loop, 0));
    cr_expect_eq(tally_runs(&tally), 0);
    cr_expect_eq(tally_drops(&tally), 1);
    at_future_release(future);
    at_loop_executor_destroy(loop);
}

/* Rule S1: what was queued runs; what comes later, by works too, is refused and dropped. */
Test(loop_executor, destroy_runs_what_is_queued) {
    struct tally tally = {0}, late = {0};
    at_promise *promise;
    at_loop_executor *loop = create_loop();
    struct ticking ticking = {loop, 3};
    cr_assert_eq(at_promise_create(&promise, at_loop_executor_executor(loop)), AT_OK);
    at_continuation_options options = {.context = &late, .drop = tally_drop};
    at_future *follower = at_future_then_with(at_promise_future(promise), note_thread, &options);
    at_future *future = submit(loop, tally_run, &tally);
    at_future *ticks = submit(loop, tick, &ticking);
    at_loop_executor_destroy(loop);
    cr_expect_eq(tally_runs(&tally), 1);
    cr_expect_eq(ticking.left, 2);
    cr_expect(at_future_is_done(future) && at_future_is_done(ticks));
    cr_expect_eq(at_promise_set(promise, &tally, NULL), AT_OK);
    expect_outcome(follower, AT_ERROR_CLOSED);
    cr_expect_eq(tally_drops(&late), 1);
    at_promise_destroy(promise);
    at_future_release(follower);
    at_future_release(future);
    at_future_release(ticks);
}

/* Rule H00: bad values are named, and nothing has run. */
Test(loop_executor, bad_bounds) {
    struct tally tally = {0};
    int64_t count = 77;
    at_loop_executor *loop = create_loop();
    at_future_release(submit(loop, tally_run, &tally));
    cr_expect_eq(at_loop_executor_dispatch(loop, -1, AT_FOREVER, &count), AT_ERROR_INVALID);
    cr_expect_not_null(strstr(at_error_message(at_error_last()), "max_works"));
    cr_expect_eq(at_loop_executor_dispatch(loop, 1, -5, &count), AT_ERROR_INVALID);
    cr_expect_not_null(strstr(at_error_message(at_error_last()), "budget"));
    cr_expect_eq(count, 77);
    cr_expect_eq(tally_runs(&tally), 0);
    cr_expect_eq(at_loop_executor_dispatch(loop, AT_UNLIMITED, AT_FOREVER, NULL), AT_OK);
    at_loop_executor_destroy(loop);
    at_loop_executor_destroy(NULL);
}

/* Rule H00: the system may have no descriptor to give. */
Test(loop_executor, no_descriptor) {
    struct rlimit limit;
    at_loop_executor *loop = NULL;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(0);
    cr_assert_geq(next, 0);
    close(next);
    struct rlimit lower = {.rlim_cur = (rlim_t)next, .rlim_max = limit.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &lower), 0);
    at_status status = at_loop_executor_create(&loop);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_expect_eq(status, AT_ERROR_SYSTEM);
    cr_expect_null(loop);
}

struct feeder {
    at_loop_executor *loop;
    struct tally *tally;
};

static void *feed(void *argument) {
    struct feeder *feeder = argument;
    for (int i = 0; i < 5000; i++)
        at_future_release(submit(feeder->loop, tally_run, feeder->tally));
    return NULL;
}

/* No edge is lost: a loop that sleeps whenever it may gets all works. */
Test(loop_executor, many_threads_feed_one_loop) {
    struct tally tally = {0};
    pthread_t threads[4];
    at_loop_executor *loop = create_loop();
    struct feeder feeder = {loop, &tally};
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, feed, &feeder), 0);
    int64_t total = 0;
    while (total < 20000) {
        cr_assert(is_readable(loop, 50000));
        int64_t count = dispatch(loop, 16, AT_FOREVER);
        cr_expect_gt(count, 0); /* readable means works */
        total += count;
    }
    cr_expect_not(is_readable(loop, 0));
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(tally_runs(&tally), 20000);
    at_loop_executor_destroy(loop);
}
