/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_KEYED_EXECUTOR_H
#define ASYNCTOOLS_KEYED_EXECUTOR_H

#include <asynctools/attributes.h>
#include <asynctools/future.h>
#include <asynctools/pool.h>
#include <asynctools/status.h>
#include <asynctools/task.h>

#include <stddef.h>
#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* Runs tasks under keys: a user, a file, a connection. Those of one key run first in, first out,
 * and few at a time, like on a strand; the keys take turns, so that one with many tasks does not
 * keep those of another waiting. A key is bytes of any content and length, also none. What is kept
 * of a key goes when nothing of it is queued or runs and nobody has a future of it; a few that were
 * busy lately stay while tasks of others run. */
typedef struct at_keyed_executor at_keyed_executor;

/* Gives how many tasks of a key may begin in one round, at least 1. Called under no lock, when the
 * executor does not know the key yet, or does not any more; it may not wait. */
typedef int64_t (*at_key_weight_fn)(const void *key, size_t key_size, void *context);

/* Zero is the default for each member; NULL options are all defaults. */
typedef struct at_keyed_executor_options {
    int64_t max_per_key;         /* tasks of one key that run at the same time; default: 1; more,
                                    or AT_UNLIMITED, and they are still taken in order */
    int64_t max_running;         /* tasks of all keys that run at the same time, those that wait
                                    included, but for those that wait for tasks of this executor
                                    which have not begun: they lend their places for that time.
                                    Default: as many as the pool has workers; at most 65,536 */
    int64_t queue_bound_per_key; /* tasks of one key that may be queued before a submit gives
                                    AT_ERROR_FULL; continuations always pass; default:
                                    AT_UNLIMITED */
    at_key_weight_fn weight;     /* default: 1 for each key */
    void *context;               /* borrowed, for `weight` */
    uint64_t reserved[4];
} at_keyed_executor_options;

/** Creates a keyed executor on the workers of a pool, which counts its tasks from their turn on.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns owned; at_keyed_executor_destroy ends it. Copies `options`.
 *  Errors:    AT_ERROR_INVALID (names the member), AT_ERROR_NO_MEMORY: `*keyed` is untouched. */
AT_API AT_NODISCARD at_status at_keyed_executor_create(at_keyed_executor **keyed, at_pool *pool,
                                                       const at_keyed_executor_options *options);

/** Runs `run(argument)` as a task under a key and gives its future. Continuations of that future
 *  run under the key too, unless they name another executor. With `max_per_key` 1, a wait inside a
 *  task for what is to run later under its own key is AT_ERROR_DEADLOCK at once.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: borrows `key` for the call, and `argument`; returns owned (at_future_release).
 *  Ordering:  under one key first in, first out; with `max_per_key` 1, each task happens before the
 *             next.
 *  Errors:    a failed future: AT_ERROR_FULL, AT_ERROR_CLOSED, AT_ERROR_FORKED,
 *             AT_ERROR_NO_MEMORY; AT_ERROR_INVALID for a weight below 1, or a size without key. */
#define at_keyed_executor_submit(keyed, key, key_size, run, ...)                                   \
    at_keyed_executor_submit_at(AT_SITE(#run), keyed, key, key_size, run, __VA_ARGS__)
AT_API AT_NODISCARD at_future *at_keyed_executor_submit_at(const char *site,
                                                           at_keyed_executor *keyed,
                                                           const void *key, size_t key_size,
                                                           at_run_fn run, void *argument);

/** Submits a task that owns its argument. Its priority does not change the order.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: takes `options->argument` always: run or dropped exactly once, dropped before the
 *             return if it cannot be accepted. Copies `options`; borrows `key` for the call;
 *             returns owned (at_future_release).
 *  Ordering:  as at_keyed_executor_submit.
 *  Errors:    as at_keyed_executor_submit, and AT_ERROR_INVALID. */
#define at_keyed_executor_submit_with(keyed, key, key_size, ...)                                   \
    at_keyed_executor_submit_with_at(AT_SITE(""), keyed, key, key_size, __VA_ARGS__)
AT_API AT_NODISCARD at_future *at_keyed_executor_submit_with_at(const char *site,
                                                                at_keyed_executor *keyed,
                                                                const void *key, size_t key_size,
                                                                const at_task_options *options);

/** Counts the keys that something is kept of, and keeps no longer what is not in use.
 *  Threads:   any.      Blocks: never. */
AT_API int64_t at_keyed_executor_key_count(at_keyed_executor *keyed);

/** Gives a keyed executor up. What was queued still runs.
 *  Threads:   any, also one of its tasks.      Blocks: never.
 *  Ownership: takes `keyed`; NULL is allowed. */
AT_API void at_keyed_executor_destroy(at_keyed_executor *keyed);

AT_DECLARATIONS_END

#endif
