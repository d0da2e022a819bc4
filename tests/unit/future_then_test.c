/* SPDX-License-Identifier: MIT
 *
 * Rules C0, C1 and C2: continuations on success. */
#include "support/tasks.h"
#include "support/test.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

TestSuite(future_then, .timeout = 200);

static void *give(void *argument) {
    return argument;
}

static void *fail_plainly(void *unused) {
    (void)unused;
    return at_fail(AT_ERROR_IO, "on purpose");
}

struct numbers {
    int value;
    int added;
    int result;
};

static void *add(void *value, void *context) {
    struct numbers *numbers = context;
    numbers->result = *(int *)value + numbers->added;
    return &numbers->result;
}

/* Rule C0: the value, then the context; what it gives is the value of the new future. */
Test(future_then, continues_with_value_and_context) {
    struct numbers numbers = {.value = 40, .added = 2};
    at_pool *pool = create_pool(2);
    at_future *sum = at_future_then(at_pool_submit(pool, give, &numbers.value), add, &numbers);
    cr_expect_eq(*(int *)wait_value(sum), 42);
    at_future_release(sum);
    destroy_pool(pool);
}

static void *add_one(void *value, void *context) {
    (void)context;
    return (char *)value + 1;
}

Test(future_then, chains) {
    static char values[101];
    at_pool *pool = create_pool(2);
    at_future *future = at_pool_submit(pool, give, values);
    for (int i = 0; i < 100; i++)
        future = at_future_then(future, add_one, NULL);
    cr_expect_eq(wait_value(future), values + 100);
    at_future_release(future);
    destroy_pool(pool);
}

static void *count_call(void *value, void *context) {
    tally_run(context);
    return value;
}

/* Rule C0: on error it is not called, and the same error object passes on. */
Test(future_then, errors_pass_by) {
    struct tally tally = {0};
    at_pool *pool = create_pool(2);
    at_future *source = at_pool_submit(pool, fail_plainly, NULL);
    at_future *derived = at_future_then(at_future_retain(source), count_call, &tally);
    derived = at_future_then(derived, count_call, &tally);
    expect_outcome(derived, AT_ERROR_IO);
    expect_outcome(source, AT_ERROR_IO);
    cr_expect_eq(at_future_error(derived), at_future_error(source));
    cr_expect_eq(tally_runs(&tally), 0);
    at_future_release(source);
    at_future_release(derived);
    destroy_pool(pool);
}

static at_error *make_error(at_status status) {
    at_fail(status, "made for a test");
    return at_error_take();
}

/* Rule C0: nor on cancellation. */
Test(future_then, cancellations_pass_by) {
    struct tally tally = {0};
    at_future *source;
    at_pool *pool = create_pool(2);
    at_promise *promise = create_promise(pool, &source);
    at_future *derived = at_future_then(source, count_call, &tally);
    cr_expect_eq(at_promise_fail(promise, make_error(AT_ERROR_CANCELLED)), AT_OK);
    expect_outcome(derived, AT_ERROR_CANCELLED);
    cr_expect_eq(tally_runs(&tally), 0);
    at_promise_destroy(promise);
    at_future_release(derived);
    destroy_pool(pool);
}

static char reason[] = "no good";

static void *fail_then(void *value, void *context) {
    (void)value;
    return at_fail(AT_ERROR_INVALID, "%s", (char *)context);
}

/* Rules H0, F2: its own failure, named after the function. */
Test(future_then, may_fail) {
    at_pool *pool = create_pool(2);
    at_future *future = at_future_then(at_pool_submit(pool, give, NULL), fail_then, reason);
    expect_outcome(future, AT_ERROR_INVALID);
    cr_expect_str_eq(at_error_text(at_future_error(future)), "no good");
    cr_expect_str_eq(at_error_task(at_future_error(future)), "fail_then");
    cr_expect_eq(strncmp(at_error_started_at(at_future_error(future)), "future_then_test.c:", 19),
                 0);
    at_future_release(future);
    char name[] = "parse";
    at_continuation_options options = {.name = name, .context = reason};
    future = at_future_then_with(at_pool_submit(pool, give, NULL), fail_then, &options);
    memset(name, 'x', sizeof name - 1);
    memset(&options, 0xff, sizeof options);
    expect_outcome(future, AT_ERROR_INVALID);
    cr_expect_str_eq(at_error_task(at_future_error(future)), "parse");
    at_future_release(future);
    destroy_pool(pool);
}

Test(future_then, options_may_be_null) {
    static char values[2];
    at_pool *pool = create_pool(1);
    at_future *future = at_future_then_with(at_pool_submit(pool, give, values), add_one, NULL);
    cr_expect_eq(wait_value(future), values + 1);
    at_future_release(future);
    destroy_pool(pool);
}

/* -- Ownership ------------------------------------------------------------------------------- */

/* Rule C0: the context is dropped once, after the function has run. */
Test(future_then, context_is_dropped_after_the_run) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    at_continuation_options options = {.context = &tally, .drop = tally_drop};
    at_future *future = at_future_then_with(at_pool_submit(pool, give, NULL), count_call, &options);
    wait_value(future);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 1);
    cr_expect_eq(tally_drops(&tally), 1);
}

/* Rule C0: and also when it never runs. */
Test(future_then, context_is_dropped_without_a_run) {
    struct tally tally = {0};
    at_pool *pool = create_pool(1);
    at_continuation_options options = {.context = &tally, .drop = tally_drop};
    at_future *future =
        at_future_then_with(at_pool_submit(pool, fail_plainly, NULL), count_call, &options);
    expect_outcome(future, AT_ERROR_IO);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 0);
    cr_expect_eq(tally_drops(&tally), 1);
}

/* Rules S1, H00: what cannot be done drops what it took. */
Test(future_then, bad_options) {
    struct tally context = {0}, value = {0};
    at_future *source;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &source);
    at_continuation_options options = {.context = &context, .drop = tally_drop};
    options.reserved[3] = 1;
    at_future *future = at_future_then_with(source, count_call, &options);
    cr_assert_not_null(future);
    cr_expect_eq(tally_drops(&context), 1);
    expect_outcome(future, AT_ERROR_INVALID);
    cr_expect_not_null(strstr(at_error_text(at_future_error(future)), "reserved"));
    at_future_release(future);
    cr_expect_eq(at_promise_set(promise, &value, tally_drop), AT_OK);
    at_promise_destroy(promise);
    cr_expect_eq(tally_drops(&value), 1); /* no reference of the source was left */
    cr_expect_eq(tally_runs(&context), 0);
    destroy_pool(pool);
}

static void *give_owned(void *tally) {
    return at_return(tally, tally_drop);
}

static void *look_at_drops(void *value, void *context) {
    *(int *)context = tally_drops(value);
    return NULL;
}

/* Rule C0: the value of the source is borrowed for the call and dropped after it, once. */
Test(future_then, value_of_the_source_is_dropped_after_the_run) {
    struct tally tally = {0};
    int drops_at_run = -1;
    at_pool *pool = create_pool(2);
    at_future *future =
        at_future_then(at_pool_submit(pool, give_owned, &tally), look_at_drops, &drops_at_run);
    wait_value(future);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(drops_at_run, 0);
    cr_expect_eq(tally_drops(&tally), 1);
}

struct taking {
    at_status status;
    at_drop_fn drop;
};

static void *take_value(void *value, void *context) {
    struct taking *taking = context;
    taking->status = at_value_take(&taking->drop);
    return taking->status == AT_OK ? at_return(value, taking->drop) : value;
}

/* Rule C0: the only consumer may move the value out. */
Test(future_then, take_by_the_only_consumer) {
    struct tally tally = {0};
    struct taking taking = {0};
    struct gate gate = GATE_CLOSED;
    at_future *source;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &source);
    at_future *future = at_future_then(source, take_value, &taking);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    cr_expect_eq(at_promise_set(promise, &tally, tally_drop), AT_OK);
    at_promise_destroy(promise); /* could give one more reference until now */
    gate_open(&gate);
    cr_expect_eq(wait_value(future), &tally);
    cr_expect_eq(taking.status, AT_OK);
    cr_expect_eq(taking.drop, tally_drop);
    cr_expect_eq(tally_drops(&tally), 0);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&tally), 1);
}

/* Rule C0: others can see it: AT_ERROR_SHARED, it stays borrowed. */
Test(future_then, take_of_a_shared_value) {
    struct tally tally = {0};
    struct taking taking = {0};
    at_pool *pool = create_pool(2);
    at_future *source = at_pool_submit(pool, give_owned, &tally);
    at_future *future = at_future_then(at_future_retain(source), take_value, &taking);
    wait_value(future);
    cr_expect_eq(taking.status, AT_ERROR_SHARED);
    cr_expect_null(taking.drop);
    cr_expect_eq(wait_value(source), &tally);
    at_future_release(future);
    cr_expect_eq(tally_drops(&tally), 0);
    at_future_release(source);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&tally), 1);
}

static void *take_twice(void *value, void *context) {
    at_status *statuses = context;
    at_drop_fn drop = NULL;
    statuses[0] = at_value_take(&drop);
    statuses[1] = at_value_take(NULL);
    if (drop)
        drop(value);
    return NULL;
}

Test(future_then, take_is_once) {
    struct tally tally = {0};
    at_status statuses[2] = {AT_OK, AT_OK};
    at_future *source;
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &source);
    at_future *future = at_future_then(source, take_twice, statuses);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    cr_expect_eq(at_promise_set(promise, &tally, tally_drop), AT_OK);
    at_promise_destroy(promise);
    gate_open(&gate);
    wait_value(future);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(statuses[0], AT_OK);
    cr_expect_neq(statuses[1], AT_OK);
    cr_expect_eq(tally_drops(&tally), 1);
}

static void *take_in_a_task(void *status) {
    *(at_status *)status = at_value_take(NULL);
    return NULL;
}

/* There is nothing to take outside the function of a `then`. */
Test(future_then, take_elsewhere_is_invalid) {
    at_status status = AT_OK;
    cr_expect_eq(at_value_take(NULL), AT_ERROR_INVALID);
    at_pool *pool = create_pool(1);
    at_future *future = at_pool_submit(pool, take_in_a_task, &status);
    wait_value(future);
    cr_expect_eq(status, AT_ERROR_INVALID);
    at_future_release(future);
    destroy_pool(pool);
}

/* -- Where and when it runs ------------------------------------------------------------------ */

struct place {
    pthread_t thread;
    at_pool *pool;
};

static void *tell_place(void *value, void *context) {
    struct place *place = context;
    place->thread = pthread_self();
    place->pool = at_pool_current();
    return value;
}

/* Rule C1: never inside the call that completes or attaches, even if complete. */
Test(future_then, runs_on_the_pool_of_its_source) {
    struct place place[2];
    at_future *source;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &source);
    at_future *first = at_future_then(at_future_retain(source), tell_place, &place[0]);
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_future *second = at_future_then(source, tell_place, &place[1]);
    wait_value(first);
    wait_value(second);
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(place[i].pool, pool);
        cr_expect_not(pthread_equal(place[i].thread, pthread_self()));
    }
    at_promise_destroy(promise);
    at_future_release(first);
    at_future_release(second);
    destroy_pool(pool);
}

/* Rule C1: another executor by option. */
Test(future_then, runs_on_the_executor_of_its_options) {
    struct place place = {0};
    at_pool *pool = create_pool(1), *other = create_pool(1);
    at_continuation_options options = {.executor = at_pool_executor(other), .context = &place};
    at_future *future = at_future_then_with(at_pool_submit(pool, give, NULL), tell_place, &options);
    wait_value(future);
    cr_expect_eq(place.pool, other);
    future = at_future_then(future, tell_place, &place);
    wait_value(future);
    at_future_release(future);
    destroy_pool(pool);
    destroy_pool(other);
}

/* Rule C1: inline is opt-in: on the thread that completes, or that attaches to what is complete. */
Test(future_then, runs_inline_where_asked_to) {
    struct place place[2] = {0};
    at_future *source;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &source);
    at_continuation_options options = {.executor = at_executor_inline(), .context = &place[0]};
    at_future *first = at_future_then_with(at_future_retain(source), tell_place, &options);
    cr_expect_not(at_future_is_done(first));
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    cr_expect(at_future_is_done(first));
    cr_expect(pthread_equal(place[0].thread, pthread_self()));
    options.context = &place[1];
    at_future *second = at_future_then_with(source, tell_place, &options);
    cr_expect(at_future_is_done(second));
    cr_expect(pthread_equal(place[1].thread, pthread_self()));
    at_promise_destroy(promise);
    at_future_release(first);
    at_future_release(second);
    destroy_pool(pool);
}

static int depth, deepest, inline_runs;
static at_future *attach_inline(at_future *source, at_then_fn run, void *context);

static void *nest(void *value, void *context) {
    inline_runs++;
    depth++;
    deepest = depth > deepest ? depth : deepest;
    if (*(int *)context > 0) {
        --*(int *)context;
        at_promise *promise;
        if (at_promise_create(&promise, at_executor_inline()) != AT_OK)
            abort();
        at_future_release(attach_inline(at_promise_future(promise), nest, context));
        if (at_promise_set(promise, NULL, NULL) != AT_OK)
            abort();
        at_promise_destroy(promise);
    }
    depth--;
    return value;
}

static at_future *attach_inline(at_future *source, at_then_fn run, void *context) {
    at_continuation_options options = {.executor = at_executor_inline(), .context = context};
    return at_future_then_with(source, run, &options);
}

/* Rule C1: nesting is bounded, then queued; all have run when the outermost has returned. */
Test(future_then, inline_nesting_is_bounded) {
    int left = 10000;
    at_promise *promise;
    cr_assert_eq(at_promise_create(&promise, at_executor_inline()), AT_OK);
    at_future *future = attach_inline(at_promise_future(promise), nest, &left);
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    cr_expect_eq(left, 0);
    cr_expect_eq(inline_runs, 10001);
    cr_expect_leq(deepest, 17);
    cr_expect(at_future_is_done(future));
    at_future_release(future);
}

/* Rule C1: a chain of inline links as well. */
Test(future_then, inline_chains_are_bounded) {
    static char values[100001];
    at_promise *promise;
    cr_assert_eq(at_promise_create(&promise, at_executor_inline()), AT_OK);
    at_future *future = at_promise_future(promise);
    for (int i = 0; i < 100000; i++)
        future = at_future_then(future, add_one, NULL);
    cr_expect_eq(at_promise_set(promise, values, NULL), AT_OK);
    at_promise_destroy(promise);
    cr_expect_eq(wait_value(future), values + 100000);
    at_future_release(future);
}

struct order {
    _Atomic int next;
    int seen[200];
};

static struct order order;

static void *note_order(void *value, void *context) {
    order.seen[atomic_fetch_add(&order.next, 1)] = (int)(intptr_t)context;
    return value;
}

static void expect_order(int count) {
    cr_expect_eq(order.next, count);
    for (int i = 0; i < count; i++)
        cr_expect_eq(order.seen[i], i, "place %d", i);
}

/* Rule C2: same future and executor: in attach order. */
Test(future_then, run_in_attach_order) {
    at_future *source, *futures[200];
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &source);
    for (int i = 0; i < 100; i++)
        futures[i] = at_future_then(at_future_retain(source), note_order, (void *)(intptr_t)i);
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    for (int i = 100; i < 200; i++)
        futures[i] = at_future_then(at_future_retain(source), note_order, (void *)(intptr_t)i);
    for (int i = 0; i < 200; i++) {
        wait_value(futures[i]);
        at_future_release(futures[i]);
    }
    expect_order(200);
    at_promise_destroy(promise);
    at_future_release(source);
    destroy_pool(pool);
}

/* Rule C2: inline too. */
Test(future_then, run_inline_in_attach_order) {
    at_promise *promise;
    cr_assert_eq(at_promise_create(&promise, at_executor_inline()), AT_OK);
    at_future *source = at_promise_future(promise);
    for (int i = 0; i < 100; i++)
        at_future_release(
            at_future_then(at_future_retain(source), note_order, (void *)(intptr_t)i));
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    expect_order(100);
    at_promise_destroy(promise);
    at_future_release(source);
}

/* Rule C1: a released result does not take the continuation back. */
Test(future_then, runs_though_nobody_keeps_the_result) {
    struct tally tally = {0};
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 100; i++)
        at_future_release(at_future_then(at_pool_submit(pool, give, NULL), count_call, &tally));
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 100);
}

/* -- Continuing with another future ---------------------------------------------------------- */

static void *give_next(void *next) {
    return at_return_future(next);
}

/* Rule C0: `return at_return_future(next)`, before and after `next` is complete. */
Test(future_then, continues_with_another_future) {
    struct tally values[2] = {0};
    at_clock *clock = bind_virtual_clock();
    at_pool *pool = create_pool(1);
    for (int i = 0; i < 2; i++) {
        at_future *next;
        at_promise *promise = create_promise(pool, &next);
        if (i == 0)
            cr_expect_eq(at_promise_set(promise, &values[i], tally_drop), AT_OK);
        at_future *future = at_pool_submit(pool, give_next, next);
        if (i == 1) {
            /* Until nothing is left to happen. */
            cr_expect_eq(at_future_wait(future, at_after(1), NULL), AT_ERROR_TIMED_OUT);
            cr_expect_eq(at_promise_set(promise, &values[i], tally_drop), AT_OK);
        }
        cr_expect_eq(wait_value(future), &values[i]);
        cr_expect_eq(tally_drops(&values[i]), 0);
        at_promise_destroy(promise);
        at_future_release(future);
    }
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&values[0]), 1);
    cr_expect_eq(tally_drops(&values[1]), 1);
    unbind_virtual_clock(clock);
}

static void *then_give_next(void *value, void *next) {
    (void)value;
    return at_return_future(next);
}

/* Rule C0: its error and its cancellation too, the same error object. */
Test(future_then, continues_with_another_failure) {
    static const at_status statuses[] = {AT_ERROR_IO, AT_ERROR_CANCELLED};
    at_pool *pool = create_pool(1);
    for (int i = 0; i < 2; i++) {
        at_future *next;
        at_promise *promise = create_promise(pool, &next);
        at_future *kept = at_future_retain(next);
        at_future *future = at_future_then(at_pool_submit(pool, give, NULL), then_give_next, next);
        cr_expect_eq(at_promise_fail(promise, make_error(statuses[i])), AT_OK);
        expect_outcome(future, statuses[i]);
        cr_expect_eq(at_future_error(future), at_future_error(kept));
        at_promise_destroy(promise);
        at_future_release(kept);
        at_future_release(future);
    }
    destroy_pool(pool);
}

/* A task that continues with what follows its own future: `links` continuations behind it, or the
 * future itself. */
struct circle {
    struct gate gate;
    at_future *self;
    int links;
};

static void *close_circle(void *argument) {
    struct circle *circle = argument;
    gate_pass(&circle->gate); /* until its future is known */
    at_future *next = at_future_retain(circle->self);
    for (int i = 0; i < circle->links; i++)
        next = at_future_then(next, count_call, NULL);
    return at_return_future(next);
}

/* Rule W2: what would wait for itself fails at once. */
Test(future_then, continuing_in_a_circle_is_a_deadlock) {
    at_pool *pool = create_pool(1);
    for (int links = 0; links <= 4; links++) {
        struct circle circle = {GATE_CLOSED, NULL, links};
        circle.self = at_pool_submit(pool, close_circle, &circle);
        gate_open(&circle.gate);
        expect_outcome(circle.self, AT_ERROR_DEADLOCK);
        at_future_release(circle.self);
    }
    destroy_pool(pool);
}

/* Rule W2: the same from one task to another and back. */
Test(future_then, continuing_with_each_other_is_a_deadlock) {
    at_pool *pool = create_pool(1);
    struct circle circle = {GATE_CLOSED, NULL, 0};
    at_future *first = at_pool_submit(pool, close_circle, &circle);
    circle.self = at_pool_submit(pool, give_next, at_future_retain(first));
    gate_open(&circle.gate);
    expect_outcome(circle.self, AT_ERROR_DEADLOCK);
    expect_outcome(first, AT_ERROR_DEADLOCK);
    at_future_release(first);
    at_future_release(circle.self);
    destroy_pool(pool);
}

static void *descend(void *value, void *context) {
    int *left = context;
    if (*left == 0)
        return value;
    --*left;
    at_future *source = at_pool_submit(at_pool_current(), give, value);
    return at_return_future(at_future_then(source, descend, context));
}

/* A loop that is written so, with as many rounds as one likes. */
Test(future_then, continues_with_another_future_again_and_again) {
    int value, left = 10000;
    at_pool *pool = create_pool(2);
    at_future *future = at_future_then(at_pool_submit(pool, give, &value), descend, &left);
    cr_expect_eq(wait_value(future), &value);
    cr_expect_eq(left, 0);
    at_future_release(future);
    destroy_pool(pool);
}

/* Rule C0: the only consumer may take, however soon it runs after its source has completed. */
Test(future_then, take_right_behind_the_source) {
    enum { rounds = 5000 };
    static struct tally values[rounds];
    int shared = 0;
    at_pool *pool = create_pool(4);
    for (int i = 0; i < rounds; i++) {
        struct taking taking = {0};
        at_future *future =
            at_future_then(at_pool_submit(pool, give_owned, &values[i]), take_value, &taking);
        wait_value(future);
        shared += taking.status != AT_OK;
        at_future_release(future);
    }
    destroy_pool(pool);
    cr_expect_eq(shared, 0, "%d of %d", shared, (int)rounds);
    for (int i = 0; i < rounds; i++)
        cr_assert_eq(tally_drops(&values[i]), 1);
}

/* Rule C0: nor does it matter that it runs inline, where its source completes. */
Test(future_then, take_inline) {
    struct tally tally = {0};
    struct taking taking = {0};
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(1);
    at_continuation_options options = {.executor = at_executor_inline(), .context = &taking};
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    at_future *source = at_pool_submit(pool, give_owned, &tally);
    at_future *future = at_future_then_with(source, take_value, &options);
    gate_open(&gate);
    wait_value(future);
    cr_expect_eq(taking.status, AT_OK);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_drops(&tally), 1);
}

static void run_in_order_behind_a_task(int count) {
    struct gate gate = GATE_CLOSED;
    at_future *futures[200];
    at_pool *pool = create_pool(1);
    at_future *source = at_pool_submit(pool, gate_pass, &gate);
    gate_await(&gate, 1);
    order.next = 0;
    for (int i = 0; i < count; i++)
        futures[i] = at_future_then(at_future_retain(source), note_order, (void *)(intptr_t)i);
    gate_open(&gate);
    for (int i = 0; i < count; i++) {
        wait_value(futures[i]);
        at_future_release(futures[i]);
    }
    expect_order(count);
    at_future_release(source);
    destroy_pool(pool);
}

/* Rule C2: also where a worker completes the source, whose deque they go onto. */
Test(future_then, run_in_attach_order_behind_a_task) {
    run_in_order_behind_a_task(10);
    run_in_order_behind_a_task(200);
}

static void *recover_with_context(const at_error *error, void *context) {
    (void)error;
    return context;
}

static void count_finally(const at_outcome *outcome, void *context) {
    (void)outcome;
    tally_run(context);
}

/* The macros take options that are written in place, commas and all. */
Test(future_then, options_may_be_compound_literals) {
    static struct tally tally;
    at_pool *pool = create_pool(1);
    cr_expect_eq(at_pool_start_with(pool, &(at_task_options){.run = tally_run, .argument = &tally}),
                 AT_OK);
    at_future *future =
        at_pool_submit_with(pool, &(at_task_options){.run = fail_plainly, .argument = &tally});
    future =
        at_future_recover_with(future, recover_with_context,
                               &(at_continuation_options){.context = &tally, .name = "mended"});
    future = at_future_then_with(future, count_call,
                                 &(at_continuation_options){.context = &tally, .name = "counted"});
    future = at_future_finally_with(future, count_finally,
                                    &(at_continuation_options){.context = &tally, .name = "told"});
    cr_expect_eq(wait_value(future), &tally);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 3);
}
