/* SPDX-License-Identifier: MIT
 *
 * Rule C3: `all` and `all_settled`. */
#include "support/tasks.h"
#include "support/test.h"

#include <stdlib.h>

TestSuite(future_all, .timeout = 200);

enum { count = 10 };

struct set {
    at_promise *promises[count];
    at_future *futures[count];
    struct tally values[count];
};

static void create_set(at_pool *pool, struct set *set) {
    for (int i = 0; i < count; i++)
        set->promises[i] = create_promise(pool, &set->futures[i]);
}

static void destroy_set(struct set *set) {
    for (int i = 0; i < count; i++)
        at_promise_destroy(set->promises[i]);
}

static void succeed(struct set *set, int i) {
    cr_expect_eq(at_promise_set(set->promises[i], &set->values[i], tally_drop), AT_OK);
}

static void fail(struct set *set, int i, at_status status) {
    at_fail(status, "number %d", i);
    cr_expect_eq(at_promise_fail(set->promises[i], at_error_take()), AT_OK);
}

static void ignore(const at_outcome *outcome, void *context) {
    (void)outcome;
    (void)context;
}

static void expect_drops(struct set *set, int drops) {
    for (int i = 0; i < count; i++)
        cr_expect_eq(tally_drops(&set->values[i]), drops, "%d", i);
}

/* Rule C0: n outcomes in argument order, owned by the result. */
Test(future_all, gives_the_outcomes_in_order) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future *all = at_future_all(set.futures, count);
    for (int i = count - 1; i >= 0; i--) {
        cr_expect_not(at_future_is_done(all));
        succeed(&set, i);
    }
    const at_outcome *outcomes = wait_value(all);
    for (int i = 0; i < count; i++) {
        cr_expect_eq(outcomes[i].status, AT_OK);
        cr_expect_eq(outcomes[i].value, &set.values[i]);
        cr_expect_null(outcomes[i].error);
    }
    destroy_set(&set);
    expect_drops(&set, 0);
    at_future_release(all);
    expect_drops(&set, 1);
    destroy_pool(pool);
}

Test(future_all, of_complete_futures) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    for (int i = 0; i < count; i++)
        succeed(&set, i);
    at_future *all = at_future_all(set.futures, count);
    const at_outcome *outcomes = wait_value(all);
    for (int i = 0; i < count; i++)
        cr_expect_eq(outcomes[i].value, &set.values[i]);
    destroy_set(&set);
    at_future_release(all);
    expect_drops(&set, 1);
    destroy_pool(pool);
}

Test(future_all, of_none_is_success) {
    at_future *all = at_future_all(NULL, 0);
    wait_value(all);
    at_future_release(all);
    all = at_future_all_settled(NULL, 0);
    wait_value(all);
    at_future_release(all);
}

/* Somebody else who wants the outcomes of all of the set. */
static at_future *want_all(struct set *set) {
    for (int i = 0; i < count; i++)
        (void)at_future_retain(set->futures[i]);
    return at_future_all_settled(set->futures, count);
}

/* Rule C3: it completes when every source has, with the first error in time. */
Test(future_all, fails_with_the_first_error_and_the_others) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future *settled = want_all(&set);
    at_future *all = at_future_all(set.futures, count);
    fail(&set, 7, AT_ERROR_IO);
    fail(&set, 2, AT_ERROR_INVALID);
    fail(&set, 5, AT_ERROR_NOT_FOUND);
    for (int i = 0; i < count; i++) {
        cr_expect_not(at_future_is_done(all));
        if (i != 7 && i != 2 && i != 5)
            succeed(&set, i);
    }
    expect_outcome(all, AT_ERROR_IO);
    const at_error *error = at_future_error(all);
    cr_expect_str_eq(at_error_text(error), "number 7");
    cr_assert_eq(at_error_other_count(error), 2);
    cr_expect_str_eq(at_error_text(at_error_other(error, 0)), "number 2");
    cr_expect_str_eq(at_error_text(at_error_other(error, 1)), "number 5");
    destroy_set(&set);
    at_future_release(settled);
    at_future_release(all);
    destroy_pool(pool);
    for (int i = 0; i < count; i++)
        cr_expect_eq(tally_drops(&set.values[i]), i != 7 && i != 2 && i != 5, "%d", i);
}

/* The error of the source is as it was; only the copy in the result has others. */
Test(future_all, leaves_the_errors_of_the_sources_alone) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future *first = at_future_retain(set.futures[0]);
    at_future *settled = want_all(&set);
    at_future *all = at_future_all(set.futures, count);
    for (int i = 0; i < count; i++)
        fail(&set, i, AT_ERROR_IO);
    expect_outcome(all, AT_ERROR_IO);
    cr_expect_eq(at_error_other_count(at_future_error(all)), count - 1);
    expect_outcome(first, AT_ERROR_IO);
    cr_expect_eq(at_error_other_count(at_future_error(first)), 0);
    destroy_set(&set);
    at_future_release(first);
    at_future_release(settled);
    at_future_release(all);
    destroy_pool(pool);
}

/* Rules C3, C4: what nobody else wants is cancelled with the first failure. */
Test(future_all, cancels_the_rest) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future *wanted = at_future_finally(at_future_retain(set.futures[1]), ignore, NULL);
    at_future *all = at_future_all(set.futures, count);
    fail(&set, 0, AT_ERROR_IO);
    cr_expect_not(at_future_is_done(all));
    for (int i = 2; i < count; i++)
        cr_expect_eq(at_promise_set(set.promises[i], &set.values[i], tally_drop), AT_ERROR_ALREADY);
    succeed(&set, 1);
    expect_outcome(all, AT_ERROR_IO);
    cr_expect_eq(at_error_other_count(at_future_error(all)), 0);
    wait_value(wanted);
    at_future_release(wanted);
    at_future_release(all);
    destroy_set(&set);
    destroy_pool(pool);
    for (int i = 1; i < count; i++)
        cr_expect_eq(tally_drops(&set.values[i]), 1, "%d", i);
}

/* Rule C3: a real error comes before a cancellation, whichever was first. */
Test(future_all, prefers_real_errors) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future *settled = want_all(&set);
    at_future *all = at_future_all(set.futures, count);
    fail(&set, 0, AT_ERROR_CANCELLED);
    fail(&set, 1, AT_ERROR_IO);
    for (int i = 2; i < count; i++)
        succeed(&set, i);
    expect_outcome(all, AT_ERROR_IO);
    at_future_release(settled);
    destroy_set(&set);
    at_future_release(all);
    destroy_pool(pool);
}

Test(future_all, is_cancelled_if_there_is_nothing_worse) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future *settled = want_all(&set);
    at_future *all = at_future_all(set.futures, count);
    fail(&set, 4, AT_ERROR_CANCELLED);
    for (int i = 0; i < count; i++)
        if (i != 4)
            succeed(&set, i);
    expect_outcome(all, AT_ERROR_CANCELLED);
    destroy_set(&set);
    at_future_release(settled);
    at_future_release(all);
    destroy_pool(pool);
}

/* One future may be given more than once; each place takes a reference. */
Test(future_all, of_the_same_future) {
    struct tally value = {0};
    at_future *source, *sources[3];
    at_pool *pool = create_pool(2);
    at_promise *promise = create_promise(pool, &source);
    for (int i = 0; i < 3; i++)
        sources[i] = at_future_retain(source);
    at_future *all = at_future_all(sources, 3);
    cr_expect_eq(at_promise_set(promise, &value, tally_drop), AT_OK);
    at_promise_destroy(promise);
    const at_outcome *outcomes = wait_value(all);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(outcomes[i].value, &value);
    at_future_release(all);
    cr_expect_eq(tally_drops(&value), 0);
    at_future_release(source);
    cr_expect_eq(tally_drops(&value), 1);
    destroy_pool(pool);
}

Test(future_all, of_many) {
    enum { many = 20000 };
    static struct tally items[many];
    static at_future *futures[many];
    at_pool *pool = create_pool(4);
    at_pool_submit_many(pool, tally_run, AT_ITEMS(items, many), futures);
    at_future *all = at_future_all(futures, many);
    const at_outcome *outcomes = wait_value(all);
    for (int i = 0; i < many; i++)
        cr_assert_eq(outcomes[i].value, &items[i]);
    at_future_release(all);
    destroy_pool(pool);
}

static void *look_at_outcomes(void *value, void *context) {
    const at_outcome *outcomes = value;
    *(void **)context = outcomes[count - 1].value;
    return NULL;
}

/* The result is a future like any other. */
Test(future_all, continues) {
    struct set set = {0};
    void *seen = NULL;
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future *then = at_future_then(at_future_all(set.futures, count), look_at_outcomes, &seen);
    for (int i = 0; i < count; i++)
        succeed(&set, i);
    wait_value(then);
    cr_expect_eq(seen, &set.values[count - 1]);
    destroy_set(&set);
    at_future_release(then);
    destroy_pool(pool);
    expect_drops(&set, 1);
}

/* Released before it completes, it lets go of everything in the end. */
Test(future_all, released_before_it_completes) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future_release(at_future_all(set.futures, count));
    for (int i = 0; i < count; i++)
        succeed(&set, i);
    destroy_set(&set);
    destroy_pool(pool);
    expect_drops(&set, 1);
}

/* Rule C3: all_settled keeps every outcome and succeeds. */
Test(future_all, settled_keeps_every_outcome) {
    static const at_status statuses[] = {AT_OK, AT_ERROR_IO, AT_ERROR_CANCELLED};
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future *all = at_future_all_settled(set.futures, count);
    for (int i = count - 1; i >= 0; i--) {
        cr_expect_not(at_future_is_done(all));
        if (statuses[i % 3] == AT_OK)
            succeed(&set, i);
        else
            fail(&set, i, statuses[i % 3]);
    }
    const at_outcome *outcomes = wait_value(all);
    for (int i = 0; i < count; i++) {
        cr_expect_eq(outcomes[i].status, statuses[i % 3]);
        cr_expect_eq(outcomes[i].value, statuses[i % 3] == AT_OK ? &set.values[i] : NULL);
        cr_expect_eq(at_error_status(outcomes[i].error), statuses[i % 3]);
    }
    destroy_set(&set);
    at_future_release(all);
    for (int i = 0; i < count; i++)
        cr_expect_eq(tally_drops(&set.values[i]), i % 3 == 0);
    destroy_pool(pool);
}
