/* SPDX-License-Identifier: MIT
 *
 * Rule W2: many cycles through the queues of strands lose one wait each; waits across strands that
 * are none lose none, while the search looks at queues that move. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <sched.h>
#include <stdint.h>
#include <stdlib.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { scale = 10 };
#else
enum { scale = 1 };
#endif

static void be_quiet(void) {
    at_logger *logger = NULL;
    at_logger_options options = {.memory_bytes = 1 << 16, .level = AT_LOG_FATAL};
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    at_logger_set_default(logger);
}

static void end_quiet(void) {
    at_logger_destroy(at_logger_default());
}

TestSuite(deadlock_serial_stress, .init = be_quiet, .fini = end_quiet, .timeout = 200);

/* -- Waits that are no cycle -- */

enum { strand_count = 6, roots = 4000 / scale };

static at_strand *strands[strand_count];
static _Atomic int failed;

struct step {
    int strand;
    int number;
};

static void *run_step(void *argument);

static at_future *submit_step(int strand, int number) {
    struct step *step = malloc(sizeof *step);
    *step = (struct step){strand, number};
    return at_executor_submit(at_strand_executor(strands[strand]), run_step, step);
}

/* Waits for a task of a later strand, which is queued behind many others; now and then not for
 * long. */
static void *run_step(void *argument) {
    struct step step = *(struct step *)argument;
    free(argument);
    int next_strand = step.strand + 1 + step.number % 2;
    if (next_strand >= strand_count)
        return NULL;
    at_future *next = submit_step(next_strand, step.number / 2 + step.strand);
    at_deadline deadline = step.number % 7 == 0 ? at_after(AT_MICROSECONDS(100)) : AT_FOREVER;
    at_status status = at_future_wait(next, deadline, NULL);
    if (status != AT_OK && status != AT_ERROR_TIMED_OUT)
        atomic_fetch_add_explicit(&failed, 1, memory_order_relaxed);
    at_future_release(next);
    return NULL;
}

Test(deadlock_serial_stress, no_false_report) {
    static at_future *futures[roots];
    at_pool *pool = create_pool(4);
    for (int i = 0; i < strand_count; i++)
        cr_assert_eq(at_strand_create(&strands[i], pool, NULL), AT_OK);
    for (int i = 0; i < roots; i++)
        futures[i] = submit_step(i % 3, i);
    for (int i = 0; i < roots; i++) {
        wait_value(futures[i]);
        at_future_release(futures[i]);
    }
    for (int i = 0; i < strand_count; i++)
        at_strand_destroy(strands[i]);
    destroy_pool(pool);
    cr_expect_eq(failed, 0);
}

/* -- Cycles -- */

enum { cycles = 300 / scale };

struct member {
    at_future *told;
    at_future *next;
    at_future *future;
    at_status status;
};

static void *wait_for_next(void *argument) {
    struct member *member = argument;
    AT_TRY(at_future_wait(member->told, AT_FOREVER, NULL));
    member->status = at_future_wait(member->next, AT_FOREVER, NULL);
    at_error_clear();
    return member;
}

/* On each of many pairs of strands a task waits for what is queued on the other; all are closed at
 * the same moment, while others come and go on the same strands. */
Test(deadlock_serial_stress, many_cycles_at_once) {
    static struct member members[cycles][2];
    static at_strand *pairs[cycles][2];
    static at_future *queued[cycles][2];
    struct tally tally = {0};
    at_future *told;
    at_pool *pool = create_pool(4);
    at_promise *promise = create_promise(pool, &told);
    for (int i = 0; i < cycles; i++)
        for (int j = 0; j < 2; j++) {
            cr_assert_eq(at_strand_create(&pairs[i][j], pool, NULL), AT_OK);
            at_executor *executor = at_strand_executor(pairs[i][j]);
            members[i][j].told = told;
            members[i][j].future = at_executor_submit(executor, wait_for_next, &members[i][j]);
            for (int k = 0; k < i % 5; k++)
                at_future_release(at_executor_submit(executor, tally_run, &tally));
            queued[i][j] = at_executor_submit(executor, tally_run, &tally);
        }
    for (int i = 0; i < cycles; i++)
        for (int j = 0; j < 2; j++)
            members[i][j].next = queued[i][1 - j];
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    for (int i = 0; i < cycles; i++) {
        int deadlocks = 0;
        for (int j = 0; j < 2; j++) {
            wait_value(members[i][j].future);
            wait_value(queued[i][j]);
            deadlocks += members[i][j].status == AT_ERROR_DEADLOCK;
            at_future_release(members[i][j].future);
            at_strand_destroy(pairs[i][j]);
        }
        cr_expect_eq(deadlocks, 1);
        at_future_release(queued[i][0]);
        at_future_release(queued[i][1]);
    }
    at_future_release(told);
    destroy_pool(pool);
}
