/* SPDX-License-Identifier: MIT
 *
 * Rules W1, W2, W4 and S2: waiting in plain threads and in tasks. */
#include "support/tasks.h"
#include "support/test.h"

#include <stdint.h>
#include <string.h>

TestSuite(future_wait, .timeout = 200);

static void *give(void *argument) {
    return argument;
}

static void *fail_plainly(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "on purpose");
}

/* -- In plain threads ------------------------------------------------------------------------ */

/* Rule W4. The value is borrowed, as often as one looks. */
Test(future_wait, gives_the_value) {
    int value;
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, give, &value);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(wait_value(future), &value);
    cr_expect_eq(at_future_wait(future, 0, NULL), AT_OK);
    cr_expect(at_future_is_done(future));
    cr_expect_null(at_future_error(future));
    at_future_release(future);
    destroy_pool(pool);
}

/* Rule H0: NULL is a value. */
Test(future_wait, null_is_a_value) {
    int other;
    void *value = &other;
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, give, NULL);
    cr_expect_eq(at_future_wait(future, PATIENCE, &value), AT_OK);
    cr_expect_null(value);
    at_future_release(future);
    destroy_pool(pool);
}

/* Rules H0, F2: the error with its origin, its task and where that was started. */
Test(future_wait, gives_the_error) {
    void *value = &value;
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, fail_plainly, NULL);
    cr_expect_eq(at_future_wait(future, PATIENCE, &value), AT_ERROR_IO);
    cr_expect_eq(value, &value);
    const at_error *error = at_future_error(future);
    cr_assert_not_null(error);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_IO);
    cr_expect_eq(at_error_status(error), AT_ERROR_IO);
    cr_expect_str_eq(at_error_text(error), "on purpose");
    cr_expect_str_eq(at_error_task(error), "fail_plainly");
    cr_expect_eq(strncmp(at_error_origin(error), "future_wait_test.c:", 19), 0);
    cr_expect_eq(strncmp(at_error_started_at(error), "future_wait_test.c:", 19), 0);
    cr_expect_str_neq(at_error_origin(error), at_error_started_at(error));
    cr_expect_not_null(strstr(at_error_message(error), ", in task fail_plainly, from "));
    at_future_release(future);
    destroy_pool(pool);
}

/* Rule F2: a name of one's own. */
Test(future_wait, task_has_the_name_of_its_options) {
    char name[] = "parse";
    at_pool *pool = create_pool(1);
    at_task_options options = {.run = fail_plainly, .name = name};
    at_future *future = at_pool_submit_with(pool, &options);
    memset(name, 'x', sizeof name - 1);
    expect_outcome(future, AT_ERROR_IO);
    cr_expect_str_eq(at_error_task(at_future_error(future)), "parse");
    at_future_release(future);
    destroy_pool(pool);
}

static void *fail_without_error(void *unused) {
    (void)unused;
    return AT_FAILED;
}

/* Rule H0: AT_FAILED without an error is one that does not say why. */
Test(future_wait, failing_without_an_error) {
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, fail_without_error, NULL);
    expect_outcome(future, AT_ERROR_FAILED);
    at_future_release(future);
    destroy_pool(pool);
}

static void *look_at_a_status(void *value) {
    at_fail_status(AT_ERROR_IO, "only looked at");
    return value;
}

/* Rule H0: only AT_FAILED is failure. */
Test(future_wait, an_error_in_the_slot_is_no_failure) {
    int value;
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, look_at_a_status, &value);
    cr_expect_eq(wait_value(future), &value);
    at_future_release(future);
    destroy_pool(pool);
}

/* Rule W4: a wait ends at its deadline and leaves the future as it is. */
Test(future_wait, ends_at_its_deadline) {
    void *value = &value;
    at_future *future;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    static const at_deadline past[] = {0, -1, INT64_MIN, 1};
    for (size_t i = 0; i < sizeof past / sizeof *past; i++)
        cr_expect_eq(at_future_wait(future, past[i], &value), AT_ERROR_TIMED_OUT);
    at_deadline deadline = at_after(AT_MILLISECONDS(20));
    cr_expect_eq(at_future_wait(future, deadline, &value), AT_ERROR_TIMED_OUT);
    cr_expect_geq(at_clock_now(at_clock_real()), deadline);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_TIMED_OUT);
    cr_expect_eq(value, &value);
    cr_expect_not(at_future_is_done(future));
    cr_expect_null(at_future_error(future));
    int number;
    cr_expect_eq(at_promise_set(promise, &number, NULL), AT_OK);
    cr_expect_eq(wait_value(future), &number);
    at_promise_destroy(promise);
    at_future_release(future);
    destroy_pool(pool);
}

static void *wait_in_thread(void *future) {
    void *value = NULL;
    return at_future_wait(future, PATIENCE, &value) == AT_OK ? value : NULL;
}

/* Rule F2: many readers. */
Test(future_wait, by_many_threads) {
    enum { count = 20 };
    int value;
    at_future *future;
    pthread_t threads[count];
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    for (int i = 0; i < count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, wait_in_thread, future), 0);
    cr_expect_eq(at_promise_set(promise, &value, NULL), AT_OK);
    for (int i = 0; i < count; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        cr_expect_eq(result, &value);
    }
    at_promise_destroy(promise);
    at_future_release(future);
    destroy_pool(pool);
}

static int plain_value;

static void *write_plain_value(void *unused) {
    plain_value = 17;
    return unused;
}

/* Rule S2: completion happens before the return of a wait, and before is_done says true. */
Test(future_wait, completion_happens_before) {
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 200; i++) {
        plain_value = 0;
        at_future *future = at_pool_submit(pool, write_plain_value, NULL);
        if (i % 2)
            wait_value(future);
        else
            while (!at_future_is_done(future))
                ;
        cr_assert_eq(plain_value, 17);
        at_future_release(future);
    }
    destroy_pool(pool);
}

/* The outcome survives as long as a reference does. */
Test(future_wait, references_are_counted) {
    int value;
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, give, &value);
    cr_expect_eq(at_future_retain(future), future);
    at_future_release(future);
    cr_expect_eq(wait_value(future), &value);
    at_future_release(future);
    at_future_release(NULL);
    destroy_pool(pool);
}

/* Rule S5: work that was submitted runs, whether or not anybody keeps the future. */
Test(future_wait, released_futures_still_run) {
    struct tally tally = {0};
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 1000; i++)
        at_future_release(at_pool_submit(pool, tally_run, &tally));
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 1000);
}

/* Submitting many at once gives each its own future, in order. */
Test(future_wait, submit_many) {
    enum { count = 1000 };
    static struct tally items[count];
    static at_future *futures[count];
    at_pool *pool = create_pool(2);
    at_pool_submit_many(pool, tally_run, AT_ITEMS(items, count), futures);
    for (int i = 0; i < count; i++) {
        cr_assert_eq(wait_value(futures[i]), &items[i]);
        cr_assert_eq(tally_runs(&items[i]), 1);
        at_future_release(futures[i]);
    }
    at_pool_submit_many(pool, tally_run, AT_ITEMS(items, 0), futures);
    cr_expect_eq(destroy_pool(pool).accepted, count);
}

/* Rules S1, H00: what cannot be submitted is dropped, and the future says why. */
Test(future_wait, submit_with_bad_options) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    options.reserved[2] = 1;
    at_future *future = at_pool_submit_with(pool, &options);
    cr_assert_not_null(future);
    cr_expect_eq(tally_drops(&tally), 1);
    expect_outcome(future, AT_ERROR_INVALID);
    cr_expect_not_null(strstr(at_error_text(at_future_error(future)), "reserved"));
    at_future_release(future);
    cr_expect_eq(destroy_pool(pool).accepted, 0);
    cr_expect_eq(tally_runs(&tally), 0);
}

/* -- In tasks -------------------------------------------------------------------------------- */

static void *tell_thread(void *thread) {
    *(pthread_t *)thread = pthread_self();
    return thread;
}

static void *wait_for_unstarted(void *unused) {
    static pthread_t thread;
    at_future *child = at_pool_submit(at_pool_current(), tell_thread, &thread);
    at_status status = at_future_wait(child, AT_FOREVER, NULL);
    at_future_release(child);
    AT_TRY(status);
    if (!pthread_equal(thread, pthread_self()))
        return at_fail(AT_ERROR_INVALID, "another thread ran it");
    if (at_pool_current() == NULL)
        return at_fail(AT_ERROR_INVALID, "no current pool after the wait");
    return unused;
}

/* Rule W1: a target that nobody has started is run here. */
Test(future_wait, claims_an_unstarted_target) {
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, wait_for_unstarted, NULL);
    wait_value(future);
    at_future_release(future);
    destroy_pool(pool);
}

static void *fail_in_child(void *unused) {
    at_future *child = at_pool_submit(at_pool_current(), fail_plainly, NULL);
    if (at_future_wait(child, AT_FOREVER, NULL) != AT_ERROR_IO)
        return at_fail(AT_ERROR_INVALID, "another status");
    if (strcmp(at_error_text(at_error_last()), "on purpose") != 0)
        return at_fail(AT_ERROR_INVALID, "another error in the slot");
    at_future_release(child);
    return unused;
}

/* Rule H0: the error of a claimed target is in the waiter's slot, and not in flight. */
Test(future_wait, a_failed_target_does_not_fail_the_waiter) {
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, fail_in_child, NULL);
    wait_value(future);
    at_future_release(future);
    destroy_pool(pool);
}

static void *pass_a_failure_on(void *unused) {
    (void)unused;
    at_future *child = at_pool_submit(at_pool_current(), fail_plainly, NULL);
    at_status status = at_future_wait(child, AT_FOREVER, NULL);
    at_future_release(child);
    AT_TRY(status);
    return NULL;
}

/* Rule H0: AT_TRY hands the child's error to the parent. */
Test(future_wait, try_passes_a_failure_on) {
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, pass_a_failure_on, NULL);
    expect_outcome(future, AT_ERROR_IO);
    cr_expect_str_eq(at_error_text(at_future_error(future)), "on purpose");
    cr_expect_str_eq(at_error_task(at_future_error(future)), "fail_plainly");
    at_future_release(future);
    destroy_pool(pool);
}

struct handover {
    at_promise *promise;
    at_future *future;
    pthread_t waiter;
    uintptr_t waiter_stack;
    int seen;            /* tasks that ran on the waiter's thread while it waited */
    _Atomic int foreign; /* those of them that ran on the waiter's stack */
    _Atomic bool waiting;
};

static void *wait_for_promise(void *argument) {
    struct handover *handover = argument;
    handover->waiter = pthread_self();
    handover->waiter_stack = (uintptr_t)__builtin_frame_address(0);
    atomic_store(&handover->waiting, true);
    void *value = NULL;
    at_status status = at_future_wait(handover->future, PATIENCE, &value);
    atomic_store(&handover->waiting, false);
    AT_TRY(status);
    return value;
}

static void *look_where_it_runs(void *argument) {
    struct handover *handover = argument;
    if (!atomic_load(&handover->waiting) || !pthread_equal(handover->waiter, pthread_self()))
        return NULL;
    handover->seen++;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    uintptr_t distance = here > handover->waiter_stack ? here - handover->waiter_stack
                                                       : handover->waiter_stack - here;
    if (distance < 16 * 1024)
        atomic_fetch_add(&handover->foreign, 1);
    return NULL;
}

static void *set_promise(void *argument) {
    struct handover *handover = argument;
    AT_TRY(at_promise_set(handover->promise, handover, NULL));
    return NULL;
}

/* Rule W1: the worker goes on, and no unrelated task runs on the waiter's stack. */
Test(future_wait, a_waiter_leaves_its_worker_and_keeps_its_stack) {
    struct handover handover = {0};
    at_pool *pool = create_pool(1);
    handover.promise = create_promise(pool, &handover.future);
    at_future *waiter = at_pool_submit(pool, wait_for_promise, &handover);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(at_pool_start(pool, look_where_it_runs, &handover), AT_OK);
    cr_assert_eq(at_pool_start(pool, set_promise, &handover), AT_OK);
    cr_expect_eq(wait_value(waiter), &handover);
    cr_expect_eq(handover.seen, 100);
    cr_expect_eq(handover.foreign, 0);
    at_future_release(waiter);
    at_future_release(handover.future);
    destroy_pool(pool);
    at_promise_destroy(handover.promise);
}

/* Many at once: each waits for what the next one sets. */
Test(future_wait, many_waiters_on_one_worker) {
    enum { count = 50 };
    static struct handover handovers[count];
    static at_future *futures[count];
    at_pool *pool = create_pool(1);
    for (int i = 0; i < count; i++) {
        handovers[i].promise = create_promise(pool, &handovers[i].future);
        futures[i] = at_pool_submit(pool, wait_for_promise, &handovers[i]);
    }
    for (int i = 0; i < count; i++)
        cr_assert_eq(at_pool_start(pool, set_promise, &handovers[i]), AT_OK);
    for (int i = 0; i < count; i++) {
        cr_expect_eq(wait_value(futures[i]), &handovers[i]);
        at_future_release(futures[i]);
        at_future_release(handovers[i].future);
    }
    destroy_pool(pool);
    for (int i = 0; i < count; i++)
        at_promise_destroy(handovers[i].promise);
}

struct self {
    struct gate gate;
    at_future *future;
    at_status status;
};

static void *wait_for_oneself(void *argument) {
    struct self *self = argument;
    gate_pass(&self->gate);
    self->status = at_future_wait(self->future, AT_FOREVER, NULL);
    return NULL;
}

/* Rule W2: a wait for oneself is told at once. */
Test(future_wait, for_oneself_is_a_deadlock) {
    struct self self = {.gate = GATE_CLOSED};
    at_pool *pool = create_pool(1);
    self.future = at_pool_submit(pool, wait_for_oneself, &self);
    gate_open(&self.gate);
    wait_value(self.future);
    cr_expect_eq(self.status, AT_ERROR_DEADLOCK);
    at_future_release(self.future);
    destroy_pool(pool);
}

static void *wait_for_outer(void *argument) {
    struct self *self = argument;
    self->status = at_future_wait(self->future, AT_FOREVER, NULL);
    return NULL;
}

static void *wait_for_inner(void *argument) {
    struct self *self = argument;
    gate_pass(&self->gate);
    at_future *inner = at_pool_submit(at_pool_current(), wait_for_outer, self);
    at_status status = at_future_wait(inner, AT_FOREVER, NULL);
    at_future_release(inner);
    AT_TRY(status);
    return NULL;
}

/* Rule W2: also where the task is further down on the same stack. */
Test(future_wait, for_a_task_below_is_a_deadlock) {
    struct self self = {.gate = GATE_CLOSED};
    at_pool *pool = create_pool(1);
    self.future = at_pool_submit(pool, wait_for_inner, &self);
    gate_open(&self.gate);
    wait_value(self.future);
    cr_expect_eq(self.status, AT_ERROR_DEADLOCK);
    at_future_release(self.future);
    destroy_pool(pool);
}

static void *wait_with_deadline(void *future) {
    at_deadline deadline = at_after(AT_HOURS(10));
    at_status status = at_future_wait(future, deadline, NULL);
    if (status != AT_ERROR_TIMED_OUT || at_after(0) != deadline)
        return at_fail(AT_ERROR_INVALID, "%s", at_status_name(status));
    status = at_future_wait(future, 0, NULL);
    return status == AT_ERROR_TIMED_OUT ? NULL : at_fail(AT_ERROR_INVALID, "the second");
}

/* Rule W1: in tasks too a wait ends at its deadline. */
Test(future_wait, in_a_task_ends_at_its_deadline) {
    at_future *future;
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    at_future *waiter = at_pool_submit(pool, wait_with_deadline, future);
    cr_expect_eq(at_future_wait(waiter, AT_FOREVER, NULL), AT_OK);
    cr_expect_not(at_future_is_done(future));
    at_promise_destroy(promise);
    expect_outcome(future, AT_ERROR_ABANDONED);
    at_future_release(waiter);
    at_future_release(future);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

static void *wait_status(void *future) {
    return (void *)(intptr_t)at_future_wait(future, PATIENCE, NULL);
}

enum { waiter_count = 1000 };

/* Rules W1 and W3: a task that waits needs no thread. */
Test(future_wait, in_tasks_holds_no_thread) {
    at_future *future, *waiters[waiter_count];
    at_pool *pool = NULL;
    cr_assert_eq(
        at_pool_create(&pool, &(at_pool_options){.thread_count = 1, .max_spares = AT_NONE}), AT_OK);
    at_promise *promise = create_promise(pool, &future);
    for (int i = 0; i < waiter_count; i++)
        waiters[i] = at_pool_submit(pool, wait_status, future);
    at_future *last = at_pool_submit(pool, wait_for_unstarted, NULL);
    wait_value(last); /* all others wait by now */
    at_future_release(last);
    at_pool_audit_result audit;
    at_pool_audit(pool, &audit);
    cr_expect_eq(audit.running, waiter_count);
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    for (int i = 0; i < waiter_count; i++) {
        cr_expect_eq((intptr_t)wait_value(waiters[i]), AT_OK);
        at_future_release(waiters[i]);
    }
    at_promise_destroy(promise);
    at_future_release(future);
    destroy_pool(pool);
}

static void *wait_in_other_pool(void *pool) {
    at_future *child = at_pool_submit(pool, give, pool);
    void *value = NULL;
    at_status status = at_future_wait(child, PATIENCE, &value);
    at_future_release(child);
    AT_TRY(status);
    return value;
}

/* Rule L1: a task may wait for the task of another pool. */
Test(future_wait, for_a_task_of_another_pool) {
    at_pool *pool = create_pool(1), *other = create_pool(1);
    for (int i = 0; i < 100; i++) {
        at_future *future = at_pool_submit(pool, wait_in_other_pool, other);
        cr_expect_eq(wait_value(future), other);
        at_future_release(future);
    }
    destroy_pool(pool);
    destroy_pool(other);
}

/* Rule H0: waiting for a failure is looking at it; the outcome of one's own is not touched. */
Test(future_wait, failed_futures_are_read_as_often_as_one_likes) {
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, fail_plainly, NULL);
    for (int i = 0; i < 3; i++)
        expect_outcome(future, AT_ERROR_IO);
    const at_error *error = at_future_error(future);
    cr_expect_eq(at_future_error(future), error);
    at_error *kept = at_error_retain(error);
    at_error_clear();
    at_future_release(future);
    cr_expect_str_eq(at_error_text(kept), "on purpose");
    at_error_release(kept);
    destroy_pool(pool);
}

/* Rule S1: a full queue: dropped before the return. */
Test(future_wait, submit_to_a_full_queue) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_pool *pool = NULL;
    cr_assert_eq(at_pool_create(&pool, &(at_pool_options){.thread_count = 1, .queue_bound = 1}),
                 AT_OK);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    at_future *first = at_pool_submit_with(pool, &options);
    at_future *second = at_pool_submit_with(pool, &options);
    cr_expect_eq(tally_drops(&tally), 1);
    cr_expect_eq(at_future_wait(second, 0, NULL), AT_ERROR_FULL);
    cr_expect_eq(at_future_wait(first, 0, NULL), AT_ERROR_TIMED_OUT);
    gate_open(&gate);
    cr_expect_eq(wait_value(first), &tally);
    cr_expect_eq(tally_runs(&tally), 1);
    cr_expect_eq(tally_drops(&tally), 1);
    at_future_release(first);
    at_future_release(second);
    destroy_pool(pool);
}

/* -- What a wait in a task leaves behind ------------------------------------------------------ */

enum { child_count = 20000 };

static void *give_owned(void *tally) {
    return at_return(tally, tally_drop);
}

static void *wait_for_children(void *argument) {
    struct tally *tally = argument;
    for (int i = 0; i < child_count; i++) {
        at_future *child = at_pool_submit(at_pool_current(), give_owned, tally);
        at_status status = at_future_wait(child, AT_FOREVER, NULL);
        at_future_release(child);
        AT_TRY(status);
    }
    return (void *)(intptr_t)tally_drops(tally);
}

/* Rule W1: a child that was run in place is gone with its future, not when its parent returns. */
Test(future_wait, a_claimed_target_leaves_nothing_behind) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, wait_for_children, &tally);
    cr_expect_eq((intptr_t)wait_value(future), child_count);
    at_future_release(future);
    cr_expect_eq(destroy_pool(pool).accepted, child_count + 1);
    cr_expect_eq(tally_drops(&tally), child_count);
}

static void *wait_past_deadline(void *future) {
    return (void *)(intptr_t)at_future_wait(future, 1, NULL);
}

/* Rule W4: a deadline that has passed needs no spare thread. */
Test(future_wait, without_spares_a_passed_deadline_is_no_overload) {
    at_future *future;
    at_pool *pool = NULL;
    cr_assert_eq(
        at_pool_create(&pool, &(at_pool_options){.thread_count = 1, .max_spares = AT_NONE}), AT_OK);
    at_promise *promise = create_promise(pool, &future);
    at_future *waiter = at_pool_submit(pool, wait_past_deadline, future);
    cr_expect_eq((intptr_t)wait_value(waiter), AT_ERROR_TIMED_OUT);
    at_future_release(waiter);
    at_promise_destroy(promise);
    expect_outcome(future, AT_ERROR_ABANDONED);
    at_future_release(future);
    destroy_pool(pool);
}

/* -- What a failed task says ------------------------------------------------------------------ */

static void *look_and_fail(void *argument) {
    const char **message = argument;
    at_fail(AT_ERROR_IO, "on purpose");
    *message = at_error_message(at_error_last());
    return AT_FAILED;
}

/* Rule F2: a message that was read early gets its task, and who has the early one may keep it as
 * long as the error. */
Test(future_wait, a_message_read_in_the_task_gets_its_task) {
    const char *early = NULL;
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, look_and_fail, &early);
    expect_outcome(future, AT_ERROR_IO);
    const char *message = at_error_message(at_future_error(future));
    cr_expect_eq(strncmp(message, "on purpose (", 12), 0, "%s", message);
    cr_expect_not_null(strstr(message, ", in task look_and_fail, from future_wait_test.c:"), "%s",
                       message);
    cr_expect_eq(strncmp(early, "on purpose (", 12), 0);
    cr_expect_null(strstr(early, "look_and_fail"), "%s", early);
    at_future_release(future);
    destroy_pool(pool);
}

static void *fail_after_a_look(void *unused) {
    at_items nothing = {.data = NULL, .count = 3, .size = 8};
    at_status status = at_pool_start_many(at_pool_current(), give, nothing);
    return status == AT_ERROR_INVALID ? AT_FAILED : unused;
}

/* Rule H0: an error that was merely looked at is not the reason of AT_FAILED. */
Test(future_wait, failing_after_a_failed_call_does_not_say_why) {
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, fail_after_a_look, NULL);
    expect_outcome(future, AT_ERROR_FAILED);
    const char *message = at_error_message(at_future_error(future));
    cr_expect_not_null(strstr(message, "without saying why"), "%s", message);
    cr_expect_not_null(strstr(message, "in task fail_after_a_look"), "%s", message);
    cr_expect_null(strstr(message, "items"), "%s", message);
    at_future_release(future);
    destroy_pool(pool);
}

/* -- In inline continuations ------------------------------------------------------------------ */

static void *wait_inline(void *value, void *pending) {
    (void)value;
    return (void *)(intptr_t)at_future_wait(pending, PATIENCE, NULL);
}

/* What runs inline may not wait, in a plain thread or in a task; what is done it may read. */
Test(future_wait, in_an_inline_continuation_is_a_deadlock) {
    at_future *source, *pending;
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &source);
    at_promise *other = create_promise(pool, &pending);
    at_continuation_options options = {.executor = at_executor_inline(), .context = pending};
    at_future *here = at_future_then_with(at_future_retain(source), wait_inline, &options);
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    cr_expect_eq((intptr_t)wait_value(here), AT_ERROR_DEADLOCK);
    at_future_release(here);
    at_future *task = at_pool_submit(pool, gate_pass, &gate);
    gate_await(&gate, 1);
    at_future *there = at_future_then_with(task, wait_inline, &options);
    gate_open(&gate);
    cr_expect_eq((intptr_t)wait_value(there), AT_ERROR_DEADLOCK);
    at_future_release(there);
    cr_expect_eq(at_promise_set(other, NULL, NULL), AT_OK);
    at_future *done = at_future_then_with(source, wait_inline, &options);
    cr_expect_eq((intptr_t)wait_value(done), AT_OK);
    at_future_release(done);
    at_promise_destroy(promise);
    at_promise_destroy(other);
    at_future_release(pending);
    destroy_pool(pool);
}
