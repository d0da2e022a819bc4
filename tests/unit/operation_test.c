/* SPDX-License-Identifier: MIT
 *
 * Operations (rules O1, O2, J5): what they log, how they end, who runs in them. */
#include "support/fault.h"
#include "support/operations.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <stdio.h>
#include <string.h>

FAULT_INSTALL;

TestSuite(operation, .init = begin_operations, .fini = end_operations, .timeout = 200);

/* Rule O1: beginning and end, with how long it took and what was added. */
Test(operation, a_block_logs_its_beginning_and_its_end) {
    uint64_t id = 0;
    AT_OPERATION(operation, "import", AT_FIELDS(at_kv("shard", 7))) {
        id = at_operation_id(operation);
        at_operation_add(operation, at_kv("rows", 1), at_kv("path", "a"), at_kv("ratio", 0.5));
        pass(AT_MILLISECONDS(1500));
        at_log_info(logger, "inside");
        at_operation_add(operation, at_kv("rows", 2));
    }
    char hex[17];
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)id);
    json_t *lines;
    json_t *line = line_of("import.started", &lines);
    cr_expect_str_eq(text_of(line, "level"), "debug");
    cr_expect_str_eq(text_of(line, "operation"), "import");
    json_decref(lines);
    line = line_of("inside", &lines);
    cr_expect_str_eq(text_of(line, "operation_id"), hex);
    cr_expect_eq(json_integer_value(json_object_get(line, "shard")), 7);
    cr_expect_null(json_object_get(line, "rows"));
    json_decref(lines);
    line = line_of("import.completed", &lines);
    cr_expect_str_eq(text_of(line, "level"), "info");
    cr_expect_str_eq(text_of(line, "outcome"), "ok");
    cr_expect_str_eq(text_of(line, "operation_id"), hex);
    cr_expect_eq(json_number_value(json_object_get(line, "duration_ms")), 1500.0);
    cr_expect_eq(json_integer_value(json_object_get(line, "rows")), 2);
    cr_expect_eq(json_number_value(json_object_get(line, "ratio")), 0.5);
    cr_expect_str_eq(text_of(line, "path"), "a");
    cr_expect_eq(json_integer_value(json_object_get(line, "shard")), 7);
    json_decref(lines);
}

static void *fail_inside(void *status) {
    AT_OPERATION(operation, "query") {
        return at_fail((at_status)(intptr_t)status, "no rows");
    }
    return NULL;
}

/* Rule O1: the error in flight is the outcome, unless somebody has said otherwise. */
Test(operation, a_block_that_is_left_by_an_error_has_failed) {
    static const struct {
        at_status status;
        const char *level;
        const char *outcome;
    } cases[] = {
        {AT_ERROR_IO, "error", "error"},
        {AT_ERROR_TIMED_OUT, "error", "timeout"},
        {AT_ERROR_CANCELLED, "info", "cancelled"},
        {AT_ERROR_FULL, "warn", "rejected"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(fail_inside((void *)(intptr_t)cases[i].status), AT_FAILED);
        cr_expect_eq(at_error_status(at_error_last()), cases[i].status);
        expect_end("query.failed", cases[i].level, cases[i].outcome);
        json_t *lines;
        cr_expect_str_eq(text_of(line_of("query.failed", &lines), "error.message"), "no rows");
        json_decref(lines);
        at_error_clear();
        at_logger_memory_clear(logger);
    }
}

static void *handle_inside(void *unused) {
    AT_OPERATION(operation, "query") {
        (void)at_fail(AT_ERROR_IO, "no rows");
        at_operation_add(operation, at_kv_error(at_error_last()));
        at_error_clear();
    }
    return unused;
}

/* An error that was handled, or that was in flight before, is not the operation's. */
Test(operation, an_error_that_is_not_its_own_does_not_count) {
    handle_inside(NULL);
    expect_end("query.completed", "info", "ok");
    (void)at_fail(AT_ERROR_IO, "before");
    AT_OPERATION(operation, "clean_up") {
    }
    expect_end("clean_up.completed", "info", "ok");
    at_error_clear();
}

/* Rule O1: what was said first. */
Test(operation, the_first_outcome_counts) {
    AT_OPERATION(operation, "one") {
        at_operation_success(operation, at_kv("result_count", 3));
        at_operation_error(operation, NULL);
        cr_expect_eq(at_operation_set_outcome(operation, AT_OPERATION_DEGRADED, NULL),
                     AT_ERROR_ALREADY);
        cr_expect_eq(at_operation_set_outcome(operation, (at_operation_outcome)77, NULL),
                     AT_ERROR_INVALID);
    }
    expect_end("one.completed", "info", "ok");
    AT_OPERATION(operation, "two") {
        cr_expect_eq(at_operation_set_outcome(operation, AT_OPERATION_DEGRADED, NULL), AT_OK);
    }
    expect_end("two.completed", "warn", "degraded");
    AT_OPERATION(operation, "three") {
        at_operation_error(operation, NULL, at_kv("reason", "said so"));
    }
    expect_end("three.failed", "error", "error");
}

/* Rule O2: too slow, and late. */
Test(operation, a_slow_one_is_a_warning) {
    AT_OPERATION(operation, "slow", .slow = AT_SECONDS(1), .timeout = AT_SECONDS(2)) {
        pass(AT_SECONDS(3));
    }
    json_t *lines;
    json_t *line = line_of("slow.completed", &lines);
    cr_expect_str_eq(text_of(line, "level"), "warn");
    cr_expect(json_is_true(json_object_get(line, "slow")));
    cr_expect_eq(json_number_value(json_object_get(line, "overdue_ms")), 1000.0);
    json_decref(lines);
}

static char deferred[8];

static void note(void *letter) {
    strncat(deferred, letter, 1);
    cr_expect(at_operation_current() != NULL);
    cr_expect_not(at_is_cancelled());
}

static void *leave_by_return(void *unused) {
    AT_OPERATION(operation, "deferring") {
        cr_expect_eq(at_defer(operation, note, "a"), AT_OK);
        cr_expect_eq(at_defer(operation, note, "b"), AT_OK);
        cr_expect_eq(at_token_cancel(at_operation_token(operation)), AT_OK);
        if (!unused)
            return at_fail(AT_ERROR_IO, "left");
    }
    return unused;
}

/* Rule O2: the last first, on every path, shielded; the error in flight stays what it was. */
Test(operation, deferred_functions_run_in_reverse_order) {
    cr_expect_eq(leave_by_return(NULL), AT_FAILED);
    cr_expect_str_eq(deferred, "ba");
    cr_expect_str_eq(at_error_text(at_error_last()), "left");
    json_t *lines;
    cr_expect_str_eq(text_of(line_of("deferring.failed", &lines), "error.message"), "left");
    json_decref(lines);
    at_error_clear();
}

/* Rule J5: lines of an inner operation have the fields around it, its own first. */
Test(operation, an_inner_one_inherits_fields_and_trace) {
    char hex[17] = "";
    AT_OPERATION(outer, "outer", AT_FIELDS(at_kv("user", 1), at_kv("host", "a"))) {
        AT_OPERATION(inner, "inner", AT_FIELDS(at_kv("user", 2))) {
            cr_expect_eq(at_operation_current(), inner);
            cr_expect_eq(at_operation_trace_id(inner).low, at_operation_trace_id(outer).low);
            snprintf(hex, sizeof hex, "%016llx", (unsigned long long)at_operation_id(outer));
            at_log_info(logger, "inside");
            break;
        }
        cr_expect_eq(at_operation_current(), outer);
    }
    cr_expect_null(at_operation_current());
    json_t *lines;
    json_t *line = line_of("inside", &lines);
    cr_expect_str_eq(text_of(line, "operation"), "inner");
    cr_expect_eq(json_integer_value(json_object_get(line, "user")), 2);
    cr_expect_str_eq(text_of(line, "host"), "a");
    cr_expect_null(json_object_get(line, "user_2"));
    json_decref(lines);
    line = line_of("inner.completed", &lines);
    cr_expect_str_eq(text_of(line, "parent_operation_id"), hex);
    json_decref(lines);
}

static void *log_in_task(void *event) {
    at_log_info(logger, event);
    return NULL;
}

/* Rule J5: what is started in it is of it; the next task of the worker is not. */
Test(operation, it_goes_with_the_work_and_no_further) {
    at_future *future = NULL;
    AT_OPERATION(operation, "request", AT_FIELDS(at_kv("user", "ann"))) {
        AT_SCOPE(scope) {
            future = at_pool_submit(pool, log_in_task, "in_task");
        }
        cr_assert_eq(at_future_wait(future, AT_FOREVER, NULL), AT_OK);
    }
    at_future_release(future);
    future = at_pool_submit(pool, log_in_task, "behind");
    cr_assert_eq(at_future_wait(future, AT_FOREVER, NULL), AT_OK);
    at_future_release(future);
    json_t *lines;
    json_t *line = line_of("in_task", &lines);
    cr_expect_str_eq(text_of(line, "operation"), "request");
    cr_expect_str_eq(text_of(line, "user"), "ann");
    json_decref(lines);
    line = line_of("behind", &lines);
    cr_expect_null(json_object_get(line, "operation_id"));
    cr_expect_null(json_object_get(line, "user"));
    json_decref(lines);
}

static void *end_elsewhere(void *operation) {
    at_operation_scope scope;
    at_operation_scope_enter(&scope, operation);
    at_log_info(logger, "elsewhere");
    at_operation_scope_end(&scope);
    at_operation_end(operation);
    return NULL;
}

/* Rule O1: begin and end on different threads. */
Test(operation, it_may_end_on_another_thread) {
    at_operation *operation = at_operation_begin("handed_on", NULL);
    cr_expect_null(at_operation_current());
    at_future *future = at_pool_submit(pool, end_elsewhere, operation);
    cr_assert_eq(at_future_wait(future, AT_FOREVER, NULL), AT_OK);
    at_future_release(future);
    json_t *lines;
    cr_expect_str_eq(text_of(line_of("elsewhere", &lines), "operation"), "handed_on");
    json_decref(lines);
    expect_end("handed_on.completed", "info", "ok");
}

/* Metadata is copied; there is a bound, and what is past it is counted. */
Test(operation, metadata_has_a_bound) {
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    AT_OPERATION(operation, "large") {
        char key[16];
        for (int i = 0; i < 30; i++) {
            snprintf(key, sizeof key, "k%d", i);
            at_operation_add(operation, at_kv(key, i));
        }
        at_operation_add(operation, at_kv("text", text));
        for (int i = 0; i < 100; i++)
            at_operation_add(operation, at_kv("text", "short"), at_kv("last", i));
        at_operation_add(operation, at_kv("more", 1), at_kv("and", 2));
    }
    json_t *lines;
    json_t *line = line_of("large.completed", &lines);
    cr_expect_eq(json_integer_value(json_object_get(line, "k29")), 29);
    cr_expect_str_eq(text_of(line, "text"), "short");
    cr_expect_eq(json_integer_value(json_object_get(line, "last")), 99);
    cr_expect_eq(json_integer_value(json_object_get(line, "fields_dropped")), 2);
    json_decref(lines);
}

AT_LOGGED(handle_request, "api_request", .slow = AT_SECONDS(1))(void *request) {
    return request ? request : at_fail(AT_ERROR_INVALID, "no request");
}

/* The seed's decorator. */
Test(operation, a_logged_function) {
    int request = 1;
    cr_expect_eq(handle_request(&request), &request);
    expect_end("api_request.completed", "info", "ok");
    at_logger_memory_clear(logger);
    cr_expect_eq(handle_request(NULL), AT_FAILED);
    expect_end("api_request.failed", "error", "error");
    at_error_clear();
}

/* Every call takes NULL, which is what there is without memory. */
Test(operation, none_is_allowed_everywhere) {
    char header[AT_TRACEPARENT_SIZE];
    at_operation_add(NULL, at_kv("a", 1));
    at_operation_success(NULL);
    at_operation_error(NULL, NULL);
    at_operation_traceparent(NULL, header);
    cr_expect_str_eq(header, "");
    cr_expect_eq(at_operation_id(NULL), 0);
    cr_expect_str_eq(at_operation_name(NULL), "");
    cr_expect_null(at_operation_token(NULL));
    cr_expect_eq(at_defer(NULL, note, "x"), AT_ERROR_NO_MEMORY);
    at_operation_end(NULL);
}

/* What lives is in the dump; what has ended is not. */
Test(operation, live_ones_are_dumped) {
    at_operation *operation =
        at_operation_begin("waiting", &(at_operation_options){.timeout = AT_SECONDS(1),
                                                              AT_FIELDS(at_kv("user", "bob"))});
    pass(AT_SECONDS(2));
    char *text;
    cr_assert_eq(at_dump(&text), AT_OK);
    json_t *dump = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    json_t *part = json_array_get(json_object_get(dump, "operations"), 0);
    json_t *live = json_array_get(json_object_get(part, "live"), 0);
    cr_expect_str_eq(text_of(live, "name"), "waiting");
    cr_expect(json_is_true(json_object_get(live, "is_overdue")));
    cr_expect_str_eq(text_of(json_object_get(live, "fields"), "user"), "bob");
    json_decref(dump);
    at_text_release(text);
    at_operation_end(operation);
    cr_assert_eq(at_dump(&text), AT_OK);
    cr_expect_null(strstr(text, "waiting"));
    at_text_release(text);
}

/* Rule E1: an event says when it lacks a field, whether the operation had no room for it or the
 * event; and has all that fit into member_bytes, however long they become in JSON. */
Test(operation, an_event_says_that_fields_are_missing) {
    at_tracker *tracker;
    const at_tracker_options options = {.member_bytes = 8192};
    cr_assert_eq(at_tracker_create(&tracker, &options), AT_OK);
    AT_TRACK(event, tracker, "too_many") {
        char key[16];
        for (int i = 0; i < 40; i++) {
            snprintf(key, sizeof key, "key_%d", i);
            at_operation_add(event, at_kv_integer(key, i));
        }
    }
    char controls[600];
    memset(controls, 1, sizeof controls); /* six bytes each */
    AT_TRACK(event, tracker, "escaped") {
        at_operation_add(event, at_kv_text("a", controls, sizeof controls),
                         at_kv_text("b", controls, sizeof controls), at_kv("c", 1));
    }
    AT_TRACK(event, tracker, "too_long") {
        at_operation_add(event, at_kv_text("a", controls, sizeof controls),
                         at_kv_text("b", controls, sizeof controls),
                         at_kv_text("c", controls, sizeof controls), at_kv("d", 1));
    }
    at_tracker_events *events;
    cr_assert_eq(at_tracker_get_events(tracker, NULL, &events), AT_OK);
    cr_assert_eq(events->count, 3);
    cr_expect(events->events[2].members_cut, "too_many");
    cr_expect_not(events->events[1].members_cut, "escaped");
    cr_expect_not_null(strstr(events->events[1].members, "\"c\":1"));
    cr_expect(events->events[0].members_cut, "too_long");
    at_tracker_events_release(events);
    at_tracker_release(tracker);
}

/* Rule E1: the end of an operation is an event of its tracker. */
Test(operation, a_tracker_is_told_of_the_end) {
    at_tracker *tracker;
    cr_assert_eq(at_tracker_create(&tracker, NULL), AT_OK);
    uint64_t id = 0;
    AT_TRACK(event, tracker, "data_download") {
        id = at_operation_id(event);
        at_operation_add(event, at_kv("size_bytes", 17), at_secret("token", "x"));
        pass(AT_SECONDS(2));
    }
    AT_TRACK(event, tracker, "data_download", .slow = AT_SECONDS(1)) {
        at_operation_error(event, NULL);
    }
    at_tracker_events *events;
    cr_assert_eq(at_tracker_get_events(tracker, NULL, &events), AT_OK);
    cr_assert_eq(events->count, 2);
    cr_expect_eq(events->events[0].outcome, AT_OPERATION_ERROR);
    const at_tracker_event *first = &events->events[1];
    cr_expect_eq(first->outcome, AT_OPERATION_OK);
    cr_expect_eq(first->duration, AT_SECONDS(2));
    cr_expect_eq(first->id, id);
    cr_expect_str_eq(first->members, "{\"size_bytes\":17,\"token\":\"[REDACTED]\"}");
    at_tracker_events_release(events);
    at_tracker_release(tracker);
    cr_assert_eq(at_logger_flush(logger, at_after(AT_SECONDS(30))), AT_OK);
    char *lines;
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_expect_null(strstr(lines, "data_download"));
    at_logger_memory_release(lines);
}

/* Metadata of every type is copied. */
Test(operation, metadata_has_every_type) {
    json_t *tree = json_pack("{s:[i,i],s:s}", "list", 1, 2, "password", "secret");
    char bytes[] = {0x01, (char)0xff};
    (void)at_fail(AT_ERROR_IO, "kept");
    at_error *error = at_error_take();
    AT_OPERATION(operation, "typed") {
        at_operation_add(operation, at_kv("tree", tree), at_kv_bytes("bytes", bytes, 2),
                         at_kv("error", error), at_kv_null("nothing"), at_kv_bool("yes", true),
                         at_kv("unsigned", (uint64_t)1 << 40), at_kv("minus", INT64_MIN));
        at_operation_add(operation, at_kv("replaced", error));
        at_operation_add(operation, at_kv("replaced", "by a text"));
        json_object_clear(tree);
        bytes[0] = 0;
    }
    at_error_release(error);
    json_decref(tree);
    json_t *lines;
    json_t *line = line_of("typed.completed", &lines);
    cr_expect_eq(json_array_size(json_object_get(json_object_get(line, "tree"), "list")), 2);
    cr_expect_str_eq(text_of(line, "bytes"), "01ff");
    cr_expect_str_eq(text_of(line, "error.message"), "kept");
    cr_expect(json_is_null(json_object_get(line, "nothing")));
    cr_expect(json_is_true(json_object_get(line, "yes")));
    cr_expect_eq(json_integer_value(json_object_get(line, "minus")), INT64_MIN);
    cr_expect_str_eq(text_of(line, "replaced"), "by a text");
    json_decref(lines);
}

/* The keys of `_cut`, in a row. */
static const char *cut_of(json_t *line) {
    static char keys[256];
    keys[0] = '\0';
    size_t i;
    json_t *key;
    json_array_foreach(json_object_get(line, "_cut"), i, key) {
        strcat(keys, json_string_value(key));
        strcat(keys, " ");
    }
    return keys;
}

/* Rule J1: fields of an operation that have no room are named in each line of it. */
Test(operation, lines_say_what_was_cut_of_its_fields) {
    static char text[5000];
    memset(text, 'x', sizeof text - 1);
    AT_OPERATION(outer, "outer", AT_FIELDS(at_kv("user", "ann"), at_kv("a\"b", text))) {
        at_log_info(logger, "one");
        AT_OPERATION(inner, "inner") {
            at_log_info(logger, "two");
        }
        AT_OPERATION(inner, "inner2", AT_FIELDS(at_kv("a\"b", 1), at_kv("large", text))) {
            at_log_info(logger, "three", at_kv("small", 1));
        }
    }
    json_t *lines;
    cr_expect_str_eq(cut_of(line_of("one", &lines)), "a\"b ");
    json_decref(lines);
    cr_expect_str_eq(cut_of(line_of("two", &lines)), "a\"b ");
    json_decref(lines);
    json_t *line = line_of("three", &lines);
    cr_expect_eq(json_integer_value(json_object_get(line, "a\"b")), 1);
    cr_expect_str_eq(cut_of(line), "large user ");
    json_decref(lines);
    cr_expect_str_eq(cut_of(line_of("outer.completed", &lines)), "a\"b ");
    json_decref(lines);
}

/* What the operation's logger hides is hidden in its events and in at_dump too. */
Test(operation, trackers_and_dumps_are_redacted) {
    at_tracker *tracker;
    at_logger *other;
    cr_assert_eq(at_logger_create(&other, &(at_logger_options){.memory_bytes = 8192,
                                                               .redacted_keys = "password"}),
                 AT_OK);
    cr_assert_eq(at_tracker_create(&tracker, NULL), AT_OK);
    json_t *tree = json_pack("{s:{s:s}}", "login", "password", "secret");
    char longer[300]; /* than the keys that are kept */
    memset(longer, 'k', sizeof longer);
    strcpy(longer + 250, ".password");
    AT_TRACK(event, tracker, "login", .logger = other, AT_FIELDS(at_kv("password", "secret"))) {
        at_operation_add(event, at_kv("user.Password", "secret"), at_kv("tree", tree),
                         at_kv(longer, "secret"));
        char *dump;
        cr_assert_eq(at_dump(&dump), AT_OK);
        cr_expect_null(strstr(dump, "secret"));
        cr_expect_not_null(strstr(dump, "[REDACTED]"));
        at_text_release(dump);
    }
    json_decref(tree);
    at_tracker_events *events;
    cr_assert_eq(at_tracker_get_events(tracker, NULL, &events), AT_OK);
    cr_expect_null(strstr(events->events[0].members, "secret"));
    cr_expect_not_null(strstr(events->events[0].members, "user.Password"));
    at_tracker_events_release(events);
    at_tracker_release(tracker);
    at_logger_destroy(other);
}

static void *debug_in_task(void *event) {
    at_log_debug(logger, event);
    return NULL;
}

/* Rule J4: an operation decides for its lines, on whatever thread, and for no others. */
Test(operation, its_level_decides_for_its_lines) {
    cr_assert_eq(at_logger_set_level(logger, AT_LOG_WARN), AT_OK);
    AT_OPERATION(operation, "verbose", .log_level = AT_LOG_DEBUG) {
        at_future *future = at_pool_submit(pool, debug_in_task, "wanted");
        cr_assert_eq(at_future_wait(future, AT_FOREVER, NULL), AT_OK);
        at_future_release(future);
        AT_OPERATION(inner, "quiet", .log_level = AT_LOG_OFF) {
            at_log_error(logger, "silenced");
        }
    }
    at_log_debug(logger, "unwanted");
    count_events("wanted", 1);
    count_events("verbose.started", 1);
    count_events("verbose.completed", 1);
    count_events("unwanted", 0);
    count_events("silenced", 0);
    count_events("quiet.completed", 0);
}
