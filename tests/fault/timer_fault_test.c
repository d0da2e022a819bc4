/* SPDX-License-Identifier: MIT
 *
 * Rules S6 and H0: timers in the caller's storage need no memory, neither when they are set nor
 * when they expire; at_pool_start_later fails with the documented status and leaves nothing behind.
 */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/timer.h>

FAULT_INSTALL;

TestSuite(timer_fault, .timeout = 200);

static void start_later(void *unused) {
    (void)unused;
    struct tally tally = {0};
    at_pool *pool = NULL;
    if (at_pool_create(&pool, &(at_pool_options){.thread_count = 1}) != AT_OK)
        return;
    int accepted = 0;
    for (int i = 0; i < 3; i++) {
        at_status status = at_pool_start_later(pool, tally_run, &tally, at_after(i * 1000));
        cr_assert(status == AT_OK || status == AT_ERROR_NO_MEMORY);
        cr_assert(status == AT_OK || fault_count() > 0);
        accepted += status == AT_OK;
    }
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    fault_disarm();
    destroy_pool(pool);
    cr_assert_eq(tally_runs(&tally), accepted);
}

Test(timer_fault, memory_in_start_later) {
    struct fault_usage before = fault_usage();
    fault_each(fault_memory, start_later, NULL);
    fault_check_leaks(before);
}

/* More than the worker's deque has places for, all at once, while every allocation fails. */
Test(timer_fault, timers_in_storage_need_no_memory) {
    enum { count = 5000 };
    static at_timer timers[count];
    struct tally tally = {0};
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(1);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    fault_arm_from(fault_memory, 1);
    at_deadline moment = at_after(0);
    for (int i = 0; i < count; i++) {
        at_timer_init(&timers[i], pool, tally_run, &tally);
        cr_assert_eq(at_timer_start(&timers[i], moment), AT_OK);
    }
    gate_open(&gate);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    fault_disarm();
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.succeeded, count + 1);
    cr_expect_eq(tally_runs(&tally), count);
}
