/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_CONCURRENT_EXECUTOR_H
#define ASYNCTOOLS_CONCURRENT_EXECUTOR_H

#include <asynctools/attributes.h>
#include <asynctools/log.h>
#include <asynctools/outcome.h>
#include <asynctools/pool.h>
#include <asynctools/status.h>
#include <asynctools/task.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* Calls a function for each of many items, several at once, and gives the outcome of each. */
typedef struct at_concurrent_executor at_concurrent_executor;

/* Zero is the default for each member; NULL options are all defaults. */
typedef struct at_concurrent_executor_options {
    int64_t max_workers; /* items of one map at once, at most; items that wait count; default: as
                            many as the pool has workers; at most 1,000,000 */
    uint64_t reserved[4];
} at_concurrent_executor_options;

/** Creates an executor of maps.
 *  Threads:   any.      Blocks: never.
 *  Ownership: borrows `pool` until at_concurrent_executor_destroy; copies `options`; returns owned.
 *  Errors:    AT_ERROR_INVALID (names the member), AT_ERROR_NO_MEMORY: `*executor` is untouched. */
AT_API AT_NODISCARD at_status
at_concurrent_executor_create(at_concurrent_executor **executor, at_pool *pool,
                              const at_concurrent_executor_options *options);

/** Waits for the maps that are still in progress, and frees the executor. In the child of a fork it
 *  frees the executor and nothing else.
 *  Threads:   any, but not an item or the on_progress of one of its maps, nor an inline
 *             continuation while maps are in progress: those are a caller's bugs and abort.
 *  Blocks:    until all maps have ended.
 *  Ownership: takes `executor`; NULL is allowed. */
AT_API void at_concurrent_executor_destroy(at_concurrent_executor *executor);

/* Is told how many items of a map have ended, of how many. */
typedef void (*at_progress_fn)(size_t completed, size_t total, void *context);

/* Zero is the default for each member; NULL options are all defaults. */
typedef struct at_map_options {
    at_progress_fn on_progress; /* called by one at a time, each time with a larger number than
                                   before, after each item that takes long, and after several that
                                   do not; at the end with the total, whatever became of the items:
                                   their outcomes say that. A map that is refused, as by
                                   AT_ERROR_INVALID, calls nothing. Default: none */
    void *context;              /* borrowed, for on_progress */
    at_logger *progress_logger; /* borrowed: gets a line `batch_progress` with `completed` and
                                   `total`, four a second at most, and one at the end; if items were
                                   not begun, with how many (`not_run`); default: none */
    bool fail_fast;             /* the first item that fails cancels the others; default: all are
                                   called, whatever becomes of the others */
    uint64_t reserved[4];
} at_map_options;

/** Calls `run(item)` for each of `items`, with its address, in tasks of the executor's pool, at
 *  most `max_workers` at once (of this map: others on the same executor have as many of their
 *  own), and waits until all have ended. No items is success.
 *
 *  The items run under an operation of their own, a part of the caller's. When that is cancelled or
 *  its deadline passes, no further items are begun, and those that run are waited for.
 *  Threads:   any, but not an inline continuation.
 *  Blocks:    until all items have ended: suspends a task, blocks a thread.
 *  Ownership: borrows `items`; fills `outcomes`, in the order of the items, whatever the call
 *             returns: they are the caller's, see at_outcomes_release. With `outcomes` NULL values
 *             are dropped when their items end; what the map returns is the same.
 *  Ordering:  what the caller did before happens before the items, and they before the return.
 *             Items are begun about in their order.
 *  Errors:    of an item: what it failed with, with its number (at_error_item);
 *             AT_ERROR_CANCELLED if it was not begun. Of the map: AT_OK if all items succeeded;
 *             what the first item, in their order, failed with by itself, under fail_fast the one
 *             that has ended the others, with the errors of those that failed besides
 *             (at_error_other: the first 64, the rest is counted);
 *             AT_ERROR_TIMED_OUT or AT_ERROR_CANCELLED when items were not begun because of the
 *             caller's operation; and without any item begun AT_ERROR_INVALID, AT_ERROR_NO_MEMORY,
 *             AT_ERROR_FULL, AT_ERROR_CLOSED, AT_ERROR_FORKED, AT_ERROR_DEADLOCK in an inline
 *             continuation. */
#define at_concurrent_executor_map(executor, run, ...)                                             \
    at_concurrent_executor_map_at(AT_SITE(#run), executor, run, __VA_ARGS__)
AT_API AT_NODISCARD at_status at_concurrent_executor_map_at(const char *site,
                                                            at_concurrent_executor *executor,
                                                            at_run_fn run, at_items items,
                                                            at_outcome *outcomes,
                                                            const at_map_options *options);

AT_DECLARATIONS_END

#endif
