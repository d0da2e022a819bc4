/* SPDX-License-Identifier: MIT
 *
 * Rules G1, G2, S1, S4, S5, W2 and H0: children of a task manager. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/future.h>
#include <asynctools/log.h>
#include <asynctools/sleep.h>
#include <asynctools/task_manager.h>

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

FAULT_INSTALL;

TestSuite(task_manager, .timeout = 200);

/* Waits for how it ends, and lets it go. */
static void expect_end(at_future *future, at_status status) {
    expect_outcome(future, status);
    at_future_release(future);
}

static at_task_manager *create(at_pool *pool, int64_t max_concurrent) {
    at_task_manager *manager;
    at_task_manager_options options = {.max_concurrent = max_concurrent, .name = "group"};
    cr_assert_eq(at_task_manager_create(&manager, pool, &options), AT_OK);
    return manager;
}

static void start(at_task_manager *manager, at_run_fn run, void *argument) {
    cr_assert_eq(at_task_manager_start(manager, run, argument), AT_OK);
}

static void *give_back(void *argument) {
    return argument;
}

static void *give_owned(void *tally) {
    tally_run(tally);
    return at_return(tally, tally_drop);
}

static void *fail_io(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "on purpose");
}

/* Waits until it is cancelled. */
static void *wait_for_cancel(void *unused) {
    (void)unused;
    AT_TRY(at_sleep(AT_SECONDS(1000)));
    return NULL;
}

Test(task_manager, g1_join_waits_for_every_child) {
    at_pool *pool = create_pool(2);
    at_task_manager *manager = create(pool, 10);
    struct tally tally = {0};
    for (int i = 0; i < 1000; i++)
        start(manager, tally_run, &tally);
    cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_OK);
    cr_assert_eq(tally_runs(&tally), 1000);
    at_task_manager_counts counts;
    at_task_manager_count(manager, &counts);
    cr_assert_eq(counts.succeeded, 1000);
    at_task_manager_destroy(manager);
    cr_assert_eq(destroy_pool(pool).succeeded, 1000);
}

Test(task_manager, g1_no_children_is_success) {
    at_pool *pool = create_pool(1);
    at_task_manager *manager = create(pool, 0);
    cr_assert_eq(at_task_manager_gather(manager, NULL, 0), AT_OK);
    at_task_manager_destroy(manager);
    cr_assert_eq(at_task_manager_create(&manager, pool, NULL), AT_OK);
    at_task_manager_destroy(manager); /* nothing was started, so nothing is unjoined */
    at_task_manager_destroy(NULL);
    destroy_pool(pool);
}

Test(task_manager, g1_bad_options_name_the_member) {
    at_pool *pool = create_pool(1);
    at_task_manager *manager = NULL;
    at_task_manager_options options = {.max_concurrent = -3};
    cr_assert_eq(at_task_manager_create(&manager, pool, &options), AT_ERROR_INVALID);
    cr_assert(strstr(at_error_text(at_error_last()), "max_concurrent"));
    options = (at_task_manager_options){.reserved = {1}};
    cr_assert_eq(at_task_manager_create(&manager, pool, &options), AT_ERROR_INVALID);
    cr_assert_null(manager);
    manager = create(pool, 1);
    at_task_options task = {.run = give_back, .priority = (at_priority)9};
    cr_assert_eq(at_task_manager_start_with(manager, &task), AT_ERROR_INVALID);
    cr_assert(strstr(at_error_text(at_error_last()), "priority"));
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

struct load {
    _Atomic int running;
    _Atomic int most;
};

static void *measure_load(void *context) {
    struct load *load = context;
    int running = atomic_fetch_add(&load->running, 1) + 1;
    int most = atomic_load(&load->most);
    while (most < running && !atomic_compare_exchange_weak(&load->most, &most, running))
        continue;
    at_yield();
    atomic_fetch_sub(&load->running, 1);
    return NULL;
}

Test(task_manager, g1_no_more_run_than_the_limit) {
    at_pool *pool = create_pool(4);
    at_task_manager *manager = create(pool, 3);
    struct load load = {.most = 0};
    for (int i = 0; i < 2000; i++)
        start(manager, measure_load, &load);
    cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_OK);
    cr_assert_leq(atomic_load(&load.most), 3);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

static void *wait_until_open(void *future) {
    AT_TRY(at_future_wait(future, AT_FOREVER, NULL));
    return NULL;
}

/* Excess starts hold no worker: with one place taken by a task that waits, the only worker is free.
 */
Test(task_manager, g1_queued_children_hold_no_worker) {
    at_pool *pool = create_pool(1);
    at_task_manager *manager = create(pool, 1);
    at_future *opened;
    at_promise *promise = create_promise(pool, &opened);
    struct tally tally = {0};
    start(manager, wait_until_open, opened);
    start(manager, tally_run, &tally);
    expect_end(at_pool_submit(pool, give_back, NULL), AT_OK);
    at_task_manager_counts counts;
    at_task_manager_count(manager, &counts);
    cr_assert_eq(counts.running, 1);
    cr_assert_eq(counts.queued, 1);
    cr_assert_eq(tally_runs(&tally), 0);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_OK);
    cr_assert_eq(tally_runs(&tally), 1);
    at_future_release(opened);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

struct siblings {
    at_task_manager *manager;
    _Atomic int left;
    _Atomic int refused;
};

static void *start_sibling(void *context) {
    struct siblings *siblings = context;
    if (atomic_fetch_sub(&siblings->left, 1) > 0 &&
        at_task_manager_start(siblings->manager, start_sibling, siblings) != AT_OK)
        atomic_fetch_add(&siblings->refused, 1);
    return NULL;
}

Test(task_manager, g1_children_start_siblings_until_the_join_has_ended) {
    at_pool *pool = create_pool(2);
    struct siblings siblings = {.manager = create(pool, 2), .left = 5000};
    start(siblings.manager, start_sibling, &siblings);
    cr_assert_eq(at_task_manager_join(siblings.manager, PATIENCE), AT_OK);
    cr_assert_leq(atomic_load(&siblings.left), 0);
    cr_assert_eq(atomic_load(&siblings.refused), 0);
    cr_assert_eq(at_task_manager_start(siblings.manager, give_back, NULL), AT_ERROR_CLOSED);
    at_task_manager_destroy(siblings.manager);
    destroy_pool(pool);
}

Test(task_manager, g1_outcomes_come_in_the_order_of_the_starts) {
    at_pool *pool = create_pool(4);
    at_task_manager *manager = create(pool, 5);
    enum { count = 500 };
    for (intptr_t i = 0; i < count; i++)
        start(manager, give_back, (void *)i);
    at_outcome outcomes[count];
    cr_assert_eq(at_task_manager_gather(manager, outcomes, 200), AT_OK);
    cr_assert_eq(at_task_manager_gather(manager, outcomes + 200, count - 200), AT_OK);
    for (intptr_t i = 0; i < count; i++)
        cr_assert_eq((intptr_t)outcomes[i].value, i);
    cr_assert_eq(at_task_manager_gather(manager, outcomes, 1), AT_ERROR_INVALID);
    cr_assert_eq(outcomes[0].status, AT_ERROR_INVALID);
    at_outcomes_release(outcomes, count);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

Test(task_manager, g1_values_that_nobody_gathers_are_dropped_once) {
    at_pool *pool = create_pool(2);
    for (int forgets = 0; forgets < 2; forgets++) {
        at_task_manager *manager;
        at_task_manager_options options = {.no_outcomes = forgets};
        cr_assert_eq(at_task_manager_create(&manager, pool, &options), AT_OK);
        struct tally tally = {0};
        for (int i = 0; i < 10; i++)
            start(manager, give_owned, &tally);
        cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_OK);
        at_outcome outcomes[4];
        at_status status = at_task_manager_gather(manager, outcomes, 4);
        cr_assert_eq(status, forgets ? AT_ERROR_INVALID : AT_OK);
        cr_assert_eq(tally_drops(&tally), forgets ? 10 : 0);
        at_outcomes_release(outcomes, 4);
        at_outcomes_release(outcomes, 4); /* nothing is left in them */
        at_task_manager_destroy(manager);
        cr_assert_eq(tally_drops(&tally), 10);
    }
    destroy_pool(pool);
}

Test(task_manager, g2_the_first_failure_cancels_the_rest_and_all_are_awaited) {
    at_pool *pool = create_pool(2);
    at_task_manager *manager = create(pool, 4);
    struct tally tally = {0};
    for (int i = 0; i < 3; i++)
        start(manager, wait_for_cancel, NULL);
    start(manager, fail_io, NULL);
    at_task_options owned = {.run = give_owned, .argument = &tally, .drop = tally_drop};
    cr_assert_eq(at_task_manager_start_with(manager, &owned), AT_OK);
    at_outcome outcomes[5];
    cr_assert_eq(at_task_manager_gather(manager, outcomes, 5), AT_ERROR_IO);
    cr_assert_str_eq(at_error_text(at_error_last()), "on purpose");
    for (int i = 0; i < 3; i++)
        cr_assert_eq(outcomes[i].status, AT_ERROR_CANCELLED);
    cr_assert_eq(outcomes[3].status, AT_ERROR_IO);
    cr_assert_eq(at_error_other_count(at_error_last()), 0, "cancelled by the manager: no errors");
    cr_assert_eq(tally_drops(&tally) + (outcomes[4].status == AT_OK), 1);
    at_outcomes_release(outcomes, 5);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

Test(task_manager, g2_what_is_started_after_a_cancel_never_runs) {
    at_pool *pool = create_pool(1);
    at_task_manager *manager = create(pool, 2);
    cr_assert_eq(at_task_manager_cancel(manager), AT_OK);
    cr_assert_eq(at_task_manager_cancel(manager), AT_ERROR_ALREADY);
    struct tally tally = {0};
    for (int i = 0; i < 5; i++) {
        at_task_options owned = {
            .run = give_owned, .argument = &tally, .drop = tally_drop, .name = "late"};
        cr_assert_eq(at_task_manager_start_with(manager, &owned), AT_OK);
    }
    cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_ERROR_CANCELLED);
    cr_assert_eq(tally_runs(&tally), 0);
    cr_assert_eq(tally_drops(&tally), 5);
    at_task_manager_destroy(manager);
    cr_assert_eq(destroy_pool(pool).cancelled, 5);
}

Test(task_manager, g1_a_join_that_times_out_can_be_called_again) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    at_task_manager *manager = create(pool, 1);
    start(manager, wait_for_cancel, NULL);
    cr_assert_eq(at_task_manager_join(manager, at_after(AT_SECONDS(1))), AT_ERROR_TIMED_OUT);
    start(manager, give_back, NULL);
    cr_assert_eq(at_task_manager_join(manager, at_after(AT_SECONDS(2000))), AT_OK);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

static void *manage_until_timeout(void *statuses) {
    at_status *status = statuses;
    at_task_manager *manager;
    AT_TIMEOUT(scope, AT_SECONDS(5)) {
        AT_TRY(at_task_manager_create(&manager, at_pool_current(), NULL));
        AT_TRY(at_task_manager_start(manager, wait_for_cancel, NULL));
        status[0] = at_task_manager_join(manager, AT_FOREVER);
        at_task_manager_destroy(manager);
    }
    AT_TRY(at_task_manager_create(&manager, at_pool_current(), NULL));
    AT_TRY(at_task_manager_start(manager, wait_for_cancel, NULL));
    AT_TIMEOUT(scope, AT_SECONDS(5)) {
        status[1] = at_task_manager_join(manager, AT_FOREVER);
    }
    at_task_manager_destroy(manager);
    return NULL;
}

Test(task_manager, s4_children_belong_to_the_scope_around_the_manager) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    at_status statuses[2] = {AT_OK, AT_OK};
    expect_end(at_pool_submit(pool, manage_until_timeout, statuses), AT_OK);
    cr_assert_eq(statuses[0], AT_ERROR_TIMED_OUT);
    cr_assert_eq(statuses[1], AT_ERROR_TIMED_OUT);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

static void *join_itself(void *manager) {
    at_status status = at_task_manager_join(manager, AT_FOREVER);
    return status == AT_ERROR_DEADLOCK ? NULL : AT_FAILED;
}

Test(task_manager, w2_a_child_that_joins_its_manager) {
    at_pool *pool = create_pool(1);
    at_task_manager *manager = create(pool, 1);
    start(manager, join_itself, manager);
    cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_OK);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

Test(task_manager, g1_leaving_without_a_join) {
    at_logger *logger;
    at_logger_options log = {.memory_bytes = 65536};
    cr_assert_eq(at_logger_create(&logger, &log), AT_OK);
    at_logger_set_default(logger);
    at_pool *pool = create_pool(2);
    at_task_manager *manager = create(pool, 2);
    struct tally tally = {0};
    for (int i = 0; i < 2; i++)
        start(manager, wait_for_cancel, NULL);
    at_task_options owned = {.run = give_owned, .argument = &tally, .drop = tally_drop};
    cr_assert_eq(at_task_manager_start_with(manager, &owned), AT_OK);
    at_task_manager_destroy(manager);
    cr_assert_eq(tally_runs(&tally), 0);
    cr_assert_eq(tally_drops(&tally), 1);
    destroy_pool(pool);
    char *lines;
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_assert(strstr(lines, "\"event\":\"task_manager.unjoined\""), "%s", lines);
    cr_assert(strstr(lines, "\"task_manager\":\"group\""));
    at_logger_memory_release(lines);
    at_logger_set_default(NULL);
    at_logger_destroy(logger);
}

Test(task_manager, s1_a_closed_pool_refuses_and_the_caller_keeps_the_argument) {
    at_pool *pool = create_pool(1);
    at_task_manager *manager = create(pool, 1);
    start(manager, give_back, NULL);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    struct tally tally = {0};
    at_task_options owned = {.run = give_owned, .argument = &tally, .drop = tally_drop};
    cr_assert_eq(at_task_manager_start_with(manager, &owned), AT_ERROR_CLOSED);
    cr_assert_eq(tally_drops(&tally), 0);
    struct fault_usage before = fault_usage();
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(at_task_manager_start(manager, give_back, NULL), AT_ERROR_CLOSED);
    at_error_clear();
    cr_expect_leq(fault_usage().bytes, before.bytes, "what was refused takes no room");
    at_task_manager_counts counts;
    at_task_manager_count(manager, &counts);
    cr_expect_eq(counts.started, 1);
    cr_expect_eq(counts.succeeded, 1);
    at_outcome outcomes[1];
    cr_assert_eq(at_task_manager_gather(manager, outcomes, 1), AT_OK);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

static void *go_on_with(void *future) {
    return at_return_future(future);
}

Test(task_manager, c0_a_child_goes_on_with_a_future) {
    at_pool *pool = create_pool(1);
    at_task_manager *manager = create(pool, 1);
    struct tally tally = {0};
    start(manager, go_on_with, at_pool_submit(pool, give_owned, &tally));
    start(manager, go_on_with, at_pool_submit(pool, fail_io, &tally));
    at_outcome outcomes[2];
    cr_assert_eq(at_task_manager_gather(manager, outcomes, 2), AT_ERROR_IO);
    cr_assert_eq(outcomes[0].value, &tally);
    cr_assert_eq(tally_drops(&tally), 0);
    at_outcomes_release(outcomes, 2);
    cr_assert_eq(tally_drops(&tally), 1);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

static void use_manager(at_pool *pool) {
    at_task_manager *manager = create(pool, 3);
    for (int i = 0; i < 100; i++)
        start(manager, give_back, NULL);
    at_outcome outcomes[100];
    cr_assert_eq(at_task_manager_gather(manager, outcomes, 100), AT_OK);
    at_outcomes_release(outcomes, 100);
    at_task_manager_destroy(manager);
    manager = create(pool, 3);
    for (int i = 0; i < 100; i++)
        start(manager, i == 7 ? fail_io : give_back, NULL);
    cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_ERROR_IO);
    at_task_manager_destroy(manager);
    at_error_clear();
}

Test(task_manager, g1_memory_does_not_grow) {
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 20; i++)
        use_manager(pool);
    struct fault_usage before = fault_usage();
    for (int i = 0; i < 100; i++)
        use_manager(pool);
    struct fault_usage after = fault_usage();
    cr_assert_leq(after.bytes, before.bytes + 64 * 1024);
    destroy_pool(pool);
}

static at_task_manager *create_with(at_pool *pool, const at_task_manager_options *options) {
    at_task_manager *manager;
    cr_assert_eq(at_task_manager_create(&manager, pool, options), AT_OK);
    return manager;
}

Test(task_manager, g2_any_may_succeed) {
    at_pool *pool = create_pool(2);
    at_task_manager_options options = {.policy = AT_TASK_MANAGER_ANY};
    at_task_manager *manager = create_with(pool, &options);
    start(manager, wait_for_cancel, NULL);
    start(manager, fail_io, NULL);
    start(manager, give_back, &options);
    at_outcome outcomes[3];
    cr_assert_eq(at_task_manager_gather(manager, outcomes, 3), AT_OK);
    cr_assert_eq(outcomes[0].status, AT_ERROR_CANCELLED);
    cr_assert_eq(outcomes[2].value, &options);
    at_outcomes_release(outcomes, 3);
    at_task_manager_destroy(manager);
    manager = create_with(pool, &options);
    start(manager, fail_io, NULL);
    start(manager, fail_io, NULL);
    cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_ERROR_IO);
    cr_assert_eq(at_error_other_count(at_error_last()), 1);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

Test(task_manager, g2_collect_lets_each_end) {
    at_pool *pool = create_pool(2);
    at_task_manager_options options = {.policy = AT_TASK_MANAGER_COLLECT};
    at_task_manager *manager = create_with(pool, &options);
    struct tally tally = {0};
    for (int i = 0; i < 10; i++)
        start(manager, i % 2 ? fail_io : tally_run, &tally);
    at_outcome outcomes[10];
    cr_assert_eq(at_task_manager_gather(manager, outcomes, 10), AT_ERROR_IO);
    cr_assert_eq(at_error_other_count(at_error_last()), 4);
    cr_assert_eq(tally_runs(&tally), 5);
    at_outcomes_release(outcomes, 10);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

struct quorum {
    _Atomic int missing;
    at_task_manager_decision then;
};

static at_task_manager_decision count_successes(const at_outcome *outcome, void *context) {
    struct quorum *quorum = context;
    if (outcome->status == AT_OK && atomic_fetch_sub(&quorum->missing, 1) == 1)
        return quorum->then;
    return AT_TASK_MANAGER_GO_ON;
}

Test(task_manager, g2_a_callback_decides) {
    at_pool *pool = create_pool(2);
    for (int fails = 0; fails < 2; fails++) {
        struct quorum quorum = {.missing = 2,
                                .then = fails ? AT_TASK_MANAGER_FAIL : AT_TASK_MANAGER_SUCCEED};
        at_task_manager_options options = {.decide = count_successes, .context = &quorum};
        at_task_manager *manager = create_with(pool, &options);
        start(manager, wait_for_cancel, NULL);
        if (!fails)
            start(manager, fail_io, NULL);
        start(manager, give_back, NULL);
        start(manager, give_back, NULL);
        cr_assert_eq(at_task_manager_join(manager, PATIENCE), fails ? AT_ERROR_FAILED : AT_OK);
        at_task_manager_destroy(manager);
    }
    destroy_pool(pool);
}

Test(task_manager, g2_bad_policies_name_the_member) {
    at_pool *pool = create_pool(1);
    at_task_manager *manager;
    at_task_manager_options options = {.policy = (at_task_manager_policy)7};
    cr_assert_eq(at_task_manager_create(&manager, pool, &options), AT_ERROR_INVALID);
    cr_assert(strstr(at_error_text(at_error_last()), "policy"));
    options = (at_task_manager_options){.policy = AT_TASK_MANAGER_ANY, .decide = count_successes};
    cr_assert_eq(at_task_manager_create(&manager, pool, &options), AT_ERROR_INVALID);
    cr_assert(strstr(at_error_text(at_error_last()), "policy"));
    destroy_pool(pool);
}

Test(task_manager, g1_submit_gives_a_future) {
    at_pool *pool = create_pool(2);
    at_task_manager *manager = create(pool, 1);
    struct tally tally = {0};
    at_future *value = at_task_manager_submit(manager, give_owned, &tally);
    cr_assert_eq(at_future_wait(value, PATIENCE, NULL), AT_OK);
    at_outcome outcomes[1];
    cr_assert_eq(at_task_manager_gather(manager, outcomes, 1), AT_OK);
    cr_assert_eq(outcomes[0].value, &tally);
    at_outcomes_release(outcomes, 1);
    at_future_release(value);
    cr_assert_eq(tally_drops(&tally), 0, "lent until the end of the manager");
    at_task_manager_destroy(manager);
    cr_assert_eq(tally_drops(&tally), 1);
    destroy_pool(pool);
}

Test(task_manager, g2_a_submitted_child_that_fails) {
    at_pool *pool = create_pool(1);
    at_task_manager *manager = create(pool, 2);
    at_future *waiting = at_task_manager_submit(manager, wait_for_cancel, NULL);
    at_future *failing = at_task_manager_submit(manager, fail_io, NULL);
    cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_ERROR_IO);
    expect_end(failing, AT_ERROR_IO);
    expect_end(waiting, AT_ERROR_CANCELLED);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

Test(task_manager, c4_a_submitted_child_is_cancelled_alone) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    at_task_manager *manager = create(pool, 2);
    struct tally tally = {0};
    at_future *running = at_task_manager_submit(manager, wait_for_cancel, NULL);
    at_future *unwanted = at_task_manager_submit(manager, wait_for_cancel, NULL);
    at_task_options owned = {
        .run = give_owned, .argument = &tally, .drop = tally_drop, .name = "queued"};
    at_future *queued = at_task_manager_submit_with(manager, &owned);
    start(manager, give_back, NULL);
    at_future_cancel(unwanted);
    expect_end(unwanted, AT_ERROR_CANCELLED);
    at_future_cancel(queued);
    at_future_cancel(running);
    cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_ERROR_CANCELLED);
    at_task_manager_counts counts;
    at_task_manager_count(manager, &counts);
    cr_assert_eq(counts.cancelled, (uint64_t)(3 - tally_runs(&tally)));
    cr_assert_eq(tally_drops(&tally), 1);
    expect_end(running, AT_ERROR_CANCELLED);
    at_future_release(queued);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

Test(task_manager, g2_a_success_that_nobody_wants_decides_nothing) {
    at_pool *pool = create_pool(1);
    at_task_manager_options options = {.policy = AT_TASK_MANAGER_ANY};
    at_task_manager *manager = create_with(pool, &options);
    struct gate gate = GATE_CLOSED;
    at_future *future = at_task_manager_submit(manager, gate_pass, &gate);
    gate_await(&gate, 1);
    at_future_cancel(future);
    gate_open(&gate);
    expect_end(future, AT_ERROR_CANCELLED);
    start(manager, fail_io, NULL);
    cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_ERROR_IO);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

struct late_decision {
    int seen;
};

static at_task_manager_decision look_late(const at_outcome *outcome, void *context) {
    struct late_decision *late = context;
    late->seen = *(const int *)outcome->value;
    return AT_TASK_MANAGER_GO_ON;
}

static void *give_number(void *unused) {
    (void)unused;
    int *number = malloc(sizeof *number);
    *number = 42;
    return at_return(number, free);
}

/* Nobody can take the value before the callback has seen it; a gather does not lend one that was
 * taken. */
Test(task_manager, g2_a_value_is_decided_on_before_it_is_taken) {
    at_pool *pool = create_pool(2);
    struct late_decision late = {0};
    at_task_manager_options options = {.decide = look_late, .context = &late};
    for (int i = 0; i < 200; i++) {
        at_task_manager *manager = create_with(pool, &options);
        at_future *future = at_task_manager_submit(manager, give_number, NULL);
        void *value;
        at_drop_fn drop;
        while (!at_future_is_done(future))
            sched_yield();
        cr_assert_eq(at_future_take(future, &value, &drop), AT_OK);
        cr_expect_eq(late.seen, 42);
        late.seen = 0;
        drop(value);
        at_future_release(future);
        at_outcome outcome;
        cr_assert_eq(at_task_manager_gather(manager, &outcome, 1), AT_OK);
        cr_expect_eq(outcome.status, AT_OK);
        cr_expect_null(outcome.value);
        at_outcomes_release(&outcome, 1);
        at_task_manager_destroy(manager);
    }
    destroy_pool(pool);
}

/* Rule S1: what the manager only queues is refused by a pool that is shut down, too. */
Test(task_manager, s1_a_closed_pool_refuses_what_would_be_queued) {
    at_pool *pool = create_pool(1);
    at_task_manager *manager = create(pool, 1);
    struct gate gate = GATE_CLOSED;
    start(manager, gate_pass, &gate);
    gate_await(&gate, 1);
    start(manager, give_back, NULL);
    cr_assert_eq(at_pool_shutdown(pool, at_after(0)), AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_task_manager_start(manager, give_back, NULL), AT_ERROR_CLOSED);
    gate_open(&gate);
    cr_expect_eq(at_task_manager_join(manager, PATIENCE), AT_OK);
    at_task_manager_counts counts;
    at_task_manager_count(manager, &counts);
    cr_expect_eq(counts.succeeded, 2);
    at_error_clear();
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

/* A start that finds its pool full leaves nothing behind, though its child was written already. */
Test(task_manager, s1_a_full_pool_refuses) {
    at_pool *pool;
    at_pool_options bounded = {.thread_count = 1, .queue_bound = 1};
    cr_assert_eq(at_pool_create(&pool, &bounded), AT_OK);
    struct gate gate = GATE_CLOSED;
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    cr_assert_eq(at_pool_start(pool, give_back, NULL), AT_OK);
    at_task_manager *manager = create(pool, 4);
    cr_assert_eq(at_task_manager_start(manager, give_back, NULL), AT_ERROR_FULL);
    struct fault_usage before = fault_usage();
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(at_task_manager_start(manager, give_back, NULL), AT_ERROR_FULL);
    cr_expect_leq(fault_usage().bytes, before.bytes);
    at_task_manager_counts counts;
    at_task_manager_count(manager, &counts);
    cr_expect_eq(counts.started, 0);
    cr_expect_eq(counts.running, 0);
    at_error_clear();
    gate_open(&gate);
    cr_expect_eq(at_task_manager_join(manager, PATIENCE), AT_OK);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

static void *open_gate(void *gate) {
    gate_open(gate);
    return NULL;
}

/* Rule H0: a join that succeeds leaves the error slot alone, also in a scope that is over. */
Test(task_manager, h0_a_join_that_succeeds_writes_no_error) {
    at_pool *pool = create_pool(1);
    at_task_manager *manager = create(pool, 1);
    struct gate gate = GATE_CLOSED;
    start(manager, gate_pass, &gate);
    gate_await(&gate, 1);
    at_scope scope;
    at_scope_begin(&scope, NULL);
    at_token *token = at_scope_token(&scope);
    (void)at_token_cancel(token);
    pthread_t opener;
    cr_assert_eq(pthread_create(&opener, NULL, open_gate, &gate), 0);
    cr_expect_eq(at_task_manager_join(manager, PATIENCE), AT_OK);
    cr_expect_null(at_error_last());
    pthread_join(opener, NULL);
    (void)at_scope_end(&scope);
    at_error_clear();
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

struct own_future {
    at_future *future;
    struct gate gate;
};

static void *wait_for_itself(void *context) {
    struct own_future *own = context;
    gate_pass(&own->gate);
    AT_TRY(at_future_wait(own->future, AT_FOREVER, NULL));
    return NULL;
}

Test(task_manager, w2_a_child_that_waits_for_its_own_future) {
    at_pool *pool = create_pool(1);
    at_task_manager *manager = create(pool, 1);
    struct own_future own = {.gate = GATE_CLOSED};
    own.future = at_task_manager_submit(manager, wait_for_itself, &own);
    gate_open(&own.gate);
    cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_ERROR_DEADLOCK);
    expect_end(own.future, AT_ERROR_DEADLOCK);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

Test(task_manager, f4_a_submit_that_cannot_be) {
    at_pool *pool = create_pool(1);
    at_task_manager *manager = create(pool, 1);
    struct tally tally = {0};
    at_task_options owned = {
        .run = give_owned, .argument = &tally, .drop = tally_drop, .priority = (at_priority)9};
    expect_end(at_task_manager_submit_with(manager, &owned), AT_ERROR_INVALID);
    cr_assert_eq(tally_drops(&tally), 1);
    cr_assert_eq(at_task_manager_join(manager, PATIENCE), AT_OK);
    owned.priority = AT_PRIORITY_INHERITED;
    expect_end(at_task_manager_submit_with(manager, &owned), AT_ERROR_CLOSED);
    cr_assert_eq(tally_drops(&tally), 2);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

/* -- The cause ------------------------------------------------------------------------------- */

static void *sleep_and_say_so(void *unused) {
    (void)unused;
    if (at_sleep(AT_SECONDS(50)) != AT_OK)
        return at_fail(AT_ERROR_IO, "interrupted");
    return NULL;
}

static void *fail_for_all(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_NOT_FOUND, "the cause");
}

/* Rule G2: the others fail on account of the first one, and may end before it has. */
Test(task_manager, the_cause_comes_first) {
    at_pool *pool = create_pool(4);
    for (int round = 0; round < 20; round++) {
        at_task_manager *manager = NULL;
        cr_assert_eq(at_task_manager_create(&manager, pool, NULL), AT_OK);
        for (int i = 0; i < 200; i++)
            start(manager, sleep_and_say_so, NULL);
        start(manager, fail_for_all, NULL);
        cr_expect_eq(at_task_manager_join(manager, AT_FOREVER), AT_ERROR_NOT_FOUND);
        cr_expect_str_eq(at_error_text(at_error_last()), "the cause");
        at_error_clear();
        at_task_manager_destroy(manager);
    }
    destroy_pool(pool);
}
