/* SPDX-License-Identifier: MIT
 *
 * The faults themselves: that they strike what they were told to, once, and are counted. */
#include "support/fault.h"
#include "support/test.h"

#include "base/memory.h"

#include <errno.h>
#include <pthread.h>

FAULT_INSTALL;

Test(fault, the_armed_allocation_fails) {
    for (int number = 1; number <= 3; number++) {
        void *blocks[3];
        fault_arm(fault_memory, number);
        for (int i = 0; i < 3; i++)
            blocks[i] = ati_allocate(10);
        fault_disarm();
        cr_expect_eq(fault_count(), 1);
        for (int i = 0; i < 3; i++) {
            cr_expect_eq(blocks[i] == NULL, i + 1 == number);
            ati_release(blocks[i], 10);
        }
    }
    fault_check_leaks((struct fault_usage){0});
}

Test(fault, all_from_the_armed_one_fail) {
    fault_arm_from(fault_memory, 2);
    void *first = ati_allocate(10);
    cr_expect_not_null(first);
    cr_expect_null(ati_allocate(10));
    cr_expect_null(ati_allocate(10));
    fault_disarm();
    cr_expect_eq(fault_count(), 2);
    cr_expect_eq(fault_usage().blocks, 1);
    cr_expect_eq(fault_usage().bytes, 10);
    ati_release(first, 10);
    fault_check_leaks((struct fault_usage){0});
}

static void *give_back(void *argument) {
    return argument;
}

static int start_threads(int count) {
    int failures = 0;
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        int result = pthread_create(&thread, NULL, give_back, NULL);
        failures += result == EAGAIN;
        if (result == 0)
            pthread_join(thread, NULL);
    }
    return failures;
}

Test(fault, the_armed_thread_does_not_start) {
    fault_arm(fault_thread, 2);
    cr_expect_eq(start_threads(4), 1);
    fault_arm_from(fault_thread, 2);
    cr_expect_eq(start_threads(4), 3);
    fault_disarm();
    cr_expect_eq(fault_count(), 3);
    cr_expect_eq(start_threads(4), 0);
}

static int calls;

static void allocate_thrice(void *unused) {
    (void)unused;
    calls++;
    for (int i = 0; i < 3; i++)
        ati_release(ati_allocate(10), 10);
}

Test(fault, each_ends_with_the_first_success) {
    cr_expect_eq(fault_each(fault_memory, allocate_thrice, NULL), 3);
    cr_expect_eq(calls, 4);
    cr_expect_eq(fault_each(fault_thread, allocate_thrice, NULL), 0);
    cr_expect_eq(calls, 5);
}
