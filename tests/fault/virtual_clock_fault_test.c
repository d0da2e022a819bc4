/* SPDX-License-Identifier: MIT
 *
 * Rules Q1 and L2: a virtual clock without memory and without threads. Time passes also for tasks
 * that wait in place, because there is no stack for another or no spare thread. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/blocking.h>
#include <asynctools/sleep.h>

FAULT_INSTALL;

TestSuite(virtual_clock_fault, .timeout = 200);

enum { task_count = 6 };

struct day {
    at_task task; /* cannot fail for memory */
    at_status status;
    int64_t lasted;
    bool blocks;
};

static void *sleep_a_day(void *argument) {
    struct day *day = argument;
    int64_t began = at_clock_now(at_clock_current());
    day->status = at_sleep(AT_HOURS(24));
    day->lasted = at_clock_now(at_clock_current()) - began;
    return NULL;
}

static void *run_day(void *argument) {
    struct day *day = argument;
    return day->blocks ? at_blocking_call(sleep_a_day, day) : sleep_a_day(day);
}

static void live_on(at_clock *clock, int64_t thread_count) {
    at_pool *pool = NULL;
    struct day days[task_count] = {0};
    const at_pool_options options = {.thread_count = thread_count, .clock = clock};
    at_status status = at_pool_create(&pool, &options);
    if (status != AT_OK) {
        cr_assert_gt(fault_count(), 0, "%s", at_error_message(at_error_last()));
        return;
    }
    for (int i = 0; i < task_count; i++) {
        days[i].blocks = i % 2;
        at_task_init(&days[i].task, run_day, &days[i]);
        cr_assert_eq(at_pool_start_task(pool, &days[i].task), AT_OK);
    }
    at_pool_destroy(pool);
    for (int i = 0; i < task_count; i++) {
        cr_assert_eq(days[i].status, AT_OK);
        cr_assert_eq(days[i].lasted % AT_HOURS(24), 0);
        cr_assert_gt(days[i].lasted, 0);
    }
    cr_assert_leq(at_clock_now(clock), AT_HOURS(1) + task_count * AT_HOURS(24));
}

static void live(void *is_bound) {
    at_clock *clock = NULL;
    at_status status = at_virtual_clock_create(&clock);
    if (status != AT_OK) {
        cr_assert_eq(status, AT_ERROR_NO_MEMORY);
        cr_assert_gt(fault_count(), 0);
        cr_assert_null(clock);
        return;
    }
    at_clock_bind(is_bound ? clock : NULL);
    live_on(clock, 1);
    live_on(clock, 2);
    unbind_virtual_clock(clock); /* nobody is left on it */
}

Test(virtual_clock_fault, memory) {
    int yes = 1;
    cr_expect_geq(fault_each(fault_memory, live, NULL), 5);
    cr_expect_geq(fault_each(fault_memory, live, &yes), 5);
}

Test(virtual_clock_fault, threads) {
    int yes = 1;
    cr_expect_geq(fault_each(fault_thread, live, NULL), 2);
    cr_expect_geq(fault_each(fault_thread, live, &yes), 2);
}
