/* SPDX-License-Identifier: MIT
 *
 * Rule C3: `any` is the first success, `first` the first completion; ties go to the lower index. */
#include "support/tasks.h"
#include "support/test.h"

TestSuite(future_any, .timeout = 200);

enum { count = 5 };

struct set {
    at_promise *promises[count];
    at_future *futures[count];
    struct tally values[count];
};

static void create_set(at_pool *pool, struct set *set) {
    for (int i = 0; i < count; i++)
        set->promises[i] = create_promise(pool, &set->futures[i]);
}

static void succeed(struct set *set, int i) {
    cr_expect_eq(at_promise_set(set->promises[i], &set->values[i], tally_drop), AT_OK);
}

static void fail(struct set *set, int i, at_status status) {
    at_fail(status, "number %d", i);
    cr_expect_eq(at_promise_fail(set->promises[i], at_error_take()), AT_OK);
}

static void expect_winner(struct set *set, at_future *future, size_t index) {
    const at_winner *winner = wait_value(future);
    cr_assert_not_null(winner);
    cr_expect_eq(winner->index, index);
    cr_expect_eq(winner->value, &set->values[index]);
    cr_expect_eq(tally_drops(&set->values[index]), 0);
}

/* Completes the rest with values, ends everything, and looks whether each value was dropped. */
static void finish(at_pool *pool, struct set *set, at_future *future, const char *completed) {
    for (int i = 0; i < count; i++)
        if (completed[i] == '.')
            succeed(set, i);
    for (int i = 0; i < count; i++)
        at_promise_destroy(set->promises[i]);
    at_future_release(future);
    destroy_pool(pool);
    for (int i = 0; i < count; i++)
        cr_expect_eq(tally_drops(&set->values[i]), completed[i] != 'f', "%d", i);
}

/* Rule C3: at once with the first success; failures before it are passed over. */
Test(future_any, first_success_wins) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future *any = at_future_any(set.futures, count);
    fail(&set, 1, AT_ERROR_IO);
    fail(&set, 2, AT_ERROR_CANCELLED);
    cr_expect_not(at_future_is_done(any));
    succeed(&set, 3);
    expect_winner(&set, any, 3);
    finish(pool, &set, any, ".ffs.");
}

/* Rule C3: ties by index. */
Test(future_any, ties_go_to_the_lower_index) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    fail(&set, 0, AT_ERROR_IO);
    for (int i = count - 1; i > 0; i--)
        succeed(&set, i);
    at_future *any = at_future_any(set.futures, count);
    expect_winner(&set, any, 1);
    finish(pool, &set, any, "fssss");
}

/* Rule C3: none succeeds: the first failure, the others attached. */
Test(future_any, fails_when_all_have) {
    static const int order[count] = {3, 1, 4, 0, 2};
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future *any = at_future_any(set.futures, count);
    for (int i = 0; i < count; i++) {
        cr_expect_not(at_future_is_done(any));
        fail(&set, order[i], AT_ERROR_IO);
    }
    expect_outcome(any, AT_ERROR_IO);
    const at_error *error = at_future_error(any);
    cr_expect_str_eq(at_error_text(error), "number 3");
    cr_assert_eq(at_error_other_count(error), count - 1);
    int seen = 0;
    for (size_t i = 0; i < count - 1; i++)
        seen |= 1 << (at_error_text(at_error_other(error, i))[7] - '0');
    cr_expect_eq(seen, (1 << 0) + (1 << 1) + (1 << 2) + (1 << 4));
    finish(pool, &set, any, "fffff");
}

/* Rule H00: nothing can win. */
Test(future_any, of_none_is_invalid) {
    at_future *any = at_future_any(NULL, 0);
    expect_outcome(any, AT_ERROR_INVALID);
    at_future_release(any);
    any = at_future_first(NULL, 0);
    expect_outcome(any, AT_ERROR_INVALID);
    at_future_release(any);
}

/* Rule C3: at once with the first completion, a success. */
Test(future_any, first_completion_may_be_a_success) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future *first = at_future_first(set.futures, count);
    cr_expect_not(at_future_is_done(first));
    succeed(&set, 2);
    expect_winner(&set, first, 2);
    finish(pool, &set, first, "..s..");
}

/* Rule C3: or a failure. */
Test(future_any, first_completion_may_be_a_failure) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future *kept = at_future_retain(set.futures[4]);
    at_future *first = at_future_first(set.futures, count);
    fail(&set, 4, AT_ERROR_NOT_FOUND);
    expect_outcome(first, AT_ERROR_NOT_FOUND);
    cr_expect_str_eq(at_error_text(at_future_error(first)), "number 4");
    at_future_release(kept);
    finish(pool, &set, first, "....f");
}

Test(future_any, first_completion_may_be_a_cancellation) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future *first = at_future_first(set.futures, count);
    fail(&set, 4, AT_ERROR_CANCELLED);
    expect_outcome(first, AT_ERROR_CANCELLED);
    finish(pool, &set, first, "....f");
}

Test(future_any, ties_of_completions_go_to_the_lower_index) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    for (int i = count - 1; i > 0; i--)
        succeed(&set, i);
    at_future *first = at_future_first(set.futures, count);
    expect_winner(&set, first, 1);
    finish(pool, &set, first, ".ssss");
}

/* The losers run on. */
Test(future_any, losers_run_on) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_pool *pool = create_pool(2);
    at_future *futures[2] = {at_pool_submit(pool, gate_pass, &gate),
                             at_pool_submit(pool, tally_run, &tally)};
    at_future *any = at_future_any(futures, 2);
    const at_winner *winner = wait_value(any);
    cr_expect_eq(winner->index, 1);
    gate_open(&gate);
    at_future_release(any);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.failed, 0);
    cr_expect_eq(gate.entered, 1);
}

/* Others may hold a source too; the value is dropped by whoever is last. */
Test(future_any, sources_may_be_shared) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future *kept = at_future_retain(set.futures[0]);
    at_future *any = at_future_any(set.futures, count);
    succeed(&set, 0);
    expect_winner(&set, any, 0);
    cr_expect_eq(wait_value(kept), &set.values[0]);
    at_future_release(kept);
    cr_expect_eq(tally_drops(&set.values[0]), 0);
    finish(pool, &set, any, "s....");
}

/* Released before anything has happened, it lets go of everything in the end. */
Test(future_any, released_before_it_completes) {
    struct set set = {0};
    at_pool *pool = create_pool(2);
    create_set(pool, &set);
    at_future_release(at_future_any(set.futures, count));
    finish(pool, &set, NULL, ".....");
}
