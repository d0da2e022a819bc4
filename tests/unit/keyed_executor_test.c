/* SPDX-License-Identifier: MIT
 *
 * Rule G5: tasks under keys, first in first out and few at a time under each, fair across keys. And
 * W2, S1, X2. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <string.h>

TestSuite(keyed_executor, .timeout = 200);

static at_keyed_executor *create_keyed(at_pool *pool, const at_keyed_executor_options *options) {
    at_keyed_executor *keyed = NULL;
    cr_assert_eq(at_keyed_executor_create(&keyed, pool, options), AT_OK, "%s",
                 at_error_message(at_error_last()));
    return keyed;
}

static at_future *submit(at_keyed_executor *keyed, const char *key, at_run_fn run, void *argument) {
    return at_keyed_executor_submit(keyed, key, strlen(key), run, argument);
}

/* What ran, in order; one worker writes it. */
static struct {
    int count;
    char keys[4000];
} noted;

static void *note(void *key) {
    noted.keys[noted.count++] = *(const char *)key;
    return key;
}

static int count_noted(char key, int begin, int end) {
    int count = 0;
    for (int i = begin; i < end; i++)
        count += noted.keys[i] == key;
    return count;
}

static int find_noted(char key) {
    for (int i = 0; i < noted.count; i++)
        if (noted.keys[i] == key)
            return i;
    return -1;
}

/* A pool of one worker, which is held. */
static at_pool *create_held_pool(struct gate *gate, at_future **holding) {
    at_pool *pool = create_pool(1);
    *holding = at_pool_submit(pool, gate_pass, gate);
    gate_await(gate, 1);
    noted.count = 0;
    return pool;
}

static at_keyed_executor *flooded;
static int noted_before;

static void *submit_quiet_key(void *key) {
    noted_before = noted.count;
    at_future_release(submit(flooded, "q", note, "q"));
    return note(key);
}

/* A key with a thousand tasks queued lets another begin in its next round. */
Test(keyed_executor, flooding_does_not_hold_others_up) {
    struct gate gate = GATE_CLOSED;
    at_future *holding;
    at_pool *pool = create_held_pool(&gate, &holding);
    flooded = create_keyed(pool, NULL);
    for (int i = 0; i < 1000; i++)
        at_future_release(submit(flooded, "f", i == 500 ? submit_quiet_key : note, "f"));
    gate_open(&gate);
    at_keyed_executor_destroy(flooded);
    at_future_release(holding);
    destroy_pool(pool);
    cr_expect_eq(noted.count, 1001);
    cr_expect_leq(count_noted('f', noted_before, find_noted('q')), 2); /* rounds */
}

/* The same with many keys that flood: each has one task in each of two rounds at most. */
Test(keyed_executor, many_flooding_keys) {
    struct gate gate = GATE_CLOSED;
    at_future *holding;
    at_pool *pool = create_held_pool(&gate, &holding);
    flooded = create_keyed(pool, NULL);
    for (int i = 0; i < 1000; i++) {
        const char *key = &"abcdefghij"[i % 10];
        at_future_release(at_keyed_executor_submit(
            flooded, key, 1, i == 500 ? submit_quiet_key : note, (void *)key));
    }
    gate_open(&gate);
    at_keyed_executor_destroy(flooded);
    at_future_release(holding);
    destroy_pool(pool);
    cr_expect_eq(noted.count, 1001);
    int begun = find_noted('q');
    for (char key = 'a'; key <= 'j'; key++)
        cr_expect_leq(count_noted(key, noted_before, begun), 2);
}

static int64_t weigh(const void *key, size_t size, void *context) {
    ++*(int *)context;
    return size == 1 && *(const char *)key == 'h' ? 3 : 1;
}

/* A key of weight 3 begins three tasks in a round, although only one runs at a time. */
Test(keyed_executor, weights) {
    struct gate gate = GATE_CLOSED;
    int weighed = 0;
    at_future *holding;
    at_pool *pool = create_held_pool(&gate, &holding);
    at_keyed_executor *keyed =
        create_keyed(pool, &(at_keyed_executor_options){.weight = weigh, .context = &weighed});
    for (int i = 0; i < 300; i++)
        at_future_release(submit(keyed, "h", note, "h"));
    for (int i = 0; i < 100; i++) {
        at_future_release(submit(keyed, "l", note, "l"));
        at_future_release(submit(keyed, "m", note, "m"));
    }
    gate_open(&gate);
    at_keyed_executor_destroy(keyed);
    at_future_release(holding);
    destroy_pool(pool);
    cr_expect_eq(weighed, 3);
    for (int round = 0; round < 100; round++) {
        cr_expect_eq(count_noted('h', round * 5, round * 5 + 5), 3);
        cr_expect_eq(count_noted('l', round * 5, round * 5 + 5), 1);
        cr_expect_eq(count_noted('m', round * 5, round * 5 + 5), 1);
    }
}

struct numbered {
    int *last;
    int number;
};

static void *run_numbered(void *argument) {
    struct numbered *numbered = argument;
    cr_expect_eq(*numbered->last, numbered->number - 1);
    *numbered->last = numbered->number;
    return numbered;
}

/* First in, first out under each key, on several workers; what a task writes is seen by the next.
 */
Test(keyed_executor, in_order_under_each_key) {
    static struct numbered numbered[3000];
    int last[30] = {0};
    at_pool *pool = create_pool(4);
    at_keyed_executor *keyed = create_keyed(pool, NULL);
    for (int i = 0; i < 3000; i++) {
        uint64_t key = (uint64_t)i % 30;
        numbered[i] = (struct numbered){&last[key], i / 30 + 1};
        at_future_release(
            at_keyed_executor_submit(keyed, &key, sizeof key, run_numbered, &numbered[i]));
    }
    at_keyed_executor_destroy(keyed);
    cr_expect_eq(destroy_pool(pool).succeeded, 3000);
    for (int i = 0; i < 30; i++)
        cr_expect_eq(last[i], 100);
}

/* As many of one key as allowed, and as many in all. */
Test(keyed_executor, limits) {
    struct gate gates[3] = {GATE_CLOSED, GATE_CLOSED, GATE_CLOSED};
    at_future *futures[3][4];
    static const char *const keys[] = {"a", "b", "c"};
    at_pool *pool = create_pool(8);
    at_keyed_executor *keyed =
        create_keyed(pool, &(at_keyed_executor_options){.max_per_key = 2, .max_running = 5});
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            futures[i][j] = submit(keyed, keys[i], gate_pass, &gates[i]);
    gate_await(&gates[0], 2);
    gate_await(&gates[1], 2);
    gate_await(&gates[2], 1);
    at_pool_audit_result audit;
    at_pool_audit(pool, &audit);
    cr_expect_eq(audit.running, 5);
    for (int i = 0; i < 2; i++)
        cr_expect_eq(gates[i].entered, 2);
    gate_open(&gates[0]);
    gate_await(&gates[2], 2);
    gate_open(&gates[1]);
    gate_open(&gates[2]);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) {
            wait_value(futures[i][j]);
            at_future_release(futures[i][j]);
        }
    at_keyed_executor_destroy(keyed);
    destroy_pool(pool);
}

/* Keys are bytes: of any content, none, and those that only begin alike are others. */
Test(keyed_executor, keys_are_bytes) {
    struct gate gate = GATE_CLOSED;
    at_future *futures[4];
    at_pool *pool = create_pool(4);
    at_keyed_executor *keyed = create_keyed(pool, NULL);
    futures[0] = at_keyed_executor_submit(keyed, "a\0b", 3, gate_pass, &gate);
    futures[1] = at_keyed_executor_submit(keyed, "a\0c", 3, gate_pass, &gate);
    futures[2] = at_keyed_executor_submit(keyed, "a", 1, gate_pass, &gate);
    futures[3] = at_keyed_executor_submit(keyed, NULL, 0, gate_pass, &gate);
    gate_await(&gate, 4); /* all at the same time */
    cr_expect_eq(at_keyed_executor_key_count(keyed), 4);
    gate_open(&gate);
    for (int i = 0; i < 4; i++) {
        wait_value(futures[i]);
        at_future_release(futures[i]);
    }
    at_keyed_executor_destroy(keyed);
    destroy_pool(pool);
}

/* Nothing is kept of a key that is idle. */
Test(keyed_executor, idle_keys_are_forgotten) {
    struct tally tally = {0};
    at_pool *pool = create_pool(2);
    at_keyed_executor *keyed = create_keyed(pool, NULL);
    for (uint64_t key = 0; key < 5000; key++)
        at_future_release(at_keyed_executor_submit(keyed, &key, sizeof key, tally_run, &tally));
    at_future *kept = submit(keyed, "kept", tally_run, &tally);
    cr_expect_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    cr_expect_eq(tally_runs(&tally), 5001);
    cr_expect_eq(at_keyed_executor_key_count(keyed), 1);
    at_future_release(kept);
    cr_expect_eq(at_keyed_executor_key_count(keyed), 0);
    at_keyed_executor_destroy(keyed);
    destroy_pool(pool);
}

/* Rule S1: the bound is of each key; continuations pass it. */
Test(keyed_executor, queue_bound) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_pool *pool = create_pool(2);
    at_keyed_executor *keyed =
        create_keyed(pool, &(at_keyed_executor_options){.queue_bound_per_key = 2});
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    at_future *running = submit(keyed, "k", gate_pass, &gate);
    gate_await(&gate, 1);
    at_future *queued[2];
    for (int i = 0; i < 2; i++)
        queued[i] = at_keyed_executor_submit_with(keyed, "k", 1, &options);
    at_future *refused = at_keyed_executor_submit_with(keyed, "k", 1, &options);
    expect_outcome(refused, AT_ERROR_FULL);
    cr_expect_not_null(strstr(at_error_message(at_future_error(refused)), "queue_bound_per_key"));
    cr_expect_eq(tally_drops(&tally), 1);
    at_future *other = at_keyed_executor_submit_with(keyed, "other", 5, &options);
    wait_value(other);
    gate_open(&gate);
    for (int i = 0; i < 2; i++) {
        wait_value(queued[i]);
        at_future_release(queued[i]);
    }
    at_future_release(running);
    at_future_release(refused);
    at_future_release(other);
    at_keyed_executor_destroy(keyed);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 3);
}

/* Rule X2: what is cancelled in the queue never runs, and is counted. */
Test(keyed_executor, cancelled_tasks_never_run) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    at_keyed_executor *keyed = create_keyed(pool, NULL);
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    at_future *running = submit(keyed, "k", gate_pass, &gate);
    gate_await(&gate, 1);
    at_future *queued = at_keyed_executor_submit_with(keyed, "k", 1, &options);
    at_future_cancel(queued);
    expect_outcome(queued, AT_ERROR_CANCELLED);
    gate_open(&gate);
    at_future_release(running);
    at_future_release(queued);
    at_keyed_executor_destroy(keyed);
    cr_expect_eq(destroy_pool(pool).cancelled, 1);
    cr_expect_eq(tally_runs(&tally), 0);
    cr_expect_eq(tally_drops(&tally), 1);
}

static at_keyed_executor *own;

static void *wait_for_own_key(void *unused) {
    at_future *next = submit(own, "k", note, "k");
    cr_expect_eq(at_future_wait(next, AT_FOREVER, NULL), AT_ERROR_DEADLOCK);
    at_future_release(next);
    at_future *other = submit(own, "other", note, "o");
    AT_TRY(at_future_wait(other, AT_FOREVER, NULL));
    at_future_release(other);
    return unused;
}

/* Rule W2: as on a strand; another key is another matter. */
Test(keyed_executor, wait_for_own_key_is_a_deadlock) {
    int value;
    at_pool *pool = create_pool(1);
    own = create_keyed(pool, &(at_keyed_executor_options){.max_running = 2});
    at_future *future = submit(own, "k", wait_for_own_key, &value);
    cr_expect_eq(wait_value(future), &value);
    at_future_release(future);
    at_keyed_executor_destroy(own);
    destroy_pool(pool);
}

static void *note_later(void *value, void *key) {
    (void)value;
    return note(key);
}

/* Rule C1: a continuation is queued under the key of its source. */
Test(keyed_executor, continuations_keep_the_key) {
    struct gate gate = GATE_CLOSED;
    at_future *holding;
    at_pool *pool = create_held_pool(&gate, &holding);
    at_keyed_executor *keyed = create_keyed(pool, NULL);
    at_future *follower = at_future_then(submit(keyed, "k", note, "1"), note_later, "3");
    at_future *second = submit(keyed, "k", note, "2");
    gate_open(&gate);
    wait_value(follower);
    cr_expect_eq(memcmp(noted.keys, "123", 3), 0);
    at_future_release(holding);
    at_future_release(follower);
    at_future_release(second);
    at_keyed_executor_destroy(keyed);
    destroy_pool(pool);
}

static int64_t weigh_nothing(const void *key, size_t size, void *context) {
    (void)key;
    (void)size;
    (void)context;
    return 0;
}

/* Rule H00: bad values are named. */
Test(keyed_executor, bad_values) {
    struct tally tally = {0};
    at_keyed_executor *keyed = NULL;
    at_pool *pool = create_pool(1);
    const at_keyed_executor_options bad[] = {{.max_per_key = -1},
                                             {.max_running = -2},
                                             {.max_running = 65537},
                                             {.queue_bound_per_key = -1},
                                             {.reserved = {0, 1}}};
    const char *const members[] = {"max_per_key", "max_running", "max_running",
                                   "queue_bound_per_key", "reserved"};
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(at_keyed_executor_create(&keyed, pool, &bad[i]), AT_ERROR_INVALID);
        cr_expect_not_null(strstr(at_error_message(at_error_last()), members[i]));
        cr_expect_null(keyed);
    }
    keyed = create_keyed(pool, &(at_keyed_executor_options){.weight = weigh_nothing});
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    at_future *refused = at_keyed_executor_submit_with(keyed, "k", 1, &options);
    expect_outcome(refused, AT_ERROR_INVALID);
    at_future_release(refused);
    refused = at_keyed_executor_submit_with(keyed, NULL, 1, &options);
    expect_outcome(refused, AT_ERROR_INVALID);
    at_future_release(refused);
    cr_expect_eq(at_keyed_executor_key_count(keyed), 0);
    at_keyed_executor_destroy(keyed);
    keyed = create_keyed(pool, NULL);
    options.reserved[1] = 1;
    refused = at_keyed_executor_submit_with(keyed, "k", 1, &options);
    expect_outcome(refused, AT_ERROR_INVALID);
    at_future_release(refused);
    at_keyed_executor_destroy(keyed);
    at_keyed_executor_destroy(NULL);
    cr_expect_eq(tally_drops(&tally), 3);
    destroy_pool(pool);
}

/* Rule S1: by a closed pool, and by one that is gone. */
Test(keyed_executor, refused_by_a_closed_pool) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    at_keyed_executor *keyed = create_keyed(pool, NULL);
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    cr_expect_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    at_future *refused = at_keyed_executor_submit_with(keyed, "k", 1, &options);
    expect_outcome(refused, AT_ERROR_CLOSED);
    at_future_release(refused);
    destroy_pool(pool);
    refused = at_keyed_executor_submit_with(keyed, "k", 1, &options);
    expect_outcome(refused, AT_ERROR_CLOSED);
    at_future_release(refused);
    at_keyed_executor_destroy(keyed);
    cr_expect_eq(tally_drops(&tally), 2);
}
