/* SPDX-License-Identifier: MIT
 *
 * What a pool counts and measures (rules S5, W1, B1): each number moves when it should. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <jansson.h>
#include <sched.h>
#include <string.h>

TestSuite(pool_statistics, .timeout = 200);

static at_pool_statistics look(at_pool *pool) {
    at_pool_statistics statistics;
    at_pool_get_statistics(pool, &statistics);
    return statistics;
}

/* Waits until all that is there has run, and nobody is awake to change a number. */
static void await_rest(at_pool *pool, uint64_t sleeps) {
    while (look(pool).sleeps < sleeps)
        sched_yield();
}

Test(pool_statistics, of_a_new_pool) {
    at_pool *pool = create_pool(2);
    await_rest(pool, 2);
    at_pool_statistics statistics = look(pool);
    cr_expect_eq(statistics.sleeps, 2);
    statistics.sleeps = 0;
    at_pool_statistics nothing = {0};
    cr_expect_arr_eq(&statistics, &nothing, sizeof nothing);
    destroy_pool(pool);
}

Test(pool_statistics, of_tasks_that_end) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    await_rest(pool, 1);
    at_future *future = at_pool_submit(pool, tally_run, &tally);
    wait_value(future);
    at_future_release(future);
    await_rest(pool, 2);
    at_pool_statistics statistics = look(pool);
    cr_expect_eq(statistics.executed, 1);
    cr_expect_eq(statistics.wakes, 1);
    cr_expect_eq(statistics.stolen, 0);
    /* The first is one of those that are measured. */
    cr_expect_eq(statistics.queue_wait.count, 1);
    cr_expect_eq(statistics.run_time.count, 1);
    cr_expect_gt(statistics.queue_wait.max, 0);
    cr_expect_gt(statistics.run_time.max, 0);
    cr_expect_eq(statistics.run_time.mean, statistics.run_time.max);
    cr_expect_leq(statistics.run_time.median, statistics.run_time.max);
    cr_expect_eq(statistics.resume_delay.count, 0);
    for (int i = 0; i < 2000; i++)
        cr_assert_eq(at_pool_start(pool, tally_run, &tally), AT_OK);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.succeeded, 2001);
}

/* Each way in is measured on its own, and no more often than promised. */
Test(pool_statistics, one_task_of_512_is_measured) {
    enum { count = 512 * 20 };
    static struct tally tallies[count];
    at_pool *pool = create_pool(1);
    cr_assert_eq(at_pool_start_many(pool, tally_run, AT_ITEMS(tallies, count)), AT_OK);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    at_pool_statistics statistics = look(pool);
    cr_expect_eq(statistics.executed, count);
    cr_expect_eq(statistics.queue_wait.count, 20);
    cr_expect_eq(statistics.run_time.count, 20);
    cr_expect_leq(statistics.queue_wait.median, statistics.queue_wait.p90);
    cr_expect_leq(statistics.queue_wait.p90, statistics.queue_wait.p99);
    cr_expect_leq(statistics.queue_wait.p99, statistics.queue_wait.p999);
    cr_expect_leq(statistics.queue_wait.p999, statistics.queue_wait.max);
    destroy_pool(pool);
}

/* What is queued behind a long task has waited for at least as long. */
Test(pool_statistics, of_a_queue_that_stood_still) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    at_task_options options = {.run = tally_run, .argument = &tally, .priority = AT_PRIORITY_HIGH};
    at_deadline before = at_after(0);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
    at_deadline started = at_after(0);
    while (at_after(0) < started + AT_MILLISECONDS(5))
        sched_yield();
    at_duration least = at_after(0) - started;
    gate_open(&gate);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    at_duration most = at_after(0) - before;
    at_pool_statistics statistics = look(pool);
    cr_expect_eq(statistics.queue_wait.count, 2, "one of each way in");
    cr_expect_geq(statistics.queue_wait.max, least);
    cr_expect_leq(statistics.queue_wait.max, most);
    cr_expect_geq(statistics.run_time.max, least, "the task in the gate");
    destroy_pool(pool);
}

/* -- Tasks that wait -- */

static void *wait_for(void *future) {
    AT_TRY(at_future_wait(future, AT_FOREVER, NULL));
    return NULL;
}

Test(pool_statistics, of_tasks_that_wait) {
    enum { count = 130 };
    at_pool *pool = create_pool(1);
    at_future *news;
    at_promise *promise = create_promise(pool, &news);
    for (int i = 0; i < count; i++)
        cr_assert_eq(at_pool_start(pool, wait_for, news), AT_OK);
    while (look(pool).suspended < count)
        sched_yield();
    at_pool_statistics statistics = look(pool);
    cr_expect_eq(statistics.max_suspended, count);
    cr_expect_eq(statistics.resumed, 0);
    cr_expect_eq(statistics.executed, 0);
    cr_expect_eq(statistics.run_time.count, 1, "it has run until it waited");
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    statistics = look(pool);
    cr_expect_eq(statistics.suspended, 0);
    cr_expect_eq(statistics.max_suspended, count);
    cr_expect_eq(statistics.resumed, count);
    cr_expect_eq(statistics.executed, count);
    cr_expect_eq(statistics.run_time.count, 1);
    cr_expect_eq(statistics.resume_delay.count, 3, "the first, and one of 64");
    cr_expect_gt(statistics.resume_delay.max, 0);
    at_promise_destroy(promise);
    destroy_pool(pool);
    at_future_release(news);
}

static void *sleep_a_little(void *unused) {
    (void)at_sleep(AT_MICROSECONDS(100));
    return unused;
}

static void *wait_with_a_deadline(void *future) {
    AT_TRY(at_future_wait(future, PATIENCE, NULL));
    return NULL;
}

Test(pool_statistics, of_timers) {
    at_pool *pool = create_pool(1);
    at_future *news;
    at_promise *promise = create_promise(pool, &news);
    at_future *slept = at_pool_submit(pool, sleep_a_little, NULL);
    wait_value(slept);
    cr_assert_eq(at_pool_start(pool, wait_with_a_deadline, news), AT_OK);
    while (look(pool).timers != 1)
        sched_yield();
    at_pool_statistics statistics = look(pool);
    cr_expect_eq(statistics.timers_set, 2);
    cr_expect_eq(statistics.timers_fired, 1);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    statistics = look(pool);
    cr_expect_eq(statistics.timers, 0);
    cr_expect_eq(statistics.timers_set, 2);
    cr_expect_eq(statistics.timers_fired, 1);
    at_promise_destroy(promise);
    at_future_release(news);
    at_future_release(slept);
    destroy_pool(pool);
}

/* -- Threads that block -- */

static void *block_in_the_gate(void *gate) {
    at_blocking_begin();
    gate_pass(gate);
    at_blocking_end();
    return NULL;
}

static void *call_the_gate(void *gate) {
    return at_blocking_call(gate_pass, gate);
}

Test(pool_statistics, of_what_blocks) {
    struct gate gate = GATE_CLOSED;
    at_pool *pool = NULL;
    at_pool_options options = {.thread_count = 1, .max_spares = 2};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(at_pool_start(pool, block_in_the_gate, &gate), AT_OK);
    gate_await(&gate, 2);
    at_pool_statistics statistics = look(pool);
    cr_expect_geq(statistics.spares, 1);
    cr_expect_leq(statistics.spares, 2);
    cr_expect_geq(statistics.max_spares, statistics.spares);
    cr_expect_eq(statistics.blocking, 0);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(at_pool_start(pool, call_the_gate, &gate), AT_OK);
    gate_await(&gate, 4);
    while (look(pool).blocking_queue != 2)
        sched_yield();
    statistics = look(pool);
    cr_expect_eq(statistics.blocking, 2, "as many as max_spares");
    cr_expect_eq(statistics.blocking_calls, 2);
    gate_open(&gate);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    while (look(pool).blocking_calls > 0)
        sched_yield();
    cr_expect_eq(look(pool).blocking_queue, 0);
    destroy_pool(pool);
}

/* -- Stealing -- */

struct fan {
    struct gate gate;
    struct tally tally;
};

/* Its worker stays in the gate, so somebody else runs what it has started. */
static void *start_and_stay(void *argument) {
    struct fan *fan = argument;
    for (int i = 0; i < 10; i++)
        AT_TRY(at_pool_start(at_pool_current(), tally_run, &fan->tally));
    return gate_pass(&fan->gate);
}

Test(pool_statistics, of_stolen_tasks) {
    struct fan fan = {.gate = GATE_CLOSED};
    at_pool *pool = create_pool(2);
    cr_assert_eq(at_pool_start(pool, start_and_stay, &fan), AT_OK);
    while (tally_runs(&fan.tally) < 10)
        sched_yield();
    cr_expect_geq(look(pool).stolen, 10);
    gate_open(&fan.gate);
    destroy_pool(pool);
}

/* -- As JSON -- */

static int64_t member(json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    cr_assert(json_is_integer(value), "%s", key);
    return json_integer_value(value);
}

static void expect_times(json_t *document, const char *key, const at_pool_times *times) {
    json_t *object = json_object_get(document, key);
    cr_expect_eq((uint64_t)member(object, "count"), times->count);
    cr_expect_eq(member(object, "mean_ns"), times->mean);
    cr_expect_eq(member(object, "median_ns"), times->median);
    cr_expect_eq(member(object, "p90_ns"), times->p90);
    cr_expect_eq(member(object, "p99_ns"), times->p99);
    cr_expect_eq(member(object, "p999_ns"), times->p999);
    cr_expect_eq(member(object, "max_ns"), times->max);
    uint64_t sum = 0;
    int64_t before = -1;
    size_t index;
    json_t *bucket;
    json_array_foreach(json_object_get(object, "buckets"), index, bucket) {
        int64_t lowest = json_integer_value(json_array_get(bucket, 0));
        cr_expect_gt(lowest, before);
        before = lowest;
        sum += (uint64_t)json_integer_value(json_array_get(bucket, 1));
    }
    cr_expect_eq(sum, times->count);
}

Test(pool_statistics, as_json) {
    static struct tally tallies[3000];
    at_pool *pool = create_pool(2);
    cr_assert_eq(at_pool_start_many(pool, tally_run, AT_ITEMS(tallies, 3000)), AT_OK);
    cr_assert_eq(at_pool_start(pool, sleep_a_little, NULL), AT_OK);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    char *text = NULL;
    cr_assert_eq(at_pool_get_statistics_json(pool, &text), AT_OK);
    at_pool_statistics statistics = look(pool);
    json_t *document = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(document, "%s", text);
    at_text_release(text);
    cr_expect_str_eq(json_string_value(json_object_get(document, "pool")), "pool");
    cr_expect_eq((uint64_t)member(document, "executed"), statistics.executed);
    cr_expect_eq((uint64_t)member(document, "timers_fired"), statistics.timers_fired);
    cr_expect_eq((uint64_t)member(document, "resumed"), statistics.resumed);
    static const char *const others[] = {
        "stolen",         "sleeps",         "wakes",        "suspended",  "max_suspended",
        "timers",         "spares",         "timers_set",   "max_spares", "blocking",
        "blocking_calls", "blocking_queue", "forks_shared", "forks_taken"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect_geq(member(document, others[i]), 0);
    expect_times(document, "queue_wait", &statistics.queue_wait);
    expect_times(document, "run_time", &statistics.run_time);
    expect_times(document, "resume_delay", &statistics.resume_delay);
    json_decref(document);
    destroy_pool(pool);
}
