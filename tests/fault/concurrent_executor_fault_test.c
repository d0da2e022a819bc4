/* SPDX-License-Identifier: MIT
 *
 * Rules H0, G3 and S1 without memory: a map fails with its documented status and fills all
 * outcomes; nothing is left behind, also after many maps. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/concurrent_executor.h>

FAULT_INSTALL;

TestSuite(concurrent_executor_fault, .timeout = 200);

enum { count = 20 };

static void *fail_or_give(void *argument) {
    struct tally *item = argument;
    tally_run(item);
    if (item->drops == 7)
        return at_fail(AT_ERROR_IO, "the seventh");
    return at_return(item, tally_drop);
}

static void prepare(struct tally *items) {
    for (int i = 0; i < count; i++)
        items[i] = (struct tally){.drops = i};
}

/* Without outcomes it is the same. */
static void map_for_nobody(at_concurrent_executor *executor) {
    struct tally items[count];
    prepare(items);
    at_status status =
        at_concurrent_executor_map(executor, fail_or_give, AT_ITEMS(items, count), NULL, NULL);
    cr_assert(status == AT_ERROR_IO || (status == AT_ERROR_NO_MEMORY && fault_count() > 0));
    for (int i = 0; i < count; i++)
        cr_assert_eq(tally_drops(&items[i]), i + (status == AT_ERROR_IO && i != 7));
}

static void map_once(at_pool *pool) {
    struct tally items[count];
    at_outcome outcomes[count];
    at_concurrent_executor *executor = NULL;
    at_status status = at_concurrent_executor_create(&executor, pool, NULL);
    if (status != AT_OK) {
        cr_assert(status == AT_ERROR_NO_MEMORY && fault_count() > 0);
        return;
    }
    prepare(items);
    status =
        at_concurrent_executor_map(executor, fail_or_give, AT_ITEMS(items, count), outcomes, NULL);
    cr_assert(status == AT_ERROR_IO || (status == AT_ERROR_NO_MEMORY && fault_count() > 0));
    for (int i = 0; i < count; i++) {
        bool failed = status == AT_ERROR_NO_MEMORY || i == 7;
        cr_assert_eq(outcomes[i].status, failed ? status : AT_OK);
    }
    at_outcomes_release(outcomes, count);
    for (int i = 0; i < count; i++)
        cr_assert_eq(tally_drops(&items[i]), i + (status == AT_ERROR_IO && i != 7));
    map_for_nobody(executor);
    at_concurrent_executor_destroy(executor);
    at_error_clear();
}

static void map_on_new_pool(void *unused) {
    (void)unused;
    at_pool *pool = NULL;
    if (at_pool_create(&pool, &(at_pool_options){.thread_count = 2}) != AT_OK)
        return;
    map_once(pool);
    fault_disarm();
    destroy_pool(pool);
}

Test(concurrent_executor_fault, memory_in_a_map) {
    struct fault_usage before = fault_usage();
    fault_each(fault_memory, map_on_new_pool, NULL);
    fault_check_leaks(before);
}

/* The level of memory is that of before, however often; but for a block or two that the queues of
 * the pool keep. */
Test(concurrent_executor_fault, g3_memory_returns_to_its_level) {
    at_pool *pool = create_pool(1);
    map_once(pool);
    struct fault_usage before = fault_usage();
    for (int i = 0; i < 100; i++)
        map_once(pool);
    cr_expect_leq(fault_usage().blocks, before.blocks + 2);
    destroy_pool(pool);
}
