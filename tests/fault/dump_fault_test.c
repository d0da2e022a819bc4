/* SPDX-License-Identifier: MIT
 *
 * Rules Z3 and Z1 without memory: a dump that cannot be written says so and leaves nothing behind,
 * a report of what is stuck does not need any, and what is not measured for want of memory runs. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

FAULT_INSTALL;

static void start_first_thread(void) {
    pthread_t thread;
    struct tally tally = {0};
    cr_assert_eq(pthread_create(&thread, NULL, tally_run, &tally), 0);
    pthread_join(thread, NULL);
}

TestSuite(dump_fault, .init = start_first_thread, .timeout = 200);

static void expect_text(at_status status, char *text) {
    if (status == AT_OK) {
        cr_assert_not_null(text);
        at_text_release(text);
        return;
    }
    cr_assert_gt(fault_count(), 0);
    cr_assert_eq(status, AT_ERROR_NO_MEMORY);
    cr_assert_eq(at_error_status(at_error_last()), AT_ERROR_NO_MEMORY);
    cr_assert_null(text);
}

static void take_dump(void *unused) {
    (void)unused;
    char *text = NULL;
    at_status status = at_dump(&text);
    expect_text(status, text);
}

static void take_statistics(void *pool) {
    char *text = NULL;
    at_status status = at_pool_get_statistics_json(pool, &text);
    expect_text(status, text);
}

/* The document is larger than the first piece of memory that it is written into. */
Test(dump_fault, memory_in_dump) {
    at_pool *pool = create_pool(1);
    at_pool *others[8];
    for (int i = 0; i < 8; i++)
        others[i] = create_pool(2);
    struct fault_usage before = fault_usage();
    cr_expect_geq(fault_each(fault_memory, take_dump, NULL), 3);
    cr_expect_geq(fault_each(fault_memory, take_statistics, pool), 2);
    fault_disarm();
    fault_check_leaks(before);
    for (int i = 0; i < 8; i++)
        destroy_pool(others[i]);
    destroy_pool(pool);
}

static void shut_down(void *pool) {
    cr_assert_eq(at_pool_shutdown(pool, 0), AT_ERROR_TIMED_OUT);
    cr_assert_eq(at_error_status(at_error_last()), AT_ERROR_TIMED_OUT);
}

Test(dump_fault, memory_in_the_report) {
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(1);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    cr_expect_geq(fault_each(fault_memory, shut_down, pool), 1);
    fault_disarm();
    gate_open(&gate);
    destroy_pool(pool);
}

/* The first task of a pool is the first one that is measured. */
Test(dump_fault, memory_of_what_is_measured) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    at_task task;
    at_task_init(&task, tally_run, &tally);
    fault_arm_from(fault_memory, 1);
    cr_assert_eq(at_pool_start_task(pool, &task), AT_OK);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    fault_disarm();
    at_pool_statistics statistics;
    at_pool_get_statistics(pool, &statistics);
    cr_expect_eq(statistics.executed, 1);
    cr_expect_eq(statistics.run_time.count, 0);
    cr_expect_eq(tally_runs(&tally), 1);
    destroy_pool(pool);
}
