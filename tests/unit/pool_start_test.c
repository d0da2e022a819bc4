/* SPDX-License-Identifier: MIT
 *
 * Rules S1, S2, S4, S6 and L3: the ways to start a task whose value nobody wants. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

TestSuite(pool_start, .timeout = 200);

/* Rule S1: the short form borrows its argument and runs once. */
Test(pool_start, runs_once_with_its_argument) {
    struct tally tallies[100] = {0};
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(at_pool_start(pool, tally_run, &tallies[i]), AT_OK);
    at_pool_audit_result audit = destroy_pool(pool);
    for (int i = 0; i < 100; i++)
        cr_expect_eq(tally_runs(&tallies[i]), 1);
    cr_expect_eq(audit.accepted, 100);
    cr_expect_eq(audit.succeeded, 100);
}

static void *seen_argument = &seen_argument;

static void *see_argument(void *argument) {
    seen_argument = argument;
    return argument;
}

Test(pool_start, null_is_an_argument) {
    at_pool *pool = create_pool(1);
    cr_assert_eq(at_pool_start(pool, see_argument, NULL), AT_OK);
    destroy_pool(pool);
    cr_expect_null(seen_argument);
}

/* Rule S1: a task that ran owned its argument; the drop is for one that did not run. */
Test(pool_start, with_takes_the_argument) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
    memset(&options, 0xff, sizeof options); /* they were copied */
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 1);
    cr_expect_eq(tally_drops(&tally), 0);
}

/* Rules H00, S1: on error the caller keeps the argument. */
Test(pool_start, with_refuses_reserved_members) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    for (int i = 0; i < 4; i++) {
        at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
        options.reserved[i] = 1;
        cr_expect_eq(at_pool_start_with(pool, &options), AT_ERROR_INVALID);
        cr_expect_not_null(strstr(at_error_text(at_error_last()), "reserved"));
    }
    cr_expect_eq(destroy_pool(pool).accepted, 0);
    cr_expect_eq(tally_runs(&tally), 0);
    cr_expect_eq(tally_drops(&tally), 0);
}

struct item {
    struct tally tally;
    char padding[5];
};

/* Rule S6: many in one call, each with the address of its item. */
Test(pool_start, many_gives_each_its_item) {
    enum { count = 10000 };
    struct item *items = calloc(count, sizeof *items);
    at_pool *pool = create_pool(2);
    cr_assert_eq(at_pool_start_many(pool, tally_run, AT_ITEMS(items, count)), AT_OK);
    cr_expect_eq(destroy_pool(pool).accepted, count);
    for (int i = 0; i < count; i++)
        cr_assert_eq(tally_runs(&items[i].tally), 1);
    free(items);
}

Test(pool_start, many_of_none_is_success) {
    at_pool *pool = create_pool(1);
    struct item item;
    cr_expect_eq(at_pool_start_many(pool, tally_run, AT_ITEMS(&item, 0)), AT_OK);
    cr_expect_eq(at_pool_start_many(pool, tally_run, (at_items){0}), AT_OK);
    cr_expect_eq(destroy_pool(pool).accepted, 0);
}

/* Rule H00: values, so a status. */
Test(pool_start, many_refuses_items_without_data_or_size) {
    struct item items[2] = {0};
    at_pool *pool = create_pool(1);
    at_items no_data = {.data = NULL, .count = 2, .size = sizeof *items};
    at_items no_size = {.data = items, .count = 2, .size = 0};
    cr_expect_eq(at_pool_start_many(pool, tally_run, no_data), AT_ERROR_INVALID);
    cr_expect_eq(at_pool_start_many(pool, tally_run, no_size), AT_ERROR_INVALID);
    cr_expect_eq(destroy_pool(pool).accepted, 0);
}

/* Rule H00: absurd counts are refused, none of them is accepted, and the pool goes on. */
Test(pool_start, many_of_too_many) {
    static const size_t counts[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 8, PTRDIFF_MAX,
                                    SIZE_MAX / 64};
    struct tally item = {0};
    fault_install();
    at_pool *pool = create_pool(1);
    struct fault_usage before = fault_usage();
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        at_items items = {.data = &item, .count = counts[i], .size = 1};
        fault_arm_from(fault_memory, 100); /* nobody needs the whole machine to find out */
        at_status status = at_pool_start_many(pool, tally_run, items);
        fault_disarm();
        cr_expect(status == AT_ERROR_NO_MEMORY || status == AT_ERROR_INVALID, "%s",
                  at_status_name(status));
    }
    fault_check_leaks(before);
    cr_expect_eq(at_pool_start(pool, tally_run, &item), AT_OK);
    cr_expect_eq(destroy_pool(pool).accepted, 1);
    cr_expect_eq(tally_runs(&item), 1);
}

/* -- In the caller's storage ------------------------------------------------------------------ */

/* Rule S6: storage of the caller's; it is free again once `run` has been entered. */
Test(pool_start, task_in_own_storage) {
    enum { count = 1000 };
    struct tally tally = {0};
    at_task *tasks = calloc(count, sizeof *tasks);
    at_pool *pool = create_pool(2);
    for (int i = 0; i < count; i++) {
        at_task_init(&tasks[i], tally_run, &tally);
        cr_assert_eq(at_pool_start_task(pool, &tasks[i]), AT_OK);
    }
    cr_expect_eq(destroy_pool(pool).succeeded, count);
    cr_expect_eq(tally_runs(&tally), count);
    free(tasks);
}

struct repeating {
    at_task task;
    at_pool *pool;
    int left;
    _Atomic int *done;
};

static void *repeat(void *argument) {
    struct repeating *repeating = argument;
    _Atomic int *done = repeating->done;
    if (repeating->left-- > 0) {
        if (at_pool_start_task(repeating->pool, &repeating->task) != AT_OK)
            abort();
    } else {
        free(repeating);
        atomic_fetch_add(done, 1);
    }
    return NULL;
}

/* The task may start itself again, or free itself. */
Test(pool_start, task_starts_itself_again_and_frees_itself) {
    _Atomic int done = 0;
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 10; i++) {
        struct repeating *repeating = calloc(1, sizeof *repeating);
        repeating->pool = pool;
        repeating->left = 1000;
        repeating->done = &done;
        at_task_init(&repeating->task, repeat, repeating);
        cr_assert_eq(at_pool_start_task(pool, &repeating->task), AT_OK);
    }
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(done, 10);
    cr_expect_eq(audit.succeeded, 10 * 1001);
}

/* -- From inside ----------------------------------------------------------------------------- */

static struct tally inner_tally;

static void *start_inside(void *pool) {
    if (at_pool_current() != pool)
        return at_fail(AT_ERROR_INVALID, "in another pool");
    for (int i = 0; i < 100; i++)
        AT_TRY(at_pool_start(pool, tally_run, &inner_tally));
    at_task_options options = {.run = tally_run, .argument = &inner_tally, .drop = tally_drop};
    AT_TRY(at_pool_start_with(pool, &options));
    struct tally *item = &inner_tally;
    AT_TRY(at_pool_start_many(pool, tally_run, AT_ITEMS(item, 1)));
    return NULL;
}

/* Rule L1: the pool of the running task. */
Test(pool_start, from_inside_a_task) {
    cr_expect_null(at_pool_current());
    at_pool *pool = create_pool(2);
    at_future *future = at_pool_submit(pool, start_inside, pool);
    wait_value(future);
    at_future_release(future);
    cr_expect_eq(destroy_pool(pool).succeeded, 103);
    cr_expect_eq(tally_runs(&inner_tally), 102);
    cr_expect_null(at_pool_current());
}

static void *fail_plainly(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "on purpose");
}

static void *fail_without_error(void *unused) {
    (void)unused;
    return AT_FAILED;
}

/* Rule S5: failures are counted as such. */
Test(pool_start, failures_are_counted) {
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(at_pool_start(pool, fail_plainly, NULL), AT_OK);
    cr_assert_eq(at_pool_start(pool, fail_without_error, NULL), AT_OK);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.failed, 11);
    cr_expect_eq(audit.succeeded, 0);
}

static void *clean_slot(void *unused) {
    (void)unused;
    bool clean = at_error_last() == NULL;
    at_fail(AT_ERROR_IO, "left behind");
    return clean ? NULL : AT_FAILED;
}

/* Rule H0: the slot belongs to the task; nothing of one task is seen by the next. */
Test(pool_start, error_slot_of_a_task_is_empty_at_first) {
    at_pool *pool = create_pool(1);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(at_pool_start(pool, clean_slot, NULL), AT_OK);
    cr_expect_eq(destroy_pool(pool).succeeded, 100);
    cr_expect_null(at_error_last());
}

/* -- Bounded --------------------------------------------------------------------------------- */

static at_pool *create_bounded(int64_t bound, struct gate *gate) {
    at_pool *pool = NULL;
    cr_assert_eq(at_pool_create(&pool, &(at_pool_options){.thread_count = 1, .queue_bound = bound}),
                 AT_OK);
    cr_assert_eq(at_pool_start(pool, gate_pass, gate), AT_OK);
    gate_await(gate, 1);
    return pool;
}

/* Rule S1: full is a status, and the caller keeps the argument. */
Test(pool_start, a_full_queue_refuses) {
    struct gate gate = GATE_CLOSED;
    struct tally accepted = {0}, refused = {0};
    at_pool *pool = create_bounded(10, &gate);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(at_pool_start(pool, tally_run, &accepted), AT_OK, "%d", i);
    at_error_clear();
    cr_expect_eq(at_pool_start(pool, tally_run, &refused), AT_ERROR_FULL);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_FULL);
    at_task_options options = {.run = tally_run, .argument = &refused, .drop = tally_drop};
    cr_expect_eq(at_pool_start_with(pool, &options), AT_ERROR_FULL);
    struct tally *item = &refused;
    cr_expect_eq(at_pool_start_many(pool, tally_run, AT_ITEMS(item, 1)), AT_ERROR_FULL);
    at_task task;
    at_task_init(&task, tally_run, &refused);
    cr_expect_eq(at_pool_start_task(pool, &task), AT_ERROR_FULL);
    gate_open(&gate);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.accepted, 11);
    cr_expect_eq(tally_runs(&accepted), 10);
    cr_expect_eq(tally_runs(&refused), 0);
    cr_expect_eq(tally_drops(&refused), 0);
}

/* All are accepted or none. */
Test(pool_start, many_is_all_or_nothing) {
    struct gate gate = GATE_CLOSED;
    struct tally items[11] = {0};
    at_pool *pool = create_bounded(10, &gate);
    cr_expect_eq(at_pool_start_many(pool, tally_run, AT_ITEMS(items, 11)), AT_ERROR_FULL);
    cr_expect_eq(at_pool_start_many(pool, tally_run, AT_ITEMS(items, 4)), AT_OK);
    cr_expect_eq(at_pool_start_many(pool, tally_run, AT_ITEMS(items, 7)), AT_ERROR_FULL);
    cr_expect_eq(at_pool_start_many(pool, tally_run, AT_ITEMS(items + 4, 6)), AT_OK);
    cr_expect_eq(at_pool_start_many(pool, tally_run, AT_ITEMS(items, 0)), AT_OK);
    gate_open(&gate);
    cr_expect_eq(destroy_pool(pool).accepted, 11);
    for (int i = 0; i < 11; i++)
        cr_expect_eq(tally_runs(&items[i]), i < 10);
}

/* The bound is of what is queued, not of what was ever started. */
Test(pool_start, a_queue_has_room_again) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_pool *pool = create_bounded(2, &gate);
    gate_open(&gate);
    int started = 0;
    while (started < 1000) {
        at_status status = at_pool_start(pool, tally_run, &tally);
        cr_assert(status == AT_OK || status == AT_ERROR_FULL);
        started += status == AT_OK;
    }
    cr_expect_eq(destroy_pool(pool).accepted, 1001);
    cr_expect_eq(tally_runs(&tally), 1000);
}

static void *start_past_the_bound(void *pool) {
    for (int i = 0; i < 100; i++)
        AT_TRY(at_pool_start(pool, tally_run, &inner_tally));
    return NULL;
}

/* What a pool's own tasks start always passes. */
Test(pool_start, tasks_pass_the_bound) {
    at_pool *pool = NULL;
    cr_assert_eq(at_pool_create(&pool, &(at_pool_options){.thread_count = 1, .queue_bound = 1}),
                 AT_OK);
    at_future *future = at_pool_submit(pool, start_past_the_bound, pool);
    wait_value(future);
    at_future_release(future);
    cr_expect_eq(destroy_pool(pool).succeeded, 101);
    cr_expect_eq(tally_runs(&inner_tally), 100);
}

/* -- Fairness -------------------------------------------------------------------------------- */

/* Rule L3: what is submitted while a worker sleeps never waits behind a long task. */
Test(pool_start, does_not_wait_behind_a_long_task) {
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(2);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    for (int i = 0; i < 1000; i++) {
        at_future *future = at_pool_submit(pool, tally_run, &inner_tally);
        wait_value(future);
        at_future_release(future);
    }
    gate_open(&gate);
    destroy_pool(pool);
}

static void *start_and_wait_by_hand(void *gate) {
    AT_TRY(at_pool_start(at_pool_current(), gate_pass, gate));
    gate_await(gate, 1);
    gate_open(gate);
    return NULL;
}

/* Rule L3: nor does what a task starts and then waits for by means of its own. */
Test(pool_start, started_work_is_taken_from_a_busy_worker) {
    enum { count = 200 };
    static struct gate gates[count];
    at_pool *pool = create_pool(2);
    for (int i = 0; i < count; i++) {
        gates[i] = (struct gate)GATE_CLOSED;
        at_future *future = at_pool_submit(pool, start_and_wait_by_hand, &gates[i]);
        wait_value(future);
        at_future_release(future);
    }
    destroy_pool(pool);
}

struct endless {
    at_task task;
    at_pool *pool;
    _Atomic bool stop;
};

static void *go_on(void *argument) {
    struct endless *endless = argument;
    if (!atomic_load(&endless->stop) && at_pool_start_task(endless->pool, &endless->task) != AT_OK)
        abort();
    return NULL;
}

static void *stop_endless(void *endless) {
    atomic_store(&((struct endless *)endless)->stop, true);
    return NULL;
}

/* Rule L3: external work is looked at though the worker's own never ends. */
Test(pool_start, outside_work_is_looked_at) {
    static struct endless endless;
    at_pool *pool = create_pool(1);
    endless.pool = pool;
    at_task_init(&endless.task, go_on, &endless);
    cr_assert_eq(at_pool_start_task(pool, &endless.task), AT_OK);
    cr_assert_eq(at_pool_start(pool, stop_endless, &endless), AT_OK);
    destroy_pool(pool);
    cr_expect(atomic_load(&endless.stop));
}

static int plain_value;

static void *read_plain_value(void *unused) {
    (void)unused;
    return plain_value == 17 ? NULL : AT_FAILED;
}

/* Rule S2: what the caller did before happens before `run`. */
Test(pool_start, happens_before_run) {
    for (int i = 0; i < 100; i++) {
        at_pool *pool = create_pool(1);
        plain_value = 17;
        cr_assert_eq(at_pool_start(pool, read_plain_value, NULL), AT_OK);
        cr_expect_eq(destroy_pool(pool).succeeded, 1);
        plain_value = 0;
    }
}

/* Gives NULL if each absurd count is refused. */
static void *start_absurd_counts(void *item) {
    static const size_t counts[] = {SIZE_MAX, SIZE_MAX / 8, PTRDIFF_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        at_items items = {.data = item, .count = counts[i], .size = 8};
        at_status status = at_pool_start_many(at_pool_current(), tally_run, items);
        if (status != AT_ERROR_INVALID && status != AT_ERROR_NO_MEMORY)
            return at_fail(AT_ERROR_FAILED, "%zu: %s", counts[i], at_status_name(status));
    }
    return NULL;
}

/* Rule H00: from inside a task as well. */
Test(pool_start, many_of_too_many_from_inside) {
    struct tally item = {0};
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, start_absurd_counts, &item);
    wait_value(future);
    at_future_release(future);
    cr_expect_eq(destroy_pool(pool).accepted, 1);
    cr_expect_eq(tally_runs(&item), 0);
}
