/* SPDX-License-Identifier: MIT
 *
 * Rule X4: loops over forks look before each grain whether they are still wanted. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <sched.h>
#include <stdatomic.h>

TestSuite(parallel_cancel, .timeout = 200);

enum { grain = 10, for_ever = 1 << 30 };

/* -- All forms ----------------------------------------------------------------------------------
 */

struct watched {
    at_pool *pool;
    at_token *token;
    at_status (*loop)(struct watched *watched);
    _Atomic bool is_cancelled;
    _Atomic int late; /* turns that began after that */
    at_status status;
};

/* The hundredth turn cancels. */
static void *turn(int64_t index, void *context) {
    struct watched *watched = context;
    if (atomic_load(&watched->is_cancelled))
        atomic_fetch_add(&watched->late, 1);
    if (index == 100) {
        (void)at_token_cancel(watched->token);
        atomic_store(&watched->is_cancelled, true);
    }
    return NULL;
}

static void *range(int64_t begin, int64_t end, void *context) {
    for (int64_t index = begin; index < end; index++)
        turn(index, context);
    return NULL;
}

static void *reduce(int64_t begin, int64_t end, void *value, void *context) {
    *(int64_t *)value += end - begin;
    return range(begin, end, context);
}

static void set_zero(void *value, void *context) {
    (void)context;
    *(int64_t *)value = 0;
}

static void add(void *left, void *right, void *context) {
    (void)context;
    *(int64_t *)left += *(int64_t *)right;
}

static const at_parallel_options by_grain = {.grain = grain};

static at_status loop_for(struct watched *watched) {
    return at_parallel_for(watched->pool, 0, for_ever, turn, watched, &by_grain);
}

static at_status loop_for_ranges(struct watched *watched) {
    return at_parallel_for_ranges(watched->pool, 0, for_ever, range, watched, &by_grain);
}

static at_status loop_reduce(struct watched *watched) {
    int64_t sum;
    at_parallel_reduction reduction = {.size = sizeof sum,
                                       .init = set_zero,
                                       .run = reduce,
                                       .merge = add,
                                       .context = watched,
                                       .grain = grain};
    at_status status = at_parallel_reduce(watched->pool, 0, for_ever, &reduction, &sum);
    return sum < for_ever ? status : AT_OK;
}

static void *call(void *watched) {
    return turn(100, watched);
}

static at_status loop_invoke(struct watched *watched) {
    at_parallel_call calls[1000];
    for (int i = 0; i < 1000; i++)
        calls[i] = (at_parallel_call){call, watched};
    return at_parallel_invoke(watched->pool, calls, 1000);
}

static void *run_in_scope(void *argument) {
    struct watched *watched = argument;
    AT_SCOPE(scope, 0) {
        watched->token = at_scope_token(&scope);
        watched->status = watched->loop(watched);
    }
    return NULL;
}

static at_status (*const loops[])(struct watched *) = {loop_for, loop_for_ranges, loop_reduce,
                                                       loop_invoke};

/* What others have begun may end: with one worker nothing is begun any more. */
Test(parallel_cancel, x4_no_grain_begins_after_a_cancel) {
    for (int threads = 1; threads <= 3; threads++) {
        at_pool *pool = create_pool(threads);
        for (size_t i = 0; i < 2 * sizeof loops / sizeof *loops; i++) {
            struct watched watched = {.pool = pool, .loop = loops[i / 2]};
            if (i % 2) {
                at_future *future = at_pool_submit(pool, run_in_scope, &watched);
                wait_value(future);
                at_future_release(future);
            } else {
                run_in_scope(&watched);
            }
            cr_expect_eq(watched.status, AT_ERROR_CANCELLED);
            int of_the_grain = watched.loop == loop_invoke ? 0 : grain - 1;
            cr_expect_leq(watched.late, of_the_grain + (threads - 1) * grain);
        }
        destroy_pool(pool);
    }
}

Test(parallel_cancel, x4_in_a_cancelled_scope) {
    at_pool *pool = create_pool(2);
    struct watched watched = {.pool = pool, .is_cancelled = true};
    AT_SCOPE(scope, 0) {
        watched.token = at_scope_token(&scope);
        cr_expect_eq(at_token_cancel(watched.token), AT_OK);
        for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
            cr_expect_eq(loops[i](&watched), AT_ERROR_CANCELLED);
        cr_expect_eq(at_parallel_for(pool, 7, 7, turn, &watched, NULL), AT_OK);
    }
    cr_expect_eq(watched.late, 0);
    destroy_pool(pool);
}

/* -- Deadlines ----------------------------------------------------------------------------------
 */

static void *do_nothing(int64_t index, void *context) {
    (void)index;
    return context;
}

static void *wait_in_turn(int64_t index, void *context) {
    (void)index;
    (void)context;
    AT_TRY(at_sleep(AT_SECONDS(1000)));
    return NULL;
}

struct timed {
    at_pool *pool;
    at_index_fn turn;
    at_status status;
};

static void *loop_until_late(void *argument) {
    struct timed *timed = argument;
    AT_TIMEOUT(scope, AT_MICROSECONDS(300)) {
        timed->status = at_parallel_for(timed->pool, 0, INT64_MAX, timed->turn, NULL, NULL);
    }
    return NULL;
}

/* X2: it is the scope of the caller that says so, whoever has made the turns. */
Test(parallel_cancel, x2_deadline_of_the_callers_scope) {
    for (int i = 0; i < 60; i++) {
        at_pool *pool = create_pool(1 + i % 3);
        struct timed timed = {.pool = pool, .turn = i % 2 ? do_nothing : wait_in_turn};
        if (i % 4 < 2) {
            loop_until_late(&timed);
        } else {
            at_future *future = at_pool_submit(pool, loop_until_late, &timed);
            wait_value(future);
            at_future_release(future);
        }
        cr_expect_eq(timed.status, AT_ERROR_TIMED_OUT, "%d: %s", i, at_status_name(timed.status));
        destroy_pool(pool);
    }
}

/* -- A task that is cancelled alone -------------------------------------------------------------
 */

enum { alone_count = 1000 };

struct alone {
    at_pool *pool;
    _Atomic bool is_taken; /* the second half, by another worker */
    _Atomic bool is_over;  /* the first half */
    _Atomic bool is_cancelled;
    _Atomic int late; /* turns that began after that */
};

static void await(_Atomic bool *flag) {
    while (!atomic_load(flag))
        sched_yield();
}

/* The first half ends when the second one is made elsewhere; that waits. */
static void *turn_of_half(int64_t index, void *context) {
    struct alone *alone = context;
    if (atomic_load(&alone->is_cancelled))
        atomic_fetch_add(&alone->late, 1);
    if (index == 0)
        await(&alone->is_taken);
    if (index < alone_count / 2) {
        if (index == alone_count / 2 - 1)
            atomic_store(&alone->is_over, true);
        return NULL;
    }
    atomic_store(&alone->is_taken, true);
    await(&alone->is_cancelled);
    return NULL;
}

static void *loop_over_halves(void *context) {
    struct alone *alone = context;
    at_parallel_options options = {.grain = 1};
    AT_TRY(at_parallel_for(alone->pool, 0, alone_count, turn_of_half, alone, &options));
    return alone;
}

/* The task itself has nothing left to do but to wait for the others, who are to learn of it. */
Test(parallel_cancel, c4_others_learn_that_the_task_is_cancelled) {
    at_pool *pool = create_pool(2);
    struct alone alone = {.pool = pool};
    at_future *future = at_pool_submit(pool, loop_over_halves, &alone);
    await(&alone.is_over);
    at_future_cancel(future);
    atomic_store(&alone.is_cancelled, true);
    expect_outcome(future, AT_ERROR_CANCELLED);
    cr_expect_leq(alone.late, 2, "one turn of each worker");
    at_future_release(future);
    destroy_pool(pool);
}

static void *note_start(int64_t index, void *begun) {
    (void)index;
    atomic_store((_Atomic bool *)begun, true);
    return NULL;
}

struct away {
    at_pool *other;
    _Atomic bool has_begun;
};

static void *loop_elsewhere(void *context) {
    struct away *away = context;
    AT_TRY(at_parallel_for(away->other, 0, INT64_MAX, note_start, &away->has_begun, NULL));
    return away;
}

/* Its loop is made by the workers of another pool. */
Test(parallel_cancel, c4_a_loop_in_another_pool) {
    at_pool *pool = create_pool(1);
    struct away away = {.other = create_pool(2)};
    at_future *future = at_pool_submit(pool, loop_elsewhere, &away);
    await(&away.has_begun);
    at_future_cancel(future);
    expect_outcome(future, AT_ERROR_CANCELLED);
    at_future_release(future);
    destroy_pool(away.other);
    destroy_pool(pool);
}
