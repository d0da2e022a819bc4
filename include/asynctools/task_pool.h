/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_TASK_POOL_H
#define ASYNCTOOLS_TASK_POOL_H

#include <asynctools/attributes.h>
#include <asynctools/clock.h>
#include <asynctools/limits.h>
#include <asynctools/outcome.h>
#include <asynctools/pool.h>
#include <asynctools/status.h>
#include <asynctools/task.h>

#include <stddef.h>
#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* A bounded queue of work in front of a pool: so many items run at once, as tasks of the pool, so
 * many wait in the queue, where they hold no worker, and their outcomes are kept until they are
 * gathered. */
typedef struct at_task_pool at_task_pool;

/* What a submit does when the queue is full. */
typedef enum at_task_pool_policy {
    AT_TASK_POOL_WAIT = 0,          /* it waits for room, those who came first first */
    AT_TASK_POOL_REFUSE = 1,        /* it gives AT_ERROR_FULL */
    AT_TASK_POOL_RUN_IN_CALLER = 2, /* it runs the item itself, beyond pool_size */
    AT_TASK_POOL_DROP_NEWEST = 3,   /* the new item ends with AT_ERROR_DROPPED, and never runs */
    AT_TASK_POOL_DROP_OLDEST = 4,   /* so does the one that has been queued longest; the new one if
                                       there is no queue */
} at_task_pool_policy;

/* Zero is the default for each member; NULL options are all defaults. */
typedef struct at_task_pool_options {
    int64_t pool_size;  /* items that run at once, at most, those that wait included; default: as
                           many as the pool has workers; at most 1,000,000 */
    int64_t queue_size; /* items that wait in the queue, at most; AT_NONE: none, AT_UNLIMITED;
                           default: 1,024 */
    at_task_pool_policy when_full; /* default: wait */
    at_duration expiry;            /* how long an item may wait in the queue: then it ends with
                                      AT_ERROR_EXPIRED, and never runs: at that moment if a submit
                                      waits for room, else when its turn comes or somebody needs
                                      its room; default: no limit */
    int64_t kept_outcomes; /* outcomes, of items that have ended or not, until they are gathered:
                              with so many the queue counts as full, see at_task_pool_submit.
                              AT_NONE: outcomes are not kept, values are dropped, and errors logged
                              as `error.dropped`, but for those of items that were dropped or have
                              expired. AT_UNLIMITED. Default: 65,536 */
    uint64_t reserved[4];
} at_task_pool_options;

/** Creates a task pool. Its items run under an operation of their own, a part of the caller's: when
 *  that is cancelled, items that run are told so, and those in the queue end with
 *  AT_ERROR_CANCELLED. Log lines of an item are of the operation that submitted it (see
 *  operation.h), but neither cancellation nor deadline of that one are the item's.
 *  Threads:   any.      Blocks: never.
 *  Ownership: borrows `pool` until at_task_pool_destroy; copies `options`; returns owned.
 *  Errors:    AT_ERROR_INVALID (names the member), AT_ERROR_NO_MEMORY: `*workers` is untouched. */
AT_API AT_NODISCARD at_status at_task_pool_create(at_task_pool **workers, at_pool *pool,
                                                  const at_task_pool_options *options);

/** Finishes what was accepted, drops the outcomes that were not gathered (their errors are logged
 *  as `error.dropped`) and frees the task pool. In the child of a fork it runs and drops nothing:
 *  the items are the parent's, and what the child has of their memory stays.
 *  Threads:   any, when nobody else uses it, but not an item of its own, nor an inline
 *             continuation while items are left: those are a caller's bugs and abort.
 *  Blocks:    until all items have ended.
 *  Ownership: takes `workers`; NULL is allowed.
 *  Ordering:  all items happen before the return. */
AT_API void at_task_pool_destroy(at_task_pool *workers);

/** Queues `run(argument)`, or has it run at once if fewer than pool_size do. On a full queue it
 *  does what `when_full` says. When kept_outcomes are kept, AT_TASK_POOL_WAIT waits until another
 *  task or thread gathers them, and the other policies give AT_ERROR_FULL.
 *
 *  What items submit to their own task pool, and what tasks that they have started do, never waits
 *  and never runs in the caller: under AT_TASK_POOL_WAIT and AT_TASK_POOL_RUN_IN_CALLER it passes
 *  the bounds, because those who wait here might be the ones that are waited for, and items that
 *  run inside each other have no end.
 *  Threads:   any, also inside tasks.
 *  Blocks:    on a full queue under AT_TASK_POOL_WAIT: suspends a task, blocks a thread, until
 *             there is room; under AT_TASK_POOL_RUN_IN_CALLER while the item runs.
 *  Ownership: borrows `argument`.
 *  Ordering:  what the caller did before happens before `run`. Items are begun in the order in
 *             which they were submitted.
 *  Errors:    AT_ERROR_FULL; AT_ERROR_CANCELLED, AT_ERROR_TIMED_OUT by the caller's operation while
 *             it waits, and AT_ERROR_CANCELLED when that of the task pool is cancelled;
 *             AT_ERROR_DEADLOCK where it would wait in an inline continuation;
 *             AT_ERROR_CLOSED, AT_ERROR_FORKED, AT_ERROR_NO_MEMORY. The item has then not been
 *             accepted. */
#define at_task_pool_submit(workers, run, ...)                                                     \
    at_task_pool_submit_at(AT_SITE(#run), workers, run, __VA_ARGS__)
AT_API AT_NODISCARD at_status at_task_pool_submit_at(const char *site, at_task_pool *workers,
                                                     at_run_fn run, void *argument);

/** Submits an item that owns its argument.
 *  Threads:   any, also inside tasks.      Blocks: as at_task_pool_submit.
 *  Ownership: takes `options->argument` on AT_OK: it is then run or dropped exactly once. Copies
 *             `options`.
 *  Ordering:  as at_task_pool_submit.
 *  Errors:    as at_task_pool_submit, and AT_ERROR_INVALID; the caller keeps the argument. */
#define at_task_pool_submit_with(workers, ...)                                                     \
    at_task_pool_submit_with_at(AT_SITE(""), workers, __VA_ARGS__)
AT_API AT_NODISCARD at_status at_task_pool_submit_with_at(const char *site, at_task_pool *workers,
                                                          const at_task_options *options);

/** Submits as at_task_pool_submit does if there is room, whatever `when_full` says.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: borrows `argument`.
 *  Ordering:  as at_task_pool_submit.
 *  Errors:    AT_ERROR_FULL, AT_ERROR_CANCELLED, AT_ERROR_CLOSED, AT_ERROR_FORKED,
 *             AT_ERROR_NO_MEMORY: the item has not been accepted. */
#define at_task_pool_try_submit(workers, run, ...)                                                 \
    at_task_pool_try_submit_at(AT_SITE(#run), workers, run, __VA_ARGS__)
AT_API AT_NODISCARD at_status at_task_pool_try_submit_at(const char *site, at_task_pool *workers,
                                                         at_run_fn run, void *argument);

/** Waits until all items have ended, also those that are submitted meanwhile.
 *  Threads:   any.
 *  Blocks:    until all items have ended, or `deadline`.
 *  Ordering:  on AT_OK, the items happen before the return.
 *  Errors:    AT_ERROR_TIMED_OUT, AT_ERROR_CANCELLED by the caller's operation; AT_ERROR_DEADLOCK
 *             in an item of its own and in what that has started. */
AT_API AT_NODISCARD at_status at_task_pool_join(at_task_pool *workers, at_deadline deadline);

/** Waits until all items have ended, also those that are submitted meanwhile, hands their outcomes
 *  over in the order in which they were submitted, and forgets them. AT_OK says that they were
 *  gathered: how each item ended is in its outcome.
 *  Threads:   any.
 *  Blocks:    until all items have ended.
 *  Ownership: `*outcomes` is returned owned, NULL if there are none: at_task_pool_results_release
 *             ends it.
 *  Ordering:  the items happen before the return.
 *  Errors:    as at_task_pool_join, and AT_ERROR_NO_MEMORY: nothing is handed over or forgotten. */
AT_API AT_NODISCARD at_status at_task_pool_gather_results(at_task_pool *workers,
                                                          at_outcome **outcomes, size_t *count);

/** Drops what is in gathered outcomes, and frees the array.
 *  Threads:   any.      Blocks: never.
 *  Ownership: takes `outcomes`; NULL is allowed. `count` is what was gathered. */
AT_API void at_task_pool_results_release(at_outcome *outcomes, size_t count);

/* What became of all items, of which `submitted` is the sum: succeeded, failed, cancelled,
 * dropped, expired, running and queued ones. */
typedef struct at_task_pool_statistics {
    uint64_t submitted; /* accepted */
    uint64_t succeeded;
    uint64_t failed;
    uint64_t cancelled;
    uint64_t dropped; /* from a full queue */
    uint64_t expired;
    uint64_t running; /* now; also in callers */
    uint64_t queued;  /* now */
    uint64_t waiting; /* submits that wait for room, now */
    uint64_t kept;    /* outcomes that are to be gathered, now */
    uint64_t refused; /* submits that got AT_ERROR_FULL */
    uint64_t max_queued;
    uint64_t reserved[4];
} at_task_pool_statistics;

/** Counts what became of the items, at one moment. In the child of a fork all is 0.
 *  Threads:   any.      Blocks: never.
 *  Ownership: fills `statistics`. */
AT_API void at_task_pool_get_statistics(at_task_pool *workers, at_task_pool_statistics *statistics);

AT_DECLARATIONS_END

#endif
