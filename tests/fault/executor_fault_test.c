/* SPDX-License-Identifier: MIT
 *
 * Executors whose every single allocation fails in turn: a failed create leaves nothing behind, and
 * what is taken is run or dropped exactly once (rule S1). */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <sched.h>

FAULT_INSTALL;

TestSuite(executor_fault, .timeout = 200);

/* Counts a task as run or dropped, as it must be. */
static void expect_once(at_future *future, const struct tally *tally) {
    at_status status = at_future_wait(future, PATIENCE, NULL);
    cr_expect(status == AT_OK || (status == AT_ERROR_NO_MEMORY && fault_count() > 0));
    at_future_release(future);
    cr_expect_eq(tally_runs(tally), status == AT_OK);
    cr_expect_eq(tally_drops(tally), status != AT_OK);
}

static void use_strand(at_pool *pool) {
    struct tally tally = {0};
    at_strand *strand = NULL;
    at_status status =
        at_strand_create(&strand, pool, &(at_strand_options){.name = "one that is named"});
    if (status != AT_OK) {
        cr_expect(status == AT_ERROR_NO_MEMORY && fault_count() > 0);
        cr_expect_null(strand);
        return;
    }
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    expect_once(at_executor_submit_with(at_strand_executor(strand), &options), &tally);
    at_strand_destroy(strand);
}

/* Each allocation fails once, from the end of at_pool_create on. */
static void check(void (*use)(at_pool *pool)) {
    struct fault_usage before = fault_usage();
    for (int number = 1; number <= 30; number++) {
        at_pool *pool = create_pool(2);
        fault_arm(fault_memory, number);
        use(pool);
        fault_disarm();
        destroy_pool(pool);
    }
    fault_check_leaks(before);
}

Test(executor_fault, strand) {
    check(use_strand);
}

static void use_loop(at_pool *pool) {
    struct tally tally = {0};
    at_loop_executor *loop = NULL;
    (void)pool;
    at_status status = at_loop_executor_create(&loop);
    if (status != AT_OK) {
        cr_expect(status == AT_ERROR_NO_MEMORY && fault_count() > 0);
        cr_expect_null(loop);
        return;
    }
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    at_future *future = at_executor_submit_with(at_loop_executor_executor(loop), &options);
    cr_expect_eq(at_loop_executor_dispatch(loop, 10, AT_FOREVER, NULL), AT_OK);
    expect_once(future, &tally);
    at_loop_executor_destroy(loop);
}

Test(executor_fault, loop_executor) {
    check(use_loop);
}

static void use_keyed(at_pool *pool) {
    at_keyed_executor *keyed = NULL;
    at_status status = at_keyed_executor_create(&keyed, pool, NULL);
    if (status != AT_OK) {
        cr_expect(status == AT_ERROR_NO_MEMORY && fault_count() > 0);
        cr_expect_null(keyed);
        return;
    }
    struct tally tallies[40] = {{0}};
    at_future *futures[40]; /* so many keys that the table grows */
    for (int i = 0; i < 40; i++) {
        at_task_options options = {
            .run = tally_run, .argument = &tallies[i], .drop = tally_drop, .name = "a name"};
        futures[i] = at_keyed_executor_submit_with(keyed, &i, sizeof i, &options);
    }
    for (int i = 0; i < 40; i++)
        expect_once(futures[i], &tallies[i]);
    at_keyed_executor_destroy(keyed);
}

Test(executor_fault, keyed_executor) {
    check(use_keyed);
}

static at_keyed_executor *narrow;

static void *wait_for_other_key(void *tally) {
    at_future *other = at_keyed_executor_submit(narrow, "other", 5, tally_run, tally);
    at_status status = at_future_wait(other, AT_FOREVER, NULL);
    at_future_release(other);
    cr_expect(status == AT_OK || (status == AT_ERROR_NO_MEMORY && fault_count() > 0));
    return NULL;
}

/* A place is lent, or the wait fails: it never hangs. */
static void use_lent_place(at_pool *pool) {
    struct tally tally = {0};
    at_keyed_executor_options options = {.max_running = 1};
    if (at_keyed_executor_create(&narrow, pool, &options) != AT_OK)
        return;
    at_future *future = at_keyed_executor_submit(narrow, "one", 3, wait_for_other_key, &tally);
    at_status status = at_future_wait(future, PATIENCE, NULL);
    cr_expect(status == AT_OK || (status == AT_ERROR_NO_MEMORY && fault_count() > 0));
    at_future_release(future);
    cr_expect_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    at_keyed_executor_destroy(narrow);
}

Test(executor_fault, lent_place) {
    check(use_lent_place);
}

/* No more memory after a hundred times than after the first ten: keys and their table go. */
Test(executor_fault, nothing_grows) {
    struct fault_usage first = {0};
    at_keyed_executor *keyed;
    at_pool *pool = create_pool(2);
    cr_assert_eq(at_keyed_executor_create(&keyed, pool, NULL), AT_OK);
    for (int round = 0; round < 100; round++) {
        struct tally tally = {0};
        for (int i = 0; i < 300; i++)
            at_future_release(at_keyed_executor_submit(keyed, &i, sizeof i, tally_run, &tally));
        while (at_keyed_executor_key_count(keyed) > 0)
            sched_yield();
        use_strand(pool);
        use_loop(pool);
        if (round == 9)
            first = fault_usage();
    }
    struct fault_usage last = fault_usage();
    cr_expect_leq(last.bytes, first.bytes + 64 * 1024); /* what threads keep to allocate from */
    at_keyed_executor_destroy(keyed);
    destroy_pool(pool);
}
