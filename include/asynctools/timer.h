/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_TIMER_H
#define ASYNCTOOLS_TIMER_H

#include <asynctools/attributes.h>
#include <asynctools/clock.h>
#include <asynctools/pool.h>
#include <asynctools/status.h>
#include <asynctools/task.h>

#include <stdbool.h>
#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* A task that is to start at a moment, in the caller's storage: setting it cannot fail for memory.
 * Prepared by at_timer_init, ended by at_timer_unregister; its members are private. */
typedef struct at_timer {
    uint64_t members[22];
} at_timer;

/** Prepares a timer that is to start `run(argument)` as a task of `pool`.
 *  Threads:   one at a time for one timer.      Blocks: never.
 *  Ownership: borrows `argument`, and `pool` until the timer is unregistered. */
#define at_timer_init(timer, pool, run, argument)                                                  \
    at_timer_init_at(AT_SITE(#run), timer, pool, run, argument)
AT_API void at_timer_init_at(const char *site, at_timer *timer, at_pool *pool, at_run_fn run,
                             void *argument);

/** Sets the timer: its task starts once at `moment` of the pool's clock, never before it, under the
 *  current operation; at once if the moment has passed. A timer that is set is moved, also if its
 *  task is queued already but has not begun. `run` may set its own timer again. A timer that is set
 *  is work that the pool has accepted: a shutdown waits for it. If the task fails, that is logged
 *  as `error.dropped`.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: borrows `timer` until at_timer_unregister.
 *  Ordering:  what the caller did before happens before `run`. Tasks of one moment start in the
 *             order in which they were set, those of different moments in the order of the
 *             moments, as far as one worker picks them.
 *  Errors:    AT_ERROR_CLOSED outside the pool's own tasks, AT_ERROR_FORKED, AT_ERROR_INVALID for
 *             AT_FOREVER: nothing has changed. */
AT_API AT_NODISCARD at_status at_timer_start(at_timer *timer, at_deadline moment);

/** Sees to it that the task does not start. True: it was to start and will not. False: it has
 *  begun, or was not set.
 *  Threads:   any, also inside tasks.      Blocks: never. */
AT_API bool at_timer_cancel(at_timer *timer);

/** Cancels the timer and waits while its task runs: afterwards the storage, the argument and the
 *  pool are not used any more. Called by the task itself it does not wait for this one; the task
 *  may free the storage and return. The timer may be started again only after another
 *  at_timer_init.
 *  Threads:   any, but not while another thread uses the timer, and not in an inline continuation.
 *  Blocks:    while the task runs.
 *  Ordering:  the task happens before the return. */
AT_API void at_timer_unregister(at_timer *timer);

/** Starts `run(argument)` as a task at `moment` of the pool's clock, never before it. What has been
 *  said of at_timer_start holds, but this one cannot be cancelled.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: borrows `argument`.
 *  Ordering:  as at_timer_start.
 *  Errors:    as at_timer_start, and AT_ERROR_NO_MEMORY: `run` never runs. */
#define at_pool_start_later(pool, run, argument, moment)                                           \
    at_pool_start_later_at(AT_SITE(#run), pool, run, argument, moment)
AT_API AT_NODISCARD at_status at_pool_start_later_at(const char *site, at_pool *pool, at_run_fn run,
                                                     void *argument, at_deadline moment);

AT_DECLARATIONS_END

#endif
