/* SPDX-License-Identifier: MIT
 *
 * Strands: rules C1 and C2 (order), W1 (a waiter runs nothing of theirs in place), W2 (a wait for
 * what comes after oneself), S1 and X2 (what never runs is dropped). */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <string.h>

TestSuite(strand, .timeout = 200);

static at_strand *create_strand(at_pool *pool) {
    at_strand *strand = NULL;
    cr_assert_eq(at_strand_create(&strand, pool, &(at_strand_options){.name = "ledger"}), AT_OK);
    cr_assert_not_null(strand);
    return strand;
}

static at_future *submit(at_strand *strand, at_run_fn run, void *argument) {
    return at_executor_submit(at_strand_executor(strand), run, argument);
}

/* What works of one strand touch without a lock. */
struct ledger {
    int count;
    int numbers[1000];
};

struct entry {
    struct ledger *ledger;
    int number;
};

static void *enter(void *argument) {
    struct entry *entry = argument;
    entry->ledger->numbers[entry->ledger->count++] = entry->number;
    return entry;
}

/* Rule C2: in the order of their starts, one at a time, and each sees what the one before wrote. */
Test(strand, runs_in_order) {
    static struct ledger ledger;
    static struct entry entries[1000];
    at_future *last = NULL;
    at_pool *pool = create_pool(4);
    at_strand *strand = create_strand(pool);
    for (int i = 0; i < 1000; i++) {
        entries[i] = (struct entry){&ledger, i};
        at_future_release(last);
        last = submit(strand, enter, &entries[i]);
    }
    cr_expect_eq(wait_value(last), &entries[999]);
    at_future_release(last);
    cr_expect_eq(ledger.count, 1000);
    for (int i = 0; i < 1000; i++)
        cr_expect_eq(ledger.numbers[i], i);
    at_strand_destroy(strand);
    cr_expect_eq(destroy_pool(pool).succeeded, 1000);
}

struct waiting_work {
    at_future *wanted;
    struct ledger *ledger;
    int number;
};

static void *wait_and_enter(void *argument) {
    struct waiting_work *work = argument;
    AT_TRY(at_future_wait(work->wanted, AT_FOREVER, NULL));
    return enter(&(struct entry){work->ledger, work->number}) ? work : NULL;
}

static void *set_promise(void *promise) {
    at_promise_set(promise, NULL, NULL);
    return NULL;
}

/* A work that waits keeps the strand, but not the worker, of which there is one. */
Test(strand, stays_with_a_work_that_waits) {
    struct ledger ledger = {0};
    at_pool *pool = create_pool(1);
    at_strand *strand = create_strand(pool);
    struct waiting_work work = {.ledger = &ledger, .number = 1};
    at_promise *promise = create_promise(pool, &work.wanted);
    at_future *first = submit(strand, wait_and_enter, &work);
    at_future *second = submit(strand, enter, &(struct entry){&ledger, 2});
    at_future *setter = at_pool_submit(pool, set_promise, promise);
    wait_value(second);
    cr_expect(at_future_is_done(first));
    cr_expect_eq(ledger.count, 2);
    cr_expect_eq(ledger.numbers[0], 1);
    at_future_release(first);
    at_future_release(second);
    at_future_release(setter);
    at_future_release(work.wanted);
    at_promise_destroy(promise);
    at_strand_destroy(strand);
    destroy_pool(pool);
}

static at_strand *observed;
static at_future *queued[2];

/* Both are queued while this one task has the worker. */
static void *wait_for_the_second(void *ledger) {
    static struct entry entries[2];
    for (int i = 0; i < 2; i++) {
        entries[i] = (struct entry){ledger, i};
        queued[i] = submit(observed, enter, &entries[i]);
    }
    AT_TRY(at_future_wait(queued[1], AT_FOREVER, NULL));
    return ledger;
}

/* Rule W1: the wait does not run the second in place, before the first. */
Test(strand, nothing_is_run_in_place) {
    struct ledger ledger = {0};
    at_pool *pool = create_pool(1);
    observed = create_strand(pool);
    at_future *waiting = at_pool_submit(pool, wait_for_the_second, &ledger);
    wait_value(waiting);
    cr_expect_eq(ledger.count, 2);
    cr_expect_eq(ledger.numbers[0], 0);
    cr_expect_eq(ledger.numbers[1], 1);
    for (int i = 0; i < 2; i++)
        at_future_release(queued[i]);
    at_future_release(waiting);
    at_strand_destroy(observed);
    destroy_pool(pool);
}

static void *wait_forever(void *future) {
    AT_TRY(at_future_wait(future, AT_FOREVER, NULL));
    return future;
}

static void *pass(void *value, void *context) {
    (void)context;
    return value;
}

/* A wait of a task below, which is run in place, is one of this strand too. */
static void *wait_for_own_strand(void *unused) {
    at_future *next = submit(observed, gate_pass, NULL);
    cr_expect_eq(at_future_wait(next, AT_FOREVER, NULL), AT_ERROR_DEADLOCK);
    cr_expect_not_null(strstr(at_error_message(at_error_last()), "strand ledger"));
    at_future *below = at_pool_submit(at_pool_current(), wait_forever, next);
    cr_expect_eq(at_future_wait(below, AT_FOREVER, NULL), AT_ERROR_DEADLOCK);
    at_future_release(below);
    at_future *follower = at_future_then(at_future_retain(next), pass, NULL);
    cr_expect_eq(at_future_wait(follower, AT_FOREVER, NULL), AT_ERROR_DEADLOCK);
    at_future_release(follower);
    at_future_cancel(next);
    at_future_release(next);
    at_error_clear();
    return unused;
}

/* Rule W2: at once, and named. */
Test(strand, wait_for_what_comes_after_is_a_deadlock) {
    int value;
    at_pool *pool = create_pool(1);
    observed = create_strand(pool);
    at_future *future = submit(observed, wait_for_own_strand, &value);
    cr_expect_eq(wait_value(future), &value);
    at_future_release(future);
    at_strand_destroy(observed);
    destroy_pool(pool);
}

static void *wait_for_other(void *strand) {
    struct tally tally = {0};
    at_future *other = submit(strand, tally_run, &tally);
    AT_TRY(at_future_wait(other, AT_FOREVER, NULL));
    at_future_release(other);
    return strand;
}

/* Rule W2: another strand is another matter. */
Test(strand, may_wait_for_another_strand) {
    at_pool *pool = create_pool(1);
    at_strand *strand = create_strand(pool);
    at_strand *other = create_strand(pool);
    at_future *future = submit(strand, wait_for_other, other);
    cr_expect_eq(wait_value(future), other);
    at_future_release(future);
    at_strand_destroy(strand);
    at_strand_destroy(other);
    destroy_pool(pool);
}

/* Rule X2: what is cancelled in the queue never runs, and is counted. */
Test(strand, cancelled_works_never_run) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_future *futures[10];
    at_pool *pool = create_pool(1);
    at_strand *strand = create_strand(pool);
    at_future *first = submit(strand, gate_pass, &gate);
    gate_await(&gate, 1);
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    for (int i = 0; i < 10; i++)
        futures[i] = at_executor_submit_with(at_strand_executor(strand), &options);
    for (int i = 0; i < 10; i += 2)
        at_future_cancel(futures[i]);
    gate_open(&gate);
    for (int i = 0; i < 10; i++) {
        expect_outcome(futures[i], i % 2 == 0 ? AT_ERROR_CANCELLED : AT_OK);
        at_future_release(futures[i]);
    }
    at_future_release(first);
    cr_expect_eq(tally_runs(&tally), 5);
    cr_expect_eq(tally_drops(&tally), 5);
    at_strand_destroy(strand);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.succeeded, 6);
    cr_expect_eq(audit.cancelled, 5);
}

static int runs_seen;
static struct tally flood;

static void *see_runs(void *unused) {
    runs_seen = tally_runs(&flood);
    return unused;
}

/* A long queue of a strand holds up no other work for more than a turn. */
Test(strand, others_run_between_turns) {
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(1);
    at_strand *strand = create_strand(pool);
    at_future *holding = at_pool_submit(pool, gate_pass, &gate);
    gate_await(&gate, 1);
    for (int i = 0; i < 10000; i++)
        at_future_release(submit(strand, tally_run, &flood));
    at_future *seeing = at_pool_submit(pool, see_runs, NULL);
    gate_open(&gate);
    wait_value(seeing);
    cr_expect_leq(runs_seen, 64);
    at_future_release(holding);
    at_future_release(seeing);
    at_strand_destroy(strand);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&flood), 10000);
}

static void *enter_after(void *value, void *ledger) {
    struct entry *entry = value;
    return enter(&(struct entry){ledger, entry->number + 10}) ? value : NULL;
}

/* Rule C1: a continuation runs on the strand of its source, as work of its own, behind what is
 * queued there. */
Test(strand, continuations_take_their_turn) {
    struct ledger ledger = {0};
    struct gate gate = GATE_CLOSED;
    struct entry entries[2] = {{&ledger, 0}, {&ledger, 1}};
    at_pool *pool = create_pool(1);
    at_strand *strand = create_strand(pool);
    at_future *holding = submit(strand, gate_pass, &gate);
    gate_await(&gate, 1);
    at_future *follower = at_future_then(submit(strand, enter, &entries[0]), enter_after, &ledger);
    at_future *second = submit(strand, enter, &entries[1]);
    gate_open(&gate);
    wait_value(follower);
    cr_expect_eq(ledger.count, 3);
    cr_expect_eq(ledger.numbers[1], 1);
    cr_expect_eq(ledger.numbers[2], 10);
    at_future_release(holding);
    at_future_release(follower);
    at_future_release(second);
    at_strand_destroy(strand);
    destroy_pool(pool);
}

/* What was queued runs, and the promise is for a strand that its owner has given up. */
Test(strand, destroyed_with_works_left) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_promise *promise;
    at_pool *pool = create_pool(1);
    at_strand *strand = create_strand(pool);
    cr_assert_eq(at_promise_create(&promise, at_strand_executor(strand)), AT_OK);
    at_future *follower = at_future_then(at_promise_future(promise), pass, NULL);
    at_future *first = submit(strand, gate_pass, &gate);
    at_future *second = submit(strand, tally_run, &tally);
    at_strand_destroy(strand);
    gate_open(&gate);
    wait_value(second);
    cr_expect_eq(at_promise_set(promise, &tally, NULL), AT_OK);
    cr_expect_eq(wait_value(follower), &tally);
    at_promise_destroy(promise);
    at_future_release(follower);
    at_future_release(first);
    at_future_release(second);
    destroy_pool(pool);
}

/* Rule S1: refused is dropped, and the future says why. */
Test(strand, refused_by_a_closed_pool) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    at_strand *strand = create_strand(pool);
    cr_expect_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    at_task_options options = {.run = tally_run, .argument = &tally, .drop = tally_drop};
    at_future *refused = at_executor_submit_with(at_strand_executor(strand), &options);
    expect_outcome(refused, AT_ERROR_CLOSED);
    cr_expect_eq(tally_drops(&tally), 1);
    at_future_release(refused);
    destroy_pool(pool);
    refused = submit(strand, tally_run, &tally); /* the strand keeps what it needs */
    expect_outcome(refused, AT_ERROR_CLOSED);
    at_future_release(refused);
    at_strand_destroy(strand);
    cr_expect_eq(tally_runs(&tally), 0);
}

/* Rule H00: bad values are named. */
Test(strand, bad_options) {
    struct tally tally = {0};
    at_strand *strand = NULL;
    at_pool *pool = create_pool(1);
    cr_expect_eq(at_strand_create(&strand, pool, &(at_strand_options){.reserved = {1}}),
                 AT_ERROR_INVALID);
    cr_expect_not_null(strstr(at_error_message(at_error_last()), "reserved"));
    cr_expect_null(strand);
    cr_assert_eq(at_strand_create(&strand, pool, NULL), AT_OK);
    at_task_options options = {
        .run = tally_run, .argument = &tally, .drop = tally_drop, .reserved = {1}};
    at_future *refused = at_executor_submit_with(at_strand_executor(strand), &options);
    expect_outcome(refused, AT_ERROR_INVALID);
    cr_expect_eq(tally_drops(&tally), 1);
    at_future_release(refused);
    at_strand_destroy(strand);
    at_strand_destroy(NULL);
    destroy_pool(pool);
}

/* at_executor_submit on the other executors: the pool's own, and inline, which is at once. */
Test(strand, submit_on_any_executor) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    at_future *future = at_executor_submit(at_pool_executor(pool), tally_run, &tally);
    cr_expect_eq(wait_value(future), &tally);
    at_future_release(future);
    future = at_executor_submit(at_executor_inline(), tally_run, &tally);
    cr_expect(at_future_is_done(future));
    cr_expect_eq(tally_runs(&tally), 2);
    at_future_release(future);
    cr_expect_eq(destroy_pool(pool).succeeded, 1);
}
