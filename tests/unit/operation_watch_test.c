/* SPDX-License-Identifier: MIT
 *
 * Operations that go on for too long are logged while they do (rules O2, S3, Z1): each line once,
 * none for those that have ended, whoever began and ends them. */
#include "support/fault.h"
#include "support/fixture.h"
#include "support/test.h"

#include "operation/operation_watch.h"

#include <asynctools/asynctools.h>

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

FAULT_INSTALL;

static at_logger *logger;
static at_operation_watch *watch;

static void create_logger(void) {
    at_logger_options options = {.name = "test", .level = AT_LOG_WARN, .memory_bytes = 1 << 20};
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    at_logger_set_default(logger);
    at_log_warn(logger, "first");
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(30))), AT_OK);
}

/* What loggers keep for good is made before memory is counted. */
static void begin(void) {
    create_logger();
    at_logger_destroy(logger);
    begin_with_clock();
    create_logger();
    cr_assert_eq(at_operation_watch_create(&watch, pool, NULL), AT_OK);
}

static void end(void) {
    at_operation_watch_destroy(watch);
    if (pool)
        (void)end_pool();
    at_logger_destroy(logger);
    end_with_pool();
}

TestSuite(operation_watch, .init = begin, .fini = end, .timeout = 200);

static void pass(at_duration duration) {
    at_clock *clock = at_clock_current();
    at_virtual_clock_hold(clock);
    at_virtual_clock_advance(clock, duration);
    at_virtual_clock_release(clock);
}

/* The lines of `event` in the memory of `from`; owned. */
static json_t *lines_in(at_logger *from, const char *event) {
    char *text;
    cr_assert_eq(at_logger_flush(from, at_after(AT_SECONDS(30))), AT_OK);
    cr_assert_eq(at_logger_memory_lines(from, &text), AT_OK);
    json_t *found = json_array();
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        size_t length = strcspn(line, "\n");
        json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
        cr_assert(object, "%.*s", (int)length, line);
        if (strcmp(json_string_value(json_object_get(object, "event")), event) == 0)
            json_array_append(found, object);
        json_decref(object);
    }
    at_logger_memory_release(text);
    return found;
}

static json_t *lines_of(const char *event) {
    return lines_in(logger, event);
}

static void expect_lines(const char *event, size_t count) {
    json_t *lines = lines_of(event);
    cr_expect_eq(json_array_size(lines), count, "%s: %zu", event, json_array_size(lines));
    json_decref(lines);
}

static const char *text_of(json_t *line, const char *key) {
    const char *text = json_string_value(json_object_get(line, key));
    return text ? text : "(none)";
}

static double number_of(json_t *line, const char *key) {
    return json_number_value(json_object_get(line, key));
}

/* Rule O2: it is told while it goes on, once, by a line that is the operation's own. */
Test(operation_watch, an_overdue_one_is_told_once) {
    char id[17];
    AT_OPERATION(operation, "import", .timeout = AT_MILLISECONDS(1500),
                 AT_FIELDS(at_kv("shard", 7))) {
        snprintf(id, sizeof id, "%016llx", (unsigned long long)at_operation_id(operation));
        pass(AT_SECONDS(1));
        expect_lines("import.overdue", 0);
        pass(AT_SECONDS(1));
        expect_lines("import.overdue", 1);
        pass(AT_SECONDS(10));
    }
    json_t *lines = lines_of("import.overdue");
    cr_assert_eq(json_array_size(lines), 1);
    json_t *line = json_array_get(lines, 0);
    cr_expect_str_eq(text_of(line, "level"), "warn");
    cr_expect_str_eq(text_of(line, "operation"), "import");
    cr_expect_str_eq(text_of(line, "operation_id"), id);
    cr_expect_eq(strlen(text_of(line, "trace_id")), 32);
    cr_expect_eq(number_of(line, "shard"), 7);
    cr_expect_eq(number_of(line, "age_ms"), 2000);
    cr_expect_eq(number_of(line, "overdue_ms"), 500);
    cr_expect(json_is_false(json_object_get(line, "cancelled")));
    char thread[24];
    snprintf(thread, sizeof thread, "/%lld", (long long)number_of(line, "begun_by"));
    cr_expect_null(strstr(text_of(line, "thread"), thread)); /* a worker looks */
    json_decref(lines);
    expect_lines("import.slow", 0);
}

/* The deadline may be any moment. */
Test(operation_watch, it_may_be_overdue_from_the_beginning) {
    AT_OPERATION(operation, "import", .deadline = INT64_MIN, .end_level = AT_LOG_WARN) {
        pass(AT_SECONDS(2));
        char *text;
        cr_assert_eq(at_dump(&text), AT_OK);
        const char *left = strstr(text, "\"left_us\":");
        cr_assert_not_null(left);
        cr_expect_lt(strtoll(left + 10, NULL, 10), -AT_HOURS(1));
        at_text_release(text);
    }
    const char *events[] = {"import.overdue", "import.completed"};
    for (int i = 0; i < 2; i++) {
        json_t *lines = lines_of(events[i]);
        cr_assert_eq(json_array_size(lines), 1);
        cr_expect_gt(number_of(json_array_get(lines, 0), "overdue_ms"), 1e9);
        json_decref(lines);
    }
}

Test(operation_watch, a_cancelled_one_says_so) {
    AT_OPERATION(operation, "import", .timeout = AT_MILLISECONDS(1500)) {
        cr_assert_eq(at_token_cancel(at_operation_token(operation)), AT_OK);
        pass(AT_SECONDS(2));
    }
    json_t *lines = lines_of("import.overdue");
    cr_assert_eq(json_array_size(lines), 1);
    cr_expect(json_is_true(json_object_get(json_array_get(lines, 0), "cancelled")));
    json_decref(lines);
}

/* Rule O2. */
Test(operation_watch, a_slow_one_is_told_once) {
    AT_OPERATION(operation, "query", .slow = AT_MILLISECONDS(2500)) {
        pass(AT_SECONDS(2));
        expect_lines("query.slow", 0);
        pass(AT_SECONDS(10));
    }
    json_t *lines = lines_of("query.slow");
    cr_assert_eq(json_array_size(lines), 1);
    json_t *line = json_array_get(lines, 0);
    cr_expect_str_eq(text_of(line, "level"), "warn");
    cr_expect_eq(number_of(line, "age_ms"), 3000);
    cr_expect_eq(number_of(line, "slow_ms"), 2500);
    cr_expect(json_is_integer(json_object_get(line, "begun_by")));
    json_decref(lines);
    expect_lines("query.overdue", 0);
}

Test(operation_watch, both_are_told_each_in_its_time) {
    AT_OPERATION(operation, "query", .slow = AT_MILLISECONDS(1500), .timeout = AT_SECONDS(5)) {
        pass(AT_SECONDS(3));
        expect_lines("query.slow", 1);
        expect_lines("query.overdue", 0);
        pass(AT_SECONDS(5));
        expect_lines("query.slow", 1);
        expect_lines("query.overdue", 1);
    }
    AT_OPERATION(operation, "both", .slow = AT_MILLISECONDS(1), .timeout = AT_MILLISECONDS(1)) {
        pass(AT_SECONDS(1));
        expect_lines("both.slow", 1);
        expect_lines("both.overdue", 1);
    }
}

Test(operation_watch, those_that_have_ended_are_not_told) {
    AT_OPERATION(operation, "quick", .slow = AT_SECONDS(1), .timeout = AT_SECONDS(1)) {
        pass(AT_MILLISECONDS(900));
    }
    AT_OPERATION(operation, "late", .slow = AT_MILLISECONDS(10), .timeout = AT_MILLISECONDS(10)) {
        pass(AT_MILLISECONDS(50)); /* over before the next look */
    }
    AT_OPERATION(operation, "endless") {
        pass(AT_HOURS(1));
    }
    pass(AT_SECONDS(10));
    expect_lines("quick.slow", 0);
    expect_lines("quick.overdue", 0);
    expect_lines("late.slow", 0);
    expect_lines("late.overdue", 0);
    expect_lines("late.completed", 1);
    expect_lines("endless.slow", 0);
    expect_lines("endless.overdue", 0);
}

/* Those that log nothing of their own do not log this. */
Test(operation_watch, silent_ones_stay_silent) {
    at_tracker *tracker;
    cr_assert_eq(at_tracker_create(&tracker, NULL), AT_OK);
    AT_TRACK(event, tracker, "event", .slow = AT_MILLISECONDS(1), .timeout = AT_MILLISECONDS(1)) {
        pass(AT_SECONDS(5));
    }
    expect_lines("event.slow", 0);
    expect_lines("event.overdue", 0);
    at_tracker_release(tracker);
}

/* A deadline holds for all below it. */
Test(operation_watch, nested_ones_are_told_each) {
    char id[17];
    AT_OPERATION(outer, "outer", .timeout = AT_SECONDS(2)) {
        snprintf(id, sizeof id, "%016llx", (unsigned long long)at_operation_id(outer));
        AT_OPERATION(inner, "inner", .slow = AT_SECONDS(1)) {
            pass(AT_SECONDS(5));
        }
        AT_OPERATION(next, "next") {
            pass(AT_SECONDS(5));
        }
    }
    expect_lines("outer.overdue", 1);
    expect_lines("outer.slow", 0);
    expect_lines("inner.slow", 1);
    expect_lines("next.overdue", 1);
    json_t *lines = lines_of("inner.overdue");
    cr_assert_eq(json_array_size(lines), 1);
    cr_expect_str_eq(text_of(json_array_get(lines, 0), "parent_operation_id"), id);
    json_decref(lines);
}

static void *end_operation(void *operation) {
    at_operation_end(operation);
    return NULL;
}

static void *begin_operation(void *operation) {
    *(at_operation **)operation = at_operation_begin(
        "handed", &(at_operation_options){.slow = AT_MILLISECONDS(10), .deadline = AT_FOREVER - 1});
    return NULL;
}

static void run_elsewhere(void *(*run)(void *argument), void *argument) {
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, run, argument), 0);
    pthread_join(thread, NULL);
}

static void *begin_elsewhere(void *operation) {
    *(at_operation **)operation =
        at_operation_begin("elsewhere", &(at_operation_options){.slow = 1});
    return NULL;
}

/* Begun on one thread, which is gone and had the system's clock, and ended on another. */
Test(operation_watch, handed_on_ones_are_told) {
    at_operation *first = NULL;
    at_operation *second = NULL;
    run_elsewhere(begin_elsewhere, &first);
    begin_operation(&second);
    pass(AT_SECONDS(2));
    expect_lines("elsewhere.slow", 1);
    expect_lines("handed.slow", 1);
    run_elsewhere(end_operation, second);
    pass(AT_SECONDS(2));
    expect_lines("handed.slow", 1);
    run_elsewhere(end_operation, first);
}

static void *work_slowly(void *unused) {
    AT_OPERATION(operation, "task", .slow = AT_MILLISECONDS(500)) {
        AT_TRY(at_sleep(AT_SECONDS(3)));
    }
    return unused;
}

/* More than are looked at in one go, on a worker of their own. */
Test(operation_watch, many_tasks_are_told_each) {
    enum { task_count = 200 };
    for (int i = 0; i < task_count; i++)
        cr_assert_eq(at_pool_start(pool, work_slowly, NULL), AT_OK);
    pass(AT_SECONDS(2));
    expect_lines("task.slow", task_count);
    pass(AT_SECONDS(5));
    expect_lines("task.slow", task_count);
    expect_lines("task.completed", task_count);
}

/* The end sees that a line is being written, and comes to wait for it when it has been. */
Test(operation_watch, an_end_does_not_wait_for_a_line_that_is_written) {
    at_operation *operation = at_operation_begin("query", NULL);
    atomic_store(&operation->watched, ATI_WATCHED_NOT);
    ati_operation_leave_watch_chosen(operation);
    at_operation_end(operation);
    expect_lines("query.completed", 0);
}

Test(operation_watch, it_looks_at_its_interval_and_logs_to_its_logger) {
    at_logger *own;
    cr_assert_eq(at_logger_create(&own, &(at_logger_options){.memory_bytes = 65536}), AT_OK);
    at_operation_watch_destroy(watch);
    at_operation_watch_options options = {.interval = AT_MILLISECONDS(10), .logger = own};
    cr_assert_eq(at_operation_watch_create(&watch, pool, &options), AT_OK);
    AT_OPERATION(operation, "query", .slow = AT_MILLISECONDS(25)) {
        pass(AT_MILLISECONDS(100));
    }
    json_t *lines = lines_in(own, "query.slow");
    cr_assert_eq(json_array_size(lines), 1);
    cr_expect_eq(number_of(json_array_get(lines, 0), "age_ms"), 30);
    json_decref(lines);
    expect_lines("query.slow", 0);
    expect_lines("query.completed", 1);
    at_operation_watch_destroy(watch);
    watch = NULL;
    at_logger_destroy(own);
}

/* Each line is written by one of them. */
Test(operation_watch, several_share_the_work) {
    at_operation_watch *other;
    cr_assert_eq(at_operation_watch_create(&other, pool, NULL), AT_OK);
    AT_OPERATION(operation, "query", .slow = AT_MILLISECONDS(500)) {
        pass(AT_SECONDS(5));
    }
    expect_lines("query.slow", 1);
    at_operation_watch_destroy(other);
}

Test(operation_watch, destroyed_it_tells_nothing) {
    AT_OPERATION(operation, "query", .slow = AT_MILLISECONDS(500)) {
        at_operation_watch_destroy(watch);
        watch = NULL;
        pass(AT_SECONDS(5));
    }
    expect_lines("query.slow", 0);
    at_operation_watch_destroy(NULL);
}

static void *destroy_watch(void *given) {
    at_operation_watch_destroy(given);
    return NULL;
}

Test(operation_watch, a_task_may_destroy_it) {
    pass(AT_MILLISECONDS(2500));
    at_future *future = at_pool_submit(pool, destroy_watch, watch);
    watch = NULL;
    cr_assert_eq(at_future_wait(future, AT_FOREVER, NULL), AT_OK);
    at_future_release(future);
}

/* Rule Z1: a shutdown does not wait for it, while it lasts it looks, and then it has stopped. */
Test(operation_watch, a_shutdown_stops_it) {
    AT_OPERATION(operation, "drain", .slow = AT_SECONDS(4)) {
        cr_assert_eq(at_pool_start(pool, work_slowly, NULL), AT_OK);
        cr_assert_eq(at_pool_shutdown(pool, at_after(AT_SECONDS(10))), AT_OK);
        expect_lines("task.slow", 1);
        expect_lines("drain.slow", 0);
        pass(AT_SECONDS(10));
        expect_lines("drain.slow", 0);
    }
    at_operation_watch *other = NULL;
    cr_expect_eq(at_operation_watch_create(&other, pool, NULL), AT_ERROR_CLOSED);
    cr_expect_null(other);
    at_error_clear();
    (void)end_pool(); /* before the watch */
}

Test(operation_watch, wrong_options_are_named) {
    static const struct {
        at_operation_watch_options options;
        const char *name;
    } cases[] = {
        {{.interval = -1}, "interval"},
        {{.interval = AT_MICROSECONDS(999)}, "interval"},
        {{.reserved = {0, 0, 0, 1}}, "reserved"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_operation_watch *made = NULL;
        cr_expect_eq(at_operation_watch_create(&made, pool, &cases[i].options), AT_ERROR_INVALID);
        cr_expect_not_null(strstr(at_error_text(at_error_last()), cases[i].name));
        cr_expect_null(made);
    }
    at_error_clear();
}
