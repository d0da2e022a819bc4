/* SPDX-License-Identifier: MIT
 *
 * Rules F4, S1, C0, C3 and S5: every single allocation of submissions, continuations, combinators
 * and promises fails in turn. A call that returns a future never gives NULL, what it took is run or
 * dropped exactly once, and nothing leaks. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <stdint.h>
#include <string.h>

FAULT_INSTALL;

TestSuite(future_fault, .timeout = 200);

/* The pool itself is made without faults: those are the pool's own tests. */
static at_pool *pool;

static int64_t each_fault(void (*run)(void *context), void *context) {
    int64_t faults = 0;
    for (int64_t number = 1; number < 10000; number++) {
        struct fault_usage before = fault_usage();
        pool = create_pool(1);
        fault_arm(fault_memory, number);
        run(context);
        fault_disarm();
        destroy_pool(pool);
        fault_check_leaks(before);
        if (fault_count() == 0)
            return faults;
        faults++;
    }
    cr_assert_fail("the scenario meets a fault for ever");
    return 0;
}

/* Waits for an outcome that is `expected`, or out of memory where a fault has struck. */
static at_status wait_outcome(at_future *future, at_status expected, void **value) {
    cr_assert_not_null(future);
    at_status status = at_future_wait(future, PATIENCE, value);
    cr_assert(status == expected || (status == AT_ERROR_NO_MEMORY && fault_count() > 0), "%s",
              at_status_name(status));
    if (status != AT_OK) {
        cr_assert_eq(at_error_status(at_error_last()), status);
        cr_assert_eq(at_error_status(at_future_error(future)), status);
    }
    return status;
}

static void *give_owned(void *tally) {
    tally_run(tally);
    return at_return(tally, tally_drop);
}

static void *fail_plainly(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "on purpose");
}

/* A task that owns its argument counts either a run, after which the argument is its value, or a
 * drop; so there is one drop in the end either way. */
static at_future *submit_owned(struct tally *tally) {
    at_task_options options = {
        .run = give_owned, .argument = tally, .drop = tally_drop, .name = "owned"};
    return at_pool_submit_with(pool, &options);
}

static void finish_pool(void) {
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
}

/* -- Submitting ------------------------------------------------------------------------------ */

static void submit_some(void *unused) {
    (void)unused;
    struct tally tallies[10] = {0};
    at_future *futures[10];
    for (int i = 0; i < 10; i++) {
        futures[i] = at_pool_submit(pool, tally_run, &tallies[i]);
        cr_assert_not_null(futures[i]);
    }
    for (int i = 0; i < 10; i++) {
        void *value = NULL;
        bool ran = wait_outcome(futures[i], AT_OK, &value) == AT_OK;
        cr_assert_eq(tally_runs(&tallies[i]), ran);
        cr_assert_eq(value, ran ? &tallies[i] : NULL);
        at_future_release(futures[i]);
    }
    finish_pool();
}

Test(future_fault, memory_in_submit) {
    cr_expect_geq(each_fault(submit_some, NULL), 10);
}

static void submit_with_some(void *unused) {
    (void)unused;
    struct tally tallies[10] = {0};
    at_future *futures[10];
    bool ran[10];
    for (int i = 0; i < 10; i++)
        futures[i] = submit_owned(&tallies[i]);
    for (int i = 0; i < 10; i++) {
        ran[i] = wait_outcome(futures[i], AT_OK, NULL) == AT_OK;
        if (!ran[i])
            cr_assert_eq(tally_drops(&tallies[i]), 1, "dropped before the return");
        at_future_release(futures[i]);
    }
    finish_pool();
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(tally_runs(&tallies[i]), ran[i]);
        cr_assert_eq(tally_drops(&tallies[i]), 1);
    }
}

Test(future_fault, memory_in_submit_with) {
    cr_expect_geq(each_fault(submit_with_some, NULL), 10);
}

/* Each of many stands for itself. */
static void submit_many_some(void *unused) {
    (void)unused;
    static struct tally tallies[200];
    static at_future *futures[200];
    memset(tallies, 0, sizeof tallies);
    at_pool_submit_many(pool, tally_run, AT_ITEMS(tallies, 200), futures);
    int failed = 0;
    for (int i = 0; i < 200; i++) {
        bool ran = wait_outcome(futures[i], AT_OK, NULL) == AT_OK;
        cr_assert_eq(tally_runs(&tallies[i]), ran);
        failed += !ran;
        at_future_release(futures[i]);
    }
    cr_assert_leq(failed, 1);
    finish_pool();
}

Test(future_fault, memory_in_submit_many) {
    cr_expect_geq(each_fault(submit_many_some, NULL), 200);
}

/* Failures keep their status; without memory their text is that of the status. */
static void fail_some(void *unused) {
    (void)unused;
    for (int i = 0; i < 3; i++) {
        at_task_options options = {.run = fail_plainly, .name = "named"};
        at_future *future = at_pool_submit_with(pool, &options);
        if (wait_outcome(future, AT_ERROR_IO, NULL) == AT_ERROR_IO)
            cr_assert_str_not_empty(at_error_message(at_future_error(future)));
        at_future_release(future);
    }
    finish_pool();
}

Test(future_fault, memory_in_failures) {
    cr_expect_geq(each_fault(fail_some, NULL), 6);
}

/* -- Continuations --------------------------------------------------------------------------- */

struct step {
    struct tally tally; /* runs of the function and drops of the context */
    struct tally value; /* of the source */
    bool source_fails;
};

static void *run_then(void *value, void *context) {
    struct step *step = context;
    tally_run(&step->tally);
    return value == &step->value ? at_return(step, NULL)
                                 : at_fail(AT_ERROR_INVALID, "another value");
}

static void *run_recover(const at_error *error, void *context) {
    struct step *step = context;
    tally_run(&step->tally);
    return error ? at_return(step, NULL) : at_fail(AT_ERROR_INVALID, "no error");
}

static void run_finally(const at_outcome *outcome, void *context) {
    (void)outcome;
    struct step *step = context;
    tally_run(&step->tally);
}

static void drop_step(void *context) {
    tally_drop(&((struct step *)context)->tally);
}

enum kind { kind_then, kind_recover, kind_finally };

static at_future *attach(enum kind kind, at_future *source, struct step *step) {
    at_continuation_options options = {.context = step, .drop = drop_step, .name = "step"};
    switch (kind) {
    case kind_then:
        return at_future_then_with(source, run_then, &options);
    case kind_recover:
        return at_future_recover_with(source, run_recover, &options);
    default:
        return at_future_finally_with(source, run_finally, &options);
    }
}

/* What a step on a source that succeeds, or fails, ends as, and whether its function runs. */
static at_status expected_of(enum kind kind, bool source_fails) {
    return source_fails && kind != kind_recover ? AT_ERROR_IO : AT_OK;
}

static bool runs_on(enum kind kind, bool source_fails) {
    return kind == kind_finally || (kind == kind_then) != source_fails;
}

static void continue_some(void *kind_argument) {
    enum kind kind = (enum kind)(intptr_t)kind_argument;
    struct step steps[6] = {0};
    at_status statuses[6];
    bool accepted[6];
    for (int i = 0; i < 6; i++) {
        bool fails = i % 2;
        at_future *source =
            fails ? at_pool_submit(pool, fail_plainly, NULL) : submit_owned(&steps[i].value);
        at_future *kept = at_future_retain(source);
        at_future *future = attach(kind, source, &steps[i]);
        statuses[i] = wait_outcome(future, expected_of(kind, fails), NULL);
        accepted[i] = wait_outcome(kept, fails ? AT_ERROR_IO : AT_OK, NULL) != AT_ERROR_NO_MEMORY;
        at_future_release(future);
        at_future_release(kept);
    }
    finish_pool();
    for (int i = 0; i < 6; i++) {
        bool ran = accepted[i] && statuses[i] != AT_ERROR_NO_MEMORY && runs_on(kind, i % 2);
        cr_assert_eq(tally_drops(&steps[i].tally), 1, "the context is dropped once");
        cr_assert_leq(tally_runs(&steps[i].tally), 1);
        if (ran)
            cr_assert_eq(tally_runs(&steps[i].tally), 1);
        if (i % 2 == 0)
            cr_assert_eq(tally_drops(&steps[i].value), 1, "the value is dropped once");
    }
}

Test(future_fault, memory_in_then) {
    cr_expect_geq(each_fault(continue_some, (void *)kind_then), 12);
}

Test(future_fault, memory_in_recover) {
    cr_expect_geq(each_fault(continue_some, (void *)kind_recover), 12);
}

Test(future_fault, memory_in_finally) {
    cr_expect_geq(each_fault(continue_some, (void *)kind_finally), 12);
}

/* A registration that cannot be made: not run, context dropped, the source let go. */
Test(future_fault, no_memory_for_a_registration) {
    for (enum kind kind = kind_then; kind <= kind_finally; kind++) {
        struct step step = {0};
        struct fault_usage before = fault_usage();
        at_future *source;
        pool = create_pool(1);
        at_promise *promise = create_promise(pool, &source);
        fault_arm_from(fault_memory, 1);
        at_future *future = attach(kind, source, &step);
        cr_assert_not_null(future);
        cr_expect_eq(tally_drops(&step.tally), 1);
        cr_expect(at_future_is_done(future));
        cr_expect_eq(at_future_wait(future, 0, NULL), AT_ERROR_NO_MEMORY);
        cr_expect_eq(at_future_retain(future), future);
        at_future_release(future);
        at_future_ignore(future);
        at_future_release(future);
        cr_expect_eq(at_promise_set(promise, &step.value, tally_drop), AT_OK);
        at_promise_destroy(promise);
        cr_expect_eq(tally_drops(&step.value), 1);
        cr_expect_eq(tally_runs(&step.tally), 0);
        fault_disarm();
        destroy_pool(pool);
        fault_check_leaks(before);
    }
}

/* Futures of no memory are futures: they may be continued, combined and waited for. */
Test(future_fault, out_of_memory_all_the_way) {
    struct step steps[4] = {0};
    struct tally argument = {0};
    struct fault_usage before = fault_usage();
    pool = create_pool(1);
    fault_arm_from(fault_memory, 1);
    at_future *future = submit_owned(&argument);
    for (int i = 0; i < 4; i++)
        future = attach((enum kind)(i % 3), future, &steps[i]);
    at_future *pair[2] = {future, submit_owned(&argument)};
    future = at_future_all(pair, 2);
    cr_expect_eq(at_future_wait(future, PATIENCE, NULL), AT_ERROR_NO_MEMORY);
    pair[0] = future;
    pair[1] = at_future_retain(future);
    future = at_future_any(pair, 2);
    cr_expect_eq(at_future_wait(future, PATIENCE, NULL), AT_ERROR_NO_MEMORY);
    pair[0] = future;
    pair[1] = at_future_retain(future);
    future = at_future_first(pair, 2);
    cr_expect_eq(at_future_wait(future, PATIENCE, NULL), AT_ERROR_NO_MEMORY);
    at_future_release(future);
    fault_disarm();
    cr_expect_eq(destroy_pool(pool).accepted, 0);
    cr_expect_eq(tally_drops(&argument), 2);
    for (int i = 0; i < 4; i++)
        cr_expect_eq(tally_drops(&steps[i].tally), 1);
    fault_check_leaks(before);
}

static void *recover_anyhow(const at_error *error, void *tally) {
    return at_error_status(error) == AT_ERROR_NO_MEMORY ? tally_run(tally) : NULL;
}

/* Memory comes back before the continuation: it runs if it names an executor, since the source that
 * found no memory belongs to no pool. */
Test(future_fault, recovering_from_no_memory) {
    struct tally recovered = {0};
    struct tally argument = {0};
    struct fault_usage before = fault_usage();
    pool = create_pool(1);
    fault_arm_from(fault_memory, 1);
    at_future *future = submit_owned(&argument);
    fault_disarm();
    future = at_future_recover_with(
        future, recover_anyhow,
        &(at_continuation_options){.executor = at_pool_executor(pool), .context = &recovered});
    cr_expect_eq(wait_value(future), &recovered);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&recovered), 1);
    fault_check_leaks(before);
}

static void chain_some(void *unused) {
    (void)unused;
    struct step steps[6] = {0};
    struct tally argument = {0};
    at_future *future = submit_owned(&argument);
    for (int i = 0; i < 6; i++)
        future = attach(kind_finally, future, &steps[i]);
    wait_outcome(future, AT_OK, NULL);
    at_future_release(future);
    finish_pool();
    cr_assert_eq(tally_drops(&argument), 1);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(tally_drops(&steps[i].tally), 1);
}

Test(future_fault, memory_in_chains) {
    cr_expect_geq(each_fault(chain_some, NULL), 7);
}

static void *give_next(void *tally) {
    return at_return_future(submit_owned(tally));
}

static void continue_with_another(void *unused) {
    (void)unused;
    struct tally tally = {0};
    at_future *future = at_pool_submit(pool, give_next, &tally);
    bool ran = wait_outcome(future, AT_OK, NULL) == AT_OK;
    at_future_release(future);
    finish_pool();
    cr_assert(tally_drops(&tally) == 1 || !ran);
    cr_assert_leq(tally_drops(&tally), 1);
}

Test(future_fault, memory_in_return_future) {
    cr_expect_geq(each_fault(continue_with_another, NULL), 2);
}

/* -- Combinators ----------------------------------------------------------------------------- */

typedef at_future *(*combine_fn)(at_future *const *sources, size_t count);

struct combination {
    combine_fn combine;
    at_status expected; /* when sources fail */
};

static void combine_some(void *argument) {
    const struct combination *combination = argument;
    struct tally all_tallies[3][4] = {0};
    for (int failing = 0; failing <= 4; failing += 2) {
        struct tally *tallies = all_tallies[failing / 2];
        at_future *sources[4];
        for (int i = 0; i < 4; i++)
            sources[i] =
                i < failing ? at_pool_submit(pool, fail_plainly, NULL) : submit_owned(&tallies[i]);
        at_future *future = combination->combine(sources, 4);
        cr_assert_not_null(future);
        at_status status = at_future_wait(future, PATIENCE, NULL);
        cr_assert(status == AT_OK || status == AT_ERROR_IO ||
                      (status == AT_ERROR_NO_MEMORY && fault_count() > 0),
                  "%s", at_status_name(status));
        if (fault_count() == 0 && failing == 0)
            cr_assert_eq(status, AT_OK);
        if (fault_count() == 0 && failing == 4)
            cr_assert_eq(status, combination->expected);
        at_future_release(future);
    }
    finish_pool();
    for (int failing = 0; failing <= 4; failing += 2)
        for (int i = failing; i < 4; i++)
            cr_assert_eq(tally_drops(&all_tallies[failing / 2][i]), 1);
}

Test(future_fault, memory_in_all) {
    struct combination combination = {at_future_all, AT_ERROR_IO};
    cr_expect_geq(each_fault(combine_some, &combination), 15);
}

Test(future_fault, memory_in_all_settled) {
    struct combination combination = {at_future_all_settled, AT_OK};
    cr_expect_geq(each_fault(combine_some, &combination), 15);
}

Test(future_fault, memory_in_any) {
    struct combination combination = {at_future_any, AT_ERROR_IO};
    cr_expect_geq(each_fault(combine_some, &combination), 15);
}

Test(future_fault, memory_in_first) {
    struct combination combination = {at_future_first, AT_ERROR_IO};
    cr_expect_geq(each_fault(combine_some, &combination), 15);
}

/* Rule S1: a combinator without memory lets go of all its sources. */
Test(future_fault, combinators_take_their_sources) {
    static const combine_fn functions[] = {at_future_all, at_future_all_settled, at_future_any,
                                           at_future_first};
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
        struct tally values[3] = {0};
        at_promise *promises[3];
        at_future *sources[3];
        struct fault_usage before = fault_usage();
        pool = create_pool(1);
        for (int i = 0; i < 3; i++)
            promises[i] = create_promise(pool, &sources[i]);
        fault_arm_from(fault_memory, 1);
        at_future *future = functions[f](sources, 3);
        cr_assert_not_null(future);
        cr_expect_eq(at_future_wait(future, 0, NULL), AT_ERROR_NO_MEMORY);
        at_future_release(future);
        fault_disarm();
        for (int i = 0; i < 3; i++) {
            cr_expect_eq(at_promise_set(promises[i], &values[i], tally_drop), AT_OK);
            at_promise_destroy(promises[i]);
            cr_expect_eq(tally_drops(&values[i]), 1);
        }
        destroy_pool(pool);
        fault_check_leaks(before);
    }
}

/* -- Promises -------------------------------------------------------------------------------- */

static void promise_some(void *unused) {
    (void)unused;
    for (int way = 0; way < 4; way++) {
        struct tally value = {0}, late = {0};
        at_promise *promise = NULL;
        at_status status = at_promise_create(&promise, at_pool_executor(pool));
        if (status != AT_OK) {
            cr_assert_eq(status, AT_ERROR_NO_MEMORY);
            cr_assert_null(promise);
            continue;
        }
        at_future *future = at_promise_future(promise);
        if (way == 0)
            cr_assert_eq(at_promise_set(promise, &value, tally_drop), AT_OK);
        at_fail(AT_ERROR_IO, "on purpose");
        if (way == 1)
            cr_assert_eq(at_promise_fail(promise, at_error_take()), AT_OK);
        if (way == 2)
            cr_assert_eq(at_promise_fail(promise, NULL), AT_OK);
        if (way < 3) {
            cr_assert_eq(at_promise_set(promise, &late, tally_drop), AT_ERROR_ALREADY);
            cr_assert_eq(tally_drops(&late), 1);
        }
        at_promise_destroy(promise);
        static const at_status expected[] = {AT_OK, AT_ERROR_IO, AT_ERROR_FAILED,
                                             AT_ERROR_ABANDONED};
        cr_assert_eq(at_future_wait(future, 0, NULL), expected[way]);
        at_future_release(future);
        cr_assert_eq(tally_drops(&value), way == 0);
    }
    finish_pool();
}

/* An outcome needs no memory. */
Test(future_fault, memory_in_promises) {
    cr_expect_geq(each_fault(promise_some, NULL), 8);
}
