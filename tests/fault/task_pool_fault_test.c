/* SPDX-License-Identifier: MIT
 *
 * Rules S1, H0 and G4 without memory: a submit fails and keeps its argument, a gather forgets
 * nothing; and the level of memory is that of before, however often. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/task_pool.h>

FAULT_INSTALL;

TestSuite(task_pool_fault, .timeout = 200);

enum { count = 20 };

static void *fail_or_give(void *argument) {
    struct tally *item = argument;
    tally_run(item);
    if (item->drops == 3)
        return at_fail(AT_ERROR_IO, "the third");
    return item;
}

static size_t submit_all(at_task_pool *workers, struct tally *items) {
    size_t accepted = 0;
    for (int i = 0; i < count; i++) {
        items[i] = (struct tally){.drops = i};
        at_task_options task = {
            .run = fail_or_give, .argument = &items[i], .drop = tally_drop, .name = "item"};
        at_status status = at_task_pool_submit_with(workers, &task);
        cr_assert(status == AT_OK || (status == AT_ERROR_NO_MEMORY && fault_count() > 0));
        if (status != AT_OK)
            items[i].runs++; /* as if: it is the caller's, and accounted for */
        accepted += status == AT_OK;
    }
    return accepted;
}

static void use_once(at_pool *pool, const at_task_pool_options *options) {
    struct tally items[count];
    at_outcome *outcomes = NULL;
    size_t gathered = 0;
    at_task_pool *workers = NULL;
    if (at_task_pool_create(&workers, pool, options) != AT_OK)
        return;
    size_t accepted = submit_all(workers, items);
    at_status status = at_task_pool_gather_results(workers, &outcomes, &gathered);
    if (status != AT_OK) {
        cr_assert(status == AT_ERROR_NO_MEMORY && fault_count() > 0);
        status = at_task_pool_gather_results(workers, &outcomes, &gathered);
    }
    cr_assert_eq(status, AT_OK);
    cr_assert_eq(gathered, accepted);
    at_task_pool_results_release(outcomes, gathered);
    for (int i = 0; i < count; i++)
        cr_assert_eq(tally_runs(&items[i]) + tally_drops(&items[i]), i + 1);
    at_task_pool_destroy(workers);
    at_error_clear();
}

static void use_on_new_pool(void *options) {
    at_pool *pool = NULL;
    if (at_pool_create(&pool, &(at_pool_options){.thread_count = 2}) != AT_OK)
        return;
    use_once(pool, options);
    fault_disarm();
    destroy_pool(pool);
}

Test(task_pool_fault, memory_in_all_policies) {
    for (at_task_pool_policy policy = AT_TASK_POOL_WAIT; policy <= AT_TASK_POOL_DROP_OLDEST;
         policy++) {
        at_task_pool_options options = {.pool_size = 1, .queue_size = 2, .when_full = policy};
        if (policy == AT_TASK_POOL_REFUSE)
            continue; /* whether an item finds room depends on time */
        struct fault_usage before = fault_usage();
        fault_each(fault_memory, use_on_new_pool, &options);
        fault_check_leaks(before);
    }
}

/* The level of memory is that of before, however often; but for a block or two that the queues of
 * the pool keep. */
Test(task_pool_fault, g4_memory_returns_to_its_level) {
    at_pool *pool = create_pool(1);
    at_task_pool_options options = {.pool_size = 2};
    use_once(pool, &options);
    struct fault_usage before = fault_usage();
    for (int i = 0; i < 100; i++)
        use_once(pool, &options);
    cr_expect_leq(fault_usage().blocks, before.blocks + 2);
    destroy_pool(pool);
}
