/* SPDX-License-Identifier: MIT
 *
 * Rule Z3: at_dump writes every live task, worker, queue and timer; while tasks run, wait, are
 * queued, sleep and block. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <jansson.h>
#include <sched.h>
#include <string.h>

TestSuite(dump, .timeout = 200);

/* -- Looking into a dump -- */

static json_t *dump(void) {
    char *text = NULL;
    cr_assert_eq(at_dump(&text), AT_OK);
    json_error_t error;
    json_t *document = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(document, "%s: %s", error.text, text);
    at_text_release(text);
    return document;
}

static json_t *pool_of(json_t *document, const char *name) {
    size_t index;
    json_t *pool;
    json_array_foreach(json_object_get(document, "pools"), index,
                       pool) if (strcmp(json_string_value(json_object_get(pool, "name")), name) ==
                                 0) return pool;
    return NULL;
}

static int64_t number(json_t *object, const char *section, const char *key) {
    json_t *value = json_object_get(json_object_get(object, section), key);
    cr_assert(json_is_integer(value), "%s.%s", section, key);
    return json_integer_value(value);
}

static bool text_is(json_t *object, const char *key, const char *text) {
    const char *found = json_string_value(json_object_get(object, key));
    return found && strcmp(found, text) == 0;
}

/* Whether the text under the key begins so. */
static bool text_begins(json_t *object, const char *key, const char *text) {
    const char *found = json_string_value(json_object_get(object, key));
    return found && strncmp(found, text, strlen(text)) == 0;
}

static json_t *worker_in_state(json_t *pool, const char *state) {
    size_t index;
    json_t *worker;
    json_array_foreach(json_object_get(pool, "workers"), index,
                       worker) if (text_is(worker, "state", state)) return worker;
    return NULL;
}

static json_t *waiting_task(json_t *pool, const char *name) {
    size_t worker_index, index;
    json_t *worker, *task;
    json_array_foreach(json_object_get(pool, "workers"), worker_index, worker)
        json_array_foreach(json_object_get(worker, "waiting"), index,
                           task) if (text_is(task, "task", name)) return task;
    return NULL;
}

/* Looks until the pool is as the condition wants it. The caller releases the document. */
typedef bool condition_fn(json_t *pool);

static json_t *dump_when(condition_fn *holds, json_t **pool) {
    for (;;) {
        json_t *document = dump();
        *pool = pool_of(document, "pool");
        cr_assert_not_null(*pool);
        if (holds(*pool))
            return document;
        json_decref(document);
        sched_yield();
    }
}

/* -- Pools -- */

static bool all_are_asleep(json_t *pool) {
    size_t index;
    json_t *worker;
    json_array_foreach(json_object_get(pool, "workers"), index,
                       worker) if (!text_is(worker, "state", "asleep")) return false;
    return true;
}

Test(dump, of_idle_pools) {
    at_pool *first = create_pool(3);
    at_pool *second = NULL;
    at_pool_options options = {.name = "second \xff \"pool\"", .thread_count = 1, .queue_bound = 7};
    cr_assert_eq(at_pool_create(&second, &options), AT_OK);
    json_t *pool;
    json_t *document = dump_when(all_are_asleep, &pool);
    cr_expect(text_is(pool, "state", "running"));
    cr_expect_eq(json_array_size(json_object_get(pool, "workers")), 3);
    cr_expect_eq(json_integer_value(json_object_get(pool, "workers_not_shown")), 0);
    cr_expect_eq(number(pool, "options", "thread_count"), 3);
    cr_expect(json_is_null(json_object_get(json_object_get(pool, "options"), "queue_bound")));
    cr_expect_eq(number(pool, "tasks", "accepted"), 0);
    cr_expect_eq(number(pool, "tasks", "suspended"), 0);
    cr_expect_eq(number(pool, "timers", "count"), 0);
    json_t *other = pool_of(document, "second \xef\xbf\xbd \"pool\"");
    cr_assert_not_null(other);
    cr_expect_eq(number(other, "options", "queue_bound"), 7);
    json_decref(document);
    cr_assert_eq(at_pool_shutdown(second, PATIENCE), AT_OK);
    document = dump();
    cr_expect(text_is(pool_of(document, "second \xef\xbf\xbd \"pool\""), "state", "closing"));
    json_decref(document);
    destroy_pool(second);
    destroy_pool(first);
    document = dump();
    cr_expect_null(json_object_get(document, "pools"));
    json_decref(document);
}

/* -- Tasks that run and tasks that are queued -- */

static void start_named(at_pool *pool, at_run_fn run, void *argument, const char *name) {
    at_task_options options = {.run = run, .argument = argument, .name = name};
    cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
}

Test(dump, of_running_and_queued_tasks) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_pool *created = create_pool(1);
    cr_assert_eq(at_pool_start(created, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(at_pool_start(created, tally_run, &tally), AT_OK);
    for (int i = 0; i < 2; i++) {
        at_task_options options = {
            .run = tally_run, .argument = &tally, .priority = AT_PRIORITY_LOW};
        cr_assert_eq(at_pool_start_with(created, &options), AT_OK);
    }
    json_t *document = dump();
    json_t *pool = pool_of(document, "pool");
    json_t *worker = worker_in_state(pool, "running");
    cr_assert_not_null(worker);
    cr_expect(text_is(worker, "task", "gate_pass"));
    cr_expect(text_begins(worker, "started_at", "dump_test.c:"));
    cr_expect_geq(json_integer_value(json_object_get(worker, "running_at_most_ms")), 0);
    cr_expect_eq(number(pool, "tasks", "running"), 1);
    cr_expect_eq(number(pool, "tasks", "pending"), 7);
    cr_expect_eq(number(pool, "queues", "low"), 2);
    cr_expect_eq(number(pool, "queues", "high"), 0);
    int64_t in_shards = 0;
    size_t index;
    json_t *shard;
    json_array_foreach(json_object_get(json_object_get(pool, "queues"), "shards"), index, shard)
        in_shards += json_integer_value(shard);
    cr_expect_eq(in_shards, 5);
    json_decref(document);
    gate_open(&gate);
    destroy_pool(created);
}

/* A name that the program gave is in the dump while the task runs, also if another one has run on
 * top of it meanwhile. */
static void *submit_and_wait_then_pass(void *gate) {
    struct tally tally = {0};
    at_future *inner = at_pool_submit(at_pool_current(), tally_run, &tally);
    AT_TRY(at_future_wait(inner, AT_FOREVER, NULL));
    at_future_release(inner);
    return gate_pass(gate);
}

static bool runs_named(json_t *pool) {
    json_t *worker = worker_in_state(pool, "running");
    return worker && text_is(worker, "task", "the name");
}

Test(dump, of_a_named_task) {
    struct gate gate = GATE_CLOSED;
    at_pool *created = create_pool(1);
    start_named(created, submit_and_wait_then_pass, &gate, "the name");
    gate_await(&gate, 1);
    json_t *pool;
    json_t *document = dump_when(runs_named, &pool);
    json_decref(document);
    gate_open(&gate);
    destroy_pool(created);
}

/* Of a future's task; the name is cut. */
static bool runs_with_a_long_name(json_t *pool) {
    json_t *worker = worker_in_state(pool, "running");
    return worker && text_begins(worker, "task", "a name that is long");
}

Test(dump, of_a_named_future) {
    struct gate gate = GATE_CLOSED;
    at_pool *created = create_pool(1);
    at_task_options options = {.run = gate_pass,
                               .argument = &gate,
                               .name = "a name that is long, so long that nobody will ever want to "
                                       "read it to its end, where there is nothing"};
    at_future *future = at_pool_submit_with(created, &options);
    gate_await(&gate, 1);
    json_t *pool;
    json_t *document = dump_when(runs_with_a_long_name, &pool);
    json_decref(document);
    gate_open(&gate);
    wait_value(future);
    at_future_release(future);
    destroy_pool(created);
}

/* -- Tasks that wait -- */

static void *wait_for(void *future) {
    AT_TRY(at_future_wait(future, AT_FOREVER, NULL));
    return NULL;
}

static bool one_waits(json_t *pool) {
    return number(pool, "tasks", "suspended") == 1;
}

static bool two_wait(json_t *pool) {
    return number(pool, "tasks", "suspended") == 2;
}

Test(dump, of_tasks_that_wait) {
    at_pool *created = create_pool(2);
    at_future *news;
    at_promise *promise = create_promise(created, &news);
    at_task_options options = {.run = wait_for, .argument = news, .name = "reader"};
    at_future *reader = at_pool_submit_with(created, &options);
    json_t *pool;
    json_decref(dump_when(one_waits, &pool));
    at_future *second = at_pool_submit(created, wait_for, reader);
    json_t *document = dump_when(two_wait, &pool);
    json_t *task = waiting_task(pool, "reader");
    cr_assert_not_null(task);
    cr_expect(text_is(task, "wait", "at_future_wait"));
    cr_expect(text_is(task, "state", "waiting"));
    cr_expect(text_begins(task, "started_at", "dump_test.c:"));
    cr_expect_geq(json_integer_value(json_object_get(task, "waiting_ms")), 0);
    const char *id = json_string_value(json_object_get(task, "future"));
    cr_assert_not_null(id);
    cr_expect(text_is(waiting_task(pool, "wait_for"), "waits_for", id));
    cr_expect_eq(number(pool, "tasks", "suspended_not_shown"), 0);
    json_decref(document);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    wait_value(second);
    at_promise_destroy(promise);
    at_future_release(news);
    at_future_release(reader);
    at_future_release(second);
    destroy_pool(created);
}

struct nest {
    at_future *news;
    int depth;
};

/* Each level runs the next one in place. */
static void *wait_nested(void *argument) {
    struct nest *nest = argument;
    if (--nest->depth == 0)
        return wait_for(nest->news);
    at_future *inner = at_pool_submit(at_pool_current(), wait_nested, nest);
    void *returned = wait_for(inner);
    at_future_release(inner);
    return returned;
}

Test(dump, of_tasks_on_top_of_each_other) {
    at_pool *created = create_pool(1);
    struct nest nest = {.depth = 6};
    at_promise *promise = create_promise(created, &nest.news);
    at_future *outer = at_pool_submit(created, wait_nested, &nest);
    json_t *pool;
    json_t *document = dump_when(one_waits, &pool);
    json_t *task = waiting_task(pool, "wait_nested");
    cr_assert_not_null(task);
    cr_expect_eq(json_array_size(json_object_get(task, "on_top_of")), 3);
    cr_expect_eq(json_integer_value(json_object_get(task, "on_top_of_count")), 5);
    json_decref(document);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    wait_value(outer);
    at_promise_destroy(promise);
    at_future_release(nest.news);
    at_future_release(outer);
    destroy_pool(created);
}

/* The list is bounded; the oldest are in it. */
enum { crowd = 1000 };

static bool crowd_waits(json_t *pool) {
    return number(pool, "tasks", "suspended") == crowd + 1;
}

Test(dump, of_a_crowd) {
    at_pool *created = create_pool(1);
    at_future *news;
    at_promise *promise = create_promise(created, &news);
    json_t *pool;
    start_named(created, wait_for, news, "first of all");
    json_decref(dump_when(one_waits, &pool));
    for (int i = 0; i < crowd; i++)
        cr_assert_eq(at_pool_start(created, wait_for, news), AT_OK);
    json_t *document = dump_when(crowd_waits, &pool);
    cr_expect_not_null(waiting_task(pool, "first of all"));
    json_t *waiting =
        json_object_get(json_array_get(json_object_get(pool, "workers"), 0), "waiting");
    cr_expect_gt(json_array_size(waiting), 0);
    cr_expect_leq(json_array_size(waiting), 64);
    cr_expect_eq((int64_t)json_array_size(waiting) + number(pool, "tasks", "suspended_not_shown"),
                 crowd + 1);
    json_decref(document);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    destroy_pool(created);
    at_future_release(news);
}

/* -- Sleeping, timers, blocking -- */

static void *sleep_until_cancelled(void *unused) {
    (void)at_sleep(AT_SECONDS(300));
    return unused;
}

static bool two_sleep(json_t *pool) {
    return waiting_task(pool, "sleep_until_cancelled") && number(pool, "timers", "count") == 2;
}

Test(dump, of_timers) {
    at_pool *created = create_pool(1);
    at_future *futures[2];
    for (int i = 0; i < 2; i++)
        futures[i] = at_pool_submit(created, sleep_until_cancelled, NULL);
    json_t *pool;
    json_t *document = dump_when(two_sleep, &pool);
    cr_expect(text_is(waiting_task(pool, "sleep_until_cancelled"), "wait", "at_sleep"));
    cr_expect_leq(number(pool, "timers", "next_look_ms"), 300 * 1000);
    json_decref(document);
    for (int i = 0; i < 2; i++) {
        at_future_cancel(futures[i]);
        at_future_release(futures[i]);
    }
    destroy_pool(created);
}

static void *block_in_the_gate(void *gate) {
    at_blocking_begin();
    gate_pass(gate);
    at_blocking_end();
    return NULL;
}

static void *call_the_gate(void *gate) {
    return at_blocking_call(gate_pass, gate);
}

static bool one_is_blocked(json_t *pool) {
    return worker_in_state(pool, "blocked") && number(pool, "statistics", "blocking_calls") == 1;
}

/* Rule B1: tasks that wait behind one that blocks their worker are counted. */
Test(dump, of_what_blocks) {
    struct gate gate = GATE_CLOSED, call_gate = GATE_CLOSED;
    at_pool *created = create_pool(1);
    at_future *news;
    at_promise *promise = create_promise(created, &news);
    json_t *pool;
    cr_assert_eq(at_pool_start(created, wait_for, news), AT_OK);
    json_decref(dump_when(one_waits, &pool));
    cr_assert_eq(at_pool_start(created, call_the_gate, &call_gate), AT_OK);
    gate_await(&call_gate, 1);
    cr_assert_eq(at_pool_start(created, block_in_the_gate, &gate), AT_OK);
    gate_await(&gate, 1);
    json_t *document = dump_when(one_is_blocked, &pool);
    json_t *worker = worker_in_state(pool, "blocked");
    cr_expect(text_is(worker, "task", "block_in_the_gate"));
    cr_expect(text_is(waiting_task(pool, "call_the_gate"), "wait", "at_blocking_call"));
    cr_expect_eq(number(pool, "tasks", "behind_blocking"), 2);
    cr_expect_eq(number(pool, "statistics", "spares"), 1);
    json_decref(document);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    gate_open(&gate);
    gate_open(&call_gate);
    at_promise_destroy(promise);
    destroy_pool(created);
    at_future_release(news);
}

/* -- From inside -- */

struct inside {
    at_status status;
    char *text;
};

static void *dump_inside(void *argument) {
    struct inside *inside = argument;
    inside->status = at_dump(&inside->text);
    return NULL;
}

Test(dump, from_a_task) {
    struct inside inside = {.status = AT_ERROR_FAILED};
    at_pool *created = create_pool(1);
    at_future *dumped = at_pool_submit(created, dump_inside, &inside);
    while (!at_future_is_done(dumped))
        sched_yield();
    at_future_release(dumped);
    destroy_pool(created);
    cr_assert_eq(inside.status, AT_OK);
    cr_expect_not_null(strstr(inside.text, "\"dump_inside\""));
    at_text_release(inside.text);
}
