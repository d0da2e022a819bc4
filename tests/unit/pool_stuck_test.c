/* SPDX-License-Identifier: MIT
 *
 * Rule Z1: a shutdown that reaches its deadline says what is stuck: which task, on which worker,
 * how long, in which wait, who started it. Rule W1: a task that holds others up is reported. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <jansson.h>
#include <sched.h>
#include <string.h>

TestSuite(pool_stuck, .timeout = 200);

static at_logger *log_to_memory(void) {
    at_logger *logger = NULL;
    at_logger_options options = {.memory_bytes = 1 << 20, .level = AT_LOG_WARN};
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    at_logger_set_default(logger);
    return logger;
}

/* The lines of one event, as an array. Empties the log. */
static json_t *take_lines(at_logger *logger, const char *event) {
    char *lines = NULL;
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    json_t *found = json_array();
    char *rest = lines;
    for (char *line; (line = strsep(&rest, "\n"));) {
        json_t *object = json_loads(line, 0, NULL);
        const char *of = json_string_value(json_object_get(object, "event"));
        if (of && strcmp(of, event) == 0)
            json_array_append(found, object);
        json_decref(object);
    }
    at_logger_memory_release(lines);
    at_logger_memory_clear(logger);
    return found;
}

static const char *text_of(json_t *line, const char *key) {
    const char *text = json_string_value(json_object_get(line, key));
    return text ? text : "";
}

static json_t *line_of_task(json_t *lines, const char *task) {
    size_t index;
    json_t *line;
    json_array_foreach(lines, index,
                       line) if (strcmp(text_of(line, "task"), task) == 0) return line;
    return NULL;
}

static void *wait_for(void *future) {
    AT_TRY(at_future_wait(future, AT_FOREVER, NULL));
    return NULL;
}

static void start_named(at_pool *pool, at_run_fn run, void *argument, const char *name) {
    at_task_options options = {.run = run, .argument = argument, .name = name};
    cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
}

static void await_suspended(at_pool *pool, uint64_t count) {
    at_pool_statistics statistics;
    do {
        at_pool_get_statistics(pool, &statistics);
        sched_yield();
    } while (statistics.suspended != count);
}

Test(pool_stuck, names_tasks_that_run_and_that_wait) {
    struct gate gate = GATE_CLOSED;
    at_logger *logger = log_to_memory();
    at_pool *pool = create_pool(2);
    at_future *news;
    at_promise *promise = create_promise(pool, &news);
    start_named(pool, wait_for, news, "reader");
    await_suspended(pool, 1);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    for (int round = 0; round < 2; round++) { /* it may be called again */
        cr_assert_eq(at_pool_shutdown(pool, at_after(AT_MILLISECONDS(1))), AT_ERROR_TIMED_OUT);
        const char *message = at_error_message(at_error_last());
        cr_expect_not_null(strstr(message, "still has tasks: gate_pass (worker "), "%s", message);
        cr_expect_not_null(strstr(message, "running for at most "), "%s", message);
        cr_expect_not_null(strstr(message, ", reader (worker "), "%s", message);
        cr_expect_not_null(strstr(message, "in at_future_wait for "), "%s", message);
        cr_expect_not_null(strstr(message, "from pool_stuck_test.c:"), "%s", message);
        cr_expect_null(strstr(message, "more"), "%s", message);
        json_t *lines = take_lines(logger, "pool.stuck");
        cr_expect_eq(json_array_size(lines), 2);
        json_t *running = line_of_task(lines, "gate_pass");
        cr_expect_str_eq(text_of(running, "state"), "running");
        cr_expect_str_eq(text_of(running, "pool"), "pool");
        cr_expect(json_is_integer(json_object_get(running, "worker")));
        cr_expect(json_is_integer(json_object_get(running, "age_ms")));
        json_t *waiting = line_of_task(lines, "reader");
        cr_expect_str_eq(text_of(waiting, "state"), "waiting");
        cr_expect_str_eq(text_of(waiting, "wait"), "at_future_wait");
        cr_expect_eq(strncmp(text_of(waiting, "started_at"), "pool_stuck_test.c:", 18), 0);
        json_decref(lines);
    }
    gate_open(&gate);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    destroy_pool(pool);
    at_future_release(news);
    at_logger_destroy(logger);
}

/* Three are named in the error and sixteen in the log; the others are counted. */
Test(pool_stuck, counts_what_it_does_not_name) {
    at_logger *logger = log_to_memory();
    at_pool *pool = create_pool(1);
    at_future *news;
    at_promise *promise = create_promise(pool, &news);
    for (int i = 0; i < 40; i++)
        cr_assert_eq(at_pool_start(pool, wait_for, news), AT_OK);
    await_suspended(pool, 40);
    cr_assert_eq(at_pool_shutdown(pool, 0), AT_ERROR_TIMED_OUT);
    const char *message = at_error_message(at_error_last());
    cr_expect_not_null(strstr(message, " and 37 more"), "%s", message);
    json_t *lines = take_lines(logger, "pool.stuck");
    cr_expect_eq(json_array_size(lines), 16);
    json_decref(lines);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    destroy_pool(pool);
    at_future_release(news);
    at_logger_destroy(logger);
}

struct forking {
    struct gate gate;
    _Atomic bool is_taken;
};

static void *pass_elsewhere(void *argument) {
    struct forking *forking = argument;
    atomic_store(&forking->is_taken, true);
    return gate_pass(&forking->gate);
}

static void *fork_and_join(void *argument) {
    struct forking *forking = argument;
    at_fork fork;
    at_fork_start(&fork, pass_elsewhere, forking);
    while (!atomic_load(&forking->is_taken))
        sched_yield();
    return at_fork_join(&fork, pass_elsewhere);
}

/* A forked call on another worker is told of, and is no task that is left. */
Test(pool_stuck, counts_tasks_and_no_forked_calls) {
    struct forking forking = {.gate = GATE_CLOSED};
    at_logger *logger = log_to_memory();
    at_pool *pool = create_pool(2);
    at_future *news;
    at_promise *promise = create_promise(pool, &news);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(at_pool_start(pool, wait_for, news), AT_OK);
    await_suspended(pool, 4);
    start_named(pool, fork_and_join, &forking, "forker");
    gate_await(&forking.gate, 1);
    await_suspended(pool, 5);
    cr_assert_eq(at_pool_shutdown(pool, 0), AT_ERROR_TIMED_OUT);
    const char *message = at_error_message(at_error_last());
    cr_expect_not_null(strstr(message, "tasks: a forked call of forker (worker "), "%s", message);
    cr_expect_not_null(strstr(message, " and 3 more"), "%s", message); /* of 5, two are named */
    json_t *lines = take_lines(logger, "pool.stuck");
    cr_expect_eq(json_array_size(lines), 6);
    json_t *line = line_of_task(lines, "forker");
    cr_expect(json_is_true(json_object_get(line, "forked_call")));
    cr_expect_str_eq(text_of(line, "state"), "running");
    json_decref(lines);
    gate_open(&forking.gate);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    destroy_pool(pool);
    at_future_release(news);
    at_logger_destroy(logger);
}

/* Names of any length leave an error that is whole. */
Test(pool_stuck, long_names) {
    struct gate gate = GATE_CLOSED;
    char name[1000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    at_logger *logger = log_to_memory();
    at_pool *pool = NULL;
    at_pool_options options = {.name = name, .thread_count = 4};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    for (int i = 0; i < 4; i++)
        start_named(pool, gate_pass, &gate, name);
    gate_await(&gate, 4);
    cr_assert_eq(at_pool_shutdown(pool, 0), AT_ERROR_TIMED_OUT);
    const char *message = at_error_message(at_error_last());
    cr_expect_not_null(strstr(message, " and 1 more"), "%s", message);
    gate_open(&gate);
    destroy_pool(pool);
    at_logger_destroy(logger);
}

/* -- Rule W1: resumes that are late -- */

struct obstacle {
    at_promise *promise;
    at_duration duration;
    struct gate gate;
};

static void *hold_the_worker(void *argument) {
    struct obstacle *obstacle = argument;
    gate_pass(&obstacle->gate);
    at_deadline end = at_after(obstacle->duration);
    if (at_promise_set(obstacle->promise, NULL, NULL) != AT_OK)
        return AT_FAILED;
    while (at_after(0) < end)
        sched_yield();
    return NULL;
}

/* Several tasks wait for what the obstacle brings before it goes on for so long. Gives the lines.
 */
static json_t *lines_after(at_logger *logger, at_duration duration) {
    struct obstacle obstacle = {.gate = GATE_CLOSED, .duration = duration};
    at_pool *pool = create_pool(1);
    at_future *news;
    obstacle.promise = create_promise(pool, &news);
    for (int i = 0; i < 5; i++)
        start_named(pool, wait_for, news, "held up");
    await_suspended(pool, 5);
    cr_assert_eq(at_pool_start(pool, hold_the_worker, &obstacle), AT_OK);
    gate_open(&obstacle.gate);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    at_pool_statistics statistics;
    at_pool_get_statistics(pool, &statistics);
    cr_expect_eq(statistics.resume_delay.count, 1);
    cr_expect_geq(statistics.resume_delay.max, duration / 2);
    at_promise_destroy(obstacle.promise);
    destroy_pool(pool);
    at_future_release(news);
    return take_lines(logger, "pool.resume_slow");
}

Test(pool_stuck, slow_resumes_are_reported_once) {
    at_logger *logger = log_to_memory();
    json_t *lines = lines_after(logger, AT_MILLISECONDS(150));
    cr_assert_eq(json_array_size(lines), 1, "%zu", json_array_size(lines));
    json_t *line = json_array_get(lines, 0);
    cr_expect_str_eq(text_of(line, "task"), "held up");
    cr_expect_str_eq(text_of(line, "wait"), "at_future_wait");
    cr_expect_str_eq(text_of(line, "task_before"), "hold_the_worker");
    cr_expect_eq(strncmp(text_of(line, "before_started_at"), "pool_stuck_test.c:", 18), 0);
    cr_expect_geq(json_integer_value(json_object_get(line, "delay_ms")), 100);
    json_decref(lines);
    at_logger_destroy(logger);
}
