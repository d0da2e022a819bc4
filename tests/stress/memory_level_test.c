/* SPDX-License-Identifier: MIT
 *
 * What structured work takes it gives back: each part is repeated a hundred times. With a pool of
 * its own for each time, all is given back to the byte. In one pool for all times the level stays;
 * there, queues may still grow a few times until they are large enough. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"
#include "support/work_parts.h"

#include "pool/pool.h"

#include <sched.h>

FAULT_INSTALL;

TestSuite(memory_level, .timeout = 200);

enum {
    warm_up = 10,
#ifdef __SANITIZE_THREAD__
    repetitions = 5,
#else
    repetitions = 100,
#endif
    growth_limit = 10, /* blocks: what leaks grows more often */
};

/* What the library holds when no worker has anything to do. */
static struct fault_usage settle(at_pool *pool) {
    at_error_clear();
    while (!ati_idle_is_at_rest(pool))
        sched_yield();
    return fault_usage();
}

static struct fault_usage repeat(at_pool *pool, void (*run_part)(at_pool *pool), int times) {
    for (int i = 0; i < times; i++) {
        run_part(pool);
        (void)settle(pool);
    }
    return settle(pool);
}

static void expect_level(void (*run_part)(at_pool *pool)) {
    struct fault_usage before_pools = fault_usage();
    for (int i = 0; i < repetitions; i++) {
        at_pool *pool = create_pool(1 + i % 4);
        run_part(pool);
        destroy_pool(pool);
        fault_check_leaks(before_pools);
    }
    at_pool *pool = create_pool(3);
    struct fault_usage before = repeat(pool, run_part, warm_up);
    struct fault_usage after = repeat(pool, run_part, repetitions);
    cr_expect_lt(after.blocks, before.blocks + growth_limit);
    destroy_pool(pool);
    fault_check_leaks(before_pools);
}

Test(memory_level, manager, .description = "G1") {
    expect_level(part_manager);
}

Test(memory_level, manager_without_outcomes, .description = "G1") {
    expect_level(part_manager_without_outcomes);
}

Test(memory_level, submitted_children, .description = "G2, C4") {
    expect_level(part_submitted_children);
}

Test(memory_level, sleeping_children, .description = "G1, W3") {
    expect_level(part_sleeping_children);
}

Test(memory_level, gather, .description = "G2") {
    expect_level(part_gather);
}

Test(memory_level, map, .description = "G3") {
    expect_level(part_map);
}

Test(memory_level, cancelled_scope, .description = "X1, X2") {
    expect_level(part_cancelled_scope);
}

Test(memory_level, tokens, .description = "X1, X3") {
    expect_level(part_tokens);
}

Test(memory_level, timeouts, .description = "X6, C4") {
    expect_level(part_timeouts);
}

Test(memory_level, futures, .description = "C2, C3, C4") {
    expect_level(part_futures);
}

Test(memory_level, strands, .description = "S1") {
    expect_level(part_strands);
}

Test(memory_level, keyed_executor, .description = "G5") {
    expect_level(part_keyed_executor);
}

Test(memory_level, task_pool, .description = "G4") {
    expect_level(part_task_pool);
}

Test(memory_level, loop_executor, .description = "S1") {
    expect_level(part_loop_executor);
}
