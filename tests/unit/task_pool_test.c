/* SPDX-License-Identifier: MIT
 *
 * Rule G4: a bounded queue in front of a pool, what it does when it is full, and the outcomes that
 * it keeps; rules S1, S4 and X2 as far as they concern it. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/cancel.h>
#include <asynctools/log.h>
#include <asynctools/sleep.h>
#include <asynctools/task_pool.h>

#include <stdint.h>
#include <string.h>

TestSuite(task_pool, .timeout = 200);

static at_task_pool *create_workers(at_pool *pool, const at_task_pool_options *options) {
    at_task_pool *workers = NULL;
    cr_assert_eq(at_task_pool_create(&workers, pool, options), AT_OK, "%s",
                 at_error_message(at_error_last()));
    return workers;
}

/* All items have ended: the numbers add up, and are those of the audit of the pool too. */
static at_task_pool_statistics destroy_workers(at_task_pool *workers) {
    at_task_pool_statistics numbers;
    cr_assert_eq(at_task_pool_join(workers, PATIENCE), AT_OK);
    at_task_pool_get_statistics(workers, &numbers);
    cr_expect_eq(numbers.submitted, numbers.succeeded + numbers.failed + numbers.cancelled +
                                        numbers.dropped + numbers.expired);
    cr_expect_eq(numbers.running + numbers.queued + numbers.waiting, 0);
    at_task_pool_destroy(workers);
    return numbers;
}

static at_task_pool_statistics numbers_of(at_task_pool *workers) {
    at_task_pool_statistics numbers;
    at_task_pool_get_statistics(workers, &numbers);
    return numbers;
}

/* Gathers, and expects these statuses in this order. */
static void expect_results(at_task_pool *workers, const at_status *statuses, size_t expected) {
    at_outcome *outcomes = NULL;
    size_t count = 0;
    cr_assert_eq(at_task_pool_gather_results(workers, &outcomes, &count), AT_OK);
    cr_assert_eq(count, expected);
    for (size_t i = 0; i < count; i++) {
        cr_expect_eq(outcomes[i].status, statuses[i], "%zu: %s", i,
                     at_status_name(outcomes[i].status));
        cr_expect_eq(at_error_status(outcomes[i].error), statuses[i]);
    }
    at_task_pool_results_release(outcomes, count);
}

static void *give(void *argument) {
    return argument;
}

static _Atomic int running;
static _Atomic int most;

static void *sleep_a_second(void *item) {
    int now = atomic_fetch_add(&running, 1) + 1;
    int before = atomic_load(&most);
    while (now > before && !atomic_compare_exchange_weak(&most, &before, now))
        continue;
    at_status status = at_sleep(AT_SECONDS(1));
    atomic_fetch_sub(&running, 1);
    AT_TRY(status);
    return item;
}

/* -- Waiting for room, and results ----------------------------------------------------------- */

/* From a plain thread: so many at once, the queue never longer than allowed, results in order. */
Test(task_pool, g4_waits_for_room_and_gathers_in_order) {
    enum { count = 100 };
    char items[count];
    at_outcome *outcomes;
    size_t gathered;
    at_clock *clock = bind_virtual_clock();
    int64_t began = at_clock_now(clock);
    at_pool *pool = create_pool(2);
    at_task_pool *workers =
        create_workers(pool, &(at_task_pool_options){.pool_size = 10, .queue_size = 20});
    for (int i = 0; i < count; i++)
        cr_assert_eq(at_task_pool_submit(workers, sleep_a_second, &items[i]), AT_OK);
    cr_expect_eq(at_clock_now(clock) - began, AT_SECONDS(7)); /* 30 are left */
    cr_assert_eq(at_task_pool_gather_results(workers, &outcomes, &gathered), AT_OK);
    cr_expect_eq(at_clock_now(clock) - began, AT_SECONDS(10));
    cr_assert_eq(gathered, count);
    for (int i = 0; i < count; i++)
        cr_expect(outcomes[i].status == AT_OK && outcomes[i].value == &items[i]);
    at_task_pool_results_release(outcomes, gathered);
    cr_expect_eq(atomic_load(&most), 10);
    at_task_pool_statistics numbers = destroy_workers(workers);
    cr_expect_eq(numbers.submitted, count);
    cr_expect_eq(numbers.succeeded, count);
    cr_expect_eq(numbers.max_queued, 20);
    cr_expect_eq(numbers.kept, 0);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.succeeded, count);
    unbind_virtual_clock(clock);
}

static size_t begun_count;

/* One after the other, on one place. */
static void *note_order(void *argument) {
    size_t *order = argument;
    *order = begun_count++;
    return order;
}

/* A queue without a bound, longer than any ring: begun, and gathered, in the order of the submits,
 * also when it fills again while it is emptied. */
Test(task_pool, g4_a_queue_without_a_bound) {
    enum { count = 20000 };
    static size_t order[count];
    struct gate gates[2] = {GATE_CLOSED, GATE_CLOSED};
    at_outcome *outcomes;
    size_t gathered;
    at_pool *pool = create_pool(2);
    at_task_pool_options options = {.pool_size = 1, .queue_size = AT_UNLIMITED};
    at_task_pool *workers = create_workers(pool, &options);
    size_t next = 0;
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(at_task_pool_submit(workers, gate_pass, &gates[round]), AT_OK);
        if (round == 0)
            gate_await(&gates[0], 1);
        for (int i = 0; i < count / 2; i++, next++)
            cr_assert_eq(at_task_pool_submit(workers, note_order, &order[next]), AT_OK);
        if (round == 0)
            cr_expect_eq(numbers_of(workers).queued, count / 2);
        gate_open(&gates[round]);
    }
    cr_assert_eq(at_task_pool_gather_results(workers, &outcomes, &gathered), AT_OK);
    cr_assert_eq(gathered, count + 2);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(order[i], i);
        cr_assert_eq(outcomes[i + (i < count / 2 ? 1 : 2)].value, &order[i]);
    }
    at_task_pool_results_release(outcomes, gathered);
    cr_expect_geq(destroy_workers(workers).max_queued, count / 2);
    destroy_pool(pool);
}

struct submitter {
    at_task_pool *workers;
    at_run_fn run;
    void *argument;
    int count;
    at_status status;
};

static void *submit_several(void *argument) {
    struct submitter *submitter = argument;
    for (int i = 0; i < submitter->count && submitter->status == AT_OK; i++)
        submitter->status =
            at_task_pool_submit(submitter->workers, submitter->run, submitter->argument);
    at_error_clear();
    return NULL;
}

/* Rules G4 and W3: a task that waits for room holds no worker: one is enough for all. */
Test(task_pool, g4_a_task_that_waits_is_suspended) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    at_task_pool *workers =
        create_workers(pool, &(at_task_pool_options){.pool_size = 1, .queue_size = AT_NONE});
    struct submitter submitter = {workers, tally_run, &tally, 1000, AT_OK};
    at_future *future = at_pool_submit(pool, submit_several, &submitter);
    wait_value(future);
    at_future_release(future);
    cr_expect_eq(submitter.status, AT_OK);
    destroy_workers(workers);
    cr_expect_eq(tally_runs(&tally), 1000);
    destroy_pool(pool);
}

static void *fail_or_tally(void *argument) {
    struct tally *tally = argument;
    tally_run(tally);
    if (tally->drops == 1)
        return at_fail(AT_ERROR_IO, "one");
    return at_return(tally, tally_drop);
}

/* Values and errors are the gatherer's; what was gathered is forgotten. */
Test(task_pool, g4_results_are_handed_over_once) {
    struct tally good = {0}, bad = {.drops = 1};
    at_outcome *outcomes;
    size_t count;
    at_pool *pool = create_pool(2);
    at_task_pool *workers = create_workers(pool, NULL);
    at_task_options named = {.run = fail_or_tally, .argument = &bad, .name = "the bad one"};
    cr_assert_eq(at_task_pool_submit_with(workers, &named), AT_OK);
    cr_assert_eq(at_task_pool_submit(workers, fail_or_tally, &good), AT_OK);
    cr_assert_eq(at_task_pool_submit(workers, fail_or_tally, &bad), AT_OK);
    cr_assert_eq(at_task_pool_gather_results(workers, &outcomes, &count), AT_OK);
    cr_assert_eq(count, 3);
    cr_expect_str_eq(at_error_task(outcomes[0].error), "the bad one");
    cr_expect_str_eq(at_error_task(outcomes[2].error), "fail_or_tally");
    cr_expect_eq(outcomes[1].value, &good);
    at_task_pool_results_release(outcomes, count);
    cr_expect_eq(tally_drops(&good), 1);
    expect_results(workers, NULL, 0);
    at_task_pool_statistics numbers = destroy_workers(workers);
    cr_expect_eq(numbers.failed, 2);
    destroy_pool(pool);
}

/* What nobody gathers is dropped with the task pool; without keeping, when the item ends. */
Test(task_pool, g4_outcomes_that_are_not_gathered) {
    struct tally tallies[2] = {0};
    at_pool *pool = create_pool(1);
    at_task_pool *workers = create_workers(pool, NULL);
    at_task_pool *forgetful =
        create_workers(pool, &(at_task_pool_options){.kept_outcomes = AT_NONE});
    cr_assert_eq(at_task_pool_submit(workers, fail_or_tally, &tallies[0]), AT_OK);
    cr_assert_eq(at_task_pool_submit(forgetful, fail_or_tally, &tallies[1]), AT_OK);
    cr_assert_eq(at_task_pool_join(forgetful, PATIENCE), AT_OK);
    cr_expect_eq(tally_drops(&tallies[1]), 1);
    expect_results(forgetful, NULL, 0);
    destroy_workers(forgetful);
    destroy_workers(workers);
    cr_expect_eq(tally_drops(&tallies[0]), 1);
    destroy_pool(pool);
}

/* Errors that nobody gathers are logged; what was dropped is counted only. */
Test(task_pool, g4_errors_that_are_not_gathered) {
    struct tally bad = {.drops = 1};
    struct gate gate = GATE_CLOSED;
    char *lines = NULL;
    at_logger *logger = NULL;
    at_logger_options to_memory = {.memory_bytes = 1 << 16};
    cr_assert_eq(at_logger_create(&logger, &to_memory), AT_OK);
    at_logger_set_default(logger);
    at_pool *pool = create_pool(1);
    for (int kept = AT_NONE; kept <= 0; kept++) {
        at_task_pool_options options = {.pool_size = 1,
                                        .queue_size = 1,
                                        .when_full = AT_TASK_POOL_DROP_NEWEST,
                                        .kept_outcomes = kept};
        at_task_pool *workers = create_workers(pool, &options);
        gate = (struct gate)GATE_CLOSED;
        cr_assert_eq(at_task_pool_submit(workers, gate_pass, &gate), AT_OK);
        gate_await(&gate, 1);
        cr_assert_eq(at_task_pool_submit(workers, fail_or_tally, &bad), AT_OK);
        cr_assert_eq(at_task_pool_submit(workers, fail_or_tally, &bad), AT_OK);
        gate_open(&gate);
        cr_expect_eq(destroy_workers(workers).dropped, 1);
    }
    destroy_pool(pool);
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    cr_assert_eq(at_logger_memory_lines(logger, &lines), AT_OK);
    int count = 0;
    for (const char *line = lines; (line = strstr(line, "\"error.dropped\"")); line++)
        count++;
    cr_expect_eq(count, 2);
    cr_expect_null(strstr(lines, "AT_ERROR_DROPPED"));
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
}

/* With so many outcomes the queue counts as full; gathering makes room for those who wait. */
Test(task_pool, g4_kept_outcomes_are_bounded) {
    static const at_status three[] = {AT_OK, AT_OK, AT_OK};
    at_pool *pool = create_pool(1);
    at_task_pool *workers = create_workers(pool, &(at_task_pool_options){.kept_outcomes = 3});
    struct submitter submitter = {workers, give, NULL, 5, AT_OK};
    at_future *future = at_pool_submit(pool, submit_several, &submitter);
    while (numbers_of(workers).waiting == 0)
        at_yield();
    cr_expect_eq(at_task_pool_try_submit(workers, give, NULL), AT_ERROR_FULL);
    expect_results(workers, three, 3);
    wait_value(future);
    at_future_release(future);
    cr_expect_eq(submitter.status, AT_OK);
    expect_results(workers, three, 2);
    cr_expect_eq(destroy_workers(workers).refused, 1);
    for (at_task_pool_policy policy = AT_TASK_POOL_REFUSE; policy <= AT_TASK_POOL_DROP_OLDEST;
         policy++) {
        at_task_pool_options options = {.kept_outcomes = 1, .when_full = policy};
        workers = create_workers(pool, &options);
        cr_expect_eq(at_task_pool_submit(workers, give, NULL), AT_OK);
        cr_expect_eq(at_task_pool_submit(workers, give, NULL), AT_ERROR_FULL);
        destroy_workers(workers);
    }
    at_error_clear();
    destroy_pool(pool);
}

/* -- Full queues ----------------------------------------------------------------------------- */

/* One item runs, held at the gate, and two are queued. */
static at_task_pool *create_full(at_pool *pool, struct gate *gate, at_task_pool_options options,
                                 struct tally *queued) {
    options.pool_size = 1;
    options.queue_size = 2;
    at_task_pool *workers = create_workers(pool, &options);
    cr_assert_eq(at_task_pool_submit(workers, gate_pass, gate), AT_OK);
    gate_await(gate, 1);
    for (int i = 0; i < 2; i++) {
        at_task_options task = {.run = tally_run, .argument = &queued[i], .drop = tally_drop};
        cr_assert_eq(at_task_pool_submit_with(workers, &task), AT_OK);
    }
    return workers;
}

static at_status submit_tally(at_task_pool *workers, struct tally *tally) {
    at_task_options task = {.run = tally_run, .argument = tally, .drop = tally_drop};
    return at_task_pool_submit_with(workers, &task);
}

static void expect_tally(const struct tally *tally, int runs, int drops) {
    cr_expect_eq(tally_runs(tally), runs);
    cr_expect_eq(tally_drops(tally), drops);
}

/* Rules G4 and S1: each policy, and what becomes of the arguments. */
Test(task_pool, g4_refuse) {
    static const at_status statuses[] = {AT_OK, AT_OK, AT_OK};
    struct gate gate = GATE_CLOSED;
    struct tally tallies[3] = {0};
    at_pool *pool = create_pool(1);
    at_task_pool *workers =
        create_full(pool, &gate, (at_task_pool_options){.when_full = AT_TASK_POOL_REFUSE}, tallies);
    cr_expect_eq(submit_tally(workers, &tallies[2]), AT_ERROR_FULL);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_FULL);
    at_error_clear();
    gate_open(&gate);
    expect_results(workers, statuses, 3);
    expect_tally(&tallies[2], 0, 0);
    cr_expect_eq(destroy_workers(workers).refused, 1);
    destroy_pool(pool);
}

Test(task_pool, g4_run_in_caller) {
    static const at_status statuses[] = {AT_OK, AT_OK, AT_OK, AT_OK};
    struct gate gate = GATE_CLOSED;
    struct tally tallies[3] = {0};
    at_pool *pool = create_pool(1);
    at_task_pool *workers = create_full(
        pool, &gate, (at_task_pool_options){.when_full = AT_TASK_POOL_RUN_IN_CALLER}, tallies);
    cr_expect_eq(submit_tally(workers, &tallies[2]), AT_OK);
    expect_tally(&tallies[2], 1, 0); /* before the others */
    expect_tally(&tallies[0], 0, 0);
    gate_open(&gate);
    expect_results(workers, statuses, 4);
    cr_expect_eq(destroy_workers(workers).succeeded, 4);
    destroy_pool(pool);
}

Test(task_pool, g4_drop_newest) {
    static const at_status statuses[] = {AT_OK, AT_OK, AT_OK, AT_ERROR_DROPPED};
    struct gate gate = GATE_CLOSED;
    struct tally tallies[3] = {0};
    at_pool *pool = create_pool(1);
    at_task_pool *workers = create_full(
        pool, &gate, (at_task_pool_options){.when_full = AT_TASK_POOL_DROP_NEWEST}, tallies);
    cr_expect_eq(submit_tally(workers, &tallies[2]), AT_OK);
    expect_tally(&tallies[2], 0, 1);
    gate_open(&gate);
    expect_results(workers, statuses, 4);
    cr_expect_eq(destroy_workers(workers).dropped, 1);
    destroy_pool(pool);
}

Test(task_pool, g4_drop_oldest) {
    static const at_status statuses[] = {AT_OK, AT_ERROR_DROPPED, AT_OK, AT_OK};
    struct gate gate = GATE_CLOSED;
    struct tally tallies[3] = {0};
    at_pool *pool = create_pool(1);
    at_task_pool *workers = create_full(
        pool, &gate, (at_task_pool_options){.when_full = AT_TASK_POOL_DROP_OLDEST}, tallies);
    cr_expect_eq(submit_tally(workers, &tallies[2]), AT_OK);
    expect_tally(&tallies[0], 0, 1);
    gate_open(&gate);
    expect_results(workers, statuses, 4);
    expect_tally(&tallies[1], 1, 0);
    expect_tally(&tallies[2], 1, 0);
    cr_expect_eq(destroy_workers(workers).dropped, 1);
    destroy_pool(pool);
}

struct recursion {
    at_task_pool *workers;
    int depth;
    at_status status;
};

static void *submit_two_more(void *argument) {
    struct recursion *node = argument;
    for (int i = 1; i <= 2 && node->depth > 0; i++) {
        struct recursion *child = node + (i == 1 ? 1 : 1 << node->depth);
        *child = (struct recursion){node->workers, node->depth - 1, AT_OK};
        node->status = at_task_pool_submit(node->workers, submit_two_more, child);
    }
    return NULL;
}

/* Items that submit to their own full task pool do not wait for themselves. */
Test(task_pool, g4_submit_from_inside_on_a_full_queue) {
    static struct recursion nodes[1 << 11];
    at_outcome *outcomes;
    size_t count;
    at_pool *pool = create_pool(2);
    at_task_pool *workers = create_workers(
        pool, &(at_task_pool_options){.pool_size = 2, .queue_size = AT_NONE, .kept_outcomes = 10});
    nodes[0] = (struct recursion){workers, 10, AT_OK};
    cr_assert_eq(at_task_pool_submit(workers, submit_two_more, &nodes[0]), AT_OK);
    cr_assert_eq(at_task_pool_gather_results(workers, &outcomes, &count), AT_OK);
    cr_expect_eq(count, (1 << 11) - 1);
    at_task_pool_results_release(outcomes, count);
    destroy_workers(workers);
    destroy_pool(pool);
}

static void *wait_for_the_end(void *argument) {
    struct recursion *node = argument;
    at_outcome *outcomes;
    size_t count;
    node->status = at_task_pool_join(node->workers, AT_FOREVER);
    if (at_task_pool_gather_results(node->workers, &outcomes, &count) != AT_ERROR_DEADLOCK)
        node->status = AT_OK;
    return NULL;
}

/* Rule W2: an item that waits for the end of all would wait for itself. */
Test(task_pool, w2_join_from_inside) {
    at_pool *pool = create_pool(1);
    at_task_pool *workers = create_workers(pool, NULL);
    struct recursion node = {workers, 0, AT_OK};
    cr_assert_eq(at_task_pool_submit(workers, wait_for_the_end, &node), AT_OK);
    destroy_workers(workers);
    cr_expect_eq(node.status, AT_ERROR_DEADLOCK);
    destroy_pool(pool);
}

/* -- Time ------------------------------------------------------------------------------------ */

/* Items that have been queued for longer never run; others do. To the nanosecond. */
Test(task_pool, g4_expiry_in_the_queue) {
    static const at_status statuses[] = {AT_OK, AT_OK, AT_ERROR_EXPIRED, AT_OK};
    static const at_duration expiries[] = {AT_SECONDS(2), AT_SECONDS(2) + 1};
    at_clock *clock = bind_virtual_clock();
    for (int i = 0; i < 2; i++) {
        struct tally tally = {0};
        char item;
        at_pool *pool = create_pool(1);
        at_task_pool *workers =
            create_workers(pool, &(at_task_pool_options){.pool_size = 1, .expiry = expiries[i]});
        cr_assert_eq(at_task_pool_submit(workers, sleep_a_second, &item), AT_OK);
        cr_assert_eq(at_task_pool_submit(workers, sleep_a_second, &item), AT_OK);
        cr_assert_eq(submit_tally(workers, &tally), AT_OK);
        cr_assert_eq(at_sleep(AT_MILLISECONDS(500)), AT_OK);
        cr_assert_eq(at_task_pool_submit(workers, give, NULL), AT_OK);
        expect_results(workers, i == 0 ? statuses : (at_status[]){AT_OK, AT_OK, AT_OK, AT_OK}, 4);
        expect_tally(&tally, i, 1 - i);
        cr_expect_eq(destroy_workers(workers).expired, (uint64_t)(1 - i));
        destroy_pool(pool);
    }
    unbind_virtual_clock(clock);
}

/* What has expired makes room on a full queue. */
Test(task_pool, g4_expired_items_make_room) {
    struct tally tally = {0};
    char item;
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    at_task_pool *workers =
        create_workers(pool, &(at_task_pool_options){.pool_size = 1,
                                                     .queue_size = 1,
                                                     .expiry = AT_MILLISECONDS(100),
                                                     .when_full = AT_TASK_POOL_REFUSE});
    cr_assert_eq(at_task_pool_submit(workers, sleep_a_second, &item), AT_OK);
    cr_assert_eq(submit_tally(workers, &tally), AT_OK);
    cr_expect_eq(at_task_pool_submit(workers, give, NULL), AT_ERROR_FULL);
    cr_assert_eq(at_sleep(AT_MILLISECONDS(100)), AT_OK);
    cr_expect_eq(at_task_pool_submit(workers, give, NULL), AT_OK);
    expect_tally(&tally, 0, 1);
    at_error_clear();
    cr_expect_eq(destroy_workers(workers).expired, 2);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

/* A submit that waits for room has that of an item that has expired, at that moment. */
Test(task_pool, g4_expired_items_make_room_for_who_waits) {
    struct tally tallies[3] = {0};
    char item;
    at_clock *clock = bind_virtual_clock();
    int64_t began = at_clock_now(clock);
    at_pool *pool = create_pool(1);
    at_task_pool *workers = create_workers(
        pool,
        &(at_task_pool_options){.pool_size = 1, .queue_size = 1, .expiry = AT_MILLISECONDS(100)});
    cr_assert_eq(at_task_pool_submit(workers, sleep_a_second, &item), AT_OK);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(submit_tally(workers, &tallies[i]), AT_OK);
        cr_expect_eq(at_clock_now(clock) - began, i * AT_MILLISECONDS(100));
    }
    expect_tally(&tallies[0], 0, 1);
    expect_tally(&tallies[1], 0, 1);
    expect_tally(&tallies[2], 0, 0);
    cr_expect_eq(destroy_workers(workers).expired, 3);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

struct late_submit {
    at_task_pool *workers;
    at_duration patience;
    struct tally tally;
    at_status status;
    int64_t over; /* the moment */
};

static void *submit_late(void *argument) {
    struct late_submit *late = argument;
    AT_TIMEOUT(scope, late->patience) {
        late->status = submit_tally(late->workers, &late->tally);
    }
    late->over = at_clock_now(at_clock_current());
    return NULL;
}

static void *sleep_for(void *milliseconds) {
    AT_TRY(at_sleep(AT_MILLISECONDS((intptr_t)milliseconds)));
    return NULL;
}

/* Those behind are let in by later ones, in their order, whatever becomes of who was before them:
 * the first gives up, or gets the place of an item that has run. */
Test(task_pool, g4_expired_items_make_room_for_one_after_the_other) {
    static const intptr_t first_takes[] = {1000, 60};
    static const at_duration overs[][4] = {
        {AT_MILLISECONDS(50), AT_MILLISECONDS(100), AT_MILLISECONDS(200), AT_MILLISECONDS(300)},
        {AT_MILLISECONDS(50), AT_MILLISECONDS(60), AT_MILLISECONDS(160), AT_MILLISECONDS(260)},
    };
    at_clock *clock = bind_virtual_clock();
    for (int round = 0; round < 2; round++) {
        int64_t began = at_clock_now(clock);
        struct late_submit late[4];
        at_future *futures[4];
        at_pool *pool = create_pool(1);
        at_task_pool *workers = create_workers(
            pool, &(at_task_pool_options){
                      .pool_size = 1, .queue_size = 1, .expiry = AT_MILLISECONDS(100)});
        cr_assert_eq(at_task_pool_submit(workers, sleep_for, (void *)first_takes[round]), AT_OK);
        cr_assert_eq(at_task_pool_submit(workers, sleep_for, (void *)1000), AT_OK);
        for (int i = 0; i < 4; i++) {
            late[i] = (struct late_submit){
                workers, i == 0 ? AT_MILLISECONDS(50) : AT_SECONDS(50), {0}, AT_OK, 0};
            futures[i] = at_pool_submit(pool, submit_late, &late[i]);
        }
        for (int i = 0; i < 4; i++) {
            wait_value(futures[i]);
            at_future_release(futures[i]);
            cr_expect_eq(late[i].status, i == 0 ? AT_ERROR_TIMED_OUT : AT_OK);
            cr_expect_eq(late[i].over - began, overs[round][i], "%d: %lld", i,
                         (long long)(late[i].over - began));
        }
        cr_expect_eq(numbers_of(workers).expired, (uint64_t)(round == 0 ? 3 : 2));
        destroy_workers(workers);
        destroy_pool(pool);
    }
    unbind_virtual_clock(clock);
}

/* Rule X2: a submit that waits ends at the deadline of its caller, and keeps the argument. */
Test(task_pool, x2_waits_end_with_the_operation) {
    struct tally tally = {0};
    at_status status = AT_OK;
    char item;
    at_outcome *outcomes = NULL;
    size_t count = 7;
    at_clock *clock = bind_virtual_clock();
    int64_t began = at_clock_now(clock);
    at_pool *pool = create_pool(1);
    at_task_pool *workers =
        create_workers(pool, &(at_task_pool_options){.pool_size = 1, .queue_size = AT_NONE});
    cr_assert_eq(at_task_pool_submit(workers, sleep_a_second, &item), AT_OK);
    AT_TIMEOUT(scope, AT_MILLISECONDS(300)) {
        status = submit_tally(workers, &tally);
    }
    cr_expect_eq(status, AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_clock_now(clock) - began, AT_MILLISECONDS(300));
    AT_TIMEOUT(scope, AT_MILLISECONDS(300)) {
        status = at_task_pool_gather_results(workers, &outcomes, &count);
    }
    cr_expect(status == AT_ERROR_TIMED_OUT && !outcomes && count == 7);
    cr_expect_eq(at_task_pool_join(workers, at_after(AT_MILLISECONDS(300))), AT_ERROR_TIMED_OUT);
    cr_expect_eq(at_clock_now(clock) - began, AT_MILLISECONDS(900));
    at_error_clear();
    destroy_workers(workers);
    expect_tally(&tally, 0, 0);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

/* The items are a part of the operation that created the task pool. */
Test(task_pool, s4_cancelled_with_its_creator) {
    static const at_status statuses[] = {AT_ERROR_CANCELLED, AT_ERROR_CANCELLED};
    struct tally tally = {0};
    char item;
    at_scope scope;
    at_clock *clock = bind_virtual_clock();
    int64_t began = at_clock_now(clock);
    at_pool *pool = create_pool(1);
    at_scope_begin(&scope, NULL);
    at_task_pool *workers = create_workers(pool, &(at_task_pool_options){.pool_size = 1});
    at_token *token = at_token_retain(at_scope_token(&scope));
    (void)at_scope_end(&scope);
    cr_assert_eq(at_task_pool_submit(workers, sleep_a_second, &item), AT_OK);
    cr_assert_eq(submit_tally(workers, &tally), AT_OK);
    cr_assert_eq(at_token_cancel(token), AT_OK);
    cr_expect_eq(at_task_pool_submit(workers, give, NULL), AT_ERROR_CANCELLED);
    expect_results(workers, statuses, 2);
    cr_expect_eq(at_clock_now(clock), began);
    expect_tally(&tally, 0, 1);
    at_token_release(token);
    at_error_clear();
    cr_expect_eq(destroy_workers(workers).cancelled, 2);
    destroy_pool(pool);
    unbind_virtual_clock(clock);
}

/* What is queued, and who waits for room, is told at once, though the item that runs goes on. */
Test(task_pool, x2_cancelled_while_an_item_runs) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_scope scope;
    at_pool *pool = create_pool(2);
    at_scope_begin(&scope, NULL);
    at_task_pool_options options = {.pool_size = 1, .queue_size = 1};
    at_task_pool *workers = create_workers(pool, &options);
    at_token *token = at_token_retain(at_scope_token(&scope));
    (void)at_scope_end(&scope);
    cr_assert_eq(at_task_pool_submit(workers, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    cr_assert_eq(submit_tally(workers, &tally), AT_OK);
    struct submitter submitter = {workers, give, NULL, 1, AT_OK};
    at_future *future = at_pool_submit(pool, submit_several, &submitter);
    while (numbers_of(workers).waiting == 0)
        at_yield();
    cr_assert_eq(at_token_cancel(token), AT_OK);
    expect_tally(&tally, 0, 1);
    wait_value(future);
    cr_expect_eq(submitter.status, AT_ERROR_CANCELLED);
    gate_open(&gate);
    cr_expect_eq(destroy_workers(workers).cancelled, 1);
    at_future_release(future);
    at_token_release(token);
    destroy_pool(pool);
}

/* -- Bad input ------------------------------------------------------------------------------- */

static void expect_invalid(at_pool *pool, at_task_pool_options options, const char *member) {
    at_task_pool *workers = NULL;
    cr_expect_eq(at_task_pool_create(&workers, pool, &options), AT_ERROR_INVALID);
    cr_expect_null(workers);
    cr_expect_not_null(strstr(at_error_text(at_error_last()), member), "%s",
                       at_error_text(at_error_last()));
    at_error_clear();
}

Test(task_pool, bad_input) {
    at_pool *pool = create_pool(1);
    expect_invalid(pool, (at_task_pool_options){.pool_size = -1}, "pool_size");
    expect_invalid(pool, (at_task_pool_options){.pool_size = INT64_MAX}, "pool_size");
    expect_invalid(pool, (at_task_pool_options){.queue_size = -2}, "queue_size");
    expect_invalid(pool, (at_task_pool_options){.when_full = (at_task_pool_policy)5}, "when_full");
    expect_invalid(pool, (at_task_pool_options){.expiry = -1}, "expiry");
    expect_invalid(pool, (at_task_pool_options){.kept_outcomes = -2}, "kept_outcomes");
    expect_invalid(pool, (at_task_pool_options){.reserved = {0, 0, 0, 1}}, "reserved");
    at_task_pool_destroy(NULL);
    at_task_pool_results_release(NULL, 0);
    at_task_pool *workers = create_workers(pool, NULL);
    at_task_options task = {.run = give, .priority = (at_priority)9};
    cr_expect_eq(at_task_pool_submit_with(workers, &task), AT_ERROR_INVALID);
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    cr_expect_eq(at_task_pool_submit(workers, give, NULL), AT_ERROR_CLOSED);
    at_error_clear();
    destroy_workers(workers);
    destroy_pool(pool);
}

static void *submit_inline(void *value, void *workers) {
    (void)value;
    at_status status = at_task_pool_submit(workers, give, NULL);
    at_status joined = at_task_pool_join(workers, AT_FOREVER);
    return (void *)(intptr_t)(status == joined ? status : AT_OK);
}

Test(task_pool, does_not_wait_in_an_inline_continuation) {
    struct gate gate = GATE_CLOSED;
    struct tally tallies[2] = {0};
    at_future *source;
    at_pool *pool = create_pool(2);
    at_promise *promise = create_promise(pool, &source);
    at_task_pool *workers = create_full(pool, &gate, (at_task_pool_options){0}, tallies);
    at_continuation_options options = {.executor = at_executor_inline(), .context = workers};
    at_future *future = at_future_then_with(source, submit_inline, &options);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    cr_expect_eq(wait_value(future), (void *)(intptr_t)AT_ERROR_DEADLOCK);
    gate_open(&gate);
    at_future_release(future);
    at_promise_destroy(promise);
    destroy_workers(workers);
    destroy_pool(pool);
}

/* -- Items that submit ----------------------------------------------------------------------- */

struct chain {
    at_task_pool *workers;
    int left;
};

static void *submit_the_next(void *argument) {
    struct chain *chain = argument;
    if (--chain->left > 0)
        AT_TRY(at_task_pool_submit(chain->workers, submit_the_next, chain));
    return NULL;
}

/* Rule G4: an item never runs the one that it submits, however long the chain is. */
Test(task_pool, items_do_not_run_inside_each_other) {
    at_pool *pool = create_pool(1);
    at_task_pool *workers = create_workers(
        pool, &(at_task_pool_options){
                  .pool_size = 1, .queue_size = AT_NONE, .when_full = AT_TASK_POOL_RUN_IN_CALLER});
    struct chain chain = {.workers = workers, .left = 20000};
    cr_assert_eq(at_task_pool_submit(workers, submit_the_next, &chain), AT_OK);
    cr_assert_eq(at_task_pool_join(workers, AT_FOREVER), AT_OK);
    cr_expect_eq(chain.left, 0);
    destroy_workers(workers);
    destroy_pool(pool);
}
