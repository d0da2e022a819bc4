/* SPDX-License-Identifier: MIT
 *
 * Rule S4: a task inherits the operation from what submitted it; nothing of it is left behind on
 * the worker (rule J5). */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include "base/context.h"

#include <asynctools/cancel.h>
#include <asynctools/sleep.h>

FAULT_INSTALL;

TestSuite(pool_context, .timeout = 200);

static void *see_context(void *seen) {
    *(ati_context **)seen = ati_context_current();
    return seen;
}

static void *see_then(void *value, void *seen) {
    (void)value;
    return see_context(seen);
}

static void *see_recover(const at_error *error, void *seen) {
    (void)error;
    return see_context(seen);
}

static void see_finally(const at_outcome *outcome, void *seen) {
    (void)outcome;
    *(ati_context **)seen = ati_context_current()->parent;
}

static ati_context *enter_context(void) {
    ati_context *context = ati_context_create(NULL, "operation", AT_FOREVER, NULL, 0);
    cr_assert_not_null(context);
    (void)ati_context_exchange(context);
    return context;
}

static void leave_context(ati_context *context) {
    (void)ati_context_exchange(NULL);
    ati_context_release(context);
}

/* In all the ways to start. */
Test(pool_context, tasks_run_under_the_context_of_their_start) {
    ati_context *seen[6] = {NULL};
    at_task task;
    at_pool *pool = create_pool(1);
    ati_context *context = enter_context();
    cr_assert_eq(at_pool_start(pool, see_context, &seen[0]), AT_OK);
    at_task_options options = {.run = see_context, .argument = &seen[1]};
    cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
    cr_assert_eq(at_pool_start_many(pool, see_context, AT_ITEMS(&seen[2], 2)), AT_OK);
    at_task_init(&task, see_context, &seen[4]);
    cr_assert_eq(at_pool_start_task(pool, &task), AT_OK);
    at_future_release(at_pool_submit(pool, see_context, &seen[5]));
    leave_context(context);
    destroy_pool(pool);
    for (int i = 0; i < 6; i++)
        cr_expect_eq(seen[i], context, "%d", i);
    fault_check_leaks((struct fault_usage){0});
}

static void *fail_plainly(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "on purpose");
}

static void *give(void *argument) {
    return argument;
}

/* Continuations too: the context where they were attached; what cleans up, a shield in that. */
Test(pool_context, continuations_run_under_the_context_of_their_attachment) {
    ati_context *seen[3] = {NULL};
    at_pool *pool = create_pool(1);
    at_future *values[2] = {at_pool_submit(pool, give, NULL), at_pool_submit(pool, give, NULL)};
    at_future *failure = at_pool_submit(pool, fail_plainly, NULL);
    ati_context *context = enter_context();
    at_future *futures[3] = {
        at_future_then(values[0], see_then, &seen[0]),
        at_future_finally(values[1], see_finally, &seen[1]),
        at_future_recover(failure, see_recover, &seen[2]),
    };
    leave_context(context);
    for (int i = 0; i < 3; i++) {
        wait_value(futures[i]);
        cr_expect_eq(seen[i], context, "%d", i);
        at_future_release(futures[i]);
    }
    destroy_pool(pool);
    fault_check_leaks((struct fault_usage){0});
}

static void *see_inside(void *argument) {
    ati_context **seen = argument;
    seen[0] = ati_context_current();
    at_future *child = at_pool_submit(at_pool_current(), see_context, &seen[1]);
    AT_TRY(at_future_wait(child, AT_FOREVER, NULL));
    at_future_release(child);
    seen[2] = ati_context_current();
    return NULL;
}

/* What a task starts inherits it, and a task that was run in place gives it back. */
Test(pool_context, children_inherit) {
    ati_context *seen[3] = {NULL}, *after = (ati_context *)&after;
    at_pool *pool = create_pool(1);
    ati_context *context = enter_context();
    at_future *future = at_pool_submit(pool, see_inside, seen);
    leave_context(context);
    wait_value(future);
    at_future_release(future);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(seen[i], context, "%d", i);
    cr_assert_eq(at_pool_start(pool, see_context, &after), AT_OK);
    destroy_pool(pool);
    cr_expect_null(after);
    fault_check_leaks((struct fault_usage){0});
}

static void *see_then_share(void *argument) {
    ati_context **seen = argument;
    AT_TRY(at_sleep(AT_MICROSECONDS(1)));
    seen[0] = ati_context_current();
    AT_TRY(at_pool_start(at_pool_current(), see_context, &seen[1]));
    AT_SCOPE(scope, .timeout = 0) {
        AT_TRY(at_pool_start(at_pool_current(), see_context, &seen[2]));
        seen[3] = ati_context_current();
    }
    at_future_release(
        at_future_then(at_pool_submit(at_pool_current(), give, NULL), see_then, &seen[4]));
    return NULL;
}

/* A task that waits gets an operation of its own, which is not handed on: what it starts is not
 * cancelled with it, and the operation does not grow from task to task. */
Test(pool_context, an_operation_of_its_own_is_not_inherited) {
    ati_context *unseen = (ati_context *)&unseen;
    ati_context *seen[5] = {unseen, unseen, unseen, unseen, unseen};
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, see_then_share, seen);
    wait_value(future);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_not_null(seen[0]);
    cr_expect_null(seen[1], "where it is started");
    cr_expect_eq(seen[2], seen[3], "in a scope");
    cr_expect_null(seen[4], "where it is attached");
    fault_check_leaks((struct fault_usage){0});
}

struct kin {
    ati_context *context;
    ati_context *parent;
    uint64_t trace;
    at_status checked;
};

static void *see_kin(void *argument) {
    struct kin *kin = argument;
    kin->context = ati_context_current();
    kin->parent = kin->context->parent;
    kin->trace = kin->context->trace_id[0];
    kin->checked = at_check();
    at_error_clear();
    return NULL;
}

/* A detached one has only the ids of the operation that it was started in: it is a root. */
Test(pool_context, detached_tasks_keep_the_ids) {
    struct kin kin[2] = {{.checked = AT_ERROR_FAILED, .parent = (ati_context *)&kin},
                         {.checked = AT_ERROR_FAILED, .parent = (ati_context *)&kin}};
    struct kin left_out = {.context = NULL};
    at_pool *pool = create_pool(1);
    at_scope scope;
    at_scope_begin(&scope, NULL);
    ati_context *context = ati_context_current();
    cr_assert_eq(at_token_cancel(at_scope_token(&scope)), AT_OK);
    at_task_options options = {.run = see_kin, .argument = &kin[0], .is_detached = true};
    cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
    options.argument = &kin[1];
    at_future *future = at_pool_submit_with(pool, &options);
    cr_assert_eq(at_pool_start(pool, see_kin, &left_out), AT_OK);
    cr_expect_eq(at_scope_end(&scope), AT_ERROR_CANCELLED);
    wait_value(future);
    at_future_release(future);
    uint64_t trace = kin[1].trace;
    cr_expect_eq(destroy_pool(pool).cancelled, 1);
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(kin[i].checked, AT_OK);
        cr_expect_neq(kin[i].context, context);
        cr_expect_null(kin[i].parent);
        cr_expect_eq(kin[i].trace, trace);
    }
    cr_expect_null(left_out.context);
    fault_check_leaks((struct fault_usage){0});
}

/* No memory for a context of its own: it is not started, and the argument is dropped or kept. */
Test(pool_context, no_memory_to_detach) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    at_scope scope;
    at_scope_begin(&scope, NULL);
    at_task_options options = {
        .run = tally_run, .argument = &tally, .drop = tally_drop, .is_detached = true};
    fault_arm(fault_memory, 1);
    cr_expect_eq(at_pool_start_with(pool, &options), AT_ERROR_NO_MEMORY);
    fault_disarm();
    cr_expect_eq(tally_drops(&tally), 0);
    fault_arm(fault_memory, 2);
    at_future *future = at_pool_submit_with(pool, &options);
    fault_disarm();
    cr_expect_eq(tally_drops(&tally), 1);
    expect_outcome(future, AT_ERROR_NO_MEMORY);
    at_future_release(future);
    cr_expect_eq(at_scope_end(&scope), AT_OK);
    cr_expect_eq(destroy_pool(pool).accepted, 0);
    cr_expect_eq(tally_runs(&tally), 0);
    fault_check_leaks((struct fault_usage){0});
}

static void *set_and_forget(void *unused) {
    return unused;
}

/* What is refused keeps nothing. */
Test(pool_context, refused_tasks_let_go_of_it) {
    ati_context *seen[2] = {NULL};
    at_task task;
    at_pool *pool = create_pool(1);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    ati_context *context = enter_context();
    cr_expect_eq(at_pool_start(pool, set_and_forget, NULL), AT_ERROR_CLOSED);
    cr_expect_eq(at_pool_start_many(pool, see_context, AT_ITEMS(seen, 2)), AT_ERROR_CLOSED);
    at_task_options options = {.run = set_and_forget, .name = "named"};
    cr_expect_eq(at_pool_start_with(pool, &options), AT_ERROR_CLOSED);
    at_task_init(&task, set_and_forget, NULL);
    cr_expect_eq(at_pool_start_task(pool, &task), AT_ERROR_CLOSED);
    ati_context_stock_return();
    cr_expect_eq(context->references, 1);
    leave_context(context);
    destroy_pool(pool);
    fault_check_leaks((struct fault_usage){0});
}
