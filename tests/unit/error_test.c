/* SPDX-License-Identifier: MIT
 *
 * Rules H0 and F2: the error slot of a thread, errors with origin, cause and others, and what is
 * left of them without memory. */
#include "support/fault.h"
#include "support/test.h"

#include "base/error.h"
#include "base/frame.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

FAULT_INSTALL;

/* What the origin of an error made on that line of this file is. */
static const char *origin_of_line(int line) {
    static char texts[2][50];
    static int next;
    next = !next;
    snprintf(texts[next], sizeof texts[next], "error_test.c:%d", line);
    return texts[next];
}

static bool in_flight(void) {
    return ati_frame_current()->in_flight;
}

static void expect_nothing_held(void) {
    fault_check_leaks((struct fault_usage){0});
}

/* -- Failing --------------------------------------------------------------------------------- */

/* Rule H0: AT_FAILED and nothing else is failure; NULL is a value. */
Test(error, failed_is_no_value) {
    cr_expect_not_null(AT_FAILED);
    cr_expect_eq(at_fail(AT_ERROR_IO, "no"), AT_FAILED);
    at_error_clear();
    expect_nothing_held();
}

/* Rules H0, F2: status, message and origin are in the slot. */
Test(error, fail_fills_the_slot) {
    const char *origin = origin_of_line(__LINE__ + 1);
    void *result = at_fail(AT_ERROR_INVALID, "not a document: %.5s", "<html>");
    cr_expect_eq(result, AT_FAILED);
    const at_error *error = at_error_last();
    cr_assert_not_null(error);
    cr_expect_eq(at_error_status(error), AT_ERROR_INVALID);
    cr_expect_str_eq(at_error_text(error), "not a document: <html");
    cr_expect_str_eq(at_error_origin(error), origin);
    char message[100];
    snprintf(message, sizeof message, "not a document: <html (%s)", origin);
    cr_expect_str_eq(at_error_message(error), message);
    cr_expect_eq(at_error_message(error), at_error_message(error));
    cr_expect_str_eq(at_error_task(error), "");
    cr_expect_str_eq(at_error_started_at(error), "");
    cr_expect_null(at_error_cause(error));
    cr_expect_eq(at_error_other_count(error), 0);
    cr_expect_null(at_error_other(error, 0));
    expect_nothing_held();
}

/* Rule H0: the same for functions that return a status. */
Test(error, fail_status_gives_the_status) {
    cr_expect_eq(at_fail_status(AT_ERROR_FULL, "%d in %s", 5, "queue"), AT_ERROR_FULL);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_FULL);
    cr_expect_str_eq(at_error_text(at_error_last()), "5 in queue");
    expect_nothing_held();
}

/* Rule H0: a failure never has the status of a success. */
Test(error, status_outside_the_table_is_failed) {
    static const int values[] = {AT_OK, 1, 1000, -1000, INT_MAX, INT_MIN, INT_MIN + 1};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        cr_expect_eq(at_fail_status((at_status)values[i], "%d", values[i]), AT_ERROR_FAILED);
        cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_FAILED);
        at_error_clear();
        cr_expect_eq(at_fail((at_status)values[i], "%d", values[i]), AT_FAILED);
        cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_FAILED);
        at_error_clear();
        cr_expect_eq(at_error_status(ati_error_static((at_status)values[i])), AT_ERROR_FAILED);
    }
    expect_nothing_held();
}

Test(error, long_and_empty_messages) {
    enum { length = 100000 };
    char *text = malloc(length + 1);
    cr_assert_not_null(text);
    memset(text, '%', length);
    text[length] = '\0';
    at_fail(AT_ERROR_IO, "%s", text);
    cr_expect_str_eq(at_error_text(at_error_last()), text);
    cr_expect_eq(strncmp(at_error_message(at_error_last()), text, length), 0);
    free(text);
    at_fail(AT_ERROR_IO, "%s", "");
    cr_expect_str_eq(at_error_text(at_error_last()), "");
    expect_nothing_held();
}

/* -- The slot -------------------------------------------------------------------------------- */

/* Rule H0: last borrows, take moves out, clear empties. */
Test(error_slot, last_take_clear) {
    cr_expect_null(at_error_last());
    cr_expect_null(at_error_take());
    at_error_clear();
    at_fail(AT_ERROR_IO, "one");
    const at_error *last = at_error_last();
    cr_expect_eq(at_error_last(), last);
    at_error *taken = at_error_take();
    cr_expect_eq(taken, last);
    cr_expect_null(at_error_last());
    cr_expect_null(at_error_take());
    cr_expect_str_eq(at_error_text(taken), "one");
    at_error_release(taken);
    at_fail(AT_ERROR_IO, "two");
    at_error_clear();
    cr_expect_null(at_error_last());
    expect_nothing_held();
}

/* Rule H0: the next failing call replaces the error. */
Test(error_slot, next_failure_replaces) {
    at_fail(AT_ERROR_IO, "one");
    at_error *kept = at_error_retain(at_error_last());
    at_fail(AT_ERROR_FULL, "two");
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_FULL);
    cr_expect_str_eq(at_error_text(kept), "one");
    at_error_release(kept);
    expect_nothing_held();
}

/* Rule H0: what does not fail leaves the slot alone. */
Test(error_slot, reading_does_not_write) {
    at_fail(AT_ERROR_IO, "one");
    const at_error *error = at_error_last();
    at_error_message(error);
    at_error_release(at_error_retain(error));
    at_error_put_in_flight(AT_OK);
    at_return(NULL, NULL);
    at_error_release(NULL);
    cr_expect_null(at_error_retain(NULL));
    cr_expect_eq(at_error_last(), error);
    expect_nothing_held();
}

Test(error_slot, null_is_no_error) {
    cr_expect_eq(at_error_status(NULL), AT_OK);
    cr_expect_str_eq(at_error_message(NULL), "success");
    cr_expect_str_eq(at_error_text(NULL), "success");
    cr_expect_str_eq(at_error_origin(NULL), "");
    cr_expect_str_eq(at_error_task(NULL), "");
    cr_expect_str_eq(at_error_started_at(NULL), "");
    cr_expect_null(at_error_cause(NULL));
    cr_expect_eq(at_error_other_count(NULL), 0);
    cr_expect_null(at_error_other(NULL, 0));
}

/* Rule H0: each task has a slot of its own, and tasks nest on one stack. */
Test(error_slot, frames_have_slots_of_their_own) {
    at_fail(AT_ERROR_IO, "outer");
    ati_frame inner;
    ati_frame_enter(&inner, NULL, NULL, NULL);
    cr_expect_eq(ati_frame_current(), &inner);
    cr_expect_null(at_error_last());
    cr_expect_not(in_flight());
    at_fail(AT_ERROR_FULL, "inner");
    ati_frame innermost;
    ati_frame_enter(&innermost, NULL, NULL, NULL);
    cr_expect_null(at_error_last());
    at_fail_status(AT_ERROR_CLOSED, "innermost");
    ati_frame_leave(&innermost);
    cr_expect_str_eq(at_error_text(at_error_last()), "inner");
    ati_frame_leave(&inner);
    cr_expect_str_eq(at_error_text(at_error_last()), "outer");
    cr_expect(in_flight());
    expect_nothing_held();
}

static void *fail_in_thread(void *seen) {
    *(const at_error **)seen = at_error_last();
    at_fail(AT_ERROR_FULL, "in the thread");
    at_fail(AT_ERROR_FULL, "in the thread, once more");
    return NULL;
}

/* Rules H0, L1: outside tasks the slot is the thread's, and ends with it. */
Test(error_slot, threads_have_slots_of_their_own) {
    at_fail(AT_ERROR_IO, "mine");
    const at_error *seen = at_error_last();
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, fail_in_thread, &seen), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_expect_null(seen);
    cr_expect_str_eq(at_error_text(at_error_last()), "mine");
    expect_nothing_held();
}

/* -- In flight ------------------------------------------------------------------------------- */

static at_status give_status(at_status status) {
    return status == AT_OK ? AT_OK : ati_fail(status, "looked at");
}

/* Rule H0: a status that is merely looked at does not mark a scope as failed. */
Test(error_flight, a_failing_call_alone_is_not_in_flight) {
    cr_expect_eq(give_status(AT_ERROR_FULL), AT_ERROR_FULL);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_FULL);
    cr_expect_not(in_flight());
    at_fail(AT_ERROR_IO, "in flight");
    cr_expect(in_flight());
    cr_expect_eq(give_status(AT_ERROR_FULL), AT_ERROR_FULL);
    cr_expect_not(in_flight(), "the error in the slot is another one");
    expect_nothing_held();
}

/* Rule H0: at_fail and at_fail_status set it; at_return, take and clear end it. */
Test(error_flight, set_and_cleared) {
    int value;
    cr_expect_not(in_flight());
    at_fail(AT_ERROR_IO, "one");
    cr_expect(in_flight());
    cr_expect_eq(at_return(&value, NULL), &value);
    cr_expect_not(in_flight());
    at_fail_status(AT_ERROR_IO, "two");
    cr_expect(in_flight());
    at_error_release(at_error_take());
    cr_expect_not(in_flight());
    at_fail_from(NULL, AT_ERROR_IO, "three");
    cr_expect(in_flight());
    at_error_clear();
    cr_expect_not(in_flight());
    cr_expect_eq(at_error_put_in_flight(AT_OK), AT_OK);
    cr_expect_not(in_flight());
    cr_expect_eq(at_error_put_in_flight(AT_ERROR_IO), AT_ERROR_IO);
    cr_expect(in_flight());
    at_error_clear();
    expect_nothing_held();
}

static int evaluations;

static at_status evaluate(at_status status) {
    evaluations++;
    return give_status(status);
}

static void *try_in_work(void *status) {
    AT_TRY(evaluate(AT_OK));
    AT_TRY(evaluate(*(at_status *)status));
    return NULL;
}

static at_status try_in_call(at_status status) {
    AT_TRY_STATUS(evaluate(AT_OK));
    AT_TRY_STATUS(evaluate(status));
    return AT_OK;
}

/* Rule H0: AT_TRY returns AT_FAILED with the error in flight. */
Test(error_flight, try_passes_on) {
    at_status status = AT_OK;
    cr_expect_null(try_in_work(&status));
    cr_expect_eq(evaluations, 2);
    cr_expect_not(in_flight());
    cr_expect_null(at_error_last());
    status = AT_ERROR_FULL;
    cr_expect_eq(try_in_work(&status), AT_FAILED);
    cr_expect_eq(evaluations, 4);
    cr_expect(in_flight());
    cr_expect_str_eq(at_error_text(at_error_last()), "looked at");
    expect_nothing_held();
}

/* Rule H0: AT_TRY_STATUS returns the status with the error in flight. */
Test(error_flight, try_status_passes_on) {
    cr_expect_eq(try_in_call(AT_OK), AT_OK);
    cr_expect_eq(evaluations, 2);
    cr_expect_not(in_flight());
    cr_expect_eq(try_in_call(AT_ERROR_FULL), AT_ERROR_FULL);
    cr_expect_eq(evaluations, 4);
    cr_expect(in_flight());
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_FULL);
    expect_nothing_held();
}

/* Both are one statement. */
static void *try_without_braces(void *value) {
    if (value)
        AT_TRY(evaluate(AT_ERROR_FULL));
    else
        return value;
    return value;
}

Test(error_flight, try_is_one_statement) {
    cr_expect_null(try_without_braces(NULL));
    cr_expect_eq(try_without_braces(&evaluations), AT_FAILED);
    expect_nothing_held();
}

/* -- Causes and others ----------------------------------------------------------------------- */

/* Rule F2: the cause stands behind the error. */
Test(error_chain, cause_is_kept_and_told) {
    const char *inner = origin_of_line(__LINE__ + 1);
    at_fail(AT_ERROR_PERMISSION, "cannot open");
    const at_error *cause = at_error_last();
    const char *outer = origin_of_line(__LINE__ + 1);
    at_fail_from(at_error_take(), AT_ERROR_IO, "cannot load %s", "a.conf");
    const at_error *error = at_error_last();
    cr_expect_eq(at_error_status(error), AT_ERROR_IO);
    cr_expect_eq(at_error_cause(error), cause);
    cr_expect_eq(at_error_status(at_error_cause(error)), AT_ERROR_PERMISSION);
    cr_expect_null(at_error_cause(cause));
    char message[200];
    snprintf(message, sizeof message, "cannot load a.conf (%s); caused by: cannot open (%s)", outer,
             inner);
    cr_expect_str_eq(at_error_message(error), message);
    cr_expect(in_flight());
    expect_nothing_held();
}

Test(error_chain, no_cause_is_allowed) {
    cr_expect_eq(at_fail_from(NULL, AT_ERROR_IO, "alone"), AT_FAILED);
    cr_expect_null(at_error_cause(at_error_last()));
    expect_nothing_held();
}

/* The slot may hold the cause itself when the new error is made. */
Test(error_chain, cause_outlives_the_slot) {
    at_fail(AT_ERROR_PERMISSION, "cause");
    at_fail_from(at_error_retain(at_error_last()), AT_ERROR_IO, "error");
    cr_expect_str_eq(at_error_text(at_error_cause(at_error_last())), "cause");
    expect_nothing_held();
}

static at_error *make_chain(int count) {
    at_error *error = NULL;
    for (int i = 0; i < count; i++)
        error = ati_error_create(AT_SITE(""), error, AT_ERROR_IO, "%d", i);
    return error;
}

static void *release_error(void *error) {
    at_error_release(error);
    return NULL;
}

static void release_on_small_stack(at_error *error) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    cr_assert_eq(pthread_create(&thread, &attributes, release_error, error), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

/* Rule C1: freeing is iterative; a million causes on a small stack. */
Test(error_chain, a_million_causes_are_released) {
    release_on_small_stack(make_chain(1000000));
    expect_nothing_held();
}

/* The same through the others of others. */
Test(error_chain, a_million_others_are_released) {
    at_error *error = NULL;
    for (int i = 0; i < 1000000; i++) {
        at_error *next = ati_error_create(AT_SITE(""), NULL, AT_ERROR_IO, "%d", i % 10);
        if (error && i % 1000 == 0)
            ati_error_add_other(next, error);
        else
            next = (at_error_release(next), ati_error_create("", error, AT_ERROR_IO, "x"));
        error = next;
    }
    release_on_small_stack(error);
    expect_nothing_held();
}

/* A part of a chain that somebody else keeps survives the rest. */
Test(error_chain, shared_causes_survive) {
    at_error *error = make_chain(100);
    const at_error *middle = error;
    for (int i = 0; i < 50; i++)
        middle = at_error_cause(middle);
    at_error *kept = at_error_retain(middle);
    at_error_release(error);
    cr_expect_str_eq(at_error_text(kept), "49");
    cr_expect_str_eq(at_error_text(at_error_cause(kept)), "48");
    at_error_release(kept);
    expect_nothing_held();
}

static int count_text(const char *text, const char *part) {
    int count = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        count++;
    return count;
}

/* The message of an endless chain ends. */
Test(error_chain, message_shows_the_first_causes) {
    at_error *error = make_chain(17);
    cr_expect_eq(count_text(at_error_message(error), "caused by: "), 16);
    cr_expect_null(strstr(at_error_message(error), "further"));
    at_error_release(error);
    error = make_chain(1000);
    cr_expect_eq(count_text(at_error_message(error), "caused by: "), 16);
    cr_expect_eq(count_text(at_error_message(error), "; and further causes"), 1);
    at_error_release(error);
    expect_nothing_held();
}

/* Rule F2, C3: the later failures come with the first. */
Test(error_chain, others_are_kept_in_order) {
    at_error *error = ati_error_create("main.c:1\0", NULL, AT_ERROR_IO, "first");
    for (int i = 0; i < 3; i++)
        ati_error_add_other(error, ati_error_create("", NULL, AT_ERROR_FULL, "other %d", i));
    cr_assert_eq(at_error_other_count(error), 3);
    cr_expect_str_eq(at_error_text(at_error_other(error, 2)), "other 2");
    cr_expect_null(at_error_other(error, 3));
    cr_expect_null(at_error_other(error, SIZE_MAX));
    cr_expect_str_eq(at_error_message(error),
                     "first (main.c:1); also: other 0; also: other 1; also: other 2");
    at_error_release(error);
    expect_nothing_held();
}

/* Others are bounded; what is over the bound is counted. */
Test(error_chain, others_past_the_bound_are_counted) {
    at_error *error = ati_error_create("", NULL, AT_ERROR_IO, "first");
    for (int i = 0; i < 1000; i++)
        ati_error_add_other(error, ati_error_create("", NULL, AT_ERROR_FULL, "other %d", i));
    cr_expect_eq(at_error_other_count(error), 64);
    cr_expect_not_null(at_error_other(error, 63));
    cr_expect_null(at_error_other(error, 64));
    cr_expect_eq(count_text(at_error_message(error), "; also: "), 8);
    cr_expect_not_null(strstr(at_error_message(error), "; and 992 more"));
    at_error_release(error);
    expect_nothing_held();
}

/* Rule F2: the task that the error ended, and where it was started. */
Test(error_chain, task_is_named_once) {
    char name[] = "parse";
    at_error *error = ati_error_create("parse.c:41\0", NULL, AT_ERROR_INVALID, "not a document");
    ati_error_set_task(error, name, true, "/some/folder/main.c:17\0parse");
    memset(name, 'x', sizeof name - 1);
    ati_error_set_task(error, "other", false, "other.c:1\0other");
    cr_expect_str_eq(at_error_task(error), "parse");
    cr_expect_str_eq(at_error_started_at(error), "main.c:17");
    cr_expect_str_eq(at_error_message(error),
                     "not a document (parse.c:41), in task parse, from main.c:17");
    at_error_release(error);
    error = ati_error_create("", NULL, AT_ERROR_INVALID, "bare");
    ati_error_set_task(error, "", false, "main.c:17\0");
    cr_expect_str_eq(at_error_message(error), "bare, from main.c:17");
    at_error_release(error);
    expect_nothing_held();
}

/* A copy says what the error says, and may be given others of its own. */
Test(error_chain, copies) {
    at_error *error = make_chain(2);
    ati_error_set_task(error, "task", true, "main.c:17\0task");
    for (int i = 0; i < 70; i++)
        ati_error_add_other(error, ati_error_create("", NULL, AT_ERROR_FULL, "%d", i));
    at_error *copy = ati_error_copy(error);
    cr_expect_neq(copy, error);
    cr_expect_str_eq(at_error_message(copy), at_error_message(error));
    cr_expect_eq(at_error_cause(copy), at_error_cause(error));
    cr_expect_eq(at_error_other_count(copy), at_error_other_count(error));
    at_error_release(error);
    cr_expect_str_eq(at_error_task(copy), "task");
    at_error_release(copy);
    expect_nothing_held();
}

Test(error_chain, copies_of_static_errors) {
    at_error *copy = ati_error_copy(ati_error_static(AT_ERROR_NO_MEMORY));
    cr_expect_eq(at_error_status(copy), AT_ERROR_NO_MEMORY);
    cr_expect_str_eq(at_error_message(copy), "out of memory");
    at_error_release(copy);
    expect_nothing_held();
}

Test(error, sites_have_two_parts) {
    cr_expect_str_eq(ati_site_place("/a/b/pool.c:12\0run"), "pool.c:12");
    cr_expect_str_eq(ati_site_place("pool.c:12\0run"), "pool.c:12");
    cr_expect_str_eq(ati_site_name("/a/b/pool.c:12\0run"), "run");
    cr_expect_str_eq(ati_site_name("pool.c:12\0"), "");
    cr_expect_str_eq(ati_site_place(""), "");
    cr_expect_str_eq(ati_site_name(""), "");
}

enum { reader_count = 8 };
static pthread_barrier_t barrier;

static void *read_message(void *error) {
    pthread_barrier_wait(&barrier);
    return (void *)at_error_message(error);
}

/* Many readers of one error make its message at once; all get the same one. */
Test(error, message_is_made_once) {
    pthread_barrier_init(&barrier, NULL, reader_count);
    for (int round = 0; round < 50; round++) {
        at_error *error = make_chain(5);
        pthread_t threads[reader_count];
        for (int i = 0; i < reader_count; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, read_message, error), 0);
        for (int i = 0; i < reader_count; i++) {
            void *message;
            cr_assert_eq(pthread_join(threads[i], &message), 0);
            cr_expect_eq(message, at_error_message(error));
        }
        at_error_release(error);
    }
    pthread_barrier_destroy(&barrier);
    expect_nothing_held();
}

/* -- Without memory -------------------------------------------------------------------------- */

/* Rule H0: no memory: the slot holds a static error with the same status. */
Test(error_memory, static_errors_stand_in) {
#define ROW(name, value, text) {name, text},
    static const struct {
        at_status status;
        const char *text;
    } table[] = {AT_STATUS_TABLE(ROW)};
#undef ROW
    fault_arm_from(fault_memory, 1);
    for (size_t i = 1; i < sizeof table / sizeof *table; i++) {
        cr_expect_eq(at_fail_status(table[i].status, "%s", "lost"), table[i].status);
        const at_error *error = at_error_last();
        cr_assert_not_null(error);
        cr_expect(in_flight());
        cr_expect_eq(at_error_status(error), table[i].status);
        cr_expect_str_eq(at_error_text(error), table[i].text);
        cr_expect_str_eq(at_error_message(error), table[i].text);
        cr_expect_str_eq(at_error_origin(error), "");
        cr_expect_null(at_error_cause(error));
        at_error *kept = at_error_retain(error);
        at_error_release(kept);
        at_error_release(at_error_take());
        at_error_release(kept); /* static errors are never freed */
        cr_expect_str_eq(at_error_text(kept), table[i].text);
    }
    cr_expect_eq(at_fail((at_status)INT_MIN, "lost"), AT_FAILED);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_FAILED);
    fault_disarm();
    expect_nothing_held();
}

/* Rule S1: a cause that cannot be attached is released all the same. */
Test(error_memory, cause_is_released) {
    at_error *cause = make_chain(3);
    fault_arm_from(fault_memory, 1);
    at_fail_from(cause, AT_ERROR_IO, "lost");
    fault_disarm();
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_IO);
    expect_nothing_held();
}

/* The bare message where there is no memory for the line; the line once there is. */
Test(error_memory, message_falls_back_to_the_text) {
    at_fail(AT_ERROR_IO, "the text");
    fault_arm_from(fault_memory, 1);
    cr_expect_str_eq(at_error_message(at_error_last()), "the text");
    fault_disarm();
    cr_expect_neq(strstr(at_error_message(at_error_last()), "the text (error_test.c:"), NULL);
    expect_nothing_held();
}

static void build_errors(void *unused) {
    (void)unused;
    at_error *error = ati_error_create(AT_SITE(""), NULL, AT_ERROR_IO, "first");
    ati_error_set_task(error, "task", true, "main.c:17\0task");
    ati_error_add_other(error, ati_error_create(AT_SITE(""), NULL, AT_ERROR_FULL, "other"));
    at_error *copy = ati_error_copy(error);
    cr_expect_eq(at_error_status(error), AT_ERROR_IO);
    cr_expect_eq(at_error_status(copy), AT_ERROR_IO);
    cr_expect_str_not_empty(at_error_message(error));
    cr_expect_str_not_empty(at_error_message(copy));
    if (fault_count() == 0)
        cr_expect_str_eq(at_error_message(error), at_error_message(copy));
    at_fail_from(copy, AT_ERROR_INVALID, "last");
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_INVALID);
    at_error_release(error);
    at_error_clear();
}

/* Rule H0: the same with each single allocation failing. */
Test(error_memory, every_single_allocation) {
    cr_expect_geq(fault_each(fault_memory, build_errors, NULL), 8);
}

static void *fail_without_memory(void *unused) {
    (void)unused;
    at_fail(AT_ERROR_IO, "lost");
    return (void *)at_error_message(at_error_last());
}

/* Rule H0: in any plain thread. */
Test(error_memory, static_errors_in_threads) {
    pthread_t thread;
    void *message;
    fault_arm_from(fault_memory, 1);
    cr_assert_eq(pthread_create(&thread, NULL, fail_without_memory, NULL), 0);
    cr_assert_eq(pthread_join(thread, &message), 0);
    fault_disarm();
    cr_expect_str_eq(message, "input or output failed");
    expect_nothing_held();
}
