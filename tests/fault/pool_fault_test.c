/* SPDX-License-Identifier: MIT
 *
 * Rules L2, S1, S5, S6 and H0: every single allocation of a pool's life fails in turn, and every
 * single start of a thread. Nothing is left behind, lost, leaked or counted twice. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

FAULT_INSTALL;

/* What a sanitizer starts for itself comes with the first thread. */
static void start_first_thread(void) {
    pthread_t thread;
    struct tally tally = {0};
    cr_assert_eq(pthread_create(&thread, NULL, tally_run, &tally), 0);
    pthread_join(thread, NULL);
}

TestSuite(pool_fault, .init = start_first_thread, .timeout = 200);

/* The pool that the options make, or NULL where the fault forbids it, with the documented status.
 */
static at_pool *try_create(const at_pool_options *options, at_status expected) {
    at_pool *pool = NULL;
    int threads = count_threads();
    at_status status = at_pool_create(&pool, options);
    if (status == AT_OK)
        return pool;
    cr_assert_gt(fault_count(), 0, "%s", at_error_message(at_error_last()));
    cr_assert_eq(status, expected, "%s", at_error_message(at_error_last()));
    cr_assert_eq(at_error_status(at_error_last()), status);
    cr_assert_null(pool);
    cr_assert(threads_fall_to(threads), "nothing is left behind");
    return NULL;
}

/* Finishes all, with memory and threads again, and checks what there is to check (rule S5). */
static void end_pool(at_pool *pool, uint64_t accepted) {
    fault_disarm();
    at_pool_audit_result audit = destroy_pool(pool);
    cr_assert_eq(audit.accepted, accepted);
}

/* -- Creating -------------------------------------------------------------------------------- */

static void *pass(void *argument) {
    return argument;
}

static void create_and_destroy(void *options) {
    at_pool *pool = try_create(options, AT_ERROR_NO_MEMORY);
    if (pool)
        end_pool(pool, 0);
}

/* Rule L2: creation starts every worker or fails with nothing left behind. */
Test(pool_fault, memory_in_create) {
    at_pool_options plain = {.thread_count = 3};
    cr_expect_geq(fault_each(fault_memory, create_and_destroy, &plain), 5);
    int cpu = 0;
    at_pool_options full = {
        .thread_count = 2, .name = "named", .queue_bound = 10, .cpus = &cpu, .cpu_count = 1};
    cpu_set_t allowed;
    cr_assert_eq(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    while (!CPU_ISSET(cpu, &allowed))
        cpu++;
    cr_expect_geq(fault_each(fault_memory, create_and_destroy, &full), 6);
    fault_each(fault_memory, create_and_destroy, NULL);
}

static void create_without_a_thread(void *options) {
    at_pool *pool = try_create(options, AT_ERROR_SYSTEM);
    if (!pool)
        return;
    cr_assert_eq(fault_count(), 0, "a pool with fewer workers than asked for");
    cr_assert_eq(at_pool_thread_count(pool), ((at_pool_options *)options)->thread_count);
    end_pool(pool, 0);
}

Test(pool_fault, threads_in_create) {
    at_pool_options options = {.thread_count = 8};
    cr_expect_eq(fault_each(fault_thread, create_without_a_thread, &options), 8);
}

/* No thread at all, ever. */
Test(pool_fault, no_threads_in_create) {
    struct fault_usage before = fault_usage();
    at_pool *pool = NULL;
    fault_arm_from(fault_thread, 1);
    cr_expect_eq(at_pool_create(&pool, &(at_pool_options){.thread_count = 4}), AT_ERROR_SYSTEM);
    fault_arm_from(fault_memory, 1);
    cr_expect_eq(at_pool_create(&pool, NULL), AT_ERROR_NO_MEMORY);
    fault_disarm();
    cr_expect_null(pool);
    fault_check_leaks(before);
}

/* -- Starting -------------------------------------------------------------------------------- */

enum { start_count = 300 };

static void start_some(void *threads) {
    struct tally tally = {0};
    at_pool *pool =
        try_create(&(at_pool_options){.thread_count = (intptr_t)threads}, AT_ERROR_NO_MEMORY);
    if (!pool)
        return;
    int accepted = 0;
    for (int i = 0; i < start_count; i++) {
        at_status status = at_pool_start(pool, tally_run, &tally);
        cr_assert(status == AT_OK || (status == AT_ERROR_NO_MEMORY && fault_count() > 0));
        accepted += status == AT_OK;
    }
    end_pool(pool, (uint64_t)accepted);
    cr_assert_eq(tally_runs(&tally), accepted);
    cr_assert_geq(accepted, start_count - 1);
}

Test(pool_fault, memory_in_start) {
    fault_each(fault_memory, start_some, (void *)(intptr_t)1);
    fault_each(fault_memory, start_some, (void *)(intptr_t)3);
}

/* Rule S1: on error the caller keeps the argument; otherwise it is run or dropped, once. */
static void start_with_some(void *unused) {
    (void)unused;
    struct tally tallies[start_count] = {0};
    bool accepted[start_count];
    uint64_t count = 0;
    at_pool *pool = try_create(&(at_pool_options){.thread_count = 1}, AT_ERROR_NO_MEMORY);
    if (!pool)
        return;
    for (int i = 0; i < start_count; i++) {
        at_task_options options = {
            .run = tally_run, .argument = &tallies[i], .drop = tally_drop, .name = "named"};
        at_status status = at_pool_start_with(pool, &options);
        cr_assert(status == AT_OK || (status == AT_ERROR_NO_MEMORY && fault_count() > 0));
        accepted[i] = status == AT_OK;
        count += accepted[i];
        if (!accepted[i])
            cr_assert_eq(tally_drops(&tallies[i]), 0);
    }
    end_pool(pool, count);
    for (int i = 0; i < start_count; i++) {
        cr_assert_eq(tally_runs(&tallies[i]), accepted[i]);
        cr_assert_eq(tally_drops(&tallies[i]), 0);
    }
}

Test(pool_fault, memory_in_start_with) {
    cr_expect_geq(fault_each(fault_memory, start_with_some, NULL), start_count);
}

/* What finds no memory for its place among those of low priority waits elsewhere, and takes its
 * place when it runs: later ones run too. */
static void start_low_some(void *unused) {
    (void)unused;
    struct tally tally = {0};
    at_task_options options = {.run = tally_run, .argument = &tally, .priority = AT_PRIORITY_LOW};
    at_pool *pool = try_create(&(at_pool_options){.thread_count = 2}, AT_ERROR_NO_MEMORY);
    if (!pool)
        return;
    int accepted = 0;
    for (int i = 0; i < 20; i++) {
        at_status status = at_pool_start_with(pool, &options);
        cr_assert(status == AT_OK || (status == AT_ERROR_NO_MEMORY && fault_count() > 0));
        accepted += status == AT_OK;
        while (tally_runs(&tally) < accepted)
            sched_yield();
    }
    end_pool(pool, (uint64_t)accepted);
    cr_assert_geq(accepted, 19);
}

Test(pool_fault, memory_in_starts_of_low_priority) {
    fault_each(fault_memory, start_low_some, NULL);
}

/* All are accepted or none. */
static void start_many_some(void *unused) {
    (void)unused;
    static struct tally tallies[5000];
    enum { many = sizeof tallies / sizeof *tallies };
    memset(tallies, 0, sizeof tallies);
    at_pool *pool = try_create(&(at_pool_options){.thread_count = 2}, AT_ERROR_NO_MEMORY);
    if (!pool)
        return;
    at_status status = at_pool_start_many(pool, tally_run, AT_ITEMS(tallies, many));
    cr_assert(status == AT_OK || (status == AT_ERROR_NO_MEMORY && fault_count() > 0));
    end_pool(pool, status == AT_OK ? many : 0);
    for (int i = 0; i < many; i++)
        cr_assert_eq(tally_runs(&tallies[i]), status == AT_OK);
}

Test(pool_fault, memory_in_start_many) {
    fault_each(fault_memory, start_many_some, NULL);
}

/* Rule S6: the caller's storage cannot fail for memory. */
static void start_tasks_some(void *unused) {
    (void)unused;
    static at_task tasks[5000];
    enum { many = sizeof tasks / sizeof *tasks };
    struct tally tally = {0};
    at_pool *pool = try_create(&(at_pool_options){.thread_count = 1}, AT_ERROR_NO_MEMORY);
    if (!pool)
        return;
    for (int i = 0; i < many; i++) {
        at_task_init(&tasks[i], tally_run, &tally);
        cr_assert_eq(at_pool_start_task(pool, &tasks[i]), AT_OK);
    }
    end_pool(pool, many);
    cr_assert_eq(tally_runs(&tally), many);
}

Test(pool_fault, memory_in_start_task) {
    fault_each(fault_memory, start_tasks_some, NULL);
}

/* Not even if no allocation succeeds any more, from outside and from inside. */
struct chain {
    at_task task;
    at_pool *pool;
    _Atomic int left;
};

static void *start_chain(void *argument) {
    struct chain *chain = argument;
    if (atomic_fetch_sub(&chain->left, 1) > 0 &&
        at_pool_start_task(chain->pool, &chain->task) != AT_OK)
        abort();
    return NULL;
}

Test(pool_fault, own_storage_needs_no_memory_at_all) {
    enum { many = 20000 };
    static at_task tasks[many];
    static struct chain chain;
    struct fault_usage before = fault_usage();
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_pool *pool = create_pool(2);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    fault_arm_from(fault_memory, 1);
    chain.pool = pool;
    chain.left = 1000;
    at_task_init(&chain.task, start_chain, &chain);
    cr_assert_eq(at_pool_start_task(pool, &chain.task), AT_OK);
    for (int i = 0; i < many; i++) {
        at_task_init(&tasks[i], tally_run, &tally);
        cr_assert_eq(at_pool_start_task(pool, &tasks[i]), AT_OK);
    }
    gate_open(&gate);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    end_pool(pool, many + 1002);
    cr_expect_eq(tally_runs(&tally), many);
    fault_check_leaks(before);
}

/* -- From inside ------------------------------------------------------------------------------ */

struct inside {
    struct tally tally;
    _Atomic int accepted;
    _Atomic int wrong;
};

static void *start_inside(void *argument) {
    struct inside *inside = argument;
    for (int i = 0; i < 2000; i++) {
        at_status status = at_pool_start(at_pool_current(), tally_run, &inside->tally);
        if (status == AT_OK)
            atomic_fetch_add(&inside->accepted, 1);
        else if (status != AT_ERROR_NO_MEMORY)
            atomic_fetch_add(&inside->wrong, 1);
    }
    return NULL;
}

static void start_from_inside(void *unused) {
    (void)unused;
    struct inside inside = {0};
    at_pool *pool = try_create(&(at_pool_options){.thread_count = 2}, AT_ERROR_NO_MEMORY);
    if (!pool)
        return;
    at_status status = at_pool_start(pool, start_inside, &inside);
    cr_assert(status == AT_OK || fault_count() > 0);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    end_pool(pool, (uint64_t)inside.accepted + (status == AT_OK));
    cr_assert_eq(inside.wrong, 0);
    cr_assert_eq(tally_runs(&inside.tally), inside.accepted);
}

Test(pool_fault, memory_in_starts_from_inside) {
    fault_each(fault_memory, start_from_inside, NULL);
}

static void *fail_with_text(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "on purpose");
}

/* Errors of tasks that find no memory either. */
static void fail_some(void *unused) {
    (void)unused;
    at_pool *pool = try_create(&(at_pool_options){.thread_count = 1}, AT_ERROR_NO_MEMORY);
    if (!pool)
        return;
    uint64_t accepted = 0;
    for (int i = 0; i < 3; i++)
        accepted += at_pool_start(pool, fail_with_text, NULL) == AT_OK;
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    fault_disarm();
    at_pool_audit_result audit = destroy_pool(pool);
    cr_assert_eq(audit.failed, accepted);
}

Test(pool_fault, memory_in_failures) {
    fault_each(fault_memory, fail_some, NULL);
}

/* -- Waits ----------------------------------------------------------------------------------- */

struct waiting {
    at_future *future;
    _Atomic int wrong;
    _Atomic int done;
};

static void *wait_somehow(void *argument) {
    struct waiting *waiting = argument;
    at_status status = at_future_wait(waiting->future, PATIENCE, NULL);
    if (status != AT_OK)
        atomic_fetch_add(&waiting->wrong, 1);
    atomic_fetch_add(&waiting->done, 1);
    return NULL;
}

static void *set_promise(void *promise) {
    AT_TRY(at_promise_set(promise, NULL, NULL));
    return NULL;
}

enum { waiter_count = 5 };

/* Waiters that each need a spare thread, on a pool of one. The promise is set by its last task. */
static void block_workers(void *kind) {
    struct waiting waiting = {0};
    struct gate gate = GATE_CLOSED;
    bool threads = *(enum fault_kind *)kind == fault_thread;
    at_promise *promise = NULL;
    at_pool *pool = try_create(&(at_pool_options){.thread_count = 1},
                               threads ? AT_ERROR_SYSTEM : AT_ERROR_NO_MEMORY);
    if (!pool)
        return;
    uint64_t accepted = 0;
    if (at_promise_create(&promise, at_pool_executor(pool)) == AT_OK) {
        waiting.future = at_promise_future(promise);
        accepted += at_pool_start(pool, gate_pass, &gate) == AT_OK;
        int waiters = 0;
        for (int i = 0; i < waiter_count; i++)
            waiters += at_pool_start(pool, wait_somehow, &waiting) == AT_OK;
        accepted += (uint64_t)waiters;
        gate_open(&gate);
        at_status status = at_pool_start(pool, set_promise, promise);
        accepted += status == AT_OK;
        if (status != AT_OK)
            cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
        cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
        cr_assert_eq(waiting.done, waiters);
        cr_assert_eq(waiting.wrong, 0);
        at_promise_destroy(promise);
        at_future_release(waiting.future);
    }
    end_pool(pool, accepted);
}

/* Without memory for a stack a wait holds its thread; it never fails. */
Test(pool_fault, memory_for_waits) {
    enum fault_kind kind = fault_memory;
    fault_each(kind, block_workers, &kind);
}

Test(pool_fault, nothing_is_held_in_the_end) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(at_pool_start(pool, pass, NULL), AT_OK);
    destroy_pool(pool);
    fault_check_leaks(before);
    cr_expect_eq(fault_usage().blocks, 0);
}
