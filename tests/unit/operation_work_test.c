/* SPDX-License-Identifier: MIT
 *
 * Operations go with the work, whatever way it is started, and no further (rules J5, S4). */
#include "support/fault.h"
#include "support/operations.h"
#include "support/test.h"

FAULT_INSTALL;

TestSuite(operation_work, .init = begin_operations, .fini = end_operations, .timeout = 200);

/* Which operation ran the work of the test, and how many works ran. */
static _Atomic uint64_t seen_id;
static _Atomic int seen_count;

static void see(void) {
    at_log_info(logger, "seen");
    atomic_store(&seen_id, at_operation_id(at_operation_current()));
    atomic_fetch_add(&seen_count, 1);
}

static void *work(void *argument) {
    see();
    return argument;
}

static void *work_behind(void *value, void *unused) {
    (void)value;
    (void)unused;
    see();
    return NULL;
}

static void *work_after_failure(const at_error *error, void *unused) {
    (void)error;
    (void)unused;
    see();
    return NULL;
}

static void work_finally(const at_outcome *outcome, void *unused) {
    (void)outcome;
    (void)unused;
    see();
}

static void *give(void *argument) {
    return argument;
}

static void *fail_at_once(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "on purpose");
}

static void wait_and_release(at_future *future) {
    cr_assert_eq(at_future_wait(future, PATIENCE, NULL), AT_OK);
    at_future_release(future);
}

/* -- The ways in which work is started -- */

static void by_submit(void) {
    wait_and_release(at_pool_submit(pool, work, NULL));
}

static void by_submit_many(void) {
    at_future *futures[3];
    void *items[3] = {NULL};
    at_pool_submit_many(pool, work, AT_ITEMS(items, 3), futures);
    for (int i = 0; i < 3; i++)
        wait_and_release(futures[i]);
}

static struct gate *opened_by_start;

static void *work_and_tell(void *unused) {
    (void)unused;
    see();
    return gate_pass(opened_by_start);
}

/* Starts it by `start`, which has no future, and waits until it has run. */
static void wait_for(at_status (*start)(void)) {
    struct gate gate = GATE_CLOSED;
    opened_by_start = &gate;
    cr_assert_eq(start(), AT_OK);
    gate_await(&gate, 1);
    gate_open(&gate);
    change_pool(1); /* waits until it has left the gate */
}

static at_status start_one(void) {
    return at_pool_start(pool, work_and_tell, NULL);
}

static at_status start_some(void) {
    void *items[1] = {NULL};
    return at_pool_start_many(pool, work_and_tell, AT_ITEMS(items, 1));
}

static at_status start_later(void) {
    return at_pool_start_later(pool, work_and_tell, NULL, at_after(AT_SECONDS(1)));
}

static void by_start(void) {
    wait_for(start_one);
}

static void by_start_many(void) {
    wait_for(start_some);
}

static void by_start_later(void) {
    struct gate gate = GATE_CLOSED;
    opened_by_start = &gate;
    gate_open(&gate);
    cr_assert_eq(start_later(), AT_OK);
    pass(AT_SECONDS(2));
    change_pool(1);
}

static void by_timer(void) {
    struct gate gate = GATE_CLOSED;
    at_timer timer;
    opened_by_start = &gate;
    gate_open(&gate);
    at_timer_init(&timer, pool, work_and_tell, NULL);
    cr_assert_eq(at_timer_start(&timer, at_after(AT_SECONDS(1))), AT_OK);
    pass(AT_SECONDS(2));
    at_timer_unregister(&timer);
    change_pool(1);
}

static void by_then(void) {
    wait_and_release(at_future_then(at_pool_submit(pool, give, NULL), work_behind, NULL));
}

static void by_recover(void) {
    at_future *failed = at_pool_submit(pool, fail_at_once, NULL);
    wait_and_release(at_future_recover(failed, work_after_failure, NULL));
}

static void by_finally(void) {
    wait_and_release(at_future_finally(at_pool_submit(pool, give, NULL), work_finally, NULL));
}

static void by_task_manager(void) {
    at_task_manager *tasks;
    cr_assert_eq(at_task_manager_create(&tasks, pool, NULL), AT_OK);
    cr_assert_eq(at_task_manager_start(tasks, work, NULL), AT_OK);
    cr_expect_eq(at_task_manager_join(tasks, PATIENCE), AT_OK);
    at_task_manager_destroy(tasks);
}

static void by_map(void) {
    at_concurrent_executor *executor;
    void *items[2] = {NULL};
    cr_assert_eq(at_concurrent_executor_create(&executor, pool, NULL), AT_OK);
    cr_expect_eq(at_concurrent_executor_map(executor, work, AT_ITEMS(items, 2), NULL, NULL), AT_OK);
    at_concurrent_executor_destroy(executor);
}

static void by_gather(void) {
    void *items[2] = {NULL};
    cr_expect_eq(at_gather(pool, work, AT_ITEMS(items, 2), NULL, NULL), AT_OK);
}

static void by_task_pool(void) {
    at_task_pool *workers;
    cr_assert_eq(at_task_pool_create(&workers, pool, NULL), AT_OK);
    cr_assert_eq(at_task_pool_submit(workers, work, NULL), AT_OK);
    cr_expect_eq(at_task_pool_join(workers, PATIENCE), AT_OK);
    at_task_pool_destroy(workers);
}

static void by_strand(void) {
    at_strand *strand;
    cr_assert_eq(at_strand_create(&strand, pool, NULL), AT_OK);
    wait_and_release(at_executor_submit(at_strand_executor(strand), work, NULL));
    at_strand_destroy(strand);
}

static void by_keyed_executor(void) {
    at_keyed_executor *keyed;
    cr_assert_eq(at_keyed_executor_create(&keyed, pool, NULL), AT_OK);
    wait_and_release(at_keyed_executor_submit(keyed, "key", 3, work, NULL));
    at_keyed_executor_destroy(keyed);
}

static void by_loop_executor(void) {
    at_loop_executor *loop;
    cr_assert_eq(at_loop_executor_create(&loop), AT_OK);
    at_future *future = at_executor_submit(at_loop_executor_executor(loop), work, NULL);
    at_operation_scope outside; /* what dispatches is in no operation, or in another */
    at_operation_scope_begin(&outside, "loop", NULL);
    cr_expect_eq(at_loop_executor_dispatch(loop, 10, AT_FOREVER, NULL), AT_OK);
    at_operation_scope_end(&outside);
    wait_and_release(future);
    at_loop_executor_destroy(loop);
}

static void *divide(void *unused) {
    at_fork fork;
    at_fork_start(&fork, work, NULL);
    (void)at_fork_join(&fork, work);
    return unused;
}

static void by_fork(void) {
    wait_and_release(at_pool_submit(pool, divide, NULL));
}

static void *work_on_range(int64_t first, int64_t end, void *unused) {
    (void)first;
    (void)end;
    see();
    return unused;
}

static void *loop_in_parallel(void *unused) {
    AT_TRY(at_parallel_for_ranges(pool, 0, 4, work_on_range, NULL, NULL));
    return unused;
}

static void by_parallel_for(void) {
    wait_and_release(at_pool_submit(pool, loop_in_parallel, NULL));
}

static const struct way {
    const char *name;
    void (*start)(void);
} ways[] = {
    {"submit", by_submit},
    {"submit_many", by_submit_many},
    {"start", by_start},
    {"start_many", by_start_many},
    {"start_later", by_start_later},
    {"timer", by_timer},
    {"then", by_then},
    {"recover", by_recover},
    {"finally", by_finally},
    {"task manager", by_task_manager},
    {"map", by_map},
    {"gather", by_gather},
    {"task pool", by_task_pool},
    {"strand", by_strand},
    {"keyed executor", by_keyed_executor},
    {"loop executor", by_loop_executor},
    {"fork", by_fork},
    {"parallel_for", by_parallel_for},
};

static void expect_lines_of(const char *user, const char *way) {
    char *text;
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &text), AT_OK);
    int count = 0;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        json_t *object = json_loadb(line, strcspn(line, "\n"), JSON_REJECT_DUPLICATES, NULL);
        cr_assert(object);
        if (strcmp(text_of(object, "event"), "seen") == 0) {
            cr_expect_str_eq(text_of(object, "user"), user, "%s", way);
            count++;
        }
        json_decref(object);
    }
    at_logger_memory_release(text);
    cr_expect_geq(count, 1, "%s", way);
    at_logger_memory_clear(logger);
}

/* Each way alone, so that the one that fails is named; then work without an operation, on the
 * same worker, by the same way. */
static void try_way(const struct way *way) {
    uint64_t id = 0;
    int before = atomic_load(&seen_count);
    AT_OPERATION(operation, "request", AT_FIELDS(at_kv("user", "ann"))) {
        id = at_operation_id(operation);
        way->start();
        cr_expect_eq(at_operation_current(), operation, "%s", way->name);
    }
    cr_expect_gt(atomic_load(&seen_count), before, "%s", way->name);
    cr_expect_eq(atomic_load(&seen_id), id, "%s", way->name);
    cr_expect_null(at_operation_current(), "%s", way->name);
    expect_lines_of("ann", way->name);
    way->start();
    cr_expect_eq(atomic_load(&seen_id), 0, "%s", way->name);
    expect_lines_of("(none)", way->name);
}

Test(operation_work, it_is_inherited_whatever_the_way) {
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        try_way(&ways[i]);
}

static void *begin_and_leave(void *name) {
    AT_OPERATION(operation, name) {
        see();
    }
    if (at_operation_current())
        atomic_store(&seen_id, UINT64_MAX);
    return NULL;
}

static void *begin_and_wait(void *gate) {
    AT_OPERATION(operation, "waits") {
        uint64_t id = at_operation_id(operation);
        at_yield();
        if (at_sleep(AT_MILLISECONDS(1)) != AT_OK || at_operation_id(at_operation_current()) != id)
            return at_fail(AT_ERROR_FAILED, "another operation after a wait");
    }
    return gate;
}

/* -- In what was made elsewhere -- */

static at_task_manager *tasks;
static at_task_pool *workers;

static void make_parts(void) {
    cr_assert_eq(at_task_manager_create(&tasks, pool, NULL), AT_OK);
    cr_assert_eq(at_task_pool_create(&workers, pool, NULL), AT_OK);
}

static void end_parts(void) {
    if (at_task_manager_join(tasks, PATIENCE) != AT_OK)
        at_error_clear();
    at_task_manager_destroy(tasks);
    at_task_pool_destroy(workers);
}

static at_status start_child(at_run_fn run) {
    return at_task_manager_start(tasks, run, NULL);
}

static at_status start_named_child(at_run_fn run) {
    return at_task_manager_start_with(tasks, &(at_task_options){.run = run, .name = "child"});
}

static at_status submit_child(at_run_fn run) {
    at_future_release(at_task_manager_submit(tasks, run, NULL));
    return AT_OK;
}

static at_status submit_item(at_run_fn run) {
    return at_task_pool_submit(workers, run, NULL);
}

static at_status (*const starts[])(at_run_fn run) = {start_child, start_named_child, submit_child,
                                                     submit_item};
enum { start_count = sizeof starts / sizeof *starts };

/* Starts one each way in an operation, which it gives the id of. */
static uint64_t start_all(at_run_fn run) {
    uint64_t id = 0;
    AT_OPERATION(operation, "request", .log_level = AT_LOG_TRACE, AT_FIELDS(at_kv("user", "ann"))) {
        id = at_operation_id(operation);
        for (int i = 0; i < start_count; i++)
            cr_assert_eq(starts[i](run), AT_OK);
    }
    return id;
}

static void *tell_all(void *unused) {
    (void)unused;
    cr_expect_str_eq(at_operation_name(at_operation_current()), "request");
    at_log_trace(logger, "told");
    see();
    return NULL;
}

/* J5, S4: what a manager or a task pool runs is of the operation that started it, not of the one
 * that the manager was made in. */
static void expect_lines_of_starter(void) {
    atomic_store(&seen_count, 0);
    uint64_t id = start_all(tell_all);
    cr_assert_eq(at_task_manager_join(tasks, PATIENCE), AT_OK);
    cr_assert_eq(at_task_pool_join(workers, PATIENCE), AT_OK);
    cr_expect_eq(atomic_load(&seen_count), start_count);
    cr_expect_eq(atomic_load(&seen_id), id);
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    char *text;
    cr_assert_eq(at_logger_memory_lines(logger, &text), AT_OK);
    int found = 0;
    for (const char *at = text; (at = strstr(at, "\"event\":\"told\"")); at++) {
        const char *end = strchr(at, '\n');
        const char *user = strstr(at, "\"user\":\"ann\"");
        found += user && user < end;
    }
    cr_expect_eq(found, start_count);
    at_text_release(text);
}

Test(operation_work, parts_made_outside_run_in_it) {
    make_parts();
    expect_lines_of_starter();
    end_parts();
}

Test(operation_work, parts_made_in_another_run_in_it) {
    AT_OPERATION(outer, "service") {
        make_parts();
        expect_lines_of_starter();
        end_parts();
    }
}

static void *await_cancel(void *unused) {
    (void)unused;
    see();
    cr_expect_eq(at_sleep(AT_HOURS(1)), AT_ERROR_CANCELLED);
    return NULL;
}

/* They end with the part that runs them, which is what cancels them. */
Test(operation_work, parts_cancel_what_they_run) {
    at_scope scope;
    at_scope_begin(&scope, NULL);
    make_parts();
    atomic_store(&seen_count, 0);
    start_all(await_cancel);
    while (atomic_load(&seen_count) < start_count)
        sched_yield();
    (void)at_token_cancel(at_scope_token(&scope));
    end_parts();
    cr_expect_eq(at_scope_end(&scope), AT_ERROR_CANCELLED);
}

static void *step_again(void *unused) {
    AT_OPERATION(operation, "step") {
        if (atomic_fetch_add(&seen_count, 1) < 100000)
            cr_assert_eq(at_task_manager_start(tasks, step_again, unused), AT_OK);
    }
    return NULL;
}

/* Whatever keeps the operations of those before, freeing it is no recursion. */
Test(operation_work, children_that_start_each_other) {
    make_parts();
    atomic_store(&seen_count, 0);
    cr_assert_eq(at_logger_set_level(logger, AT_LOG_ERROR), AT_OK);
    cr_assert_eq(at_task_manager_start(tasks, step_again, NULL), AT_OK);
    end_parts();
    cr_expect_eq(atomic_load(&seen_count), 100001);
}

/* Rule J5: tasks that are suspended in an operation do not lend it to those that run meanwhile. */
Test(operation_work, it_comes_back_after_a_wait) {
    change_pool(2);
    at_future *futures[100];
    for (int i = 0; i < 100; i++)
        futures[i] = at_pool_submit(pool, i % 2 ? begin_and_wait : begin_and_leave, "leaves");
    for (int i = 0; i < 100; i++)
        wait_and_release(futures[i]);
    count_events("waits.completed", 50);
    count_events("leaves.completed", 50);
    cr_expect_neq(atomic_load(&seen_id), UINT64_MAX);
}

static at_deadline detached_deadline;

static void *work_detached(void *unused) {
    at_log_debug(logger, "detached_detail");
    detached_deadline = at_token_current() ? at_token_deadline(at_token_current()) : AT_FOREVER;
    AT_OPERATION(inner, "of_the_detached") {
        see();
    }
    return unused;
}

/* Rule S4: what is detached has the ids, and nothing else. */
Test(operation_work, a_detached_task_has_the_ids_only) {
    char hex[17] = "";
    at_task_options options = {.run = work_detached, .is_detached = true};
    at_future *future = NULL;
    cr_assert_eq(at_logger_set_level(logger, AT_LOG_INFO), AT_OK);
    AT_OPERATION(operation, "request", .timeout = AT_SECONDS(1), .log_level = AT_LOG_TRACE,
                 AT_FIELDS(at_kv("user", "ann"))) {
        snprintf(hex, sizeof hex, "%016llx", (unsigned long long)at_operation_id(operation));
        future = at_pool_submit_with(pool, &options);
        cr_expect_eq(at_token_cancel(at_operation_token(operation)), AT_OK);
    }
    cr_assert_eq(at_future_wait(future, PATIENCE, NULL), AT_OK);
    at_future_release(future);
    cr_expect_eq(detached_deadline, AT_FOREVER);
    count_events("detached_detail", 0);
    json_t *lines;
    json_t *line = line_of("of_the_detached.completed", &lines);
    cr_expect_str_eq(text_of(line, "parent_operation_id"), hex);
    cr_expect_null(json_object_get(line, "user"));
    json_decref(lines);
}

/* -- Deadlines and cancellation -- */

static void *sleep_long(void *unused) {
    AT_TRY(at_sleep(AT_SECONDS(1000)));
    return unused;
}

static void *sleep_in(void *options) {
    AT_OPERATION(operation, "late", .timeout = AT_SECONDS(1)) {
        AT_TRY(at_sleep(AT_SECONDS(1000)));
    }
    return options;
}

/* Rules O1, C1: the deadline of an operation ends the waits in it, and its outcome says so. */
Test(operation_work, its_deadline_ends_its_waits) {
    at_future *future = at_pool_submit(pool, sleep_in, NULL);
    expect_outcome(future, AT_ERROR_TIMED_OUT);
    at_future_release(future);
    expect_end("late.failed", "error", "timeout");
}

static void release_future(void *future) {
    at_future_release(future);
}

static void *wait_for_child(void *unused) {
    AT_OPERATION(operation, "parent", .timeout = AT_SECONDS(1)) {
        at_future *child = at_pool_submit(pool, sleep_long, NULL);
        AT_TRY(at_defer(operation, release_future, child));
        AT_SHIELD(shield, AT_SECONDS(5)) {
            AT_TRY(at_future_wait(child, AT_FOREVER, NULL));
        }
    }
    return unused;
}

/* A cancelled child of an operation whose time is over: the cause is the deadline. */
Test(operation_work, a_failure_by_its_deadline_is_a_timeout) {
    at_future *future = at_pool_submit(pool, wait_for_child, NULL);
    expect_outcome(future, AT_ERROR_CANCELLED);
    at_future_release(future);
    expect_end("parent.failed", "error", "timeout");
}

static void *wait_after_others_entered(void *unused) {
    AT_OPERATION(operation, "entered", .timeout = AT_SECONDS(1)) {
        at_operation_scope again;
        at_operation_scope_enter(&again, operation);
        at_operation_scope_end(&again);
        AT_TRY(at_sleep(AT_SECONDS(1000)));
    }
    return unused;
}

/* Whoever enters an operation takes its deadline from nobody. */
Test(operation_work, entering_does_not_take_it_away) {
    at_future *future = at_pool_submit(pool, wait_after_others_entered, NULL);
    expect_outcome(future, AT_ERROR_TIMED_OUT);
    at_future_release(future);
    expect_end("entered.failed", "error", "timeout");
}

static at_token *_Atomic token_of_work;

static void *sleep_until_cancelled(void *gate) {
    AT_OPERATION(operation, "cancelled") {
        at_future *child = at_pool_submit(pool, sleep_long, NULL);
        token_of_work = at_token_retain(at_operation_token(operation));
        gate_pass(gate);
        at_future_release(child);
        AT_TRY(at_sleep(AT_SECONDS(1000)));
    }
    return NULL;
}

/* Rule C1: by its token, with all that was started in it. */
Test(operation_work, its_token_cancels_it) {
    struct gate gate = GATE_CLOSED;
    gate_open(&gate);
    at_future *future = at_pool_submit(pool, sleep_until_cancelled, &gate);
    gate_await(&gate, 1);
    cr_expect_eq(at_token_cancel(token_of_work), AT_OK);
    at_token_release(token_of_work);
    expect_outcome(future, AT_ERROR_CANCELLED);
    at_future_release(future);
    expect_end("cancelled.failed", "info", "cancelled");
}

/* -- Ended while others are in it -- */

static void *log_after_the_end(void *gate) {
    gate_pass(gate);
    at_operation *operation = at_operation_current();
    at_log_info(logger, "after_the_end");
    at_operation_add(operation, at_kv("late", 1), at_kv("tree", (json_t *)NULL));
    if (at_operation_set_outcome(operation, AT_OPERATION_OK, NULL) != AT_ERROR_ALREADY ||
        at_defer(operation, (void (*)(void *))at_error_clear, NULL) != AT_ERROR_CLOSED)
        return at_fail(AT_ERROR_FAILED, "it takes something");
    at_error_clear();
    return NULL;
}

/* Rules J5, O1: what still runs belongs to it as before, and says nothing more of its end. */
Test(operation_work, work_goes_on_when_it_has_ended) {
    struct gate gate = GATE_CLOSED;
    at_operation *operation =
        at_operation_begin("ended", &(at_operation_options){AT_FIELDS(at_kv("user", "ann"))});
    at_operation_scope scope;
    at_operation_scope_enter(&scope, operation);
    at_future *future = at_pool_submit(pool, log_after_the_end, &gate);
    at_operation_scope_end(&scope);
    gate_await(&gate, 1);
    at_operation_end(operation);
    gate_open(&gate);
    cr_expect_eq(at_future_wait(future, PATIENCE, NULL), AT_OK);
    at_future_release(future);
    json_t *lines;
    json_t *line = line_of("after_the_end", &lines);
    cr_expect_str_eq(text_of(line, "operation"), "ended");
    cr_expect_str_eq(text_of(line, "user"), "ann");
    json_decref(lines);
    line = line_of("ended.completed", &lines);
    cr_expect_null(json_object_get(line, "late"));
    json_decref(lines);
}

static void *add_after_the_end(void *gate) {
    gate_pass(gate);
    at_operation_add(at_operation_current(), at_kv("late", 1));
    return NULL;
}

/* Its logger may go when it has ended. */
Test(operation_work, its_logger_may_go_before_its_work) {
    struct gate gate = GATE_CLOSED;
    at_logger *brief;
    cr_assert_eq(at_logger_create(&brief, &(at_logger_options){.memory_bytes = 8192}), AT_OK);
    at_operation *operation = at_operation_begin("brief", &(at_operation_options){.logger = brief});
    at_operation_scope scope;
    at_operation_scope_enter(&scope, operation);
    at_future *future = at_pool_submit(pool, add_after_the_end, &gate);
    at_operation_scope_end(&scope);
    gate_await(&gate, 1);
    at_operation_end(operation);
    at_logger_destroy(brief);
    gate_open(&gate);
    wait_and_release(future);
}
