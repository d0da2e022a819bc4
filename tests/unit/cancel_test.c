/* SPDX-License-Identifier: MIT
 *
 * Rules X1, X3 and S3: tokens and their callbacks. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/sleep.h>

#include <sched.h>
#include <stdint.h>
#include <stdlib.h>

FAULT_INSTALL;

TestSuite(cancel, .timeout = 200);

static at_token *create_token(at_token *parent) {
    at_token *token = NULL;
    cr_assert_eq(at_token_create(&token, parent), AT_OK);
    cr_assert_not_null(token);
    return token;
}

static void count(void *tally) {
    tally_run(tally);
}

/* -- Tokens -------------------------------------------------------------------------------------
 */

/* Rule X1: a tree; the first reason stays; twice is told. */
Test(cancel, tokens_are_a_tree) {
    struct fault_usage before = fault_usage();
    at_token *root = create_token(NULL);
    at_token *left = create_token(root);
    at_token *right = create_token(root);
    at_token *leaf = create_token(left);
    cr_expect_eq(at_token_cancel(left), AT_OK);
    cr_expect_eq(at_token_cancel(left), AT_ERROR_ALREADY);
    cr_expect_eq(at_token_cancel(leaf), AT_ERROR_ALREADY);
    cr_expect_eq(at_token_reason(left), AT_CANCEL_EXPLICIT);
    cr_expect_eq(at_token_reason(leaf), AT_CANCEL_PARENT);
    cr_expect_eq(at_token_reason(right), AT_CANCEL_NONE);
    cr_expect_eq(at_token_cancel(root), AT_OK);
    cr_expect_eq(at_token_reason(right), AT_CANCEL_PARENT);
    cr_expect_eq(at_token_reason(left), AT_CANCEL_EXPLICIT);
    at_token *late = create_token(leaf);
    cr_expect_eq(at_token_reason(late), AT_CANCEL_PARENT);
    cr_expect_eq(at_token_deadline(late), AT_FOREVER);
    cr_expect_null(at_token_current());
    at_token_release(root); /* what is below keeps it */
    at_token_release(left);
    at_token_release(right);
    at_token_release(leaf);
    at_token_release(late);
    at_token_release(NULL);
    fault_check_leaks(before);
}

/* A token made in a scope is cancelled with it. */
Test(cancel, a_token_belongs_to_the_scope) {
    struct fault_usage before = fault_usage();
    at_clock *clock = bind_virtual_clock();
    at_token *token = NULL;
    AT_TIMEOUT(scope, AT_SECONDS(1)) {
        token = create_token(NULL);
        cr_expect_eq(at_sleep(AT_SECONDS(2)), AT_ERROR_TIMED_OUT);
    }
    cr_expect_eq(at_token_reason(token), AT_CANCEL_PARENT);
    at_token_release(token);
    at_error_clear();
    unbind_virtual_clock(clock);
    fault_check_leaks(before);
}

/* Freed one after the other, however many there are, and cancelled likewise. */
Test(cancel, a_deep_tree) {
    struct fault_usage before = fault_usage();
    at_token *root = create_token(NULL);
    at_token *token = at_token_retain(root);
    for (int i = 0; i < 200000; i++) {
        at_token *child = create_token(token);
        at_token_release(token);
        token = child;
    }
    cr_expect_eq(at_token_cancel(root), AT_OK);
    cr_expect_eq(at_token_reason(token), AT_CANCEL_PARENT);
    at_token_release(root);
    at_token_release(token);
    fault_check_leaks(before);
}

/* -- Callbacks (rule X3) ------------------------------------------------------------------------
 */

struct noted {
    int numbers[10];
    int count;
    pthread_t thread;
};

struct note {
    struct noted *noted;
    int number;
};

static void note(void *argument) {
    const struct note *it = argument;
    it->noted->numbers[it->noted->count++] = it->number;
    it->noted->thread = pthread_self();
}

/* In the order in which they were added, on the thread that cancels, once. */
Test(cancel, callbacks_in_order) {
    struct fault_usage before = fault_usage();
    at_token *token = create_token(NULL);
    struct noted noted = {0};
    struct note notes[5];
    at_cancel_callback callbacks[5];
    for (int i = 0; i < 5; i++) {
        notes[i] = (struct note){&noted, i};
        at_cancel_callback_register(&callbacks[i], token, note, &notes[i]);
    }
    at_cancel_callback_unregister(&callbacks[2]);
    cr_expect_eq(noted.count, 0);
    cr_expect_eq(at_token_cancel(token), AT_OK);
    cr_expect_eq(at_token_cancel(token), AT_ERROR_ALREADY);
    static const int expected[4] = {0, 1, 3, 4};
    cr_assert_eq(noted.count, 4);
    cr_expect_arr_eq(noted.numbers, expected, sizeof expected);
    cr_expect(pthread_equal(noted.thread, pthread_self()));
    for (int i = 0; i < 5; i++)
        if (i != 2)
            at_cancel_callback_unregister(&callbacks[i]);
    at_cancel_callback_unregister(&callbacks[0]);
    at_cancel_callback never = {0};
    at_cancel_callback_unregister(&never);
    at_token_release(token);
    fault_check_leaks(before);
}

/* One that comes late is called at once; those below are called too. */
Test(cancel, late_and_below) {
    struct fault_usage before = fault_usage();
    at_token *token = create_token(NULL);
    at_token *child = create_token(token);
    struct tally tally = {0};
    at_cancel_callback below, late;
    at_cancel_callback_register(&below, child, count, &tally);
    cr_expect_eq(at_token_cancel(token), AT_OK);
    cr_expect_eq(tally_runs(&tally), 1);
    at_cancel_callback_register(&late, token, count, &tally);
    cr_expect_eq(tally_runs(&tally), 2);
    at_cancel_callback_unregister(&late);
    at_cancel_callback_unregister(&below);
    at_token_release(token);
    at_token_release(child);
    fault_check_leaks(before);
}

struct self {
    at_cancel_callback callback;
    at_token *token;
    int runs;
};

static void remove_self(void *argument) {
    struct self *self = argument;
    self->runs++;
    at_cancel_callback_unregister(&self->callback);
    at_token_release(self->token);
}

/* From inside it returns at once, and the storage is the caller's again. */
Test(cancel, removes_itself) {
    struct fault_usage before = fault_usage();
    for (int late = 0; late < 2; late++) {
        struct self self = {.token = create_token(NULL)};
        at_token *token = self.token;
        if (late)
            cr_expect_eq(at_token_cancel(token), AT_OK);
        at_cancel_callback_register(&self.callback, token, remove_self, &self);
        if (!late)
            cr_expect_eq(at_token_cancel(token), AT_OK);
        cr_expect_eq(self.runs, 1);
    }
    fault_check_leaks(before);
}

struct slow {
    struct gate gate;
    at_cancel_callback callback;
    at_token *token;
    _Atomic bool has_ended;
};

static void take_long(void *argument) {
    struct slow *slow = argument;
    gate_pass(&slow->gate);
    atomic_store(&slow->has_ended, true);
}

static void *cancel_token(void *argument) {
    struct slow *slow = argument;
    return at_token_cancel(slow->token) == AT_OK ? NULL : argument;
}

static void *remove_slow(void *argument) {
    struct slow *slow = argument;
    at_cancel_callback_unregister(&slow->callback);
    return atomic_load(&slow->has_ended) ? NULL : argument;
}

static void *open_soon(void *gate) {
    sched_yield();
    gate_open(gate);
    return NULL;
}

/* Removing waits for the one that runs; in a task the worker goes on meanwhile. */
Test(cancel, remove_waits) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(1);
    for (int in_task = 0; in_task < 2; in_task++) {
        struct slow slow = {.gate = GATE_CLOSED, .token = create_token(NULL)};
        pthread_t thread;
        void *result;
        at_cancel_callback_register(&slow.callback, slow.token, take_long, &slow);
        cr_assert_eq(pthread_create(&thread, NULL, cancel_token, &slow), 0);
        gate_await(&slow.gate, 1);
        at_future *opened = NULL;
        if (in_task) {
            at_future *removed = at_pool_submit(pool, remove_slow, &slow);
            opened = at_pool_submit(pool, open_soon, &slow.gate);
            cr_expect_null(wait_value(removed));
            at_future_release(removed);
        } else {
            opened = at_pool_submit(pool, open_soon, &slow.gate);
            cr_expect_null(remove_slow(&slow));
        }
        wait_value(opened);
        at_future_release(opened);
        pthread_join(thread, &result);
        cr_expect_null(result);
        at_token_release(slow.token);
    }
    destroy_pool(pool);
    fault_check_leaks(before);
}

static void sleep_in_callback(void *argument) {
    at_status *status = argument;
    *status = at_sleep(AT_SECONDS(1));
    (void)at_fail(AT_ERROR_IO, "left in the slot");
}

static void *cancel_with_wait(void *argument) {
    AT_TRY(at_token_cancel(argument));
    return at_error_last() ? argument : NULL;
}

/* A callback may wait; what it leaves in the error slot is its own. */
Test(cancel, a_callback_that_waits) {
    struct fault_usage before = fault_usage();
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    for (int in_task = 0; in_task < 2; in_task++) {
        at_token *token = create_token(NULL);
        at_status status = 1;
        at_cancel_callback callback;
        at_cancel_callback_register(&callback, token, sleep_in_callback, &status);
        if (in_task) {
            at_future *future = at_pool_submit(pool, cancel_with_wait, token);
            cr_expect_null(wait_value(future));
            at_future_release(future);
        } else {
            cr_expect_null(cancel_with_wait(token));
        }
        cr_expect_eq(status, AT_OK);
        at_cancel_callback_unregister(&callback);
        at_token_release(token);
    }
    destroy_pool(pool);
    unbind_virtual_clock(clock);
    fault_check_leaks(before);
}

/* -- Callbacks and deadlines --------------------------------------------------------------------
 */

struct timed {
    struct tally tally;
    at_cancel_callback callback;
    at_status slept;
    int runs_before;
    bool is_cancelled; /* the task that adds it is */
};

static void count_and_sleep(void *argument) {
    struct timed *timed = argument;
    tally_run(&timed->tally);
    timed->slept = at_sleep(AT_SECONDS(1));
}

static void *add_timed(void *argument) {
    struct timed *timed = argument;
    at_token *token = NULL;
    AT_TIMEOUT(scope, AT_SECONDS(1)) {
        token = at_token_retain(at_scope_token(&scope));
    }
    (void)at_fail(AT_ERROR_IO, "to be kept");
    AT_SCOPE(current, .timeout = 0) {
        if (timed->is_cancelled)
            (void)at_token_cancel(at_scope_token(&current));
        at_cancel_callback_register(&timed->callback, token, count_and_sleep, timed);
    }
    at_token_release(token);
    bool is_kept = at_error_status(at_error_last()) == AT_ERROR_IO;
    at_error_clear();
    AT_TRY(at_sleep(AT_MILLISECONDS(999)));
    timed->runs_before = tally_runs(&timed->tally);
    AT_TRY(at_sleep(AT_SECONDS(5)));
    at_cancel_callback_unregister(&timed->callback);
    return is_kept ? NULL : argument;
}

/* In a task the pool keeps the time, whatever becomes of the task; a deadline is a task itself
 * (rule S3), so the callback may wait. */
Test(cancel, callbacks_of_a_deadline) {
    struct fault_usage before = fault_usage();
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        struct timed timed = {.is_cancelled = cancelled};
        at_future *future = at_pool_submit(pool, add_timed, &timed);
        cr_expect_null(wait_value(future));
        at_future_release(future);
        cr_expect_eq(timed.runs_before, 0);
        cr_expect_eq(tally_runs(&timed.tally), 1);
        cr_expect_eq(timed.slept, AT_OK);
    }
    destroy_pool(pool);
    unbind_virtual_clock(clock);
    fault_check_leaks(before);
}

static void *remove_timed_self(void *argument) {
    struct self *self = argument;
    AT_TIMEOUT(scope, AT_SECONDS(1)) {
        self->token = at_token_retain(at_scope_token(&scope));
    }
    at_cancel_callback_register(&self->callback, self->token, remove_self, self);
    AT_TRY(at_sleep(AT_SECONDS(5)));
    return self->runs == 1 ? NULL : argument;
}

/* The one that a deadline calls may remove itself. */
Test(cancel, a_deadline_calls_one_that_removes_itself) {
    struct fault_usage before = fault_usage();
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    struct self self = {0};
    at_future *future = at_pool_submit(pool, remove_timed_self, &self);
    cr_expect_null(wait_value(future));
    at_future_release(future);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
    fault_check_leaks(before);
}

static void *leave_callback(void *argument) {
    struct self *self = argument;
    AT_TIMEOUT(scope, AT_HOURS(1)) {
        self->token = at_token_retain(at_scope_token(&scope));
        at_cancel_callback_register(&self->callback, self->token, remove_self, self);
    }
    return argument;
}

/* Rule Z1: a shutdown waits for tasks, not for the deadline of a callback that one has left. */
Test(cancel, a_shutdown_does_not_wait_for_a_callback) {
    struct fault_usage before = fault_usage();
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    struct self self = {0};
    at_future *future = at_pool_submit(pool, leave_callback, &self);
    wait_value(future);
    at_future_release(future);
    at_deadline began = at_after(0);
    destroy_pool(pool);
    cr_expect_eq(at_after(0), began);
    cr_expect_eq(self.runs, 0);
    at_cancel_callback_unregister(&self.callback);
    at_token_release(self.token);
    unbind_virtual_clock(clock);
    fault_check_leaks(before);
}

/* Rule Z1: when a shutdown has succeeded no task of the pool runs any more, also none that looks.
 */
Test(cancel, a_callback_is_not_called_after_a_shutdown) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    struct self self = {0};
    at_future *future = at_pool_submit(pool, leave_callback, &self);
    wait_value(future);
    at_future_release(future);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    at_pool_audit_result audit, later;
    at_pool_audit(pool, &audit);
    cr_assert_eq(at_sleep(AT_HOURS(2)), AT_OK);
    at_pool_audit(pool, &later);
    cr_expect_eq(later.accepted, audit.accepted);
    cr_expect_eq(self.runs, 0);
    at_cancel_callback_unregister(&self.callback);
    at_token_release(self.token);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

static void *remove_callback(void *value, void *self) {
    at_cancel_callback_unregister(&((struct self *)self)->callback);
    return value;
}

/* What runs inline may not wait, and need not. */
Test(cancel, an_inline_continuation_removes_one_with_a_deadline) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(1);
    struct self self = {0};
    at_future *future = at_future_then_with(
        at_pool_submit(pool, leave_callback, &self), remove_callback,
        &(at_continuation_options){.executor = at_executor_inline(), .context = &self});
    cr_expect_eq(wait_value(future), &self);
    at_future_release(future);
    at_token_release(self.token);
    destroy_pool(pool);
    cr_expect_eq(self.runs, 0);
    fault_check_leaks(before);
}

static void *note_that_it_ran(void *tally) {
    tally_run(tally);
    return NULL;
}

/* Whoever is the first to look calls it: here the worker, before a task that is not to run. */
Test(cancel, a_late_task_calls_it) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(1);
    struct gate gate = GATE_CLOSED;
    struct timed timed = {0};
    struct tally tally = {0};
    at_future *held = at_pool_submit(pool, gate_pass, &gate);
    gate_await(&gate, 1);
    at_future *queued = NULL;
    at_deadline deadline = 0;
    AT_TIMEOUT(scope, AT_MILLISECONDS(200)) {
        deadline = at_token_deadline(at_scope_token(&scope));
        at_cancel_callback_register(&timed.callback, at_scope_token(&scope), count_and_sleep,
                                    &timed);
        queued = at_pool_submit(pool, note_that_it_ran, &tally);
        cr_assert_eq(at_pool_start(pool, note_that_it_ran, &tally), AT_OK);
    }
    while (at_after(0) <= deadline)
        sched_yield();
    cr_expect_eq(tally_runs(&timed.tally), 0);
    gate_open(&gate);
    expect_outcome(queued, AT_ERROR_CANCELLED);
    at_cancel_callback_unregister(&timed.callback);
    cr_expect_eq(tally_runs(&timed.tally), 1);
    at_future_release(queued);
    at_future_release(held);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 0);
    fault_check_leaks(before);
}
