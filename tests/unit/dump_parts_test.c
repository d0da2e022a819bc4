/* SPDX-License-Identifier: MIT
 *
 * Rule Z3: at_dump lists what stands on a pool: strands, keyed executors, task pools, concurrent
 * executors and task managers, and the loop executors of the process. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <jansson.h>
#include <sched.h>
#include <string.h>

TestSuite(dump_parts, .timeout = 200);

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

/* The section of the only pool; `*left_out` says how many parts are not shown, -1: no section. */
static json_t *section_of(json_t *document, const char *name, int64_t *left_out) {
    char key[64];
    json_t *pool = json_array_get(json_object_get(document, "pools"), 0);
    snprintf(key, sizeof key, "%s_not_shown", name);
    json_t *value = json_object_get(pool, key);
    *left_out = value ? json_integer_value(value) : -1;
    return json_object_get(pool, name);
}

/* The only part of a section. */
static json_t *only_part(json_t *document, const char *name) {
    int64_t left_out;
    json_t *parts = section_of(document, name, &left_out);
    cr_assert_eq(json_array_size(parts), 1, "%s", name);
    cr_expect_eq(left_out, 0);
    return json_array_get(parts, 0);
}

static int64_t number(json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    cr_assert(json_is_integer(value), "%s", key);
    return json_integer_value(value);
}

static bool text_is(json_t *object, const char *key, const char *text) {
    const char *found = json_string_value(json_object_get(object, key));
    return found && strcmp(found, text) == 0;
}

/* -- Parts that are there for themselves -- */

Test(dump_parts, nothing_of_a_pool_alone) {
    at_pool *pool = create_pool(1);
    json_t *document = dump();
    int64_t left_out;
    cr_expect_null(section_of(document, "strands", &left_out));
    cr_expect_eq(left_out, -1);
    cr_expect_null(json_object_get(document, "loop_executors"));
    json_decref(document);
    destroy_pool(pool);
}

static void release_all(at_future **futures, int count) {
    for (int i = 0; i < count; i++) {
        cr_expect_eq(at_future_wait(futures[i], PATIENCE, NULL), AT_OK);
        at_future_release(futures[i]);
    }
}

Test(dump_parts, of_a_busy_strand_among_idle_ones) {
    enum { IDLE = 200 };
    at_pool *pool = create_pool(2);
    at_strand *idle[IDLE];
    at_strand *busy;
    at_future *futures[3];
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    cr_assert_eq(at_strand_create(&busy, pool, &(at_strand_options){.name = "busy"}), AT_OK);
    for (int i = 0; i < IDLE; i++)
        cr_assert_eq(at_strand_create(&idle[i], pool, NULL), AT_OK);
    at_executor *executor = at_strand_executor(busy);
    futures[0] = at_executor_submit(executor, gate_pass, &gate);
    gate_await(&gate, 1);
    futures[1] = at_executor_submit(executor, tally_run, &tally);
    futures[2] = at_executor_submit(executor, tally_run, &tally);
    json_t *document = dump();
    int64_t left_out;
    json_t *strands = section_of(document, "strands", &left_out);
    cr_assert_eq(json_array_size(strands), 1);
    cr_expect_eq(left_out, IDLE);
    json_t *strand = json_array_get(strands, 0);
    cr_expect(text_is(strand, "name", "busy"));
    cr_expect_eq(number(strand, "begun"), 1);
    cr_expect_eq(number(strand, "queued"), 2);
    json_decref(document);
    gate_open(&gate);
    release_all(futures, 3);
    at_strand_destroy(busy);
    for (int i = 0; i < IDLE; i++)
        at_strand_destroy(idle[i]);
    cr_expect_eq(at_pool_shutdown(pool, PATIENCE), AT_OK); /* the turn of the strand is over */
    document = dump();
    cr_expect_null(section_of(document, "strands", &left_out));
    json_decref(document);
    destroy_pool(pool);
}

Test(dump_parts, of_a_keyed_executor_with_its_busy_keys) {
    at_pool *pool = create_pool(2);
    at_keyed_executor *keyed;
    at_future *futures[4];
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_keyed_executor_options options = {.max_running = 1};
    cr_assert_eq(at_keyed_executor_create(&keyed, pool, &options), AT_OK);
    futures[0] = at_keyed_executor_submit(keyed, "one", 3, gate_pass, &gate);
    gate_await(&gate, 1);
    futures[1] = at_keyed_executor_submit(keyed, "one", 3, tally_run, &tally);
    futures[2] = at_keyed_executor_submit(keyed, "one", 3, tally_run, &tally);
    futures[3] = at_keyed_executor_submit(keyed, "\x01\xff", 2, tally_run, &tally);
    json_t *document = dump();
    json_t *part = only_part(document, "keyed_executors");
    cr_expect_eq(number(part, "max_running"), 1);
    cr_expect_eq(number(part, "keys"), 2);
    cr_expect_eq(number(part, "running"), 1);
    cr_expect_eq(number(part, "queued"), 3);
    json_t *keys = json_object_get(part, "busy_keys");
    cr_assert_eq(json_array_size(keys), 2);
    bool text_is_first = json_object_get(json_array_get(keys, 0), "key");
    json_t *text_key = json_array_get(keys, text_is_first ? 0 : 1);
    json_t *other_key = json_array_get(keys, text_is_first ? 1 : 0);
    cr_expect(text_is(text_key, "key", "one"));
    cr_expect_eq(number(text_key, "running"), 1);
    cr_expect_eq(number(text_key, "queued"), 2);
    cr_expect(text_is(other_key, "key_hex", "01ff"));
    cr_expect_eq(number(other_key, "queued"), 1);
    json_decref(document);
    gate_open(&gate);
    release_all(futures, 4);
    at_keyed_executor_destroy(keyed);
    destroy_pool(pool);
}

Test(dump_parts, of_a_loop_executor) {
    at_loop_executor *loop;
    int64_t count;
    struct tally tally = {0};
    cr_assert_eq(at_loop_executor_create(&loop), AT_OK);
    at_future *future = at_executor_submit(at_loop_executor_executor(loop), tally_run, &tally);
    json_t *document = dump();
    json_t *part = json_array_get(json_object_get(document, "loop_executors"), 0);
    cr_expect(text_is(part, "state", "running"));
    cr_expect_eq(number(part, "fd"), at_loop_executor_fd(loop));
    cr_expect_eq(number(part, "queued"), 1);
    cr_expect_eq(number(part, "begun"), 0);
    json_decref(document);
    cr_expect_eq(at_loop_executor_dispatch(loop, 1, AT_FOREVER, &count), AT_OK);
    document = dump();
    part = json_array_get(json_object_get(document, "loop_executors"), 0);
    cr_expect_eq(number(part, "queued"), 0);
    cr_expect_eq(number(part, "begun"), 1);
    json_decref(document);
    at_future_release(future);
    at_loop_executor_destroy(loop);
    document = dump();
    cr_expect_null(json_object_get(document, "loop_executors"));
    json_decref(document);
}

/* -- Parts that coordinate tasks -- */

Test(dump_parts, of_a_task_pool) {
    at_pool *pool = create_pool(2);
    at_task_pool *workers;
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_task_pool_options options = {
        .pool_size = 1, .queue_size = 2, .when_full = AT_TASK_POOL_DROP_OLDEST};
    cr_assert_eq(at_task_pool_create(&workers, pool, &options), AT_OK);
    cr_assert_eq(at_task_pool_submit(workers, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(at_task_pool_submit(workers, tally_run, &tally), AT_OK);
    json_t *document = dump();
    json_t *part = only_part(document, "task_pools");
    cr_expect_eq(number(part, "pool_size"), 1);
    cr_expect_eq(number(part, "queue_size"), 2);
    cr_expect(text_is(part, "when_full", "drop_oldest"));
    json_t *items = json_object_get(part, "items");
    cr_expect_eq(number(items, "submitted"), 4);
    cr_expect_eq(number(items, "running"), 1);
    cr_expect_eq(number(items, "queued"), 2);
    cr_expect_eq(number(items, "dropped"), 1);
    json_decref(document);
    gate_open(&gate);
    at_task_pool_destroy(workers);
    destroy_pool(pool);
}

struct map_job {
    at_concurrent_executor *executor;
    struct gate *gates;
    at_outcome *outcomes;
    at_status status;
};

static void *run_map(void *argument) {
    struct map_job *job = argument;
    at_items items = {.data = job->gates, .count = 3, .size = sizeof *job->gates};
    job->status = at_concurrent_executor_map(job->executor, gate_pass, items, job->outcomes, NULL);
    return NULL;
}

Test(dump_parts, of_a_map_in_progress) {
    at_pool *pool = create_pool(3);
    at_concurrent_executor *executor;
    struct gate gates[3] = {GATE_CLOSED, GATE_CLOSED, GATE_CLOSED};
    at_outcome outcomes[3];
    at_concurrent_executor_options options = {.max_workers = 2};
    cr_assert_eq(at_concurrent_executor_create(&executor, pool, &options), AT_OK);
    json_t *document = dump();
    cr_expect_eq(
        json_array_size(json_object_get(only_part(document, "concurrent_executors"), "maps")), 0);
    json_decref(document);
    struct map_job job = {.executor = executor, .gates = gates, .outcomes = outcomes};
    at_future *future = at_pool_submit(pool, run_map, &job);
    gate_await(&gates[0], 1);
    gate_await(&gates[1], 1);
    document = dump();
    json_t *part = only_part(document, "concurrent_executors");
    cr_expect_eq(number(part, "max_workers"), 2);
    json_t *map = json_array_get(json_object_get(part, "maps"), 0);
    cr_expect(text_is(map, "function", "gate_pass"));
    cr_expect_eq(number(map, "items"), 3);
    cr_expect_eq(number(map, "given_out"), 2);
    json_decref(document);
    for (int i = 0; i < 3; i++)
        gate_open(&gates[i]);
    cr_expect_eq(at_future_wait(future, PATIENCE, NULL), AT_OK);
    at_future_release(future);
    cr_expect_eq(job.status, AT_OK);
    at_outcomes_release(outcomes, 3);
    at_concurrent_executor_destroy(executor);
    destroy_pool(pool);
}

Test(dump_parts, of_a_task_manager) {
    at_pool *pool = create_pool(2);
    at_task_manager *manager;
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_task_manager_options options = {.max_concurrent = 1, .name = "letters"};
    cr_assert_eq(at_task_manager_create(&manager, pool, &options), AT_OK);
    cr_assert_eq(at_task_manager_start(manager, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(at_task_manager_start(manager, tally_run, &tally), AT_OK);
    json_t *document = dump();
    json_t *part = only_part(document, "task_managers");
    cr_expect(text_is(part, "name", "letters"));
    cr_expect_eq(number(part, "max_concurrent"), 1);
    cr_expect(json_is_false(json_object_get(part, "cancelled")));
    json_t *children = json_object_get(part, "children");
    cr_expect_eq(number(children, "started"), 3);
    cr_expect_eq(number(children, "queued"), 2);
    cr_expect_eq(number(children, "running"), 1);
    json_decref(document);
    gate_open(&gate);
    cr_expect_eq(at_task_manager_join(manager, PATIENCE), AT_OK);
    at_task_manager_destroy(manager);
    destroy_pool(pool);
}

/* -- Many -- */

Test(dump_parts, lists_are_cut_and_count_what_they_leave_out) {
    enum { MANAGERS = 100, SHOWN = 64 };
    at_pool *pool = create_pool(1);
    at_task_manager *managers[MANAGERS];
    int64_t left_out;
    for (int i = 0; i < MANAGERS; i++)
        cr_assert_eq(at_task_manager_create(&managers[i], pool, NULL), AT_OK);
    json_t *document = dump();
    cr_expect_eq(json_array_size(section_of(document, "task_managers", &left_out)), SHOWN);
    cr_expect_eq(left_out, MANAGERS - SHOWN);
    json_decref(document);
    for (int i = 0; i < MANAGERS; i += 2)
        at_task_manager_destroy(managers[i]);
    document = dump();
    cr_expect_eq(json_array_size(section_of(document, "task_managers", &left_out)), MANAGERS / 2);
    cr_expect_eq(left_out, 0);
    json_decref(document);
    for (int i = 1; i < MANAGERS; i += 2)
        at_task_manager_destroy(managers[i]);
    destroy_pool(pool);
}
