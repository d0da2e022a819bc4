/* SPDX-License-Identifier: MIT
 *
 * Rule W2: cycles of waits that go through the queues of strands, and of keys that run one at a
 * time: what is queued there waits for what runs there. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void begin_log(void) {
    at_logger *logger = NULL;
    at_logger_options options = {.memory_bytes = 1 << 20};
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    at_logger_set_default(logger);
}

static void end_log(void) {
    at_logger_destroy(at_logger_default());
}

TestSuite(deadlock_serial, .init = begin_log, .fini = end_log, .timeout = 200);

enum { longest = 6 };

/* Executors that run one at a time: strands, or keys of one keyed executor. */
struct lanes {
    at_pool *pool;
    at_strand *strands[longest]; /* NULL: keys */
    at_keyed_executor *keyed;
};

static struct lanes create_lanes(int workers, bool are_keys) {
    struct lanes lanes = {.pool = create_pool(workers)};
    at_keyed_executor_options options = {.max_running = 2};
    if (are_keys)
        cr_assert_eq(at_keyed_executor_create(&lanes.keyed, lanes.pool, &options), AT_OK);
    for (int i = 0; i < longest && !are_keys; i++)
        cr_assert_eq(at_strand_create(&lanes.strands[i], lanes.pool, NULL), AT_OK);
    return lanes;
}

static void destroy_lanes(struct lanes *lanes) {
    for (int i = 0; i < longest; i++)
        at_strand_destroy(lanes->strands[i]);
    at_keyed_executor_destroy(lanes->keyed);
    destroy_pool(lanes->pool);
}

static at_future *submit(const struct lanes *lanes, int lane, at_run_fn run, void *argument,
                         const char *name) {
    at_task_options options = {.run = run, .argument = argument, .name = name};
    if (lanes->keyed)
        return at_keyed_executor_submit_with(lanes->keyed, &lane, sizeof lane, &options);
    return at_executor_submit_with(at_strand_executor(lanes->strands[lane]), &options);
}

/* Waits for `next`, once all futures are known. */
struct member {
    at_future *told;
    at_future *next;
    at_future *future;
    at_status status;
};

static _Atomic int begun; /* members */

static void *wait_for_next(void *argument) {
    struct member *member = argument;
    atomic_fetch_add(&begun, 1);
    AT_TRY(at_future_wait(member->told, AT_FOREVER, NULL));
    member->status = at_future_wait(member->next, AT_FOREVER, NULL);
    at_error_clear();
    return member;
}

static void *pass(void *value, void *context) {
    (void)context;
    return value;
}

/* What follows from the future, on the pool; the reference goes over. */
static at_future *follow(const struct lanes *lanes, at_future *future) {
    at_continuation_options on_pool = {.executor = at_pool_executor(lanes->pool)};
    return at_future_then_with(future, pass, &on_pool);
}

static void expect_report(const char *const *names, int count) {
    char *lines = NULL;
    cr_assert_eq(at_logger_flush(at_logger_default(), PATIENCE), AT_OK);
    cr_assert_eq(at_logger_memory_lines(at_logger_default(), &lines), AT_OK);
    cr_expect_not_null(strstr(lines, "\"event\":\"task.deadlock\""));
    for (int i = 0; i < count; i++)
        cr_expect_not_null(strstr(lines, names[i]), "%s is not named in %s", names[i], lines);
    at_logger_memory_clear(at_logger_default());
    at_logger_memory_release(lines);
}

static void tell(at_promise *promise) {
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
}

/* In each lane a task runs and waits for the one that is queued in the next lane, behind `ahead`
 * others. */
static void run_circle(struct lanes *lanes, int count, int ahead, bool through_then) {
    struct member members[longest] = {0};
    at_future *queued[longest];
    struct tally tally = {0};
    at_future *told;
    at_promise *promise = create_promise(lanes->pool, &told);
    for (int i = 0; i < count; i++) {
        members[i].told = told;
        members[i].future = submit(lanes, i, wait_for_next, &members[i], "member");
        for (int j = 0; j < ahead; j++)
            at_future_release(submit(lanes, i, tally_run, &tally, "ahead"));
        queued[i] = submit(lanes, i, tally_run, &tally, "queued");
    }
    for (int i = 0; i < count; i++) {
        at_future *next = at_future_retain(queued[(i + 1) % count]);
        members[i].next = through_then ? follow(lanes, next) : next;
    }
    tell(promise);
    int deadlocks = 0;
    for (int i = 0; i < count; i++) {
        wait_value(members[i].future);
        wait_value(queued[i]);
        deadlocks += members[i].status == AT_ERROR_DEADLOCK;
        cr_expect(members[i].status == AT_OK || members[i].status == AT_ERROR_DEADLOCK);
        at_future_release(members[i].future);
        at_future_release(queued[i]);
        at_future_release(members[i].next);
    }
    cr_expect_eq(deadlocks, 1);
    at_future_release(told);
    expect_report((const char *const[]){"member", "queued"}, 2);
}

static void run_circles(bool are_keys, int ahead) {
    for (int workers = 1; workers <= 3; workers++) {
        struct lanes lanes = create_lanes(workers, are_keys);
        for (int count = 2; count <= longest; count += 2) {
            run_circle(&lanes, count, ahead, false);
            run_circle(&lanes, count, ahead, true);
        }
        destroy_lanes(&lanes);
    }
}

Test(deadlock_serial, across_strands) {
    run_circles(false, 0);
}

Test(deadlock_serial, across_keys) {
    run_circles(true, 0);
}

/* However far behind it is queued. */
Test(deadlock_serial, across_strands_with_long_queues) {
    run_circles(false, 1000);
}

Test(deadlock_serial, across_keys_with_long_queues) {
    run_circles(true, 1000);
}

/* A task of a strand waits for one that is none, and that waits for what is queued behind it. */
static void run_detour(struct lanes *lanes) {
    struct member inside = {0};
    struct member outside = {0};
    begun = 0;
    struct tally tally = {0};
    at_promise *promise = create_promise(lanes->pool, &inside.told);
    outside.told = inside.told;
    inside.future = submit(lanes, 0, wait_for_next, &inside, "inside");
    outside.next = submit(lanes, 0, tally_run, &tally, "behind");
    at_task_options options = {.run = wait_for_next, .argument = &outside, .name = "outside"};
    inside.next = at_pool_submit_with(lanes->pool, &options);
    while (atomic_load(&begun) < 2) /* else the one would run in place of the wait of the other */
        sched_yield();
    tell(promise);
    wait_value(inside.future);
    wait_value(inside.next);
    wait_value(outside.next);
    cr_expect((inside.status == AT_ERROR_DEADLOCK) != (outside.status == AT_ERROR_DEADLOCK));
    at_future_release(inside.future);
    at_future_release(inside.next);
    at_future_release(outside.next);
    at_future_release(inside.told);
    expect_report((const char *const[]){"inside", "outside", "behind"}, 3);
}

Test(deadlock_serial, through_a_task_of_the_pool) {
    for (int workers = 1; workers <= 2; workers++) {
        struct lanes strands = create_lanes(workers, false);
        run_detour(&strands);
        destroy_lanes(&strands);
        struct lanes keys = create_lanes(workers, true);
        run_detour(&keys);
        destroy_lanes(&keys);
    }
}

/* What goes on with another future leaves the strand: what is queued there waits for nobody. */
static void *go_on(void *argument) {
    struct member *member = argument;
    return at_return_future(member->next);
}

Test(deadlock_serial, who_goes_on_with_a_future_holds_no_strand) {
    struct lanes lanes = create_lanes(2, false);
    struct member waiting = {0};
    struct member going = {0};
    struct tally tally = {0};
    at_promise *promise = create_promise(lanes.pool, &waiting.told);
    going.next = at_pool_submit(lanes.pool, wait_for_next, &waiting);
    at_future *gone = submit(&lanes, 0, go_on, &going, "gone");
    waiting.next = submit(&lanes, 0, tally_run, &tally, "behind");
    tell(promise);
    wait_value(gone);
    cr_expect_eq(waiting.status, AT_OK);
    at_future_release(gone);
    at_future_release(waiting.next);
    at_future_release(waiting.told);
    destroy_lanes(&lanes);
}
