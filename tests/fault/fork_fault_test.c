/* SPDX-License-Identifier: MIT
 *
 * Forks and loops never fail for memory: without an array or a record a fork is made by its join.
 * Every single allocation fails in turn, and then all. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <stdint.h>

FAULT_INSTALL;

TestSuite(fork_fault, .timeout = 200);

static void *fibonacci(void *argument) {
    intptr_t n = (intptr_t)argument;
    if (n < 2)
        return argument;
    at_fork left;
    at_fork_start(&left, fibonacci, (void *)(n - 1));
    intptr_t right = (intptr_t)fibonacci((void *)(n - 2));
    return (void *)(right + (intptr_t)at_fork_join(&left, fibonacci));
}

/* More than what needs no allocation. */
struct sums {
    intptr_t of[20];
};

static void init_sums(void *value, void *context) {
    (void)context;
    *(struct sums *)value = (struct sums){{0}};
}

static void *add_numbers(int64_t begin, int64_t end, void *value, void *context) {
    for (int64_t index = begin; index < end; index++)
        ((struct sums *)value)->of[index % 20] += (intptr_t)fibonacci((void *)(intptr_t)14);
    return context;
}

static void merge_sums(void *left, void *right, void *context) {
    (void)context;
    for (int i = 0; i < 20; i++)
        ((struct sums *)left)->of[i] += ((struct sums *)right)->of[i];
}

static const at_parallel_reduction add = {
    .size = sizeof(struct sums), .init = init_sums, .run = add_numbers, .merge = merge_sums};

static void expect_sums(at_pool *pool) {
    struct sums sums;
    cr_expect_eq(at_parallel_reduce(pool, 0, 200, &add, &sums), AT_OK);
    for (int i = 0; i < 20; i++)
        cr_expect_eq(sums.of[i], 10 * 377);
}

Test(fork_fault, single_allocations) {
    for (int number = 1; number <= 30; number++) {
        at_pool *pool = create_pool(3);
        fault_arm(fault_memory, number);
        expect_sums(pool);
        fault_disarm();
        destroy_pool(pool);
    }
}

Test(fork_fault, no_memory_at_all) {
    at_pool *pool = create_pool(3);
    fault_arm_from(fault_memory, 1);
    expect_sums(pool);
    fault_disarm();
    expect_sums(pool);
    destroy_pool(pool);
}

Test(fork_fault, nothing_is_left) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(3);
    expect_sums(pool);
    destroy_pool(pool);
    fault_check_leaks(before);
}
