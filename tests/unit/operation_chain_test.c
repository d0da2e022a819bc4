/* SPDX-License-Identifier: MIT
 *
 * Work that runs in an operation and starts itself again there goes on for ever in the same memory
 * (rules S4, X2, X6). */
#include "support/fault.h"
#include "support/operations.h"
#include "support/test.h"

FAULT_INSTALL;

TestSuite(operation_chain, .init = begin_operations, .fini = end_operations, .timeout = 300);

enum {
    many = 1000000,
    some = 2000,
    few = 100, /* steps until everything has been allocated that stays */
};

/* -- Chains of steps -- */

static struct {
    void *(*step)(void *unused);
    at_task_manager *tasks;
    at_task_pool *workers;
    int64_t step_count;
    int64_t steps_done;
    int64_t blocks; /* after the first steps */
    struct gate gate;
} chain;

static bool counts_a_step(void) {
    int64_t done = ++chain.steps_done;
    if (done == few)
        chain.blocks = fault_usage().blocks;
    if (done < chain.step_count)
        return true;
    cr_expect_lt(fault_usage().blocks, chain.blocks + 100, "%lld blocks, and %lld",
                 (long long)chain.blocks, (long long)fault_usage().blocks);
    gate_pass(&chain.gate);
    return false;
}

#define TICK(operation)                                                                            \
    AT_OPERATION(operation, "tick", .start_level = AT_LOG_OFF, .end_level = AT_LOG_OFF,            \
                 AT_FIELDS(at_kv("step", 1)))

static void again(at_status status) {
    cr_assert_eq(status, AT_OK);
}

static void *start_again(void *unused) {
    TICK(operation) {
        if (counts_a_step())
            again(at_pool_start(pool, start_again, NULL));
    }
    return unused;
}

static void *start_again_in_a_scope(void *unused) {
    AT_TIMEOUT(outer, AT_SECONDS(1000)) {
        TICK(operation) {
            AT_TIMEOUT(inner, AT_SECONDS(1000)) {
                if (counts_a_step())
                    again(at_pool_start(pool, start_again_in_a_scope, NULL));
            }
        }
    }
    return unused;
}

/* Each with a record of its own, since it could be cancelled alone. */
static void *submit_again(void *unused) {
    cr_expect_not_null(at_token_current());
    TICK(operation) {
        if (counts_a_step()) {
            at_future *next = at_pool_submit(pool, submit_again, NULL);
            at_future_ignore(next);
            at_future_release(next);
        }
    }
    return unused;
}

static void *start_child_again(void *unused) {
    TICK(operation) {
        if (counts_a_step())
            again(at_task_manager_start(chain.tasks, start_child_again, NULL));
    }
    return unused;
}

static void *submit_item_again(void *unused) {
    TICK(operation) {
        if (counts_a_step())
            again(at_task_pool_submit(chain.workers, submit_item_again, NULL));
    }
    return unused;
}

/* Each under a task manager that has ended when the next one is created. */
static void *create_again(void *unused);

static void *start_from_a_child(void *unused) {
    if (counts_a_step())
        again(at_pool_start(pool, create_again, NULL));
    return unused;
}

static void *create_again(void *unused) {
    at_task_manager *tasks;
    again(at_task_manager_create(&tasks, pool, NULL));
    again(at_task_manager_start(tasks, start_from_a_child, NULL));
    again(at_task_manager_join(tasks, AT_FOREVER));
    at_task_manager_destroy(tasks);
    return unused;
}

static void begin_chain(int64_t step_count) {
    chain.step_count = step_count;
    chain.steps_done = 0;
    chain.gate = (struct gate)GATE_CLOSED;
    gate_open(&chain.gate);
}

static void run_chain(void *(*first)(void *unused), int64_t step_count) {
    begin_chain(step_count);
    AT_OPERATION(around, "around") {
        again(at_pool_start(pool, first, NULL));
        gate_await(&chain.gate, 1);
    }
    change_pool(1); /* waits until the last has left the gate */
}

Test(operation_chain, a_million_steps_take_the_memory_of_one) {
    run_chain(start_again, many);
}

Test(operation_chain, in_scopes) {
    run_chain(start_again_in_a_scope, some);
}

Test(operation_chain, of_futures) {
    run_chain(submit_again, some);
}

Test(operation_chain, of_task_managers) {
    run_chain(create_again, some);
}

Test(operation_chain, of_roots) {
    begin_chain(some);
    again(at_pool_start(pool, start_again_in_a_scope, NULL));
    gate_await(&chain.gate, 1);
    change_pool(1);
}

Test(operation_chain, of_children) {
    again(at_task_manager_create(&chain.tasks, pool, NULL));
    begin_chain(some);
    AT_OPERATION(around, "around") {
        again(at_task_manager_start(chain.tasks, start_child_again, NULL));
    }
    again(at_task_manager_join(chain.tasks, AT_FOREVER));
    at_task_manager_destroy(chain.tasks);
    cr_expect_eq(chain.steps_done, some);
}

Test(operation_chain, of_items) {
    again(at_task_pool_create(&chain.workers, pool, NULL));
    begin_chain(some);
    AT_OPERATION(around, "around") {
        again(at_task_pool_submit(chain.workers, submit_item_again, NULL));
        gate_await(&chain.gate, 1);
    }
    at_task_pool_destroy(chain.workers);
}

/* -- What is begun in an operation that has ended -- */

/* What runs on in an operation, and what it finds there. */
static struct {
    struct gate gate;
    at_status status;
    at_deadline deadline;
    at_cancel_reason reason;
    uint64_t id; /* of the operation that has ended */
    at_status deferred;
} rest;

/* Waits until the operation has ended; then waits in another one. */
static void *rest_of_the_work(void *unused) {
    gate_pass(&rest.gate);
    AT_TIMEOUT(scope, AT_SECONDS(100000)) {
        at_log_info(logger, "rest_in_scope");
        rest.id = at_operation_id(at_operation_current());
        rest.deferred = at_defer(at_operation_current(), (void (*)(void *))at_error_clear, NULL);
        at_error_clear();
        AT_OPERATION(operation, "rest") {
            rest.deadline = at_token_deadline(at_operation_token(operation));
            rest.status = at_sleep(AT_SECONDS(20));
            rest.reason = at_token_reason(at_operation_token(operation));
            at_error_clear();
        }
    }
    return unused;
}

static void begin_rest(void) {
    rest.gate = (struct gate)GATE_CLOSED;
    again(at_pool_start(pool, rest_of_the_work, NULL));
    gate_await(&rest.gate, 1);
}

static void end_rest(void) {
    gate_open(&rest.gate);
    change_pool(1);
}

/* Rules J5, S4: it has ids, trace and fields of the operation, though it is not below it. */
Test(operation_chain, the_rest_has_ids_and_fields) {
    uint64_t number = 0;
    char id[17] = "";
    AT_OPERATION(around, "around") {
        AT_OPERATION(operation, "request", AT_FIELDS(at_kv("user", "ann"))) {
            number = at_operation_id(operation);
            snprintf(id, sizeof id, "%016llx", (unsigned long long)number);
            begin_rest();
        }
    }
    end_rest();
    cr_expect_eq(rest.id, number);
    cr_expect_eq(rest.deferred, AT_ERROR_CLOSED);
    json_t *lines;
    json_t *line = line_of("rest_in_scope", &lines);
    cr_expect_str_eq(text_of(line, "operation_id"), id);
    cr_expect_str_eq(text_of(line, "operation"), "request");
    cr_expect_str_eq(text_of(line, "user"), "ann");
    json_decref(lines);
    line = line_of("rest.completed", &lines);
    cr_expect_str_eq(text_of(line, "parent_operation_id"), id);
    cr_expect_str_eq(text_of(line, "user"), "ann");
    json_decref(lines);
}

/* Rule X6: the deadline of the operation that has ended counts. */
Test(operation_chain, the_rest_has_the_deadline) {
    at_deadline deadline = at_after(AT_SECONDS(5));
    AT_OPERATION(around, "around", .timeout = AT_SECONDS(1000)) {
        AT_OPERATION(operation, "request", .deadline = deadline) {
            begin_rest();
        }
    }
    end_rest();
    cr_expect_eq(rest.deadline, deadline);
    cr_expect_eq(rest.status, AT_ERROR_CANCELLED);
    cr_expect_eq(rest.reason, AT_CANCEL_PARENT);
}

/* Rule X1: it is cancelled with what is around the operation that has ended. */
Test(operation_chain, the_rest_is_cancelled_with_what_is_around) {
    at_token *token = NULL;
    AT_OPERATION(around, "around") {
        token = at_token_retain(at_operation_token(around));
        AT_OPERATION(operation, "request") {
            begin_rest();
        }
        gate_open(&rest.gate);
        cr_expect_eq(at_token_cancel(token), AT_OK);
        at_token_release(token);
    }
    end_rest();
    cr_expect_eq(rest.status, AT_ERROR_CANCELLED);
}

Test(operation_chain, the_rest_of_what_was_cancelled_is_cancelled) {
    AT_OPERATION(operation, "request") {
        begin_rest();
        cr_expect_eq(at_token_cancel(at_operation_token(operation)), AT_OK);
    }
    end_rest();
    cr_expect_eq(rest.status, AT_ERROR_CANCELLED);
    cr_expect_eq(rest.reason, AT_CANCEL_PARENT);
}

/* Who has kept the token reaches what is begun after the end. */
Test(operation_chain, a_kept_token_cancels_the_rest) {
    at_token *token = NULL;
    AT_OPERATION(operation, "request") {
        token = at_token_retain(at_operation_token(operation));
        begin_rest();
    }
    gate_open(&rest.gate);
    cr_expect_eq(at_token_cancel(token), AT_OK);
    at_token_release(token);
    end_rest();
    cr_expect_eq(rest.status, AT_ERROR_CANCELLED);
}

/* Rule X4: a shield that has ended keeps its rest from what is around. */
Test(operation_chain, the_rest_of_a_shield_is_shielded) {
    AT_OPERATION(operation, "request") {
        AT_SHIELD(shield, AT_SECONDS(5)) {
            begin_rest();
        }
        cr_expect_eq(at_token_cancel(at_operation_token(operation)), AT_OK);
    }
    end_rest();
    cr_expect_eq(rest.status, AT_ERROR_CANCELLED); /* after 5 seconds */
    cr_expect_neq(rest.deadline, AT_FOREVER);
}

/* -- Parts that were made elsewhere -- */

static void *sleep_and_tell(void *unused) {
    rest.status = at_sleep(AT_SECONDS(20));
    rest.reason = at_token_reason(at_token_current());
    rest.deadline = at_token_deadline(at_token_current());
    at_error_clear();
    return unused;
}

/* Rule S4: what runs there has the deadline of the operation that started it. */
Test(operation_chain, a_child_has_the_deadline_of_its_starter) {
    again(at_task_manager_create(&chain.tasks, pool, NULL));
    at_deadline deadline = at_after(AT_SECONDS(5));
    AT_OPERATION(operation, "request", .deadline = deadline) {
        again(at_task_manager_start(chain.tasks, sleep_and_tell, NULL));
    }
    again(at_task_manager_join(chain.tasks, AT_FOREVER));
    at_task_manager_destroy(chain.tasks);
    cr_expect_eq(rest.status, AT_ERROR_CANCELLED);
    cr_expect_eq(rest.reason, AT_CANCEL_PARENT);
    cr_expect_eq(rest.deadline, deadline);
}

static void *must_not_run(void *unused) {
    cr_expect_fail("it runs");
    return unused;
}

/* Rules S4, X2: and does not begin when that has passed. */
Test(operation_chain, an_item_does_not_begin_after_the_deadline) {
    again(at_task_pool_create(&chain.workers, pool, NULL));
    AT_OPERATION(operation, "request", .deadline = at_after(AT_SECONDS(-1))) {
        again(at_task_pool_submit(chain.workers, must_not_run, NULL));
    }
    again(at_task_pool_join(chain.workers, AT_FOREVER));
    at_task_pool_destroy(chain.workers);
}

/* Without memory it is as if nobody had begun it. */
static void fail_in_turn(void *unused) {
    (void)unused;
    at_token *token = NULL;
    AT_OPERATION(around, "around") {
        at_token *late = NULL;
        AT_OPERATION(operation, "request", AT_FIELDS(at_kv("user", "ann"))) {
            at_scope scope;
            at_scope_begin(&scope, NULL);
            (void)!at_token_create(&token, NULL);
            (void)at_scope_end(&scope);
        }
        if (token)
            (void)!at_token_create(&late, token);
        at_token_release(late);
        at_token_release(token);
        token = NULL;
    }
    at_error_clear();
}

Test(operation_chain, without_memory) {
    cr_expect_gt(fault_each(fault_memory, fail_in_turn, NULL), 2);
}
