/* SPDX-License-Identifier: MIT
 *
 * Rule G3: a map gives outcomes in the order of its items, runs at most max_workers of them at
 * once, and tells of its progress; rules S4, X2 and H0 as far as they concern it. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/concurrent_executor.h>
#include <asynctools/sleep.h>

#include "base/error.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

TestSuite(concurrent_executor, .timeout = 200);

static at_concurrent_executor *create_executor(at_pool *pool, int64_t max_workers) {
    at_concurrent_executor *executor = NULL;
    at_concurrent_executor_options options = {.max_workers = max_workers};
    cr_assert_eq(at_concurrent_executor_create(&executor, pool, &options), AT_OK);
    return executor;
}

/* -- Outcomes -------------------------------------------------------------------------------- */

static void *give_item(void *item) {
    return item;
}

/* Each item once, each outcome in its place, whatever the numbers. */
Test(concurrent_executor, g3_outcomes_in_the_order_of_the_items) {
    static const size_t counts[] = {0, 1, 2, 7, 1000, 100000};
    static const int64_t workers[] = {1, 2, 5, 0, 100};
    int *items = calloc(100000, sizeof *items);
    at_outcome *outcomes = calloc(100000, sizeof *outcomes);
    at_pool *pool = create_pool(2);
    for (size_t w = 0; w < sizeof workers / sizeof *workers; w++) {
        at_concurrent_executor *executor = create_executor(pool, workers[w]);
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            size_t count = counts[c];
            cr_assert_eq(at_concurrent_executor_map(executor, give_item, AT_ITEMS(items, count),
                                                    outcomes, NULL),
                         AT_OK);
            for (size_t i = 0; i < count; i++)
                cr_assert(outcomes[i].status == AT_OK && outcomes[i].value == &items[i] &&
                          !outcomes[i].error && !outcomes[i].drop);
            at_outcomes_release(outcomes, count);
        }
        at_concurrent_executor_destroy(executor);
    }
    destroy_pool(pool);
    free(items);
    free(outcomes);
}

static void *fail_odd(void *item) {
    struct tally *tally = item;
    tally_run(tally);
    if (tally->drops % 2 == 1)
        return at_fail(AT_ERROR_IO, "number %d is odd", tally->drops);
    return at_return(tally, tally_drop);
}

/* Errors stay with their items and name them; the map's own has the first and the others. */
Test(concurrent_executor, g3_a_status_for_each_item) {
    enum { count = 100 };
    struct tally tallies[count];
    at_outcome outcomes[count];
    at_pool *pool = create_pool(2);
    at_concurrent_executor *executor = create_executor(pool, 3);
    for (int i = 0; i < count; i++)
        tallies[i] = (struct tally){.drops = i};
    cr_expect_eq(
        at_concurrent_executor_map(executor, fail_odd, AT_ITEMS(tallies, count), outcomes, NULL),
        AT_ERROR_IO);
    const at_error *error = at_error_last();
    cr_expect_str_eq(at_error_text(error), "number 1 is odd");
    cr_expect_str_eq(at_error_task(error), "fail_odd");
    cr_expect_eq(at_error_item(error), 1);
    cr_expect_eq(at_error_other_count(error), count / 2 - 1);
    cr_expect_eq(at_error_item(at_error_other(error, 0)), 3);
    for (int i = 0; i < count; i++) {
        cr_expect_eq(outcomes[i].status, i % 2 == 1 ? AT_ERROR_IO : AT_OK);
        cr_expect_eq(at_error_status(outcomes[i].error), outcomes[i].status);
        cr_expect_eq(outcomes[i].value, i % 2 == 1 ? NULL : &tallies[i]);
    }
    at_outcomes_release(outcomes, count);
    at_outcomes_release(outcomes, count);
    for (int i = 0; i < count; i++) {
        cr_expect_eq(tally_runs(&tallies[i]), 1);
        cr_expect_eq(tally_drops(&tallies[i]), i % 2 == 1 ? i : i + 1);
    }
    at_error_clear();
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
}

/* Nobody wants the outcomes: values are dropped when their items end, and the error is the same:
 * that of the first item, whatever came first in time, with 64 others; the rest is counted. */
Test(concurrent_executor, g3_no_outcomes) {
    enum { count = 1000 };
    static struct tally tallies[count];
    at_pool *pool = create_pool(2);
    at_concurrent_executor *executor = create_executor(pool, 3);
    for (int i = 0; i < count; i++)
        tallies[i] = (struct tally){.drops = i};
    cr_expect_eq(
        at_concurrent_executor_map(executor, fail_odd, AT_ITEMS(tallies, count), NULL, NULL),
        AT_ERROR_IO);
    const at_error *error = at_error_last();
    cr_expect_eq(at_error_item(error), 1);
    cr_assert_eq(at_error_other_count(error), 64);
    cr_expect_eq(ati_error_hidden_count(error), count / 2 - 65);
    for (int i = 0; i < 64; i++)
        cr_expect_eq(at_error_item(at_error_other(error, i)), 3 + 2 * i);
    for (int i = 0; i < count; i++) {
        cr_expect_eq(tally_runs(&tallies[i]), 1);
        cr_expect_eq(tally_drops(&tallies[i]), i % 2 == 1 ? i : i + 1);
        tallies[i] = (struct tally){.drops = 0};
    }
    at_error_clear();
    cr_expect_eq(
        at_concurrent_executor_map(executor, fail_odd, AT_ITEMS(tallies, count), NULL, NULL),
        AT_OK);
    for (int i = 0; i < count; i++)
        cr_expect_eq(tally_drops(&tallies[i]), 1);
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
}

static void *go_on(void *item) {
    return at_return_future(at_pool_submit(at_pool_current(), fail_odd, item));
}

/* An item may go on with a future; then that decides. */
Test(concurrent_executor, items_go_on_with_futures) {
    struct tally tallies[2] = {{.drops = 0}, {.drops = 1}};
    at_outcome outcomes[2];
    at_pool *pool = create_pool(1);
    at_concurrent_executor *executor = create_executor(pool, 1);
    cr_expect_eq(at_concurrent_executor_map(executor, go_on, AT_ITEMS(tallies, 2), outcomes, NULL),
                 AT_ERROR_IO);
    cr_expect_eq(outcomes[0].value, &tallies[0]);
    cr_expect_eq(outcomes[1].status, AT_ERROR_IO);
    at_outcomes_release(outcomes, 2);
    cr_expect_eq(tally_drops(&tallies[0]), 1);
    at_error_clear();
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
}

static void *leave_an_error(void *item) {
    if (item)
        (void)at_fail(AT_ERROR_IO, "looked at and forgotten");
    return at_return(item, NULL);
}

/* Rule H0: items have an error slot of their own; a map that succeeds leaves the caller's alone. */
Test(concurrent_executor, h0_the_slot_of_the_caller) {
    int items[10] = {0};
    at_outcome outcomes[10];
    at_pool *pool = create_pool(2);
    at_concurrent_executor *executor = create_executor(pool, 2);
    (void)at_fail(AT_ERROR_FULL, "before");
    cr_expect_eq(
        at_concurrent_executor_map(executor, leave_an_error, AT_ITEMS(items, 10), outcomes, NULL),
        AT_OK);
    cr_expect_str_eq(at_error_text(at_error_last()), "before");
    at_error_clear();
    at_outcomes_release(outcomes, 10);
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
}

/* -- How many at once ------------------------------------------------------------------------ */

static _Atomic int running;
static _Atomic int most;

static void *sleep_a_second(void *item) {
    int now = atomic_fetch_add(&running, 1) + 1;
    int before = atomic_load(&most);
    while (now > before && !atomic_compare_exchange_weak(&most, &before, now))
        continue;
    at_status status = at_sleep(AT_SECONDS(1));
    atomic_fetch_sub(&running, 1);
    AT_TRY(status);
    return item;
}

/* So many at once and no more, on fewer workers; also with more than look at each other's runs. */
Test(concurrent_executor, g3_at_most_max_workers_at_once) {
    enum { count = 400 };
    static const int64_t workers[] = {1, 5, 100, 1000};
    char items[count];
    static at_outcome outcomes[count];
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(2);
    for (size_t w = 0; w < sizeof workers / sizeof *workers; w++) {
        at_concurrent_executor *executor = create_executor(pool, workers[w]);
        int64_t began = at_clock_now(clock);
        int64_t at_once = workers[w] < count ? workers[w] : count;
        atomic_store(&most, 0);
        cr_assert_eq(at_concurrent_executor_map(executor, sleep_a_second, AT_ITEMS(items, count),
                                                outcomes, NULL),
                     AT_OK);
        cr_expect_eq(atomic_load(&most), at_once);
        cr_expect_eq(at_clock_now(clock) - began, AT_SECONDS(1) * count / at_once);
        at_outcomes_release(outcomes, count);
        at_concurrent_executor_destroy(executor);
    }
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

struct waiting_item {
    int index;
    at_promise *promise;
    at_future *future;
};

enum { waiting_place = 2000 };

/* One in the middle waits for the one behind it. */
static void *wait_for_next(void *argument) {
    struct waiting_item *item = argument;
    if (item->index == waiting_place)
        AT_TRY(at_future_wait(item->future, AT_FOREVER, NULL));
    else if (item->index == waiting_place + 1)
        AT_TRY(at_promise_set(item->promise, NULL, NULL));
    return NULL;
}

/* An item that waits holds up none of those behind it, though short items come in runs. */
Test(concurrent_executor, an_item_may_wait_for_the_next) {
    enum { count = 10000 };
    static struct waiting_item items[count];
    static at_outcome outcomes[count];
    at_pool *pool = create_pool(2);
    at_concurrent_executor *executor = create_executor(pool, 2);
    for (int round = 0; round < 50; round++) {
        at_future *future;
        at_promise *promise = create_promise(pool, &future);
        for (int i = 0; i < count; i++)
            items[i] = (struct waiting_item){i, promise, future};
        cr_assert_eq(at_concurrent_executor_map(executor, wait_for_next, AT_ITEMS(items, count),
                                                outcomes, NULL),
                     AT_OK);
        at_outcomes_release(outcomes, count);
        at_promise_destroy(promise);
        at_future_release(future);
    }
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
}

struct nested {
    at_concurrent_executor *executor;
    int depth;
};

static void *map_again(void *argument) {
    struct nested *nested = argument;
    if (nested->depth == 0)
        return NULL;
    struct nested inner[3];
    at_outcome outcomes[3];
    for (int i = 0; i < 3; i++)
        inner[i] = (struct nested){nested->executor, nested->depth - 1};
    AT_TRY(at_concurrent_executor_map(nested->executor, map_again, AT_ITEMS(inner, 3), outcomes,
                                      NULL));
    at_outcomes_release(outcomes, 3);
    return NULL;
}

/* Items may map on their own executor. */
Test(concurrent_executor, maps_nest) {
    at_outcome outcome;
    at_pool *pool = create_pool(1);
    struct nested outermost = {create_executor(pool, 1), 4};
    cr_assert_eq(at_concurrent_executor_map(outermost.executor, map_again, AT_ITEMS(&outermost, 1),
                                            &outcome, NULL),
                 AT_OK);
    at_outcomes_release(&outcome, 1);
    at_concurrent_executor_destroy(outermost.executor);
    destroy_pool(pool);
}

/* -- Progress -------------------------------------------------------------------------------- */

struct progress {
    _Atomic int inside;
    size_t last;
    size_t total;
    int calls;
    bool is_wrong;
};

static void note_progress(size_t completed, size_t total, void *context) {
    struct progress *progress = context;
    if (atomic_fetch_add(&progress->inside, 1) != 0 || completed > total ||
        (progress->calls > 0 && completed <= progress->last))
        progress->is_wrong = true;
    progress->last = completed;
    progress->total = total;
    progress->calls++;
    (void)at_fail(AT_ERROR_IO, "not the map's");
    atomic_fetch_sub(&progress->inside, 1);
}

/* Grows, one call at a time, and ends with the total: also with no items, and without success. */
Test(concurrent_executor, g3_progress) {
    enum { count = 50000 };
    static struct tally items[count];
    static at_outcome outcomes[count];
    at_pool *pool = create_pool(2);
    at_concurrent_executor *executor = create_executor(pool, 4);
    for (int failing = 0; failing < 2; failing++)
        for (size_t n = 0; n <= count; n = n == 0 ? 1 : n * 50000) {
            for (size_t i = 0; i < n; i++)
                items[i].drops = failing;
            struct progress progress = {0};
            at_map_options options = {.on_progress = note_progress, .context = &progress};
            cr_expect_eq(at_concurrent_executor_map(executor, fail_odd, AT_ITEMS(items, n),
                                                    outcomes, &options),
                         failing && n > 0 ? AT_ERROR_IO : AT_OK);
            cr_expect_not(progress.is_wrong);
            cr_expect_eq(progress.last, n);
            cr_expect_eq(progress.total, n);
            cr_expect_geq(progress.calls, 1);
            at_outcomes_release(outcomes, n);
            at_error_clear();
        }
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
}

/* Each item that takes long is told of. */
Test(concurrent_executor, g3_progress_of_long_items) {
    char items[10];
    at_outcome outcomes[10];
    struct progress progress = {0};
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    at_concurrent_executor *executor = create_executor(pool, 1);
    at_map_options options = {.on_progress = note_progress, .context = &progress};
    cr_assert_eq(at_concurrent_executor_map(executor, sleep_a_second, AT_ITEMS(items, 10), outcomes,
                                            &options),
                 AT_OK);
    cr_expect_eq(progress.calls, 10);
    at_outcomes_release(outcomes, 10);
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

static void *sleep_a_tenth(void *item) {
    AT_TRY(at_sleep(AT_MILLISECONDS(100)));
    return item;
}

/* 10 seconds: 3 items later is the first moment that is a quarter of a second later. */
Test(concurrent_executor, g3_progress_lines) {
    char items[100];
    at_outcome outcomes[100];
    char *lines = NULL;
    at_logger *logger = NULL;
    at_logger_options to_memory = {.memory_bytes = 1 << 20};
    cr_assert_eq(at_logger_create(&logger, &to_memory), AT_OK);
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    at_concurrent_executor *executor = create_executor(pool, 1);
    cr_assert_eq(at_concurrent_executor_map(executor, sleep_a_tenth, AT_ITEMS(items, 100), outcomes,
                                            &(at_map_options){.progress_logger = logger}),
                 AT_OK);
    at_outcomes_release(outcomes, 100);
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    int count = 0;
    const char *last = lines;
    for (const char *line = lines; (line = strstr(line, "\"batch_progress\"")); line++, count++)
        last = line;
    cr_expect_eq(count, 34);
    cr_expect_not_null(strstr(lines, "\"completed\":3,\"total\":100"));
    cr_expect_not_null(strstr(last, "\"completed\":100,\"total\":100"));
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}

/* The last line does not say that all is done: two rounds of four are, one was ended, and eight
 * items were not begun. It is of the same operation as those before, though no scope around it has
 * a name. */
Test(concurrent_executor, g3_progress_lines_of_a_cancelled_map) {
    char items[20];
    char *lines = NULL;
    at_logger *logger = NULL;
    at_logger_options to_memory = {.memory_bytes = 1 << 20};
    cr_assert_eq(at_logger_create(&logger, &to_memory), AT_OK);
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(2);
    at_concurrent_executor *executor = create_executor(pool, 4);
    AT_TIMEOUT(scope, AT_MILLISECONDS(2500)) {
        cr_expect_eq(at_concurrent_executor_map(executor, sleep_a_second, AT_ITEMS(items, 20), NULL,
                                                &(at_map_options){.progress_logger = logger}),
                     AT_ERROR_TIMED_OUT);
        cr_expect_eq(at_concurrent_executor_map(executor, sleep_a_second, AT_ITEMS(items, 3), NULL,
                                                &(at_map_options){.progress_logger = logger}),
                     AT_ERROR_TIMED_OUT);
    }
    at_error_clear();
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    cr_expect_not_null(strstr(lines, "\"completed\":12,\"total\":20,\"not_run\":8"), "%s", lines);
    cr_expect_not_null(strstr(lines, "\"completed\":0,\"total\":3,\"not_run\":3"), "%s", lines);
    cr_expect_null(strstr(lines, "\"operation\":\"\""), "%s", lines);
    cr_expect_null(strstr(lines, "\"completed\":20"), "%s", lines);
    cr_expect_not_null(strstr(lines, "\"operation\":\"sleep_a_second\""), "%s", lines);
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}

/* -- Cancellation ---------------------------------------------------------------------------- */

static void *fail_the_third(void *argument) {
    int index = *(int *)argument;
    if (index == 3)
        return at_fail(AT_ERROR_IO, "number three");
    AT_TRY(at_sleep(AT_SECONDS(100)));
    return NULL;
}

/* One fails: those that wait are told, the others are not begun, and its error is the map's. */
Test(concurrent_executor, g3_fail_fast) {
    enum { count = 20 };
    int items[count];
    at_outcome outcomes[count];
    at_clock *clock = bind_virtual_clock();
    int64_t began = at_clock_now(clock);
    at_pool *pool = create_pool(2);
    at_concurrent_executor *executor = create_executor(pool, 5);
    for (int i = 0; i < count; i++)
        items[i] = i;
    cr_expect_eq(at_concurrent_executor_map(executor, fail_the_third, AT_ITEMS(items, count),
                                            outcomes, &(at_map_options){.fail_fast = true}),
                 AT_ERROR_IO);
    cr_expect_eq(at_clock_now(clock), began);
    cr_expect_eq(at_error_other_count(at_error_last()), 0);
    for (int i = 0; i < count; i++)
        cr_expect_eq(outcomes[i].status, i == 3 ? AT_ERROR_IO : AT_ERROR_CANCELLED, "%d", i);
    at_outcomes_release(outcomes, count);
    at_error_clear();
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

static void *fail_the_second_first(void *item) {
    if (*(int *)item == 1)
        return at_fail(AT_ERROR_IO, "the cause");
    (void)at_sleep(AT_SECONDS(1));
    return at_fail(AT_ERROR_NOT_FOUND, "what follows from it");
}

/* The failure that has ended the others comes first, whatever they make of that. */
Test(concurrent_executor, g3_fail_fast_names_the_cause) {
    int items[3] = {0, 1, 2};
    at_outcome outcomes[3];
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    at_concurrent_executor *executor = create_executor(pool, 3);
    cr_expect_eq(at_concurrent_executor_map(executor, fail_the_second_first, AT_ITEMS(items, 3),
                                            outcomes, &(at_map_options){.fail_fast = true}),
                 AT_ERROR_IO);
    const at_error *error = at_error_last();
    cr_expect_not_null(strstr(at_error_message(error), "the cause"));
    cr_expect_eq(outcomes[0].status, AT_ERROR_NOT_FOUND);
    for (size_t i = 0; i < at_error_other_count(error); i++)
        cr_expect_eq(at_error_status(at_error_other(error, i)), AT_ERROR_NOT_FOUND);
    cr_expect_geq(at_error_other_count(error), 1);
    at_outcomes_release(outcomes, 3);
    at_error_clear();
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

/* The same without outcomes. */
Test(concurrent_executor, g3_fail_fast_without_outcomes) {
    int items[3] = {0, 1, 2};
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    at_concurrent_executor *executor = create_executor(pool, 3);
    cr_expect_eq(at_concurrent_executor_map(executor, fail_the_second_first, AT_ITEMS(items, 3),
                                            NULL, &(at_map_options){.fail_fast = true}),
                 AT_ERROR_IO);
    cr_expect_not_null(strstr(at_error_message(at_error_last()), "the cause"));
    cr_expect_geq(at_error_other_count(at_error_last()), 1);
    at_error_clear();
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

static void *cancel_the_map(void *item) {
    (void)at_token_cancel(at_token_current());
    return item;
}

/* An item ends the map: it was cancelled, though nothing has failed. */
Test(concurrent_executor, an_item_cancels_the_map) {
    char items[10];
    at_outcome outcomes[10];
    at_pool *pool = create_pool(1);
    at_concurrent_executor *executor = create_executor(pool, 1);
    for (int wanted = 0; wanted < 2; wanted++) {
        cr_expect_eq(at_concurrent_executor_map(executor, cancel_the_map, AT_ITEMS(items, 10),
                                                wanted ? outcomes : NULL, NULL),
                     AT_ERROR_CANCELLED);
        cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_CANCELLED);
        at_error_clear();
    }
    cr_expect_eq(outcomes[0].status, AT_OK);
    cr_expect_eq(outcomes[9].status, AT_ERROR_CANCELLED);
    at_outcomes_release(outcomes, 10);
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
}

struct timed_map {
    at_concurrent_executor *executor;
    at_outcome outcomes[20];
    at_status status;
    struct progress progress;
};

static void *map_in_time(void *argument) {
    struct timed_map *timed = argument;
    static char items[20];
    at_map_options options = {.on_progress = note_progress, .context = &timed->progress};
    AT_TIMEOUT(scope, AT_MILLISECONDS(2500)) {
        timed->status = at_concurrent_executor_map(timed->executor, sleep_a_second,
                                                   AT_ITEMS(items, 20), timed->outcomes, &options);
    }
    at_error_clear();
    return NULL;
}

/* Rules X2 and G3: at the deadline two rounds of four are done, one round waits and is ended, and
 * the rest is not begun. From a task and from a plain thread. */
Test(concurrent_executor, g3_ends_at_the_deadline_of_the_caller) {
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(2);
    struct timed_map timed = {.executor = create_executor(pool, 4)};
    for (int from_task = 0; from_task < 2; from_task++) {
        int64_t began = at_clock_now(clock);
        timed.progress = (struct progress){0};
        if (from_task) {
            at_future *future = at_pool_submit(pool, map_in_time, &timed);
            wait_value(future);
            at_future_release(future);
        } else {
            map_in_time(&timed);
        }
        cr_expect_eq(timed.status, AT_ERROR_TIMED_OUT);
        cr_expect_eq(at_clock_now(clock) - began, AT_MILLISECONDS(2500));
        for (int i = 0; i < 20; i++)
            cr_expect_eq(timed.outcomes[i].status, i < 8 ? AT_OK : AT_ERROR_CANCELLED, "%d", i);
        cr_expect(!timed.progress.is_wrong && timed.progress.last == 20);
        at_outcomes_release(timed.outcomes, 20);
    }
    at_concurrent_executor_destroy(timed.executor);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

/* The pool has no worker free: at its deadline the map does not wait for one. */
Test(concurrent_executor, does_not_wait_for_what_was_not_begun) {
    struct gate gate = GATE_CLOSED;
    struct tally items[10] = {0};
    at_outcome outcomes[10];
    at_status status = AT_OK;
    at_pool *pool = create_pool(1);
    at_concurrent_executor *executor = create_executor(pool, 4);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    AT_TIMEOUT(scope, AT_MILLISECONDS(5)) {
        status =
            at_concurrent_executor_map(executor, tally_run, AT_ITEMS(items, 10), outcomes, NULL);
    }
    cr_expect_eq(status, AT_ERROR_TIMED_OUT);
    at_concurrent_executor_destroy(executor);
    gate_open(&gate);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.cancelled, 4);
    for (int i = 0; i < 10; i++) {
        cr_expect_eq(outcomes[i].status, AT_ERROR_CANCELLED);
        cr_expect_eq(tally_runs(&items[i]), 0);
    }
    at_outcomes_release(outcomes, 10);
    at_error_clear();
}

/* Under an operation that is cancelled already, and on a pool that is closed, nothing is begun;
 * only the first is a map that is over, and tells of it. */
Test(concurrent_executor, nothing_is_begun) {
    struct tally items[3] = {0};
    at_outcome outcomes[3];
    at_scope scope;
    struct progress progress = {0};
    at_map_options options = {.on_progress = note_progress, .context = &progress};
    at_pool *pool = create_pool(1);
    at_concurrent_executor *executor = create_executor(pool, 0);
    at_scope_begin(&scope, NULL);
    cr_assert_eq(at_token_cancel(at_scope_token(&scope)), AT_OK);
    cr_expect_eq(
        at_concurrent_executor_map(executor, tally_run, AT_ITEMS(items, 3), outcomes, &options),
        AT_ERROR_CANCELLED);
    cr_expect_eq(outcomes[2].status, AT_ERROR_CANCELLED);
    at_outcomes_release(outcomes, 3);
    (void)at_scope_end(&scope);
    cr_expect_eq(progress.calls, 1);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    cr_expect_eq(
        at_concurrent_executor_map(executor, tally_run, AT_ITEMS(items, 3), outcomes, &options),
        AT_ERROR_CLOSED);
    cr_expect_eq(outcomes[0].status, AT_ERROR_CLOSED);
    at_outcomes_release(outcomes, 3);
    cr_expect_eq(progress.calls, 1, "a refused map has told of progress");
    at_error_clear();
    for (int i = 0; i < 3; i++)
        cr_expect_eq(tally_runs(&items[i]), 0);
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
}

/* -- Bad input ------------------------------------------------------------------------------- */

static void expect_invalid(at_status status, const char *member) {
    cr_expect_eq(status, AT_ERROR_INVALID);
    cr_expect_not_null(strstr(at_error_text(at_error_last()), member), "%s",
                       at_error_text(at_error_last()));
    at_error_clear();
}

Test(concurrent_executor, bad_input) {
    at_pool *pool = create_pool(1);
    at_concurrent_executor *executor = NULL;
    at_concurrent_executor_options options = {.max_workers = -1};
    expect_invalid(at_concurrent_executor_create(&executor, pool, &options), "max_workers");
    options.max_workers = INT64_MAX;
    expect_invalid(at_concurrent_executor_create(&executor, pool, &options), "max_workers");
    options = (at_concurrent_executor_options){.reserved = {1}};
    expect_invalid(at_concurrent_executor_create(&executor, pool, &options), "reserved");
    cr_expect_null(executor);
    at_concurrent_executor_destroy(NULL);

    at_outcome outcomes[2];
    char items[2];
    cr_assert_eq(at_concurrent_executor_create(&executor, pool, NULL), AT_OK);
    at_items none = {.data = NULL, .count = 2, .size = 1};
    expect_invalid(at_concurrent_executor_map(executor, give_item, none, outcomes, NULL), "data");
    cr_expect_eq(outcomes[1].status, AT_ERROR_INVALID);
    at_outcomes_release(outcomes, 2);
    at_items sizeless = {.data = items, .count = 2};
    expect_invalid(at_concurrent_executor_map(executor, give_item, sizeless, outcomes, NULL),
                   "size");
    at_outcomes_release(outcomes, 2);
    at_items many = {.data = items, .count = SIZE_MAX, .size = 1};
    expect_invalid(at_concurrent_executor_map(executor, give_item, many, outcomes, NULL), "count");
    expect_invalid(at_concurrent_executor_map(executor, give_item, sizeless, NULL, NULL), "size");
    struct progress progress = {0};
    at_map_options map_options = {
        .reserved = {0, 1}, .on_progress = note_progress, .context = &progress};
    expect_invalid(
        at_concurrent_executor_map(executor, give_item, AT_ITEMS(items, 2), outcomes, &map_options),
        "reserved");
    at_outcomes_release(outcomes, 2);
    map_options.reserved[1] = 0;
    expect_invalid(at_concurrent_executor_map(executor, give_item, sizeless, NULL, &map_options),
                   "size");
    cr_expect_eq(progress.calls, 0, "a refused map has told of progress");
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
}

static void *map_inline(void *value, void *executor) {
    char items[2];
    at_outcome outcomes[2];
    struct progress progress = {0};
    at_map_options options = {.on_progress = note_progress, .context = &progress};
    (void)value;
    at_status status =
        at_concurrent_executor_map(executor, give_item, AT_ITEMS(items, 2), outcomes, &options);
    at_outcomes_release(outcomes, 2);
    return (void *)(intptr_t)(progress.calls == 0 ? status : AT_OK);
}

Test(concurrent_executor, not_in_an_inline_continuation) {
    at_future *source;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &source);
    at_concurrent_executor *executor = create_executor(pool, 0);
    at_continuation_options options = {.executor = at_executor_inline(), .context = executor};
    at_future *future = at_future_then_with(source, map_inline, &options);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    cr_expect_eq(wait_value(future), (void *)(intptr_t)AT_ERROR_DEADLOCK);
    at_future_release(future);
    at_promise_destroy(promise);
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
}

/* A bounded pool has room for fewer runners; those do it all. */
Test(concurrent_executor, on_a_bounded_pool) {
    struct tally items[50] = {0};
    at_outcome outcomes[50];
    at_pool *pool = NULL;
    at_pool_options options = {.thread_count = 1, .queue_bound = 3};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    at_concurrent_executor *executor = create_executor(pool, 10);
    cr_expect_eq(
        at_concurrent_executor_map(executor, tally_run, AT_ITEMS(items, 50), outcomes, NULL),
        AT_OK);
    for (int i = 0; i < 50; i++)
        cr_expect_eq(tally_runs(&items[i]), 1);
    at_outcomes_release(outcomes, 50);
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
}
