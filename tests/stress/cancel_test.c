/* SPDX-License-Identifier: MIT
 *
 * Rules X1, X2 and X3: tokens are cancelled while others make children of them, wait under them,
 * add callbacks and remove them. No wait is forgotten, no callback is called twice or after its
 * removal. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/fork.h>
#include <asynctools/sleep.h>

#include <stdint.h>

FAULT_INSTALL;

TestSuite(cancel_stress, .timeout = 200);

enum {
    racer_count = 8,
#ifdef __SANITIZE_THREAD__
    round_count = 500,
#else
    round_count = 3000,
#endif
};

static at_token *token;
static pthread_barrier_t begin, end;
static _Atomic int failures;

static void expect(bool holds) {
    if (!holds)
        atomic_fetch_add(&failures, 1);
}

struct watched {
    _Atomic int runs;
    _Atomic bool is_removed;
};

static void watch(void *argument) {
    struct watched *watched = argument;
    expect(atomic_fetch_add(&watched->runs, 1) == 0);
    expect(!atomic_load(&watched->is_removed));
}

static void add_and_remove(at_token *of, bool waits) {
    struct watched watched = {0};
    at_cancel_callback callback;
    at_cancel_callback_register(&callback, of, watch, &watched);
    if (waits)
        AT_SCOPE(scope, .token = of) expect(at_sleep(AT_SECONDS(1000)) == AT_ERROR_CANCELLED);
    at_cancel_callback_unregister(&callback);
    atomic_store(&watched.is_removed, true);
}

static void wait_below(void) {
    at_token *child = NULL;
    expect(at_token_create(&child, token) == AT_OK);
    add_and_remove(child, true);
    expect(at_token_reason(child) == AT_CANCEL_PARENT);
    at_token_release(child);
}

/* With another scope around it the token is one of two that cancel. */
static void wait_in_two(void) {
    AT_SCOPE(around, .timeout = AT_SECONDS(1000)) {
        AT_SCOPE(scope, .token = token) {
            expect(at_sleep(AT_SECONDS(1000)) == AT_ERROR_CANCELLED);
        }
        expect(at_check() == AT_OK);
    }
}

static void *wait_in_task(void *unused) {
    (void)unused;
    wait_below();
    wait_in_two();
    return NULL;
}

static void *wait_in_cancelled_task(void *unused) {
    (void)unused;
    wait_below();
    return NULL;
}

static at_pool *pool;

static void act(int number) {
    at_future *future = NULL;
    switch (number) {
    case 0:
    case 1:
        expect(at_token_cancel(token) == AT_OK || at_token_reason(token) == AT_CANCEL_EXPLICIT);
        break;
    case 2:
        wait_below();
        break;
    case 3:
        wait_in_two();
        break;
    case 4:
        add_and_remove(token, false);
        break;
    case 5:
        AT_SCOPE(scope, .token = token) {
            future = at_pool_submit(pool, wait_in_cancelled_task, NULL);
        }
        break;
    default:
        future = at_pool_submit(pool, wait_in_task, NULL);
    }
    if (future) {
        at_status status = at_future_wait(future, AT_FOREVER, NULL);
        expect(status == AT_OK || (number == 5 && status == AT_ERROR_CANCELLED));
        at_future_release(future);
    }
}

static void *run_racer(void *number) {
    for (int round = 0; round < round_count; round++) {
        pthread_barrier_wait(&begin);
        act((int)(((intptr_t)number + round) % racer_count));
        pthread_barrier_wait(&end);
    }
    at_error_clear();
    return NULL;
}

Test(cancel_stress, tokens) {
    struct fault_usage before = fault_usage();
    pool = create_pool(3);
    pthread_t threads[racer_count];
    pthread_barrier_init(&begin, NULL, racer_count + 1);
    pthread_barrier_init(&end, NULL, racer_count + 1);
    for (intptr_t i = 0; i < racer_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, run_racer, (void *)i), 0);
    for (int round = 0; round < round_count; round++) {
        cr_assert_eq(at_token_create(&token, NULL), AT_OK);
        pthread_barrier_wait(&begin);
        pthread_barrier_wait(&end);
        at_token_release(token);
    }
    for (int i = 0; i < racer_count; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&begin);
    pthread_barrier_destroy(&end);
    destroy_pool(pool);
    cr_expect_eq(failures, 0);
    fault_check_leaks(before);
}

/* -- Forks ----------------------------------------------------------------------------------- */

struct forked {
    at_token *token; /* of the task that forks */
    _Atomic bool is_taken;
    bool is_under; /* the call has run under that */
};

static void *take(void *argument) {
    struct forked *forked = argument;
    forked->is_under = at_token_current() == forked->token;
    atomic_store(&forked->is_taken, true);
    return argument;
}

static void do_nothing(void *unused) {
    (void)unused;
}

static void *fork_and_register(void *argument) {
    struct forked *forked = argument;
    AT_TIMEOUT(scope, AT_SECONDS(1000)) {
        forked->token = at_scope_token(&scope);
        at_fork fork;
        at_fork_start(&fork, take, forked);
        while (!atomic_load(&forked->is_taken)) {
            at_cancel_callback callback;
            at_cancel_callback_register(&callback, forked->token, do_nothing, NULL);
            AT_TIMEOUT(inner, AT_SECONDS(100)) at_cancel_callback_unregister(&callback);
        }
        (void)at_fork_join(&fork, take);
    }
    return argument;
}

/* Rule L6: a call that is taken runs under the operation that it was forked under, whatever its
 * task does in between. */
Test(cancel_stress, forks_keep_their_operation) {
    pool = create_pool(2);
    for (int round = 0; round < 200; round++) {
        struct forked forked = {.is_taken = false};
        at_future *future = at_pool_submit(pool, fork_and_register, &forked);
        wait_value(future);
        at_future_release(future);
        cr_assert(forked.is_under);
    }
    destroy_pool(pool);
}

/* -- Clean-ups -------------------------------------------------------------------------------- */

enum { cleaning_count = 32 };

static void *give(void *argument) {
    return argument;
}

static void *see_nothing(void *unused) {
    (void)unused;
    at_yield();
    return NULL;
}

/* Ends while it is being cancelled; half of them leave a task behind. */
static void clean_up(const at_outcome *outcome, void *context) {
    (void)outcome;
    tally_run(context);
    expect(at_check() == AT_OK);
    if (tally_runs(context) % 2)
        expect(at_pool_start(at_pool_current(), see_nothing, NULL) == AT_OK);
    at_yield();
    expect(at_check() == AT_OK);
}

static void *cancel_token(void *unused) {
    for (int round = 0; round < round_count; round++) {
        pthread_barrier_wait(&begin);
        expect(at_token_cancel(token) == AT_OK);
        pthread_barrier_wait(&end);
    }
    return unused;
}

/* Rule X4: each runs, once, and sees nothing of it; those whose source never ran, too. */
Test(cancel_stress, clean_ups) {
    struct fault_usage before = fault_usage();
    pool = create_pool(3);
    struct tally tally = {0};
    pthread_t thread;
    pthread_barrier_init(&begin, NULL, 2);
    pthread_barrier_init(&end, NULL, 2);
    cr_assert_eq(pthread_create(&thread, NULL, cancel_token, NULL), 0);
    for (int round = 0; round < round_count; round++) {
        at_future *futures[cleaning_count];
        cr_assert_eq(at_token_create(&token, NULL), AT_OK);
        pthread_barrier_wait(&begin);
        AT_TIMEOUT(around, round % 2 ? AT_SECONDS(1000) : AT_FOREVER)
        AT_SCOPE(scope, .token = token)
        for (int i = 0; i < cleaning_count; i++)
            futures[i] = at_future_finally(at_pool_submit(pool, give, NULL), clean_up, &tally);
        for (int i = 0; i < cleaning_count; i++) {
            at_status status = at_future_wait(futures[i], PATIENCE, NULL);
            cr_expect(status == AT_OK || status == AT_ERROR_CANCELLED);
            at_future_release(futures[i]);
        }
        pthread_barrier_wait(&end);
        at_token_release(token);
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&begin);
    pthread_barrier_destroy(&end);
    at_error_clear();
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), round_count * cleaning_count);
    cr_expect_eq(failures, 0);
    fault_check_leaks(before);
}
