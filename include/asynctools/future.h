/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_FUTURE_H
#define ASYNCTOOLS_FUTURE_H

#include <asynctools/attributes.h>
#include <asynctools/clock.h>
#include <asynctools/error.h>
#include <asynctools/executor.h>
#include <asynctools/outcome.h>
#include <asynctools/pool.h>
#include <asynctools/task.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* A reference-counted box for one outcome: a value, an error, or cancelled. Everything
 * asynchronous returns one.
 *
 * A call that returns a future takes its arguments and source futures always, and never returns
 * NULL: what cannot be done is a future that has failed. The one that says out of memory belongs to
 * no pool: outside tasks a continuation of it runs only if it names an executor. The error of a
 * failed future that nobody read is logged as `error.dropped` when its last reference goes. */
typedef struct at_future at_future;

/** Runs `run(argument)` as a task of `pool` and gives the future of its value.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: borrows `argument`; returns owned (at_future_release).
 *  Ordering:  what the caller did before happens before `run`; `run` happens before the return of
 *             a wait and before continuations.
 *  Errors:    a failed future: AT_ERROR_FULL, AT_ERROR_CLOSED, AT_ERROR_FORKED,
 *             AT_ERROR_NO_MEMORY. */
#define at_pool_submit(pool, run, ...) at_pool_submit_at(AT_SITE(#run), pool, run, __VA_ARGS__)
AT_API AT_NODISCARD at_future *at_pool_submit_at(const char *site, at_pool *pool, at_run_fn run,
                                                 void *argument);

/** Submits a task that owns its argument.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: takes `options->argument` always: run or dropped exactly once, dropped before the
 *             return if it cannot be accepted. Copies `options`. Returns owned.
 *  Errors:    as at_pool_submit, and AT_ERROR_INVALID. */
#define at_pool_submit_with(pool, ...) at_pool_submit_with_at(AT_SITE(""), pool, __VA_ARGS__)
AT_API AT_NODISCARD at_future *at_pool_submit_with_at(const char *site, at_pool *pool,
                                                      const at_task_options *options);

/** Runs `run(argument)` as a task where `executor` says: a pool, a strand, a loop, or inline, which
 *  is at once.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: borrows `argument`; returns owned (at_future_release). Borrows `executor` for the
 *             call.
 *  Ordering:  as at_pool_submit; among the works of a strand or a loop, first in, first out.
 *  Errors:    a failed future, as at_pool_submit. */
#define at_executor_submit(executor, run, ...)                                                     \
    at_executor_submit_at(AT_SITE(#run), executor, run, __VA_ARGS__)
AT_API AT_NODISCARD at_future *at_executor_submit_at(const char *site, at_executor *executor,
                                                     at_run_fn run, void *argument);

/** Submits a task that owns its argument.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: as at_pool_submit_with.
 *  Errors:    as at_executor_submit, and AT_ERROR_INVALID. */
#define at_executor_submit_with(executor, ...)                                                     \
    at_executor_submit_with_at(AT_SITE(""), executor, __VA_ARGS__)
AT_API AT_NODISCARD at_future *at_executor_submit_with_at(const char *site, at_executor *executor,
                                                          const at_task_options *options);

/** Submits one task per item, each with the address of its item, and fills `futures` (as many as
 *  there are items) in the same order. Each stands for itself: some may have failed.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: borrows the items until their tasks have run; `futures` are returned owned.
 *  Errors:    failed futures, as at_pool_submit. */
#define at_pool_submit_many(pool, run, items, futures)                                             \
    at_pool_submit_many_at(AT_SITE(#run), pool, run, items, futures)
AT_API void at_pool_submit_many_at(const char *site, at_pool *pool, at_run_fn run, at_items items,
                                   at_future **futures);

/** Waits for the outcome. In a task, a target that is queued on the same pool and that no worker
 *  has started is run here, on this stack, if the wait has no deadline, at most 64 deep and with
 *  32 KiB of stack left; otherwise the task is suspended and its worker goes on with other work.
 *  Where tasks wait for each other in a circle, one of them gets AT_ERROR_DEADLOCK, and the log
 *  names all (`task.deadlock`): at once where that is seen at once, else when a worker has
 *  nothing else to do or a wait has lasted 100 ms.
 *  Threads:   any; a task must not be inside rcu_read_lock, which aborts.
 *  Blocks:    until the outcome is there, or `deadline`.
 *  Ownership: borrows `future`; `*value` (NULL where it is not wanted) is returned borrowed, as
 *             long as the future.
 *  Ordering:  the completion happens before the return.
 *  Errors:    the status of the future, its error in the error slot; AT_ERROR_TIMED_OUT;
 *             AT_ERROR_DEADLOCK; AT_ERROR_FORKED in the child of a fork; AT_ERROR_NO_MEMORY where a
 *             task of a keyed executor cannot lend its place. These leave the future as it is. */
AT_API AT_NODISCARD at_status at_future_wait(at_future *future, at_deadline deadline, void **value);

/** Says whether the outcome is there.
 *  Threads:   any.      Blocks: never.
 *  Ordering:  if true, the completion happens before the return. */
AT_API bool at_future_is_done(const at_future *future);

/** Gives the error of a future that has failed or was cancelled, else NULL (also while pending).
 *  Reading it counts as looking at it.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, as long as the future. */
AT_API const at_error *at_future_error(at_future *future);

/** Moves the value of a successful future out, once; the future keeps none.
 *  Threads:   any, but nobody else may be using the value.      Blocks: never.
 *  Ownership: `*value` is returned owned; `*drop` (NULL where it is not wanted) says how to drop
 *             it.
 *  Errors:    the status of a failed future; AT_ERROR_UNAVAILABLE while pending; AT_ERROR_ALREADY
 *             when it was taken before. */
AT_API AT_NODISCARD at_status at_future_take(at_future *future, void **value, at_drop_fn *drop);

/** Takes one more reference.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns owned, the same future. */
AT_API at_future *at_future_retain(at_future *future);

/** Gives a reference back; the last one drops the value. Work that was submitted still runs. Inside
 *  a drop function, futures are freed only when it has returned.
 *  Threads:   any.      Blocks: never.
 *  Ownership: takes `future`; NULL is allowed. */
AT_API void at_future_release(at_future *future);

/** Cancels a pending future. One that has not begun never runs and is cancelled at once; a promise
 *  is cancelled at once, and what is set later is dropped; a task that runs is asked to stop: its
 *  waits and at_check say AT_ERROR_CANCELLED, and what it returns in the end counts. One that
 *  depends on others takes its interest in them away, and those in which nobody is interested any
 *  more are cancelled too: each continuation, combinator and wait in progress is an interest, a
 *  reference that is merely held is not. A `finally` runs in any case: it passes the cancellation
 *  on to its source. One that runs is not asked, nor is a `recover` with `on_cancelled`.
 *  Threads:   any.      Blocks: never.
 *  Ownership: borrows `future` for the call. Drops the arguments of what will not run. */
AT_API void at_future_cancel(at_future *future);

/** Gives a future that passes the outcome of `source` on if that comes by `deadline`, and else
 *  fails at `deadline`, which takes its interest in `source` away: a producer that nobody else
 *  wants is cancelled. AT_FOREVER: no deadline. It is the pool of `source` that keeps the time; a
 *  shutdown waits for the deadline as for a timer.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: takes one reference of `source`; returns owned.
 *  Ordering:  the completion of `source` happens before that of the result.
 *  Errors:    a failed future: the source's error, AT_ERROR_TIMED_OUT, AT_ERROR_INVALID if `source`
 *             belongs to no pool, AT_ERROR_NO_MEMORY, AT_ERROR_CLOSED, AT_ERROR_FORKED. */
AT_API AT_NODISCARD at_future *at_future_with_timeout(at_future *source, at_deadline deadline);

/** Says that nobody will look at the error of this future: it is not logged when it is dropped.
 *  Threads:   any.      Blocks: never.
 *  Ownership: borrows `future` for the call. */
AT_API void at_future_ignore(at_future *future);

/* -- Continuations --
 * A continuation runs as work of its own on its executor (default: that of its source), never
 * inside the call that completes or attaches, even if the source is complete already. Each takes
 * one reference of its source: retain first to attach a second one. Continuations of one future on
 * one executor are started in the order in which they were attached. */

/* The value of the source, then your context. Gives a value or AT_FAILED like any work function. */
typedef void *(*at_then_fn)(void *value, void *context);
/* The error of the source, then your context. */
typedef void *(*at_recover_fn)(const at_error *error, void *context);
/* The outcome of the source, then your context. */
typedef void (*at_finally_fn)(const at_outcome *outcome, void *context);

/* Zero is the default for each member; NULL options are all defaults. */
typedef struct at_continuation_options {
    at_executor *executor; /* default: the executor of the source */
    void *context;         /* handed to the function */
    at_drop_fn drop;       /* releases `context`, once, after the function has run or when it is
                              certain that it will not; default: nothing to release */
    const char *name;      /* copied; default: the name of the function at the call */
    bool on_cancelled; /* recover: also when the source was cancelled, and shielded like a finally;
                          default: on errors only */
    uint64_t reserved[4];
} at_continuation_options;

/** Continues with `run(value, context)` when `source` succeeds; an error or a cancellation passes
 *  by, the same error object. The value is borrowed for the call; at_value_take moves it out.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: takes one reference of `source`; borrows `context`; returns owned.
 *  Ordering:  the completion of `source` happens before `run`.
 *  Errors:    a failed future: the source's error, `run`'s, AT_ERROR_NO_MEMORY, AT_ERROR_CLOSED. */
#define at_future_then(source, run, ...) at_future_then_at(AT_SITE(#run), source, run, __VA_ARGS__)
AT_API AT_NODISCARD at_future *at_future_then_at(const char *site, at_future *source,
                                                 at_then_fn run, void *context);

/** Is at_future_then with an executor, a context that is owned, or a name.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: takes one reference of `source`, and `options->context` with its drop, always.
 *             Copies `options`. Returns owned.
 *  Errors:    as at_future_then, and AT_ERROR_INVALID. */
#define at_future_then_with(source, run, ...)                                                      \
    at_future_then_with_at(AT_SITE(#run), source, run, __VA_ARGS__)
AT_API AT_NODISCARD at_future *at_future_then_with_at(const char *site, at_future *source,
                                                      at_then_fn run,
                                                      const at_continuation_options *options);

/** Continues with `run(error, context)` when `source` fails; a value passes by, and so does a
 *  cancellation.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: takes one reference of `source`; borrows `context`; returns owned.
 *  Ordering:  the completion of `source` happens before `run`.
 *  Errors:    a failed future: `run`'s error, AT_ERROR_NO_MEMORY, AT_ERROR_CLOSED. */
#define at_future_recover(source, run, ...)                                                        \
    at_future_recover_at(AT_SITE(#run), source, run, __VA_ARGS__)
AT_API AT_NODISCARD at_future *at_future_recover_at(const char *site, at_future *source,
                                                    at_recover_fn run, void *context);

/** Is at_future_recover with an executor, a context that is owned, a name, or `on_cancelled`.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: takes one reference of `source`, and `options->context` with its drop, always.
 *             Copies `options`. Returns owned.
 *  Errors:    as at_future_recover, and AT_ERROR_INVALID. */
#define at_future_recover_with(source, run, ...)                                                   \
    at_future_recover_with_at(AT_SITE(#run), source, run, __VA_ARGS__)
AT_API AT_NODISCARD at_future *at_future_recover_with_at(const char *site, at_future *source,
                                                         at_recover_fn run,
                                                         const at_continuation_options *options);

/** Runs `run(outcome, context)` however `source` ends, then passes its outcome on. It is shielded:
 *  once the scope that it was attached in is cancelled, or its deadline has passed, it goes on for
 *  5 s before its waits end too.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: takes one reference of `source`; borrows `context`; returns owned.
 *  Ordering:  the completion of `source` happens before `run`, and `run` before what follows.
 *  Errors:    a failed future: the source's error, AT_ERROR_NO_MEMORY, AT_ERROR_CLOSED (in these
 *             two cases `run` is not called). */
#define at_future_finally(source, run, ...)                                                        \
    at_future_finally_at(AT_SITE(#run), source, run, __VA_ARGS__)
AT_API AT_NODISCARD at_future *at_future_finally_at(const char *site, at_future *source,
                                                    at_finally_fn run, void *context);

/** Is at_future_finally with an executor, a context that is owned, or a name.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: takes one reference of `source`, and `options->context` with its drop, always.
 *             Copies `options`. Returns owned.
 *  Errors:    as at_future_finally, and AT_ERROR_INVALID. */
#define at_future_finally_with(source, run, ...)                                                   \
    at_future_finally_with_at(AT_SITE(#run), source, run, __VA_ARGS__)
AT_API AT_NODISCARD at_future *at_future_finally_with_at(const char *site, at_future *source,
                                                         at_finally_fn run,
                                                         const at_continuation_options *options);

/** Moves the value that a `then` function was given out of its source, if this continuation is the
 *  only consumer left.
 *  Threads:   the function of a `then`, on its own thread.      Blocks: never.
 *  Ownership: on AT_OK the function owns the value; `*drop` (NULL where it is not wanted) says how
 *             to drop it.
 *  Errors:    AT_ERROR_SHARED: others can see the value, it stays borrowed. AT_ERROR_INVALID
 *             outside the function of a `then`. */
AT_API AT_NODISCARD at_status at_value_take(at_drop_fn *drop);

/** Makes the outcome of `next` the outcome of the current task: `return at_return_future(next);`
 *  Threads:   a work function or continuation.      Blocks: never.
 *  Ownership: takes one reference of `next`. */
AT_API void *at_return_future(at_future *next);

/* -- Combinators -- */

/* The value of an at_future_any or at_future_first. */
typedef struct at_winner {
    size_t index; /* of the source that won, in argument order */
    void *value;  /* of that source */
} at_winner;

/** Completes when all have completed: with an array of `count` at_outcome in argument order if all
 *  have succeeded, else with the first failure in time, the others attached (at_error_other). From
 *  the first failure or cancellation on it has no interest in the rest any more: what nobody else
 *  wants is cancelled.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: takes one reference of each source; the array and what it holds belong to the
 *             result. Returns owned. Without sources and outside tasks the result has no pool:
 *             its continuations run inline unless they name an executor.
 *  Errors:    a failed future; AT_ERROR_CANCELLED if there is no error but a cancelled source. */
AT_API AT_NODISCARD at_future *at_future_all(at_future *const *sources, size_t count);

/** Completes with success when all have completed: an array of `count` at_outcome in argument
 *  order, failures included.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: as at_future_all.
 *  Errors:    AT_ERROR_NO_MEMORY only. */
AT_API AT_NODISCARD at_future *at_future_all_settled(at_future *const *sources, size_t count);

/** Completes at once with the first success, an at_winner; ties go to the lower index. If none
 *  succeeds: the first failure, the others attached. Losers run on; their errors count as read.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: takes one reference of each source; the winner's value belongs to the result.
 *             Returns owned.
 *  Errors:    a failed future; AT_ERROR_INVALID for no sources. */
AT_API AT_NODISCARD at_future *at_future_any(at_future *const *sources, size_t count);

/** Completes at once with the first completion: an at_winner, or that source's error.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: as at_future_any.
 *  Errors:    as at_future_any. */
AT_API AT_NODISCARD at_future *at_future_first(at_future *const *sources, size_t count);

AT_DECLARATIONS_END

#endif
