/* SPDX-License-Identifier: MIT */
/* Loops over forks. A span of a loop is worked off in chunks; before each chunk, if this worker has
 * no fork left that others could take, the second half of what remains is forked. So a loop is cut
 * as often as somebody takes a part of it, and some more: as many times as its length has binary
 * digits.
 *
 * Source: A. Tzannes, G. Caragea, R. Barua, U. Vishkin, "Lazy Binary-Splitting: A Run-Time Adaptive
 * Work-Stealing Scheduler", PPoPP 2010. */
#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/frame.h"
#include "base/memory.h"
#include "pool/cancel.h"
#include "pool/exception.h"
#include "pool/pool.h"

#include <asynctools/parallel.h>
#include <asynctools/sleep.h>

/* A chunk of automatic size takes about as long: short enough for those who wait for a turn, long
 * enough for the clock and at_check not to matter. */
static const at_duration chunk_time_min = AT_MICROSECONDS(4);
static const at_duration chunk_time_max = AT_MICROSECONDS(16);

enum {
    chunks_per_worker = 8, /* of the whole loop, at least, if it has as many turns */
    value_room = 64,       /* bytes of a value that need no allocation */
};

struct loop {
    const char *call; /* the public one */
    void *(*run)(const struct loop *loop, int64_t begin, int64_t end, void *value);
    union {
        at_index_fn index;
        at_range_fn range;
        const at_parallel_call *calls;
        const at_parallel_reduction *reduction;
    } of;
    void *context;
    bool may_not_fork;  /* because it may not wait for a join */
    uint64_t grain;     /* 0: automatic */
    uint64_t chunk_max; /* of automatic chunks */
    _Atomic bool stopped;
    at_error *error; /* of whoever stopped it; read when all have ended */
};

struct span {
    struct loop *loop;
    int64_t begin;
    int64_t end;
    uint64_t chunk; /* turns to begin with */
    void *value;    /* of a reduction */
};

static void *run_span(void *argument);

/* -- Turns -- */

static void *run_indices(const struct loop *loop, int64_t begin, int64_t end, void *value) {
    (void)value;
    for (int64_t index = begin; index < end; index++)
        if (loop->of.index(index, loop->context) == AT_FAILED)
            return AT_FAILED;
    return NULL;
}

static void *run_range(const struct loop *loop, int64_t begin, int64_t end, void *value) {
    (void)value;
    return loop->of.range(begin, end, loop->context);
}

static void *run_calls(const struct loop *loop, int64_t begin, int64_t end, void *value) {
    (void)value;
    for (int64_t index = begin; index < end; index++)
        if (loop->of.calls[index].run(loop->of.calls[index].argument) == AT_FAILED)
            return AT_FAILED;
    return NULL;
}

static void *run_reduction(const struct loop *loop, int64_t begin, int64_t end, void *value) {
    return loop->of.reduction->run(begin, end, value, loop->context);
}

/* No further chunk is begun; the first error is the loop's. */
static void stop(struct loop *loop) {
    ati_frame *frame = ati_frame_current();
    at_error *error = NULL;
    if (frame->in_flight)
        error = at_error_take();
    if (!error)
        error = ati_error_create(AT_SITE("at_parallel"), NULL, AT_ERROR_FAILED,
                                 "returned AT_FAILED without saying why");
    /* Relaxed: the error is read after the joins. */
    if (atomic_exchange_explicit(&loop->stopped, true, memory_order_relaxed))
        at_error_release(error);
    else
        loop->error = error;
}

static bool is_stopped(struct loop *loop) {
    return atomic_load_explicit(&loop->stopped, memory_order_relaxed);
}

static void run_chunk(struct loop *loop, int64_t begin, int64_t end, void *value) {
    at_status status = at_error_put_in_flight(at_check());
    ATI_STOP_EXCEPTIONS;
    if (status != AT_OK || loop->run(loop, begin, end, value) == AT_FAILED)
        stop(loop);
}

/* -- Spans -- */

static uint64_t count_turns(int64_t begin, int64_t end) {
    return (uint64_t)end - (uint64_t)begin;
}

/* `elapsed` is all the time that passed, also while a turn or at_check was suspended: then the next
 * chunks are shorter than need be, and grow again. */
static uint64_t next_chunk(const struct loop *loop, uint64_t chunk, int64_t elapsed) {
    if (loop->grain != 0)
        return chunk;
    if (elapsed > chunk_time_max && chunk > 1)
        return chunk / 2;
    if (elapsed < chunk_time_min && chunk < loop->chunk_max)
        return chunk * 2;
    return chunk;
}

/* Where the second half begins: with a grain, a multiple of it from the begin. */
static int64_t middle_of(const struct span *whole) {
    uint64_t half = count_turns(whole->begin, whole->end) / 2;
    if (whole->loop->grain != 0)
        half -= half % whole->loop->grain;
    return (int64_t)((uint64_t)whole->begin + half);
}

/* Forks the second half and works off the first. */
static void run_halves(const struct span *whole) {
    int64_t middle = middle_of(whole);
    struct span left = *whole;
    struct span right = *whole;
    left.end = middle;
    right.begin = middle;
    at_fork fork;
    at_fork_start(&fork, run_span, &right);
    run_span(&left);
    at_fork_join(&fork, run_span);
}

/* The same with a value of its own for the second half. False: no memory for that. */
static bool reduce_halves(const struct span *whole) {
    const at_parallel_reduction *reduction = whole->loop->of.reduction;
    int64_t middle = middle_of(whole);
    _Alignas(max_align_t) char room[value_room];
    bool fits = reduction->size <= sizeof room;
    struct span left = *whole;
    struct span right = *whole;
    left.end = middle;
    right.begin = middle;
    right.value = fits ? room : ati_allocate(reduction->size);
    if (!right.value)
        return false;
    reduction->init(right.value, whole->loop->context);
    at_fork fork;
    at_fork_start(&fork, run_span, &right);
    run_span(&left);
    at_fork_join(&fork, run_span);
    reduction->merge(whole->value, right.value, whole->loop->context);
    if (!fits)
        ati_release(right.value, reduction->size);
    return true;
}

/* How many turns have to be left for a chunk that leaves some over: with a grain, so many that both
 * parts have as much. */
static uint64_t divisible_count(const struct span *rest) {
    return rest->loop->grain != 0 ? 2 * rest->chunk : rest->chunk + 1;
}

static bool try_split(const struct span *rest) {
    if (!ati_worker_current)
        ati_task_end_forked_process();
    if (rest->loop->may_not_fork || ati_forks_has_private(&ati_worker_current->forks))
        return false;
    if (rest->value)
        return reduce_halves(rest);
    run_halves(rest);
    return true;
}

static void *run_span(void *argument) {
    struct span rest = *(const struct span *)argument;
    struct loop *loop = rest.loop;
    int64_t began = ati_monotonic_ns();
    while (rest.begin < rest.end && !is_stopped(loop)) {
        uint64_t count = count_turns(rest.begin, rest.end);
        if (count >= divisible_count(&rest)) {
            if (try_split(&rest))
                return NULL;
            count = rest.chunk;
        }
        int64_t next = (int64_t)((uint64_t)rest.begin + count);
        run_chunk(loop, rest.begin, next, rest.value);
        rest.begin = next;
        int64_t now = loop->grain == 0 ? ati_monotonic_ns() : began;
        rest.chunk = next_chunk(loop, rest.chunk, now - began);
        began = now;
    }
    return NULL;
}

/* -- Starting -- */

/* A loop that is called from outside its pool, on the caller's stack. */
struct outside_loop {
    at_task task;
    struct span whole;
    ati_context *context; /* the caller's operation, or NULL */
    ati_waiter waiter;
};

/* The error that the caller has already is not the loop's, nor what a turn leaves that succeeds. */
static at_status start_here(const struct span *whole) {
    ati_frame_slot slot = ati_frame_put_slot_aside();
    if (whole->value)
        whole->loop->of.reduction->init(whole->value, whole->loop->context);
    run_span((void *)whole);
    ati_frame_put_slot_back(slot);
    return AT_OK;
}

static void *run_outside_loop(void *argument) {
    struct outside_loop *outside = argument;
    ati_context *before = ati_context_exchange(outside->context);
    ati_worker_show_operation(ati_worker_current, ati_context_operation_id(outside->context));
    (void)start_here(&outside->whole);
    ati_worker_show_operation(ati_worker_current, ati_context_operation_id(before));
    (void)ati_context_exchange(before);
    ati_waiter_wake(&outside->waiter);
    return NULL;
}

/* The task is under no operation until it runs: one that is cancelled in the queue never runs, and
 * the caller waits for it. */
static at_status start_task(at_pool *pool, struct outside_loop *outside) {
    outside->context = ati_context_own();
    ati_worker_hand_out_forks();
    (void)ati_context_exchange(NULL);
    at_status status = at_pool_start_task(pool, &outside->task);
    (void)ati_context_exchange(outside->context);
    return status;
}

static at_status start_outside(at_pool *pool, const struct span *whole) {
    const char *call = whole->loop->call;
    if (ati_frame_current()->may_not_wait)
        return ati_fail(AT_ERROR_DEADLOCK, "%s: an inline continuation may not wait", call);
    struct outside_loop outside = {.whole = *whole};
    ati_waiter_init(&outside.waiter, call, NULL);
    at_task_init(&outside.task, run_outside_loop, &outside);
    at_status status = start_task(pool, &outside);
    if (status == AT_OK)
        (void)ati_waiter_wait(&outside.waiter, AT_FOREVER);
    return status;
}

static at_status check_options(const struct loop *loop, int64_t grain, const uint64_t *reserved) {
    if (grain < 0)
        return ati_fail(AT_ERROR_INVALID, "%s: grain: %lld is negative", loop->call,
                        (long long)grain);
    if (reserved && !ati_all_zero(reserved, 4 * sizeof *reserved))
        return ati_fail(AT_ERROR_INVALID, "%s: `reserved` is not zero", loop->call);
    return AT_OK;
}

static at_status check_range(const struct loop *loop, int64_t begin, int64_t end) {
    if (end < begin)
        return ati_fail(AT_ERROR_INVALID, "%s: end: %lld is less than begin, %lld", loop->call,
                        (long long)end, (long long)begin);
    return AT_OK;
}

static void set_grain(at_pool *pool, struct loop *loop, uint64_t count, int64_t grain) {
    loop->grain = (uint64_t)grain;
    loop->chunk_max = count / ((uint64_t)at_pool_thread_count(pool) * chunks_per_worker);
    if (loop->chunk_max == 0)
        loop->chunk_max = 1;
}

/* Gives the status of the loop, its error in the slot. What has cancelled the turns may be the
 * caller's: then its scope has more to say about it. */
static at_status finish(struct loop *loop) {
    if (!loop->error)
        return AT_OK;
    at_status status = at_error_status(loop->error);
    at_status cancelled = status == AT_ERROR_CANCELLED ? ati_cancel_check(loop->call) : AT_OK;
    if (cancelled == AT_OK)
        ati_error_slot_put(loop->error, false);
    else
        at_error_release(loop->error);
    return cancelled == AT_OK ? status : cancelled;
}

static at_status run_loop(at_pool *pool, struct loop *loop, int64_t begin, int64_t end,
                          int64_t grain, void *value) {
    ATI_CALLER_CHECK(pool, loop->call, "`pool` is NULL");
    at_status status = check_range(loop, begin, end);
    if (status != AT_OK)
        return status;
    loop->may_not_fork = ati_frame_current()->may_not_wait;
    set_grain(pool, loop, count_turns(begin, end), grain);
    struct span whole = {.loop = loop,
                         .begin = begin,
                         .end = end,
                         .chunk = grain > 0 ? (uint64_t)grain : 1,
                         .value = value};
    const ati_worker *worker = ati_worker_current;
    if (begin != end && !(worker && worker->pool == pool)) {
        status = start_outside(pool, &whole);
    } else {
        if (!loop->may_not_fork && count_turns(begin, end) >= divisible_count(&whole))
            (void)ati_context_own(); /* so that other workers see that this task is cancelled */
        status = start_here(&whole);
    }
    return status == AT_OK ? finish(loop) : status;
}

static at_status run_simple_loop(at_pool *pool, struct loop *loop, int64_t begin, int64_t end,
                                 const at_parallel_options *options) {
    int64_t grain = options ? options->grain : 0;
    at_status status = check_options(loop, grain, options ? options->reserved : NULL);
    return status == AT_OK ? run_loop(pool, loop, begin, end, grain, NULL) : status;
}

at_status at_parallel_for(at_pool *pool, int64_t begin, int64_t end, at_index_fn run, void *context,
                          const at_parallel_options *options) {
    ATI_CALLER_CHECK(run, "at_parallel_for", "`run` is NULL");
    struct loop loop = {
        .call = "at_parallel_for", .run = run_indices, .of.index = run, .context = context};
    return run_simple_loop(pool, &loop, begin, end, options);
}

at_status at_parallel_for_ranges(at_pool *pool, int64_t begin, int64_t end, at_range_fn run,
                                 void *context, const at_parallel_options *options) {
    ATI_CALLER_CHECK(run, "at_parallel_for_ranges", "`run` is NULL");
    struct loop loop = {
        .call = "at_parallel_for_ranges", .run = run_range, .of.range = run, .context = context};
    return run_simple_loop(pool, &loop, begin, end, options);
}

at_status at_parallel_reduce(at_pool *pool, int64_t begin, int64_t end,
                             const at_parallel_reduction *reduction, void *result) {
    ATI_CALLER_CHECK(reduction && reduction->init && reduction->run && reduction->merge,
                     "at_parallel_reduce", "`reduction` or one of its functions is NULL");
    ATI_CALLER_CHECK(result, "at_parallel_reduce", "`result` is NULL");
    if (reduction->size == 0)
        return ati_fail(AT_ERROR_INVALID, "at_parallel_reduce: size is 0");
    struct loop loop = {.call = "at_parallel_reduce",
                        .run = run_reduction,
                        .of.reduction = reduction,
                        .context = reduction->context};
    at_status status = check_options(&loop, reduction->grain, reduction->reserved);
    return status == AT_OK ? run_loop(pool, &loop, begin, end, reduction->grain, result) : status;
}

at_status at_parallel_invoke(at_pool *pool, const at_parallel_call *calls, size_t count) {
    ATI_CALLER_CHECK(calls || count == 0, "at_parallel_invoke", "`calls` is NULL");
    for (size_t i = 0; i < count; i++)
        ATI_CALLER_CHECK(calls[i].run, "at_parallel_invoke", "`run` of a call is NULL");
    struct loop loop = {.call = "at_parallel_invoke", .run = run_calls, .of.calls = calls};
    return run_loop(pool, &loop, 0, (int64_t)count, 1, NULL);
}
