/* SPDX-License-Identifier: MIT
 *
 * Rules L3 and S4: high, normal and low priority. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/error.h>
#include <asynctools/sleep.h>

#include <sched.h>
#include <string.h>

TestSuite(pool_priority, .timeout = 60);

enum { record_max = 2048 };

/* What ran, in order. One worker writes it. */
static struct {
    char kinds[record_max];
    int count;
} record;

static void *note(void *kind) {
    if (record.count < record_max)
        record.kinds[record.count++] = *(char *)kind;
    return NULL;
}

static char high = 'h', normal = 'n', low = 'l';

static void start(at_pool *pool, char *kind, int count) {
    at_task_options options = {.run = note,
                               .argument = kind,
                               .priority = kind == &high  ? AT_PRIORITY_HIGH
                                           : kind == &low ? AT_PRIORITY_LOW
                                                          : AT_PRIORITY_NORMAL};
    for (int i = 0; i < count; i++)
        cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
}

static int position(char kind, int from) {
    for (int i = from; i < record.count; i++)
        if (record.kinds[i] == kind)
            return i;
    return record_max;
}

/* What waits behind a gate runs by its priority, whatever the order in which it came. */
Test(pool_priority, higher_ones_run_first) {
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(1);
    record.count = 0;
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    start(pool, &low, 5);
    start(pool, &normal, 5);
    start(pool, &high, 5);
    gate_open(&gate);
    destroy_pool(pool);
    cr_assert_eq(record.count, 15);
    record.kinds[15] = 0;
    cr_expect_str_eq(record.kinds, "hhhhhnnnnnlllll");
}

/* Rule L3: at every 61st pick the lower queues come first. */
Test(pool_priority, lower_ones_are_not_starved) {
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(1);
    record.count = 0;
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    start(pool, &low, 3);
    start(pool, &normal, 3);
    start(pool, &high, 600);
    gate_open(&gate);
    destroy_pool(pool);
    int before = 0;
    for (int i = 0; i < 3; i++) {
        int seen = position('l', before);
        cr_expect_leq(seen - before, 62);
        before = seen + 1;
    }
    before = 0;
    for (int i = 0; i < 3; i++) {
        int seen = position('n', before);
        cr_expect_leq(seen - before, 62);
        before = seen + 1;
    }
}

static void *start_child(void *pool) {
    cr_assert_eq(at_pool_start(pool, note, &high), AT_OK); /* inherits */
    return NULL;
}

/* Rule S4: a task inherits the priority of the one that starts it, after a wait too. */
static void *start_child_after_sleep(void *pool) {
    cr_assert_eq(at_sleep(AT_MILLISECONDS(1)), AT_OK);
    return start_child(pool);
}

static void expect_child_before_normal_ones(at_run_fn parent) {
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(1);
    record.count = 0;
    at_task_options options = {.run = parent, .argument = pool, .priority = AT_PRIORITY_HIGH};
    at_task_options wall = {.run = gate_pass, .argument = &gate};
    cr_assert_eq(at_pool_start_with(pool, &wall), AT_OK);
    gate_await(&gate, 1);
    cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
    start(pool, &normal, 20);
    gate_open(&gate);
    destroy_pool(pool);
    cr_assert_eq(record.count, 21);
    if (parent == start_child)
        cr_expect_eq(record.kinds[0], 'h');
}

Test(pool_priority, is_inherited) {
    expect_child_before_normal_ones(start_child);
    expect_child_before_normal_ones(start_child_after_sleep);
}

/* Low ones never hold every worker. */
Test(pool_priority, low_ones_leave_a_worker) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_pool *pool = create_pool(3);
    at_task_options options = {.run = gate_pass, .argument = &gate, .priority = AT_PRIORITY_LOW};
    for (int i = 0; i < 10; i++)
        cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
    gate_await(&gate, 2);
    at_future *future = at_pool_submit(pool, tally_run, &tally);
    wait_value(future);
    at_future_release(future);
    cr_expect_eq(tally_runs(&tally), 1);
    cr_expect_eq(gate.entered, 2);
    gate_open(&gate);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.succeeded, 11);
}

static void *wait_low(void *future) {
    AT_TRY(at_future_wait(future, PATIENCE, NULL));
    return NULL;
}

/* One that waits holds no worker, so it does not count. */
Test(pool_priority, waiting_low_ones_make_room) {
    struct tally tally = {0};
    at_future *future;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    at_task_options waiting = {.run = wait_low, .argument = future, .priority = AT_PRIORITY_LOW};
    at_task_options last = {.run = tally_run, .argument = &tally, .priority = AT_PRIORITY_LOW};
    for (int i = 0; i < 10; i++)
        cr_assert_eq(at_pool_start_with(pool, &waiting), AT_OK);
    at_future *done = at_pool_submit_with(pool, &last);
    wait_value(done);
    at_future_release(done);
    cr_expect_eq(tally_runs(&tally), 1);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    destroy_pool(pool);
    at_future_release(future);
}

struct crowd {
    at_future *future;
    struct tally entered;
    struct tally ended;
    int ended_before; /* the task of normal priority */
};

static void *wait_in_crowd(void *argument) {
    struct crowd *crowd = argument;
    tally_run(&crowd->entered);
    AT_TRY(at_future_wait(crowd->future, AT_FOREVER, NULL));
    return tally_run(&crowd->ended);
}

static void *note_ended(void *argument) {
    struct crowd *crowd = argument;
    crowd->ended_before = tally_runs(&crowd->ended);
    return NULL;
}

static void hold_worker(at_pool *pool, struct gate *gate, at_priority priority) {
    at_task_options options = {.run = gate_pass, .argument = gate, .priority = priority};
    cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
    gate_await(gate, 1);
}

/* Many on one worker go on together while another runs on the second: they do not hold both. */
Test(pool_priority, low_ones_that_go_on_let_others_run) {
    enum { count = 50 };
    struct gate first = GATE_CLOSED, second = GATE_CLOSED, gate = GATE_CLOSED;
    struct crowd crowd = {.ended_before = count};
    at_pool *pool = create_pool(2);
    at_promise *promise = create_promise(pool, &crowd.future);
    at_task_options options = {
        .run = wait_in_crowd, .argument = &crowd, .priority = AT_PRIORITY_LOW};
    hold_worker(pool, &first, AT_PRIORITY_NORMAL);
    for (int i = 0; i < count; i++)
        cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
    while (tally_runs(&crowd.entered) < count)
        sched_yield();
    hold_worker(pool, &second, AT_PRIORITY_NORMAL); /* that of the crowd */
    gate_open(&first);
    hold_worker(pool, &gate, AT_PRIORITY_LOW);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_future *normal_one = at_pool_submit(pool, note_ended, &crowd);
    gate_open(&second);
    wait_value(normal_one);
    cr_expect_leq(crowd.ended_before, 2, "%d", crowd.ended_before);
    gate_open(&gate);
    at_future_release(normal_one);
    at_promise_destroy(promise);
    destroy_pool(pool);
    at_future_release(crowd.future);
    cr_expect_eq(tally_runs(&crowd.ended), count);
}

static void *note_value(void *value, void *context) {
    (void)value;
    return note(context);
}

/* What a task of high priority attaches runs so too, whoever completes the source. */
static void *attach(void *source) {
    at_future_release(at_future_then(at_future_retain(source), note_value, &high));
    return NULL;
}

Test(pool_priority, continuations_have_that_of_their_maker) {
    struct gate gate = GATE_CLOSED;
    at_future *source;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &source);
    at_task_options options = {.run = attach, .argument = source, .priority = AT_PRIORITY_HIGH};
    record.count = 0;
    at_future *attached = at_pool_submit_with(pool, &options);
    wait_value(attached);
    at_future_release(attached);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    start(pool, &normal, 10);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    gate_open(&gate);
    at_promise_destroy(promise);
    destroy_pool(pool);
    at_future_release(source);
    cr_assert_eq(record.count, 11);
    cr_expect_eq(record.kinds[0], 'h');
}

Test(pool_priority, unknown_ones_are_refused) {
    at_pool *pool = create_pool(1);
    at_task_options options = {.run = note, .argument = &low, .priority = (at_priority)4};
    cr_expect_eq(at_pool_start_with(pool, &options), AT_ERROR_INVALID);
    cr_expect_not_null(strstr(at_error_text(at_error_last()), "priority"));
    at_future *future = at_pool_submit_with(pool, &options);
    expect_outcome(future, AT_ERROR_INVALID);
    cr_expect_not_null(strstr(at_error_text(at_future_error(future)), "priority"));
    at_future_release(future);
    destroy_pool(pool);
}
