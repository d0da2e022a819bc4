/* SPDX-License-Identifier: MIT
 *
 * Loops over forks: every turn is made once, values are merged in order, errors and cancellation
 * end a loop (rules L6 and X4), in a task and outside. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include "pool/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

TestSuite(parallel, .timeout = 200);

enum { length = 20000 };

static _Atomic int turns[length];

static void reset_turns(void) {
    for (int i = 0; i < length; i++)
        atomic_store_explicit(&turns[i], 0, memory_order_relaxed);
}

static bool each_made(int count) {
    for (int i = 0; i < length; i++)
        if (atomic_load_explicit(&turns[i], memory_order_relaxed) != (i < count))
            return false;
    return true;
}

static void *make_turn(int64_t index, void *context) {
    atomic_fetch_add_explicit(&turns[index], 1, memory_order_relaxed);
    return context;
}

static void *make_turns(int64_t begin, int64_t end, void *context) {
    for (int64_t index = begin; index < end; index++)
        make_turn(index, context);
    return context;
}

static const int counts[] = {0, 1, 2, 3, 100, 4096, length};

Test(parallel, every_turn_is_made_once) {
    for (int threads = 1; threads <= 4; threads++) {
        at_pool *pool = create_pool(threads);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            reset_turns();
            cr_expect_eq(at_parallel_for(pool, 0, counts[i], make_turn, NULL, NULL), AT_OK);
            cr_expect(each_made(counts[i]));
            reset_turns();
            cr_expect_eq(at_parallel_for_ranges(pool, 0, counts[i], make_turns, NULL, NULL), AT_OK);
            cr_expect(each_made(counts[i]));
        }
        destroy_pool(pool);
    }
}

/* -- Grain -- */

/* What a loop over `begin` to `end` was cut into. */
struct cut {
    int64_t begin, end, grain;
    _Atomic int64_t turns;
};

static void *check_grain(int64_t begin, int64_t end, void *context) {
    struct cut *cut = context;
    int64_t count = end - begin;
    cr_expect_eq((begin - cut->begin) % cut->grain, 0, "cut at a multiple of the grain");
    if (cut->end - cut->begin >= cut->grain)
        cr_expect_geq(count, cut->grain);
    cr_expect_lt(count, 2 * cut->grain);
    if (end != cut->end)
        cr_expect_eq(count, cut->grain, "only the last part is longer");
    cut->turns += count;
    return NULL;
}

Test(parallel, grain_is_the_least_number_of_turns_in_a_row) {
    static const int64_t lengths[] = {1, 99, 100, 101, 199, 200, 201, 1234, length};
    for (int threads = 1; threads <= 3; threads++) {
        at_pool *pool = create_pool(threads);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            struct cut cut = {.begin = -7, .end = lengths[i] - 7, .grain = 100};
            at_parallel_options options = {.grain = cut.grain};
            cr_expect_eq(
                at_parallel_for_ranges(pool, cut.begin, cut.end, check_grain, &cut, &options),
                AT_OK);
            cr_expect_eq(cut.turns, lengths[i]);
        }
        destroy_pool(pool);
    }
}

static void *count_call(int64_t begin, int64_t end, void *calls) {
    atomic_fetch_add((_Atomic int *)calls, 1);
    cr_expect_eq(end - begin, length);
    return NULL;
}

Test(parallel, grain_as_long_as_the_loop) {
    at_pool *pool = create_pool(3);
    _Atomic int calls = 0;
    cr_expect_eq(at_parallel_for_ranges(pool, 0, length, count_call, &calls,
                                        &(at_parallel_options){.grain = INT64_MAX}),
                 AT_OK);
    cr_expect_eq(calls, 1);
    destroy_pool(pool);
}

/* -- Ranges with large numbers -- */

static void *count_turn(int64_t begin, int64_t end, void *count) {
    atomic_fetch_add((_Atomic uint64_t *)count, (uint64_t)end - (uint64_t)begin);
    return NULL;
}

Test(parallel, whole_range_of_numbers) {
    at_pool *pool = create_pool(2);
    _Atomic uint64_t count = 0;
    cr_expect_eq(at_parallel_for_ranges(pool, INT64_MIN, INT64_MAX, count_turn, &count,
                                        &(at_parallel_options){.grain = INT64_MAX / 100}),
                 AT_OK);
    cr_expect_eq(count, UINT64_MAX);
    destroy_pool(pool);
}

/* -- Bad input (H00) -- */

Test(parallel, bad_options) {
    at_pool *pool = create_pool(1);
    cr_expect_eq(at_parallel_for(pool, 1, 0, make_turn, NULL, NULL), AT_ERROR_INVALID);
    cr_expect_eq(at_parallel_for(pool, 0, 1, make_turn, NULL, &(at_parallel_options){.grain = -1}),
                 AT_ERROR_INVALID);
    cr_expect_eq(
        at_parallel_for(pool, 0, 1, make_turn, NULL, &(at_parallel_options){.reserved = {1}}),
        AT_ERROR_INVALID);
    destroy_pool(pool);
}

Test(parallel, closed_pool) {
    at_pool *pool = create_pool(1);
    cr_assert_eq(at_pool_shutdown(pool, AT_FOREVER), AT_OK);
    cr_expect_eq(at_parallel_for(pool, 0, 1, make_turn, NULL, NULL), AT_ERROR_CLOSED);
    at_pool_destroy(pool);
}

/* -- Reducing: texts, whose order matters -- */

struct text {
    size_t size;
    char *bytes; /* owned */
};

static void init_text(void *value, void *context) {
    (void)context;
    *(struct text *)value = (struct text){0};
}

static void append(struct text *text, const char *bytes, size_t size) {
    text->bytes = realloc(text->bytes, text->size + size + 1);
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
}

static void *append_letters(int64_t begin, int64_t end, void *value, void *context) {
    for (int64_t index = begin; index < end; index++)
        append(value, &(char){(char)('a' + index % 26)}, 1);
    return context;
}

static void merge_texts(void *left, void *right, void *context) {
    (void)context;
    struct text *text = right;
    if (text->size > 0)
        append(left, text->bytes, text->size);
    free(text->bytes);
}

static const at_parallel_reduction spell = {
    .size = sizeof(struct text), .init = init_text, .run = append_letters, .merge = merge_texts};

static void expect_alphabet(at_pool *pool, int64_t grain) {
    struct text text;
    at_parallel_reduction with_grain = spell;
    with_grain.grain = grain;
    cr_assert_eq(at_parallel_reduce(pool, 0, length, &with_grain, &text), AT_OK);
    cr_assert_eq(text.size, length);
    for (size_t i = 0; i < length; i++)
        cr_assert_eq(text.bytes[i], (char)('a' + i % 26));
    free(text.bytes);
}

Test(parallel, values_are_merged_in_order) {
    for (int threads = 1; threads <= 4; threads++) {
        at_pool *pool = create_pool(threads);
        expect_alphabet(pool, 0);
        expect_alphabet(pool, 3);
        destroy_pool(pool);
    }
}

/* A value that does not fit on the stack. */
struct sums {
    int64_t of[100];
};

static void init_sums(void *value, void *context) {
    (void)context;
    *(struct sums *)value = (struct sums){0};
}

static void *add_indices(int64_t begin, int64_t end, void *value, void *context) {
    for (int64_t index = begin; index < end; index++)
        ((struct sums *)value)->of[index % 100] += index;
    return context;
}

static void merge_sums(void *left, void *right, void *context) {
    (void)context;
    for (int i = 0; i < 100; i++)
        ((struct sums *)left)->of[i] += ((struct sums *)right)->of[i];
}

Test(parallel, large_values) {
    at_pool *pool = create_pool(3);
    at_parallel_reduction add = {
        .size = sizeof(struct sums), .init = init_sums, .run = add_indices, .merge = merge_sums};
    struct sums sums;
    cr_assert_eq(at_parallel_reduce(pool, 0, length, &add, &sums), AT_OK);
    for (int i = 0; i < 100; i++)
        cr_expect_eq(sums.of[i], (int64_t)(length / 100) * i + 100LL * 199 * 200 / 2);
    cr_assert_eq(at_parallel_reduce(pool, 7, 7, &add, &sums), AT_OK);
    cr_expect_eq(sums.of[7], 0, "the value of an empty range");
    add.grain = -1;
    cr_expect_eq(at_parallel_reduce(pool, 0, 1, &add, &sums), AT_ERROR_INVALID);
    add.grain = 0;
    add.size = 0;
    cr_expect_eq(at_parallel_reduce(pool, 0, 1, &add, &sums), AT_ERROR_INVALID);
    destroy_pool(pool);
}

/* -- Invoking -- */

static void *set(void *flag) {
    atomic_fetch_add((_Atomic int *)flag, 1);
    return NULL;
}

Test(parallel, calls_are_made_once) {
    at_pool *pool = create_pool(2);
    _Atomic int flags[5] = {0};
    at_parallel_call calls[5];
    for (int i = 0; i < 5; i++)
        calls[i] = (at_parallel_call){set, &flags[i]};
    cr_expect_eq(at_parallel_invoke(pool, calls, 5), AT_OK);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(flags[i], 1);
    cr_expect_eq(at_parallel_invoke(pool, NULL, 0), AT_OK);
    destroy_pool(pool);
}

/* -- Nested, and in tasks -- */

static void *nested_turn(int64_t row, void *pool) {
    AT_TRY(at_parallel_for(pool, row * 100, row * 100 + 100, make_turn, NULL, NULL));
    return NULL;
}

static void *nested_task(void *pool) {
    AT_TRY(at_parallel_for(pool, 0, length / 100, nested_turn, pool, NULL));
    return pool;
}

Test(parallel, nested_loops) {
    for (int threads = 1; threads <= 4; threads++) {
        at_pool *pool = create_pool(threads);
        at_pool *other = create_pool(1);
        reset_turns();
        cr_expect_eq(at_parallel_for(pool, 0, length / 100, nested_turn, pool, NULL), AT_OK);
        cr_expect(each_made(length));
        at_pool *homes[2] = {pool, other};
        for (int i = 0; i < 2; i++) {
            reset_turns();
            at_future *future = at_pool_submit(homes[i], nested_task, pool);
            cr_expect_eq(wait_value(future), pool);
            at_future_release(future);
            cr_expect(each_made(length));
        }
        destroy_pool(other);
        destroy_pool(pool);
    }
}

/* -- Errors -- */

static void *fail_at_some(int64_t index, void *made) {
    if (index == 1000 || index == 1500)
        return at_fail(AT_ERROR_IO, "turn %lld", (long long)index);
    atomic_fetch_add((_Atomic int *)made, 1);
    return NULL;
}

static void *fail_silently(int64_t index, void *context) {
    (void)index;
    (void)context;
    return AT_FAILED;
}

Test(parallel, first_failure_ends_the_loop, .description = "L6") {
    for (int threads = 1; threads <= 3; threads++) {
        at_pool *pool = create_pool(threads);
        _Atomic int made = 0;
        cr_expect_eq(at_parallel_for(pool, 0, 100000000, fail_at_some, &made, NULL), AT_ERROR_IO);
        cr_expect_eq(strncmp(at_error_message(at_error_last()), "turn 1", 6), 0);
        cr_expect_lt(made, 90000000);
        at_error_clear();
        cr_expect_eq(at_parallel_for(pool, 0, 10, fail_silently, NULL, NULL), AT_ERROR_FAILED);
        at_error_clear();
        cr_expect_eq(destroy_pool(pool).failed, 0, "the loop has failed, not its task");
    }
}

static void *fail_loop(void *pool) {
    _Atomic int made = 0;
    AT_TRY(at_parallel_for(pool, 0, 100000000, fail_at_some, &made, NULL));
    return NULL;
}

Test(parallel, error_of_a_loop_is_the_error_of_its_task) {
    at_pool *pool = create_pool(2);
    at_future *future = at_pool_submit(pool, fail_loop, pool);
    expect_outcome(future, AT_ERROR_IO);
    at_future_release(future);
    destroy_pool(pool);
}

static void *fail_and_go_on(int64_t index, void *context) {
    (void)index;
    (void)at_fail(AT_ERROR_IO, "overcome");
    return context;
}

/* Rule H0: a loop that fails has an error of its own, and one that does not leaves the slot. */
static void *loop_with_older_error(void *pool) {
    at_status status = at_fail_status(AT_ERROR_TIMED_OUT, "own");
    const at_error *own = at_error_last();
    cr_expect_eq(at_parallel_for(pool, 0, 1000, fail_and_go_on, NULL, NULL), AT_OK);
    cr_expect_eq(at_error_last(), own);
    cr_expect_eq(at_parallel_for(pool, 5, 5, fail_and_go_on, NULL, NULL), AT_OK);
    cr_expect_eq(at_error_last(), own);
    cr_expect_str_eq(at_error_text(at_error_last()), "own");
    cr_expect_eq(at_parallel_for(pool, 0, 10, fail_silently, NULL, NULL), AT_ERROR_FAILED);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_FAILED);
    at_error_clear();
    return status == AT_ERROR_TIMED_OUT ? pool : NULL;
}

Test(parallel, older_error_of_the_caller, .description = "H0, L6") {
    for (int threads = 1; threads <= 3; threads++) {
        at_pool *pool = create_pool(threads);
        at_future *future = at_pool_submit(pool, loop_with_older_error, pool);
        cr_expect_eq(wait_value(future), pool);
        at_future_release(future);
        cr_expect_eq(loop_with_older_error(pool), pool, "and outside");
        destroy_pool(pool);
    }
}

/* -- Where nothing may wait -- */

struct here {
    at_pool *pool;
    pthread_t thread;
    int64_t turns; /* by one thread */
};

static void *turn_here(int64_t index, void *context) {
    (void)index;
    struct here *here = context;
    cr_expect(pthread_equal(pthread_self(), here->thread));
    here->turns++;
    return NULL;
}

static void *loop_inline(void *value, void *context) {
    struct here *here = context;
    here->thread = pthread_self();
    at_status inside = at_pool_current() ? AT_OK : AT_ERROR_DEADLOCK;
    at_parallel_options options = {.grain = 1};
    cr_expect_eq(at_parallel_for(here->pool, 0, length, turn_here, here, &options), inside);
    at_error_clear();
    return value;
}

static void *set_promise(void *promise) {
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    return NULL;
}

Test(parallel, inline_continuation_makes_all_turns) {
    at_pool *pool = create_pool(3);
    for (int inside = 0; inside <= 1; inside++) {
        struct here here = {.pool = pool};
        at_future *source;
        at_promise *promise = create_promise(pool, &source);
        at_continuation_options options = {.context = &here, .executor = at_executor_inline()};
        at_future *then = at_future_then_with(source, loop_inline, &options);
        if (inside)
            cr_assert_eq(at_pool_start(pool, set_promise, promise), AT_OK);
        else
            set_promise(promise);
        wait_value(then);
        cr_expect_eq(here.turns, inside ? length : 0);
        at_future_release(then);
        at_promise_destroy(promise);
    }
    destroy_pool(pool);
}

/* -- Cancellation (X4) -- */

static void *cancel_at_some(int64_t index, void *context) {
    if (index == 100)
        atomic_store(&((ati_context *)context)->cancelled, (uint32_t)-AT_ERROR_CANCELLED);
    return NULL;
}

Test(parallel, cancelled_operation_ends_the_loop, .description = "X4") {
    for (int threads = 1; threads <= 2; threads++) {
        at_pool *pool = create_pool(threads);
        ati_context *context = ati_context_create(NULL, "operation", AT_FOREVER, NULL, 0);
        (void)ati_context_exchange(context);
        cr_expect_eq(at_parallel_for(pool, 0, INT64_MAX, cancel_at_some, context, NULL),
                     AT_ERROR_CANCELLED);
        at_error_clear();
        (void)ati_context_exchange(NULL);
        destroy_pool(pool);
        ati_context_release(context);
    }
}
