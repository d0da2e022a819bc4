/* SPDX-License-Identifier: MIT
 *
 * Rules G1, G2, S1 and S5: one call that runs a function for many items. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/gather.h>
#include <asynctools/sleep.h>

#include <stdint.h>
#include <string.h>

FAULT_INSTALL;

TestSuite(gather, .timeout = 200);

/* Waits for how it ends, and lets it go. */
static void expect_end(at_future *future, at_status status) {
    expect_outcome(future, status);
    at_future_release(future);
}

static void *double_it(void *item) {
    *(int *)item *= 2;
    return item;
}

static void *give_owned(void *tally) {
    tally_run(tally);
    return at_return(tally, tally_drop);
}

Test(gather, g1_outcomes_in_the_order_of_the_items) {
    at_pool *pool = create_pool(4);
    int items[300];
    for (int i = 0; i < 300; i++)
        items[i] = i;
    at_outcome outcomes[300];
    at_gather_options options = {.limit = 5};
    cr_assert_eq(at_gather(pool, double_it, AT_ITEMS(items, 300), outcomes, &options), AT_OK);
    for (int i = 0; i < 300; i++) {
        cr_assert_eq(outcomes[i].value, &items[i]);
        cr_assert_eq(items[i], 2 * i);
    }
    at_outcomes_release(outcomes, 300);
    cr_assert_eq(destroy_pool(pool).succeeded, 300);
}

Test(gather, g1_no_items_is_success) {
    at_pool *pool = create_pool(1);
    cr_assert_eq(at_gather(pool, double_it, AT_ITEMS((int *)NULL, 0), NULL, NULL), AT_OK);
    destroy_pool(pool);
}

Test(gather, g1_nobody_wants_the_outcomes) {
    at_pool *pool = create_pool(2);
    struct tally tallies[20] = {0};
    cr_assert_eq(at_gather(pool, give_owned, AT_ITEMS(tallies, 20), NULL, NULL), AT_OK);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(tally_drops(&tallies[i]), 1);
    destroy_pool(pool);
}

Test(gather, g1_bad_arguments_fill_the_outcomes) {
    at_pool *pool = create_pool(1);
    int items[2] = {1, 2};
    at_outcome outcomes[2];
    at_gather_options options = {.limit = -1};
    cr_assert_eq(at_gather(pool, double_it, AT_ITEMS(items, 2), outcomes, &options),
                 AT_ERROR_INVALID);
    cr_assert(strstr(at_error_text(at_error_last()), "limit"));
    cr_assert_eq(outcomes[1].status, AT_ERROR_INVALID);
    at_outcomes_release(outcomes, 2);
    cr_assert_eq(at_gather(pool, double_it, AT_ITEMS((int *)NULL, 2), outcomes, NULL),
                 AT_ERROR_INVALID);
    at_outcomes_release(outcomes, 2);
    destroy_pool(pool);
}

/* So many cannot be: nothing is run, and no outcome is written. */
Test(gather, g1_more_items_than_can_be) {
    at_pool *pool = create_pool(1);
    int item = 1;
    at_outcome outcome = {.status = AT_ERROR_IO};
    at_items items = {.data = &item, .count = SIZE_MAX, .size = sizeof item};
    at_gather_options options = {.limit = 1};
    cr_assert_eq(at_gather(pool, double_it, items, &outcome, &options), AT_ERROR_INVALID);
    cr_assert(strstr(at_error_text(at_error_last()), "items.count"));
    options.limit = -1;
    cr_assert_eq(at_gather(pool, double_it, items, &outcome, &options), AT_ERROR_INVALID);
    items = (at_items){.data = &item, .count = 1 << 20, .size = SIZE_MAX / 2};
    cr_assert_eq(at_gather(pool, double_it, items, &outcome, NULL), AT_ERROR_INVALID);
    cr_expect_eq(outcome.status, AT_ERROR_IO);
    cr_expect_eq(item, 1);
    at_error_clear();
    destroy_pool(pool);
}

static void *fail_at_three(void *item) {
    if (*(int *)item == 3)
        return at_fail(AT_ERROR_IO, "three");
    AT_TRY(at_sleep(AT_SECONDS(1000)));
    return NULL;
}

static void *gather_in_task(void *pool) {
    int items[6] = {0, 1, 2, 3, 4, 5};
    at_outcome outcomes[6];
    at_status status = at_gather(pool, fail_at_three, AT_ITEMS(items, 6), outcomes, NULL);
    bool holds = status == AT_ERROR_IO && outcomes[3].status == AT_ERROR_IO &&
                 outcomes[0].status == AT_ERROR_CANCELLED;
    at_outcomes_release(outcomes, 6);
    return holds ? NULL : AT_FAILED;
}

Test(gather, g2_in_a_task_the_first_failure_cancels_the_rest) {
    at_pool *pool = create_pool(1);
    expect_end(at_pool_submit(pool, gather_in_task, pool), AT_OK);
    destroy_pool(pool);
}

Test(gather, x2_the_deadline_around_it_cancels_the_items) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    int items[2] = {1, 2};
    at_status status = AT_OK;
    AT_TIMEOUT(scope, AT_SECONDS(3)) {
        status = at_gather(pool, fail_at_three, AT_ITEMS(items, 2), NULL, NULL);
    }
    cr_assert_eq(status, AT_ERROR_TIMED_OUT);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

Test(gather, s1_a_pool_that_refuses) {
    at_pool *pool = create_pool(1);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    int items[2] = {1, 2};
    at_outcome outcomes[2];
    cr_assert_eq(at_gather(pool, double_it, AT_ITEMS(items, 2), outcomes, NULL), AT_ERROR_CLOSED);
    cr_assert_eq(outcomes[0].status, AT_ERROR_CLOSED);
    cr_assert_eq(outcomes[1].status, AT_ERROR_CLOSED);
    at_outcomes_release(outcomes, 2);
    destroy_pool(pool);
}

Test(gather, g1_memory_does_not_grow) {
    at_pool *pool = create_pool(2);
    int items[50] = {0};
    struct fault_usage before = {0};
    for (int i = 0; i < 120; i++) {
        at_outcome outcomes[50];
        cr_assert_eq(at_gather(pool, double_it, AT_ITEMS(items, 50), outcomes, NULL), AT_OK);
        at_outcomes_release(outcomes, 50);
        if (i == 20)
            before = fault_usage();
    }
    cr_assert_leq(fault_usage().bytes, before.bytes + 64 * 1024);
    destroy_pool(pool);
}
