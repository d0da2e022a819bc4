/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_TASK_MANAGER_H
#define ASYNCTOOLS_TASK_MANAGER_H

#include <asynctools/attributes.h>
#include <asynctools/clock.h>
#include <asynctools/future.h>
#include <asynctools/limits.h>
#include <asynctools/outcome.h>
#include <asynctools/pool.h>
#include <asynctools/status.h>
#include <asynctools/task.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* A group of tasks that does not end before all of them have ended: its children. They may start
 * further ones. They run in a scope of the manager's own (see cancel.h), inside the scope of the
 * code that creates it: who cancels that cancels them, and its deadline is theirs. Log lines of a
 * child are of the operation that started it (see operation.h), but neither cancellation nor
 * deadline of that one are the child's. */
typedef struct at_task_manager at_task_manager;

/* What the children are to reach together. A child that is cancelled alone is no failure, and no
 * success. */
typedef enum at_task_manager_policy {
    AT_TASK_MANAGER_ALL = 0,     /* all succeed: the first failure cancels the rest */
    AT_TASK_MANAGER_ANY = 1,     /* one succeeds: the first success cancels the rest, and failures
                                    do not count then */
    AT_TASK_MANAGER_COLLECT = 2, /* each ends by itself; failures are collected */
} at_task_manager_policy;

/* What is to follow from how a child has ended. The first decision that is not to go on stays. */
typedef enum at_task_manager_decision {
    AT_TASK_MANAGER_GO_ON = 0,   /* nothing */
    AT_TASK_MANAGER_SUCCEED = 1, /* the rest is cancelled, and the join succeeds */
    AT_TASK_MANAGER_FAIL = 2,    /* the rest is cancelled, and the join fails */
} at_task_manager_decision;

/* A policy of the program: called for each child that has ended, as the last thing in its task, by
 * several workers at once. `outcome` is borrowed for the call. */
typedef at_task_manager_decision (*at_task_manager_decide_fn)(const at_outcome *outcome,
                                                              void *context);

/* Zero is the default for each member; NULL options are all defaults. */
typedef struct at_task_manager_options {
    int64_t max_concurrent; /* children that have begun and not ended; others are queued in the
                               manager, and hold no worker; default: AT_UNLIMITED */
    const char *name;       /* copied: of the manager's scope, for errors and logs; default:
                               "task manager" */
    at_task_manager_policy policy;    /* default: AT_TASK_MANAGER_ALL */
    at_task_manager_decide_fn decide; /* default: `policy` decides; with it `policy` stays zero */
    void *context;                    /* borrowed, for `decide` */
    bool no_outcomes; /* whether the outcome of a child is let go when it ends: a value is
                         dropped, of errors 65 are kept for the result. Without it each child
                         keeps 48 bytes until a gather or the end of the manager */
    uint64_t reserved[4];
} at_task_manager_options;

/** Creates a task manager.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: returns owned; at_task_manager_destroy ends it, in the scope that created it. Keeps
 *             `pool` by a reference. Copies `options`.
 *  Errors:    AT_ERROR_INVALID (names the member), AT_ERROR_NO_MEMORY; `*manager` is untouched. */
AT_API AT_NODISCARD at_status at_task_manager_create(at_task_manager **manager, at_pool *pool,
                                                     const at_task_manager_options *options);

/** Starts `run(argument)` as a child, or queues it. One that is started after the manager was
 *  cancelled never runs, and is an outcome like the others.
 *  Threads:   any, also the children.      Blocks: never.
 *  Ownership: borrows `argument`.
 *  Ordering:  what the caller did before happens before `run`. Children begin in the order in which
 *             they were started, if they have one priority; no order besides.
 *  Errors:    AT_ERROR_CLOSED when a join has ended or the pool is shut down, AT_ERROR_FULL,
 *             AT_ERROR_FORKED, AT_ERROR_NO_MEMORY: `run` never runs. */
#define at_task_manager_start(manager, run, ...)                                                   \
    at_task_manager_start_at(AT_SITE(#run), manager, run, __VA_ARGS__)
AT_API AT_NODISCARD at_status at_task_manager_start_at(const char *site, at_task_manager *manager,
                                                       at_run_fn run, void *argument);

/** Starts a child that owns its argument.
 *  Threads:   any, also the children.      Blocks: never.
 *  Ownership: takes `options->argument` on AT_OK: it is then run or dropped exactly once. Copies
 *             `options`.
 *  Ordering:  as at_task_manager_start.
 *  Errors:    as at_task_manager_start, and AT_ERROR_INVALID; the caller keeps the argument. */
#define at_task_manager_start_with(manager, ...)                                                   \
    at_task_manager_start_with_at(AT_SITE(""), manager, __VA_ARGS__)
AT_API AT_NODISCARD at_status at_task_manager_start_with_at(const char *site,
                                                            at_task_manager *manager,
                                                            const at_task_options *options);

/** Starts a child and gives its future, by which it can be waited for, and cancelled alone. A wait
 *  for a child that is queued behind the limit holds it up where it is a child itself that waits:
 *  the limit counts it too.
 *  Threads:   any, also the children.      Blocks: never.
 *  Ownership: borrows `argument`. Returns owned (at_future_release), never NULL. The value belongs
 *             to the future; a gather lends it until the manager is destroyed or somebody takes it
 *             (at_future_take): from then on there is none.
 *  Ordering:  as at_task_manager_start.
 *  Errors:    as at_task_manager_start: the future has failed with it. */
#define at_task_manager_submit(manager, run, ...)                                                  \
    at_task_manager_submit_at(AT_SITE(#run), manager, run, __VA_ARGS__)
AT_API AT_NODISCARD at_future *at_task_manager_submit_at(const char *site, at_task_manager *manager,
                                                         at_run_fn run, void *argument);

/** Starts a child that owns its argument, and gives its future.
 *  Threads:   any, also the children.      Blocks: never.
 *  Ownership: takes `options->argument` always: it is run or dropped exactly once. Copies
 *             `options`. Returns as at_task_manager_submit.
 *  Ordering:  as at_task_manager_start.
 *  Errors:    as at_task_manager_start_with: the future has failed with it. */
#define at_task_manager_submit_with(manager, ...)                                                  \
    at_task_manager_submit_with_at(AT_SITE(""), manager, __VA_ARGS__)
AT_API AT_NODISCARD at_future *at_task_manager_submit_with_at(const char *site,
                                                              at_task_manager *manager,
                                                              const at_task_options *options);

/** Cancels the children: those that are queued never run, waits in those that run end.
 *  Threads:   any, also the children.      Blocks: never.
 *  Errors:    AT_ERROR_ALREADY when they are cancelled already, AT_ERROR_FORKED. The error slot is
 *             left alone. */
AT_API at_status at_task_manager_cancel(at_task_manager *manager);

/** Waits until every child has ended; then no further one can be started. When the scope of the
 *  caller is cancelled meanwhile, so are the children, and the call waits on.
 *  Threads:   any but the children, several at once too.
 *  Blocks:    until every child has ended, or `deadline`.
 *  Ordering:  the children happen before the return.
 *  Errors:    AT_ERROR_TIMED_OUT: the deadline has passed, the children go on and more may be
 *             started. AT_ERROR_DEADLOCK: called by a child, or by what one has started.
 *             AT_ERROR_FORKED. Else how the children ended. When the policy has decided for
 *             success: AT_OK. Otherwise the status of the first failure that the manager's own
 *             cancellation did not cause, and the error has the others with it (at_error_other);
 *             without such a failure AT_ERROR_CANCELLED if a child was cancelled. */
AT_API AT_NODISCARD at_status at_task_manager_join(at_task_manager *manager, at_deadline deadline);

/** Waits as at_task_manager_join does, without a deadline, and hands over how the first `n`
 *  children ended whose outcomes nobody has got yet, in the order in which they were started.
 *  Threads:   any but the children.
 *  Blocks:    until every child has ended.
 *  Ownership: fills `outcomes`, which the caller owns (at_outcomes_release), whatever it returns;
 *             values of submitted children are lent (at_task_manager_submit).
 *  Ordering:  the children happen before the return.
 *  Errors:    AT_ERROR_INVALID: there are no `n` outcomes, or none are kept; AT_ERROR_DEADLOCK and
 *             AT_ERROR_FORKED as at_task_manager_join. `outcomes` is then filled with that error.
 *             Else the status that at_task_manager_join gives. */
AT_API AT_NODISCARD at_status at_task_manager_gather(at_task_manager *manager, at_outcome *outcomes,
                                                     size_t n);

/** Ends a manager. If children were started and not joined, they are cancelled and joined, and an
 *  error line `task_manager.unjoined` is logged: a join comes before this. Outcomes that nobody has
 *  got are dropped. In the child of a process fork it frees the manager and nothing else.
 *  Threads:   any but the children; a child, or what one has started, that destroys its manager is
 *             a caller's bug and aborts; so does an inline continuation while children are left.
 *  Blocks:    until every child has ended.
 *  Ownership: takes `manager`; NULL is allowed. */
AT_API void at_task_manager_destroy(at_task_manager *manager);

/* What became of the children so far. */
typedef struct at_task_manager_counts {
    uint64_t started;
    uint64_t queued;  /* in the manager */
    uint64_t running; /* begun, or in a queue of the pool; max_concurrent at most */
    uint64_t succeeded;
    uint64_t failed;
    uint64_t cancelled;
} at_task_manager_counts;

/** Counts the children: started = queued + running + succeeded + failed + cancelled. In the child
 *  of a process fork all are zero.
 *  Threads:   any.      Blocks: never.
 *  Ownership: fills `counts`. */
AT_API void at_task_manager_count(at_task_manager *manager, at_task_manager_counts *counts);

AT_DECLARATIONS_END

#endif
