/* SPDX-License-Identifier: MIT
 *
 * Rules G1, S1 and S5: every single allocation of a task manager fails in turn. What a start took
 * is run or dropped exactly once, all are awaited, and nothing leaks. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/gather.h>
#include <asynctools/task_manager.h>

FAULT_INSTALL;

TestSuite(task_manager_fault, .timeout = 200);

/* The pool itself is made without faults: those are the pool's own tests. */
static at_pool *pool;

static int64_t each_fault(void (*run)(void)) {
    for (int64_t number = 1;; number++) {
        struct fault_usage before = fault_usage();
        pool = create_pool(1);
        fault_arm(fault_memory, number);
        run();
        fault_disarm();
        destroy_pool(pool);
        fault_check_leaks(before);
        if (fault_count() == 0)
            return number - 1;
    }
}

static void *give_owned(void *tally) {
    tally_run(tally);
    return at_return(tally, tally_drop);
}

static void *fail_plainly(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "on purpose");
}

static void expect_no_memory(at_status status) {
    cr_assert_eq(status, AT_ERROR_NO_MEMORY, "%s", at_status_name(status));
    cr_assert_gt(fault_count(), 0);
}

/* Starts children that own their argument; gives how many were taken. */
static int start_owned(at_task_manager *manager, struct tally *tally, int count) {
    int taken = 0;
    for (int i = 0; i < count; i++) {
        at_task_options options = {
            .run = give_owned, .argument = tally, .drop = tally_drop, .name = "owned"};
        at_status status = at_task_manager_start_with(manager, &options);
        taken += status == AT_OK;
        if (status != AT_OK)
            expect_no_memory(status);
    }
    return taken;
}

static void start_and_gather(void) {
    at_task_manager *manager;
    at_task_manager_options options = {.max_concurrent = 2, .name = "group"};
    at_status status = at_task_manager_create(&manager, pool, &options);
    if (status != AT_OK) {
        expect_no_memory(status);
        return;
    }
    struct tally tally = {0};
    int taken = start_owned(manager, &tally, 8);
    at_outcome outcomes[8];
    cr_assert_eq(at_task_manager_gather(manager, outcomes, (size_t)taken), AT_OK);
    at_outcomes_release(outcomes, (size_t)taken);
    at_task_manager_destroy(manager);
    cr_assert_eq(tally_runs(&tally), taken);
    cr_assert_eq(tally_drops(&tally), taken);
}

Test(task_manager_fault, g1_start_and_gather) {
    cr_assert_gt(each_fault(start_and_gather), 4);
}

static void fail_and_join(void) {
    at_task_manager *manager;
    at_status status = at_task_manager_create(&manager, pool, NULL);
    if (status != AT_OK) {
        expect_no_memory(status);
        return;
    }
    struct tally tally = {0};
    int failing = 0;
    for (int i = 0; i < 3; i++)
        failing += at_task_manager_start(manager, fail_plainly, NULL) == AT_OK;
    int taken = start_owned(manager, &tally, 3);
    status = at_task_manager_join(manager, PATIENCE);
    cr_assert(status == AT_ERROR_IO || (failing == 0 && status == AT_OK), "%s",
              at_status_name(status));
    cr_assert_eq(at_error_status(at_error_last()) != AT_OK, true);
    at_task_manager_destroy(manager);
    cr_assert_eq(tally_drops(&tally), taken);
}

Test(task_manager_fault, g2_fail_and_join) {
    cr_assert_gt(each_fault(fail_and_join), 4);
}

static void gather(void) {
    struct tally tallies[6] = {0};
    at_outcome outcomes[6];
    at_status status = at_gather(pool, give_owned, AT_ITEMS(tallies, 6), outcomes, NULL);
    if (status != AT_OK)
        expect_no_memory(status);
    for (int i = 0; i < 6; i++)
        cr_assert(outcomes[i].status == AT_OK || status != AT_OK);
    at_outcomes_release(outcomes, 6);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(tally_drops(&tallies[i]), tally_runs(&tallies[i]));
}

Test(task_manager_fault, g1_gather) {
    cr_assert_gt(each_fault(gather), 1);
}

static void submit(void) {
    at_task_manager *manager;
    at_status status = at_task_manager_create(&manager, pool, NULL);
    if (status != AT_OK) {
        expect_no_memory(status);
        return;
    }
    struct tally tally = {0};
    at_future *futures[6];
    for (int i = 0; i < 6; i++) {
        at_task_options options = {
            .run = give_owned, .argument = &tally, .drop = tally_drop, .name = "owned"};
        futures[i] = at_task_manager_submit_with(manager, &options);
        cr_assert_not_null(futures[i]);
    }
    cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_OK);
    for (int i = 0; i < 6; i++) {
        status = at_future_wait(futures[i], PATIENCE, NULL);
        if (status != AT_OK)
            expect_no_memory(status);
        at_future_release(futures[i]);
    }
    at_task_manager_destroy(manager);
    cr_assert_eq(tally_drops(&tally), 6);
}

Test(task_manager_fault, f4_submit) {
    cr_assert_gt(each_fault(submit), 10);
}
