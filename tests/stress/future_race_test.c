/* SPDX-License-Identifier: MIT
 *
 * Rules F1, C0, C2 and C3 under more threads than cores: one outcome, each continuation once, each
 * value dropped once, and nothing left on a long-lived future. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <pthread.h>
#include <stdint.h>

FAULT_INSTALL;

TestSuite(future_race_stress, .timeout = 200);

enum { racer_count = 6 };

/* Runs `run` on so many threads, which begin together. */
struct race {
    pthread_barrier_t begin;
    void *(*run)(struct race *race, int number);
    void *subject;
    struct racer {
        struct race *race;
        int number;
        pthread_t thread;
        void *result;
    } racers[racer_count];
};

static void *begin_race(void *argument) {
    struct racer *racer = argument;
    pthread_barrier_wait(&racer->race->begin);
    return racer->race->run(racer->race, racer->number);
}

static void run_race(struct race *race) {
    pthread_barrier_init(&race->begin, NULL, racer_count);
    for (int i = 0; i < racer_count; i++) {
        race->racers[i].race = race;
        race->racers[i].number = i;
        cr_assert_eq(pthread_create(&race->racers[i].thread, NULL, begin_race, &race->racers[i]),
                     0);
    }
    for (int i = 0; i < racer_count; i++)
        pthread_join(race->racers[i].thread, &race->racers[i].result);
    pthread_barrier_destroy(&race->begin);
}

/* -- One outcome ------------------------------------------------------------------------------ */

struct outcomes {
    at_promise *promise;
    struct tally values[racer_count];
};

static void *set_or_fail(struct race *race, int number) {
    struct outcomes *outcomes = race->subject;
    if (number % 3 == 2) {
        at_fail(AT_ERROR_IO, "%d", number);
        return (void *)(intptr_t)at_promise_fail(outcomes->promise, at_error_take());
    }
    return (void *)(intptr_t)at_promise_set(outcomes->promise, &outcomes->values[number],
                                            tally_drop);
}

/* Rule F1: one of many wins; the losers' values are dropped. */
Test(future_race_stress, one_outcome_wins) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(1);
    for (int round = 0; round < 500; round++) {
        struct outcomes outcomes = {0};
        struct race race = {.run = set_or_fail, .subject = &outcomes};
        at_future *future;
        outcomes.promise = create_promise(pool, &future);
        run_race(&race);
        int winner = -1;
        for (int i = 0; i < racer_count; i++) {
            at_status status = (at_status)(intptr_t)race.racers[i].result;
            cr_assert(status == AT_OK || status == AT_ERROR_ALREADY);
            cr_assert(status != AT_OK || winner < 0, "two winners");
            if (status == AT_OK)
                winner = i;
        }
        cr_assert_geq(winner, 0);
        void *value = NULL;
        at_status status = at_future_wait(future, 0, &value);
        cr_assert_eq(status, winner % 3 == 2 ? AT_ERROR_IO : AT_OK);
        cr_assert(status != AT_OK || value == &outcomes.values[winner]);
        at_promise_destroy(outcomes.promise);
        at_future_release(future);
        for (int i = 0; i < racer_count; i++)
            cr_assert_eq(tally_drops(&outcomes.values[i]), i % 3 != 2);
    }
    destroy_pool(pool);
    fault_check_leaks(before);
}

/* -- Attaching while it completes -------------------------------------------------------------- */

struct attaching {
    at_promise *promise;
    at_future *source;
    struct tally value;
    struct tally contexts[racer_count];
    at_future *derived[racer_count];
};

static void *count_then(void *value, void *context) {
    tally_run(context);
    return value;
}

static void *attach_or_set(struct race *race, int number) {
    struct attaching *attaching = race->subject;
    if (number == 0)
        return (void *)(intptr_t)at_promise_set(attaching->promise, &attaching->value, tally_drop);
    at_continuation_options options = {
        .context = &attaching->contexts[number],
        .drop = tally_drop,
        .executor = number % 2 ? NULL : at_executor_inline(),
    };
    attaching->derived[number] =
        at_future_then_with(at_future_retain(attaching->source), count_then, &options);
    return NULL;
}

/* Rule C1: attached before, while or after: it runs once. */
Test(future_race_stress, attaching_while_it_completes) {
    enum { rounds = 500 };
    static struct attaching all[rounds]; /* values are dropped until the pool has ended */
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(2);
    for (int round = 0; round < rounds; round++) {
        struct attaching *attaching = &all[round];
        struct race race = {.run = attach_or_set, .subject = attaching};
        attaching->promise = create_promise(pool, &attaching->source);
        run_race(&race);
        cr_assert_null(race.racers[0].result);
        for (int i = 1; i < racer_count; i++) {
            cr_assert_eq(wait_value(attaching->derived[i]), &attaching->value);
            at_future_release(attaching->derived[i]);
        }
        at_promise_destroy(attaching->promise);
        at_future_release(attaching->source);
    }
    destroy_pool(pool);
    for (int round = 0; round < rounds; round++) {
        cr_assert_eq(tally_drops(&all[round].value), 1);
        for (int i = 1; i < racer_count; i++) {
            cr_assert_eq(tally_runs(&all[round].contexts[i]), 1);
            cr_assert_eq(tally_drops(&all[round].contexts[i]), 1);
        }
    }
    fault_check_leaks(before);
}

/* -- Combinators ------------------------------------------------------------------------------ */

struct combination {
    at_promise *promises[racer_count];
    at_future *futures[racer_count];
    struct tally values[racer_count];
    bool some_fail;
};

static void *complete_own(struct race *race, int number) {
    struct combination *combination = race->subject;
    at_promise *promise = combination->promises[number];
    at_status status;
    if (combination->some_fail && number % 2) {
        at_fail(AT_ERROR_IO, "%d", number);
        status = at_promise_fail(promise, at_error_take());
    } else {
        status = at_promise_set(promise, &combination->values[number], tally_drop);
    }
    at_promise_destroy(promise);
    return (void *)(intptr_t)status;
}

typedef at_future *(*combine_fn)(at_future *const *sources, size_t count);

/* Completes all sources at once and gives the result. */
static at_future *race_combination(at_pool *pool, struct combination *combination,
                                   combine_fn combine) {
    struct race race = {.run = complete_own, .subject = combination};
    for (int i = 0; i < racer_count; i++)
        combination->promises[i] = create_promise(pool, &combination->futures[i]);
    at_future *future = combine(combination->futures, racer_count);
    run_race(&race);
    for (int i = 0; i < racer_count; i++) {
        at_status status = (at_status)(intptr_t)race.racers[i].result;
        bool may_be_late = combine == at_future_all && combination->some_fail;
        cr_assert(status == AT_OK || (may_be_late && status == AT_ERROR_ALREADY));
    }
    return future;
}

static void expect_drops(const struct combination *combination) {
    for (int i = 0; i < racer_count; i++)
        cr_assert_eq(tally_drops(&combination->values[i]), !(combination->some_fail && i % 2));
}

/* Rule C3: all. */
Test(future_race_stress, all_at_once) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(1);
    for (int round = 0; round < 500; round++) {
        struct combination combination = {.some_fail = round % 2};
        at_future *all = race_combination(pool, &combination, at_future_all);
        expect_outcome(all, round % 2 ? AT_ERROR_IO : AT_OK);
        if (round % 2) /* the others may have been cancelled */
            cr_assert_lt(at_error_other_count(at_future_error(all)), racer_count / 2);
        at_future_release(all);
        expect_drops(&combination);
    }
    destroy_pool(pool);
    fault_check_leaks(before);
}

/* Rule C3: any and first. */
Test(future_race_stress, any_and_first_at_once) {
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(1);
    for (int round = 0; round < 1000; round++) {
        struct combination combination = {.some_fail = round % 2};
        bool any = round / 2 % 2;
        at_future *future =
            race_combination(pool, &combination, any ? at_future_any : at_future_first);
        void *value = NULL;
        at_status status = at_future_wait(future, PATIENCE, &value);
        if (status == AT_OK) {
            const at_winner *winner = value;
            cr_assert_lt(winner->index, racer_count);
            cr_assert_eq(winner->value, &combination.values[winner->index]);
        } else {
            cr_assert_eq(status, AT_ERROR_IO);
            cr_assert(combination.some_fail && !any);
        }
        at_future_release(future);
        expect_drops(&combination);
    }
    destroy_pool(pool);
    fault_check_leaks(before);
}

/* Rule C2: racing one long-lived future again and again leaves nothing on it. */
Test(future_race_stress, a_long_lived_future_collects_nothing) {
    enum { rounds = 100000 };
    at_future *forever;
    at_promise *never = NULL;
    cr_assert_eq(at_promise_create(&never, at_executor_inline()), AT_OK);
    forever = at_promise_future(never);
    struct fault_usage before = fault_usage();
    for (int round = 0; round < rounds; round++) {
        at_promise *promise;
        cr_assert_eq(at_promise_create(&promise, at_executor_inline()), AT_OK);
        at_future *sources[2] = {at_future_retain(forever), at_promise_future(promise)};
        at_future *first = round % 2 ? at_future_first(sources, 2) : at_future_any(sources, 2);
        cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
        at_promise_destroy(promise);
        const at_winner *winner = wait_value(first);
        cr_assert_eq(winner->index, 1);
        at_future_release(first);
    }
    struct fault_usage after = fault_usage();
    cr_expect_leq(after.blocks, before.blocks + 10, "%lld blocks are left of %d rounds",
                  (long long)(after.blocks - before.blocks), (int)rounds);
    at_promise_destroy(never);
    at_future_release(forever);
    fault_check_leaks((struct fault_usage){0});
}

/* -- References ------------------------------------------------------------------------------- */

static void *retain_and_release(struct race *race, int number) {
    at_future *future = race->subject;
    intptr_t failures = 0;
    for (int i = 0; i < 200; i++) {
        at_future *mine = at_future_retain(future);
        void *value = NULL;
        failures += at_future_wait(mine, PATIENCE, &value) != AT_OK || value == NULL;
        at_future_release(mine);
    }
    (void)number;
    at_future_release(future);
    return (void *)failures;
}

static void *give_owned(void *tally) {
    return at_return(tally, tally_drop);
}

/* Rule C0: the value is dropped once, by whoever is last. */
Test(future_race_stress, references) {
    struct fault_usage before = fault_usage();
    static struct tally values[200];
    at_pool *pool = create_pool(2);
    for (int round = 0; round < 200; round++) {
        at_future *future = at_pool_submit(pool, give_owned, &values[round]);
        for (int i = 0; i < racer_count; i++)
            at_future_retain(future);
        struct race race = {.run = retain_and_release, .subject = future};
        at_future_release(future);
        run_race(&race);
        for (int i = 0; i < racer_count; i++)
            cr_assert_null(race.racers[i].result);
    }
    destroy_pool(pool);
    for (int round = 0; round < 200; round++)
        cr_assert_eq(tally_drops(&values[round]), 1);
    fault_check_leaks(before);
}

struct taken {
    at_status status;
    at_drop_fn drop;
};

static void *take_value(void *value, void *context) {
    struct taken *taken = context;
    taken->status = at_value_take(&taken->drop);
    return taken->status == AT_OK ? at_return(value, taken->drop) : value;
}

/* Rule C0: two consumers of one value: it is taken by one of them at most, and dropped once. */
Test(future_race_stress, two_takers) {
    enum { rounds = 5000 };
    static struct tally values[rounds];
    struct fault_usage before = fault_usage();
    at_pool *pool = create_pool(4);
    for (int round = 0; round < rounds; round++) {
        struct taken taken[2] = {0};
        at_future *source = at_pool_submit(pool, give_owned, &values[round]);
        at_future *first = at_future_then(at_future_retain(source), take_value, &taken[0]);
        at_future *second = at_future_then(source, take_value, &taken[1]);
        wait_value(first);
        wait_value(second);
        cr_assert(taken[0].status != AT_OK || taken[1].status != AT_OK);
        at_future_release(first);
        at_future_release(second);
    }
    destroy_pool(pool);
    for (int round = 0; round < rounds; round++)
        cr_assert_eq(tally_drops(&values[round]), 1);
    fault_check_leaks(before);
}
