/* SPDX-License-Identifier: MIT
 *
 * Rule S3: what executors and task pools allocate and the errors that they make, they allocate and
 * make under no lock of theirs: the allocator, which is the program's, may ask them something. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <stdlib.h>

TestSuite(executor_lock, .timeout = 200);

static at_keyed_executor *keyed;
static at_task_pool *workers;
static _Thread_local bool is_watched;
static int questions;

static void ask(void) {
    if (!is_watched)
        return;
    questions++;
    if (keyed)
        (void)at_keyed_executor_key_count(keyed);
    if (workers) {
        at_task_pool_statistics statistics;
        at_task_pool_get_statistics(workers, &statistics);
    }
}

static _Thread_local bool is_held;
static struct gate held = GATE_CLOSED;

/* The first allocation of a thread that is held waits until it is let go on. */
static void hold(void) {
    if (!is_held)
        return;
    is_held = false;
    gate_pass(&held);
}

static void *allocate(void *context, size_t size, size_t alignment) {
    (void)context;
    ask();
    hold();
    return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void release(void *context, void *pointer, size_t size) {
    (void)size;
    (void)context;
    ask();
    free(pointer);
}

static void install(void) {
    static const at_allocator allocator = {.allocate = allocate, .release = release};
    cr_assert_eq(at_allocator_set(&allocator), AT_OK);
}

/* Its table grows and shrinks, and the last submit finds a full queue. */
Test(executor_lock, keyed_executor) {
    enum { keys = 500 };
    at_future *futures[keys];
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    install();
    at_pool *pool = create_pool(1);
    at_keyed_executor_options options = {.max_running = 1, .queue_bound_per_key = 1};
    cr_assert_eq(at_keyed_executor_create(&keyed, pool, &options), AT_OK);
    at_future *running = at_keyed_executor_submit(keyed, NULL, 0, gate_pass, &gate);
    gate_await(&gate, 1);
    is_watched = true;
    for (int i = 0; i < keys; i++)
        futures[i] = at_keyed_executor_submit(keyed, &i, sizeof i, tally_run, &tally);
    int first = 0;
    at_future *refused = at_keyed_executor_submit(keyed, &first, sizeof first, tally_run, &tally);
    is_watched = false;
    expect_outcome(refused, AT_ERROR_FULL);
    gate_open(&gate);
    cr_expect_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    is_watched = true;
    for (int i = 0; i < keys; i++)
        at_future_release(futures[i]);
    is_watched = false;
    at_future_release(refused);
    at_future_release(running);
    cr_expect_gt(questions, keys);
    at_keyed_executor_destroy(keyed);
    destroy_pool(pool);
}

Test(executor_lock, task_pool) {
    enum { count = 100 };
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_outcome *outcomes;
    size_t gathered;
    install();
    at_pool *pool = create_pool(1);
    at_task_pool_options options = {
        .pool_size = 1, .queue_size = count, .when_full = AT_TASK_POOL_REFUSE};
    cr_assert_eq(at_task_pool_create(&workers, pool, &options), AT_OK);
    cr_assert_eq(at_task_pool_submit(workers, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    is_watched = true;
    for (int i = 0; i < count; i++)
        cr_expect_eq(at_task_pool_submit(workers, tally_run, &tally), AT_OK);
    cr_expect_eq(at_task_pool_submit(workers, tally_run, &tally), AT_ERROR_FULL);
    gate_open(&gate);
    cr_expect_eq(at_task_pool_gather_results(workers, &outcomes, &gathered), AT_OK);
    cr_expect_eq(gathered, count + 1);
    at_task_pool_results_release(outcomes, gathered);
    cr_expect_eq(at_task_pool_gather_results(workers, &outcomes, &gathered), AT_OK);
    cr_expect_eq(gathered, 0);
    cr_expect_null(outcomes);
    is_watched = false;
    cr_expect_gt(questions, count);
    at_task_pool_destroy(workers);
    destroy_pool(pool);
    at_error_clear();
}

struct ending {
    at_future **futures;
    int next;
};

static void *release_until_held(void *context) {
    struct ending *ending = context;
    is_held = true;
    while (is_held)
        at_future_release(ending->futures[ending->next++]);
    return NULL;
}

/* Only futures keep the executor, and the last go while its table shrinks for one of them. */
Test(executor_lock, the_end_of_a_keyed_executor) {
    enum { keys = 500 };
    at_future *futures[keys];
    struct tally tally = {0};
    struct ending ending = {.futures = futures};
    pthread_t thread;
    at_keyed_executor *ended;
    install();
    at_pool *pool = create_pool(1);
    cr_assert_eq(at_keyed_executor_create(&ended, pool, NULL), AT_OK);
    for (int i = 0; i < keys; i++)
        futures[i] = at_keyed_executor_submit(ended, &i, sizeof i, tally_run, &tally);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    cr_expect_eq(at_keyed_executor_key_count(ended), keys);
    at_keyed_executor_destroy(ended);
    cr_assert_eq(pthread_create(&thread, NULL, release_until_held, &ending), 0);
    gate_await(&held, 1);
    for (int i = ending.next; i < keys; i++)
        at_future_release(futures[i]);
    gate_open(&held);
    pthread_join(thread, NULL);
    cr_expect_eq(tally_runs(&tally), keys);
    destroy_pool(pool);
}
