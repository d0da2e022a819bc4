/* SPDX-License-Identifier: MIT
 *
 * Rules Z1, Z3, O1: a dump, and a shutdown that reaches its deadline, say which operation each task
 * is in, by the name and id that log lines have. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

TestSuite(dump_operation, .timeout = 200);

static at_pool *pool;

typedef struct job {
    struct gate gate;
    at_future *news;
    uint64_t id; /* of its operation */
    uint64_t inner_id;
} job;

static const char *hex(uint64_t id) {
    static char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)id);
    return text;
}

static bool text_is(json_t *object, const char *key, const char *text) {
    const char *found = json_string_value(json_object_get(object, key));
    return found && strcmp(found, text) == 0;
}

static json_t *find_in(json_t *worker, const char *name) {
    size_t index;
    json_t *task;
    if (text_is(worker, "task", name))
        return worker;
    json_array_foreach(json_object_get(worker, "waiting"), index, task) {
        if (text_is(task, "task", name))
            return task;
    }
    return NULL;
}

/* The task of that name, running or waiting, of the only pool; the document is released by the
 * caller. */
static json_t *task_in_dump(const char *name, json_t **document) {
    char *text = NULL;
    cr_assert_eq(at_dump(&text), AT_OK);
    *document = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(*document, "%s", text);
    at_text_release(text);
    size_t index;
    json_t *worker, *found = NULL;
    json_t *only = json_array_get(json_object_get(*document, "pools"), 0);
    json_array_foreach(json_object_get(only, "workers"), index, worker) {
        if (!found)
            found = find_in(worker, name);
    }
    return found;
}

static void expect_operation(const char *task, const char *operation, uint64_t id) {
    json_t *document;
    json_t *found;
    while (!(found = task_in_dump(task, &document))) { /* its wait has not begun */
        json_decref(document);
        sched_yield();
    }
    if (id == 0) {
        cr_expect_null(json_object_get(found, "operation"));
        cr_expect_null(json_object_get(found, "operation_id"));
    } else {
        cr_expect(text_is(found, "operation", operation));
        cr_expect(text_is(found, "operation_id", hex(id)));
    }
    json_decref(document);
}

static void *run_in_operation(void *argument) {
    job *it = argument;
    AT_OPERATION(operation, "import") {
        it->id = at_operation_id(operation);
        gate_pass(&it->gate);
    }
    return NULL;
}

Test(dump_operation, of_a_running_task) {
    job it = {.gate = GATE_CLOSED};
    pool = create_pool(1);
    cr_assert_eq(at_pool_start(pool, run_in_operation, &it), AT_OK);
    gate_await(&it.gate, 1);
    expect_operation("run_in_operation", "import", it.id);
    gate_open(&it.gate);
    destroy_pool(pool);
}

static void *run_after_operation(void *argument) {
    job *it = argument;
    AT_OPERATION(operation, "before") {
        AT_TRY(at_sleep(1));
    }
    gate_pass(&it->gate);
    return NULL;
}

Test(dump_operation, of_a_task_in_none) {
    job it = {.gate = GATE_CLOSED};
    pool = create_pool(1);
    cr_assert_eq(at_pool_start(pool, run_after_operation, &it), AT_OK);
    gate_await(&it.gate, 1);
    expect_operation("run_after_operation", NULL, 0);
    gate_open(&it.gate);
    destroy_pool(pool);
}

static void *wait_in_operations(void *argument) {
    job *it = argument;
    AT_OPERATION(outer, "outer") {
        AT_OPERATION(inner, "a name of an operation that is longer than there is room for") {
            it->inner_id = at_operation_id(inner);
            AT_TRY(at_future_wait(it->news, AT_FOREVER, NULL));
        }
        it->id = at_operation_id(outer);
        gate_pass(&it->gate);
    }
    return NULL;
}

/* The innermost; and again that around it, when the task has gone on. */
Test(dump_operation, of_a_task_that_waits) {
    job it = {.gate = GATE_CLOSED};
    pool = create_pool(1);
    at_promise *promise = create_promise(pool, &it.news);
    cr_assert_eq(at_pool_start(pool, wait_in_operations, &it), AT_OK);
    json_t *document;
    json_t *task;
    while (!(task = task_in_dump("wait_in_operations", &document)) ||
           !json_object_get(task, "wait")) {
        json_decref(document);
        sched_yield();
    }
    cr_expect(text_is(task, "operation", "a name of an operation that is longer than ther"));
    cr_expect(text_is(task, "operation_id", hex(it.inner_id)));
    json_decref(document);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    gate_await(&it.gate, 1);
    expect_operation("wait_in_operations", "outer", it.id);
    gate_open(&it.gate);
    at_promise_destroy(promise);
    at_future_release(it.news);
    destroy_pool(pool);
}

static void *pass_the_gate(void *argument) {
    job *it = argument;
    gate_pass(&it->gate);
    return NULL;
}

/* A task is in the operation that it was started in, also when that has ended; then only the id is
 * known of one that runs. */
Test(dump_operation, of_a_task_whose_operation_has_ended) {
    job it = {.gate = GATE_CLOSED};
    pool = create_pool(1);
    AT_OPERATION(operation, "request") {
        it.id = at_operation_id(operation);
        cr_assert_eq(at_pool_start(pool, pass_the_gate, &it), AT_OK);
        gate_await(&it.gate, 1);
        expect_operation("pass_the_gate", "request", it.id);
    }
    json_t *document;
    json_t *task = task_in_dump("pass_the_gate", &document);
    cr_expect_null(json_object_get(task, "operation"));
    cr_expect(text_is(task, "operation_id", hex(it.id)));
    json_decref(document);
    gate_open(&it.gate);
    destroy_pool(pool);
}

/* Rule Z1. */
Test(dump_operation, of_stuck_tasks) {
    job running = {.gate = GATE_CLOSED}, waiting = {.gate = GATE_CLOSED};
    at_logger *logger;
    cr_assert_eq(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 65536}), AT_OK);
    at_logger_set_default(logger);
    pool = create_pool(2);
    at_promise *promise = create_promise(pool, &waiting.news);
    cr_assert_eq(at_pool_start(pool, wait_in_operations, &waiting), AT_OK);
    cr_assert_eq(at_pool_start(pool, run_in_operation, &running), AT_OK);
    gate_await(&running.gate, 1);
    json_t *document;
    json_t *task;
    while (!(task = task_in_dump("wait_in_operations", &document)) ||
           !json_object_get(task, "wait")) {
        json_decref(document);
        sched_yield();
    }
    json_decref(document);
    cr_assert_eq(at_pool_shutdown(pool, at_after(AT_MILLISECONDS(1))), AT_ERROR_TIMED_OUT);
    const char *message = at_error_message(at_error_last());
    cr_expect_not_null(strstr(message, ", operation import)"), "%s", message);
    cr_expect_not_null(strstr(message, ", operation a name of"), "%s", message);
    char *lines;
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    char wanted[100];
    snprintf(wanted, sizeof wanted, "\"task_operation\":\"import\",\"task_operation_id\":\"%s\"",
             hex(running.id));
    cr_expect_not_null(strstr(lines, wanted), "%s", lines);
    snprintf(wanted, sizeof wanted, "\"task_operation_id\":\"%s\"", hex(waiting.inner_id));
    cr_expect_not_null(strstr(lines, wanted), "%s", lines);
    at_logger_memory_release(lines);
    gate_open(&running.gate);
    gate_open(&waiting.gate);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    destroy_pool(pool);
    at_future_release(waiting.news);
    at_logger_destroy(logger);
}

/* Rule Z1: of very many operations a dump shows some, and how many more there are. */
Test(dump_operation, live_ones_have_a_bound) {
    enum { many = 1100 };
    static at_operation *operations[many];
    const at_operation_options options = {.start_level = AT_LOG_OFF, .end_level = AT_LOG_OFF};
    for (int i = 0; i < many; i++)
        operations[i] = at_operation_begin("one_of_many", &options);
    char *text = NULL;
    cr_assert_eq(at_dump(&text), AT_OK);
    json_t *document = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(document, "%s", text);
    at_text_release(text);
    json_t *live = json_array_get(json_object_get(document, "operations"), 0);
    cr_expect_eq(json_array_size(json_object_get(live, "live")), 1000);
    cr_expect_eq(json_integer_value(json_object_get(live, "live_count")), many);
    cr_expect_eq(json_integer_value(json_object_get(live, "live_left_out")), many - 1000);
    json_decref(document);
    for (int i = 0; i < many; i++)
        at_operation_end(operations[i]);
}
