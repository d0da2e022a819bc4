/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_PARALLEL_H
#define ASYNCTOOLS_PARALLEL_H

#include <asynctools/attributes.h>
#include <asynctools/pool.h>
#include <asynctools/status.h>
#include <asynctools/task.h>

#include <stddef.h>
#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* Loops whose turns several workers make at once, over forks (fork.h). A range is split where
 * somebody looks for work, so an uneven one evens out, and nested loops share the workers.
 *
 * In a task of `pool` a loop runs on its worker and those that come to help. Called from elsewhere
 * it starts itself as a task of `pool` and waits for it. An inline continuation (executor.h) may
 * not wait: in a task of `pool` its loop makes all turns itself, elsewhere it gives
 * AT_ERROR_DEADLOCK.
 *
 * When a turn returns AT_FAILED, no further ones are begun; those in progress end. The error of the
 * first that failed is then in the caller's slot, and the loop gives its status; a loop that does
 * not fail leaves the slot alone. The same holds when the operation of the caller is cancelled, its
 * deadline passes, or its task is cancelled alone: each worker looks at that before each grain, or
 * where none is given every few microseconds. The loop then gives what a wait of the caller would:
 * AT_ERROR_TIMED_OUT in the scope whose deadline it was, else AT_ERROR_CANCELLED. A loop without
 * turns looks at nothing. */

/* How a loop is to be run. */
typedef struct at_parallel_options {
    int64_t grain; /* turns that are made one after the other, at least: a loop is cut at multiples
                      of it from `begin`, and the last part also has what is left over; a shorter
                      loop is not cut. Default: as many as take some microseconds, measured as the
                      loop runs */
    uint64_t reserved[4];
} at_parallel_options;

/* One turn of a loop. Any value but AT_FAILED says that it was made; nobody drops it. */
typedef void *(*at_index_fn)(int64_t index, void *context);

/* Several turns at once, from `begin` up to and without `end`. */
typedef void *(*at_range_fn)(int64_t begin, int64_t end, void *context);

/** Calls `run(index, context)` for each index from `begin` up to and without `end`, in any order.
 *  Threads:   any, also inside tasks.      Blocks: until all calls have ended.
 *  Ownership: borrows `context`.
 *  Ordering:  what the caller did before happens before the calls, and they before the return.
 *  Errors:    that of a call; AT_ERROR_CANCELLED, AT_ERROR_TIMED_OUT: some calls were not made;
 *             AT_ERROR_INVALID: `end` is less than `begin`, an option out of range; from outside
 *             the pool those of at_pool_start_task, and AT_ERROR_DEADLOCK in an inline
 *             continuation. */
AT_API AT_NODISCARD at_status at_parallel_for(at_pool *pool, int64_t begin, int64_t end,
                                              at_index_fn run, void *context,
                                              const at_parallel_options *options);

/** The same with whole ranges: `run` has the loop inside, which the compiler can then make fast.
 *  Threads:   any, also inside tasks.      Blocks: until all calls have ended.
 *  Ownership: borrows `context`.
 *  Ordering:  as at_parallel_for.
 *  Errors:    as at_parallel_for. */
AT_API AT_NODISCARD at_status at_parallel_for_ranges(at_pool *pool, int64_t begin, int64_t end,
                                                     at_range_fn run, void *context,
                                                     const at_parallel_options *options);

/* How a range is reduced to one value of `size` bytes. `size` and the functions are required. */
typedef struct at_parallel_reduction {
    size_t size;
    void (*init)(void *value, void *context); /* makes the value of an empty range */
    /* Adds the turns from `begin` up to and without `end` to `value`; as a turn of a loop. */
    void *(*run)(int64_t begin, int64_t end, void *value, void *context);
    /* Adds `right`, of the range that follows, to `left`, and drops what `right` owns. */
    void (*merge)(void *left, void *right, void *context);
    void *context; /* borrowed, for the three */
    int64_t grain; /* as in at_parallel_options */
    uint64_t reserved[4];
} at_parallel_reduction;

/** Reduces a range to one value, which it leaves in `result`. Values are merged with those of the
 *  range that follows, never in another order: `merge` has to be associative and need not be
 *  commutative. How the range is cut differs from call to call, and so may rounding.
 *  Threads:   any, also inside tasks.      Blocks: until all calls have ended.
 *  Ownership: borrows `reduction`; `result` has room for `size` bytes, and is filled also when a
 *             turn fails, with what was merged until then. Other errors leave it alone.
 *  Ordering:  as at_parallel_for.
 *  Errors:    as at_parallel_for. */
AT_API AT_NODISCARD at_status at_parallel_reduce(at_pool *pool, int64_t begin, int64_t end,
                                                 const at_parallel_reduction *reduction,
                                                 void *result);

/* One of several calls. */
typedef struct at_parallel_call {
    at_run_fn run;
    void *argument;
} at_parallel_call;

/** Makes several calls, each perhaps by another worker.
 *  Threads:   any, also inside tasks.      Blocks: until all calls have ended.
 *  Ownership: borrows `calls` and their arguments.
 *  Ordering:  as at_parallel_for.
 *  Errors:    as at_parallel_for. */
AT_API AT_NODISCARD at_status at_parallel_invoke(at_pool *pool, const at_parallel_call *calls,
                                                 size_t count);

AT_DECLARATIONS_END

#endif
