/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_H
#define ASYNCTOOLS_POOL_H

#include <asynctools/attributes.h>
#include <asynctools/clock.h>
#include <asynctools/limits.h>
#include <asynctools/status.h>
#include <asynctools/task.h>

#include <stdbool.h>
#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* A work-stealing pool of threads. Pools share nothing and never affect each other. */
typedef struct at_pool at_pool;

/* What a pool does in the child of a fork. */
typedef enum at_process_fork_policy {
    AT_PROCESS_FORK_FAIL = 0,         /* every call fails with AT_ERROR_FORKED */
    AT_PROCESS_FORK_START_AFRESH = 1, /* the first call starts new threads; what was queued or ran
                                        at the fork is the parent's alone */
} at_process_fork_policy;

/* Zero is the default for each member; NULL options are all defaults. */
typedef struct at_pool_options {
    int64_t thread_count; /* workers; default: at_cpu_count(), or cpu_count if that is less; at
                             most 4,096 */
    const char *name;     /* copied; threads are named "<name>-<n>", cut to 15 characters;
                             default: "pool" */
    int64_t stack_bytes;  /* of each worker; default: 256 KiB; 64 KiB to 1 GiB */
    int64_t queue_bound;  /* tasks that may be queued before a start from outside the pool's own
                             tasks gives AT_ERROR_FULL; what its tasks start, and continuations,
                             always pass; default: AT_UNLIMITED */
    int64_t max_spares;   /* threads that may be added while tasks block; AT_NONE: none; default:
                             1,024; at most 16,384 */
    const int *cpus;   /* copied: the CPUs that the workers may run on; default: no restriction */
    int64_t cpu_count; /* how many `cpus` */
    bool pins_threads; /* whether each worker keeps to one CPU, of `cpus` or of those that the
                          process may use, in turn; it then steals from near workers first */
    at_process_fork_policy process_fork; /* default: calls in the child of a fork fail */
    at_clock *clock; /* borrowed until the pool is destroyed: for all timers and deadlines of the
                        pool; default: the current clock */
    void (*on_thread_start)(void *context); /* called by each worker before its first task */
    void (*on_thread_stop)(void *context);  /* called by each worker after its last; on a virtual
                                               clock it may not wait for time: the thread that
                                               destroys the pool, if bound to it, stops it */
    void *context;                          /* borrowed, for the two above */
    uint64_t reserved[4];
} at_pool_options;

/** Creates a pool and starts its workers.
 *  Threads:   any.      Blocks: never for long (it starts threads).
 *  Ownership: returns owned; at_pool_destroy ends it. Copies `options`.
 *  Errors:    AT_ERROR_INVALID (names the member), AT_ERROR_NO_MEMORY, AT_ERROR_SYSTEM when a
 *             thread cannot be started: nothing is left behind and `*pool` is untouched. */
AT_API AT_NODISCARD at_status at_pool_create(at_pool **pool, const at_pool_options *options);

/** Refuses further starts from outside, finishes what was accepted and what that starts, joins the
 *  threads and frees the pool. Continuations whose source completes later fail with
 *  AT_ERROR_CLOSED. A shutdown that lasts is logged as `pool.shutdown_slow` every 5 seconds. In
 *  the child of a fork it frees the pool and nothing else: what was queued is the parent's.
 *  Threads:   any, but not a task of this pool, which is a caller's bug and aborts.
 *  Blocks:    until all accepted tasks have ended.
 *  Ownership: takes `pool`; NULL is allowed.
 *  Ordering:  all tasks happen before the return. */
AT_API void at_pool_destroy(at_pool *pool);

/** Refuses further starts from outside (AT_ERROR_CLOSED) and waits until all accepted tasks have
 *  ended, or until `deadline`: then the error names some of the tasks that are left, and the log
 *  more of them, as `pool.stuck`. May be called again; the pool still has to be destroyed.
 *  Threads:   any, but not a task of this pool, which is a caller's bug and aborts.
 *  Blocks:    until the accepted tasks have ended, or `deadline`.
 *  Ordering:  on AT_OK, all tasks happen before the return.
 *  Errors:    AT_ERROR_TIMED_OUT: tasks are left, they go on. AT_ERROR_FORKED. */
AT_API AT_NODISCARD at_status at_pool_shutdown(at_pool *pool, at_deadline deadline);

/** Starts `run(argument)` as a task whose value nobody wants. If it fails, that is logged as
 *  `error.dropped`.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: borrows `argument`.
 *  Ordering:  what the caller did before happens before `run`. No order between tasks.
 *  Errors:    AT_ERROR_FULL, AT_ERROR_CLOSED, AT_ERROR_FORKED, AT_ERROR_NO_MEMORY: `run` never
 *             runs. */
#define at_pool_start(pool, run, ...) at_pool_start_at(AT_SITE(#run), pool, run, __VA_ARGS__)
AT_API AT_NODISCARD at_status at_pool_start_at(const char *site, at_pool *pool, at_run_fn run,
                                               void *argument);

/** Starts a task that owns its argument.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: takes `options->argument` on AT_OK: it is then run or dropped exactly once. Copies
 *             `options`.
 *  Ordering:  as at_pool_start.
 *  Errors:    as at_pool_start, and AT_ERROR_INVALID; the caller keeps the argument. */
#define at_pool_start_with(pool, ...) at_pool_start_with_at(AT_SITE(""), pool, __VA_ARGS__)
AT_API AT_NODISCARD at_status at_pool_start_with_at(const char *site, at_pool *pool,
                                                    const at_task_options *options);

/** Starts one task per item; each gets the address of its item. All are accepted or none.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: borrows the items until their tasks have run.
 *  Ordering:  as at_pool_start.
 *  Errors:    as at_pool_start; AT_ERROR_FULL unless there is room for all; AT_ERROR_INVALID for
 *             items without data or size, or more than fit into memory. No items is success. */
#define at_pool_start_many(pool, run, ...)                                                         \
    at_pool_start_many_at(AT_SITE(#run), pool, run, __VA_ARGS__)
AT_API AT_NODISCARD at_status at_pool_start_many_at(const char *site, at_pool *pool, at_run_fn run,
                                                    at_items items);

/** Starts a task in the caller's storage; cannot fail for memory.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: borrows `task` until its `run` is entered; from then on it may be freed or started
 *             again, by `run` too.
 *  Ordering:  as at_pool_start.
 *  Errors:    AT_ERROR_FULL, AT_ERROR_CLOSED, AT_ERROR_FORKED. */
AT_API AT_NODISCARD at_status at_pool_start_task(at_pool *pool, at_task *task);

/** Gives the pool of the running task, or NULL in a plain thread.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, until the task ends. */
AT_API at_pool *at_pool_current(void);

/** Counts the workers, spare threads not included.
 *  Threads:   any.      Blocks: never. */
AT_API int64_t at_pool_thread_count(const at_pool *pool);

/* What became of all tasks that were accepted. A task that continues with another future has
 * succeeded. */
typedef struct at_pool_audit_result {
    uint64_t accepted;
    uint64_t succeeded;
    uint64_t failed;
    uint64_t cancelled;
    uint64_t pending; /* measured in the queues, not computed from the other numbers */
    uint64_t running; /* measured at the workers; a task that waits is running */
    bool balanced;    /* accepted = succeeded + failed + cancelled + pending + running */
} at_pool_audit_result;

/** Counts what became of every accepted task. Exact when no call of the pool is in progress;
 *  otherwise outcomes are read before acceptances, so that no task is counted twice.
 *  Threads:   any.      Blocks: never.
 *  Ownership: fills `result`. */
AT_API void at_pool_audit(at_pool *pool, at_pool_audit_result *result);

AT_DECLARATIONS_END

#endif
