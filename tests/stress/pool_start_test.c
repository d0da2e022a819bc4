/* SPDX-License-Identifier: MIT
 *
 * Rules S5, S6 and L3 under more threads than cores: every task runs once, no wake is lost, and
 * the audit never counts a task twice while it is counted. */
#include "support/tasks.h"
#include "support/test.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

TestSuite(pool_start_stress, .timeout = 200);

enum {
    outside_count = 8, /* threads that start tasks */
    worker_count = 6,
    round_count = 3000,
    child_count = 3,
};

struct load {
    at_pool *pool;
    _Atomic int64_t runs;
    _Atomic int64_t refused;
    _Atomic bool ended;
};

static void *count_run(void *argument) {
    struct load *load = argument;
    atomic_fetch_add_explicit(&load->runs, 1, memory_order_relaxed);
    return NULL;
}

/* A task that starts some of its own. */
static void *count_and_spread(void *argument) {
    struct load *load = argument;
    for (int i = 0; i < child_count; i++)
        AT_TRY(at_pool_start(load->pool, count_run, load));
    return count_run(load);
}

static void *run_own_task(void *argument) {
    struct load *load = *(struct load **)argument;
    free(argument);
    return count_run(load);
}

struct owned {
    struct load *load;
    at_task task;
};

/* One of each form (rule S6). */
static int64_t start_forms(struct load *load) {
    int64_t failures = 0;
    failures += at_pool_start(load->pool, count_and_spread, load) != AT_OK;
    at_task_options options = {.run = count_run, .argument = load, .name = "named"};
    failures += at_pool_start_with(load->pool, &options) != AT_OK;
    at_items items = {.data = load, .count = 1, .size = sizeof *load};
    failures += at_pool_start_many(load->pool, count_run, items) != AT_OK;
    struct owned *owned = malloc(sizeof *owned);
    owned->load = load;
    at_task_init(&owned->task, run_own_task, owned);
    failures += at_pool_start_task(load->pool, &owned->task) != AT_OK;
    at_future_release(at_pool_submit(load->pool, count_run, load));
    return failures;
}

static void *start_often(void *argument) {
    struct load *load = argument;
    int64_t failures = 0;
    for (int i = 0; i < round_count; i++)
        failures += start_forms(load);
    atomic_fetch_add(&load->refused, failures);
    return NULL;
}

static void *audit_often(void *argument) {
    struct load *load = argument;
    int64_t wrong = 0;
    uint64_t ended_before = 0;
    while (!atomic_load(&load->ended)) {
        at_pool_audit_result audit;
        at_pool_audit(load->pool, &audit);
        uint64_t ended = audit.succeeded + audit.failed + audit.cancelled;
        wrong += ended + audit.running + audit.pending > audit.accepted || ended < ended_before;
        ended_before = ended;
    }
    return (void *)(intptr_t)wrong;
}

/* Rule S5. */
Test(pool_start_stress, every_task_runs_once) {
    struct load load = {.pool = create_pool(worker_count)};
    pthread_t threads[outside_count], auditor;
    cr_assert_eq(pthread_create(&auditor, NULL, audit_often, &load), 0);
    for (int i = 0; i < outside_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, start_often, &load), 0);
    for (int i = 0; i < outside_count; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&load.ended, true);
    void *wrong = NULL;
    pthread_join(auditor, &wrong);
    at_pool_audit_result audit = destroy_pool(load.pool);
    int64_t expected = (int64_t)outside_count * round_count * (5 + child_count);
    cr_expect_null(wrong, "the audit was wrong %d times", (int)(intptr_t)wrong);
    cr_expect_eq(load.refused, 0);
    cr_expect_eq(load.runs, expected);
    cr_expect_eq(audit.accepted, (uint64_t)expected);
    cr_expect_eq(audit.succeeded, (uint64_t)expected);
}

/* -- No wake is lost -------------------------------------------------------------------------- */

static void *submit_and_wait(void *argument) {
    struct load *load = argument;
    int64_t failures = 0;
    for (int i = 0; i < round_count; i++) {
        at_future *future = at_pool_submit(load->pool, count_run, load);
        failures += at_future_wait(future, PATIENCE, NULL) != AT_OK;
        at_future_release(future);
    }
    return (void *)(intptr_t)failures;
}

/* Rule L3: the pool falls asleep and is woken again and again; each wait ends. */
Test(pool_start_stress, no_wake_is_lost) {
    for (int workers = 1; workers <= 4; workers++) {
        struct load load = {.pool = create_pool(workers)};
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, submit_and_wait, &load), 0);
        for (int i = 0; i < 3; i++) {
            void *failures = NULL;
            pthread_join(threads[i], &failures);
            cr_expect_null(failures);
        }
        cr_expect_eq(destroy_pool(load.pool).succeeded, 3 * round_count);
    }
}

struct meeting {
    pthread_barrier_t barrier;
};

static void *meet(void *argument) {
    pthread_barrier_wait(&((struct meeting *)argument)->barrier);
    return NULL;
}

/* Rule L3: a burst wakes one worker, which wakes the next while work remains: as many tasks as
 * workers that all have to run at once do so, wherever they were started. */
Test(pool_start_stress, all_workers_are_woken) {
    at_pool *pool = create_pool(worker_count);
    for (int round = 0; round < 500; round++) {
        struct meeting meeting;
        at_future *futures[worker_count];
        pthread_barrier_init(&meeting.barrier, NULL, worker_count);
        for (int i = 0; i < worker_count; i++)
            futures[i] = at_pool_submit(pool, meet, &meeting);
        for (int i = 0; i < worker_count; i++) {
            wait_value(futures[i]);
            at_future_release(futures[i]);
        }
        pthread_barrier_destroy(&meeting.barrier);
    }
    destroy_pool(pool);
}

static void *start_meeting(void *argument) {
    at_future *futures[worker_count - 1];
    for (int i = 0; i < worker_count - 1; i++)
        futures[i] = at_pool_submit(at_pool_current(), meet, argument);
    for (int i = 0; i < worker_count - 1; i++)
        at_future_release(futures[i]);
    return meet(argument);
}

/* And from inside: what a task has started must be found although the task itself stays away. */
Test(pool_start_stress, all_workers_are_woken_from_inside) {
    enum { rounds = 500 };
    static struct meeting meetings[rounds];
    at_pool *pool = create_pool(worker_count);
    for (int round = 0; round < rounds; round++) {
        pthread_barrier_init(&meetings[round].barrier, NULL, worker_count);
        at_future *future = at_pool_submit(pool, start_meeting, &meetings[round]);
        wait_value(future);
        at_future_release(future);
    }
    destroy_pool(pool);
    for (int round = 0; round < rounds; round++)
        pthread_barrier_destroy(&meetings[round].barrier);
}

/* Rule L3: the same from the function of a continuation. */
static void *then_start_meeting(void *value, void *context) {
    (void)value;
    return start_meeting(context);
}

static void *give(void *argument) {
    return argument;
}

Test(pool_start_stress, all_workers_are_woken_by_continuations) {
    enum { rounds = 500 };
    static struct meeting meetings[rounds];
    at_pool *pool = create_pool(worker_count);
    for (int round = 0; round < rounds; round++) {
        pthread_barrier_init(&meetings[round].barrier, NULL, worker_count);
        at_future *future =
            at_future_then(at_pool_submit(pool, give, NULL), then_start_meeting, &meetings[round]);
        wait_value(future);
        at_future_release(future);
    }
    destroy_pool(pool);
    for (int round = 0; round < rounds; round++)
        pthread_barrier_destroy(&meetings[round].barrier);
}

static void *attach_and_meet(void *argument) {
    struct meeting *meeting = argument;
    at_future *done = at_pool_submit(at_pool_current(), give, NULL);
    AT_TRY(at_future_wait(done, AT_FOREVER, NULL));
    at_future_release(at_future_then(done, then_start_meeting, meeting));
    return NULL;
}

/* A continuation attached to what is done already, by a task that then ends. */
Test(pool_start_stress, all_workers_are_woken_by_late_continuations) {
    enum { rounds = 500 };
    static struct meeting meetings[rounds];
    at_pool *pool = create_pool(worker_count);
    for (int round = 0; round < rounds; round++) {
        pthread_barrier_init(&meetings[round].barrier, NULL, worker_count + 1);
        cr_assert_eq(at_pool_start(pool, attach_and_meet, &meetings[round]), AT_OK);
        meet(&meetings[round]);
    }
    destroy_pool(pool);
    for (int round = 0; round < rounds; round++)
        pthread_barrier_destroy(&meetings[round].barrier);
}

static _Atomic bool refusals_end;
static _Atomic int64_t many_refused;

static void *be_refused(void *load) {
    static char items[1000];
    while (!atomic_load(&refusals_end)) {
        at_status status =
            at_pool_start_many(((struct load *)load)->pool, count_run, AT_ITEMS(items, 1000));
        if (status != AT_ERROR_FULL)
            return AT_FAILED;
        atomic_fetch_add(&many_refused, 1);
    }
    return NULL;
}

/* Rule S1: a batch that is refused takes no room, not even for a moment. */
Test(pool_start_stress, refused_batches_take_no_room) {
    struct load load = {0};
    pthread_t thread;
    void *result = NULL;
    cr_assert_eq(
        at_pool_create(&load.pool, &(at_pool_options){.thread_count = 1, .queue_bound = 100}),
        AT_OK);
    cr_assert_eq(pthread_create(&thread, NULL, be_refused, &load), 0);
    while (atomic_load(&many_refused) == 0)
        sched_yield();
    int full = 0;
    for (int64_t round = 0; round < 20000; round++) {
        full += at_pool_start(load.pool, count_run, &load) == AT_ERROR_FULL;
        while (!full && atomic_load(&load.runs) <= round) /* the queue is empty again */
            sched_yield();
    }
    atomic_store(&refusals_end, true);
    pthread_join(thread, &result);
    cr_expect_null(result);
    cr_expect_eq(full, 0);
    destroy_pool(load.pool);
}
