/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOOP_EXECUTOR_H
#define ASYNCTOOLS_LOOP_EXECUTOR_H

#include <asynctools/attributes.h>
#include <asynctools/clock.h>
#include <asynctools/executor.h>
#include <asynctools/status.h>

#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* Brings code to a thread that has a loop of its own: epoll, a graphical interface, a game. Works
 * are queued by any thread and run, in order, where the owner of the loop calls
 * at_loop_executor_dispatch; a descriptor for the loop says when there are any. They run as inline
 * continuations do: what runs there may not wait. */
typedef struct at_loop_executor at_loop_executor;

/** Creates a loop executor.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns owned; at_loop_executor_destroy ends it.
 *  Errors:    AT_ERROR_NO_MEMORY, AT_ERROR_SYSTEM when there is no descriptor: `*loop` is
 *             untouched. */
AT_API AT_NODISCARD at_status at_loop_executor_create(at_loop_executor **loop);

/** Gives the executor that queues code for the loop: for at_executor_submit, continuations and
 *  promises. Starting on it cannot fail for memory; in the child of a fork it gives
 *  AT_ERROR_FORKED.
 *  Threads:   any.      Blocks: never.
 *  Ordering:  first in, first out; each work happens before the next.
 *  Ownership: returns borrowed, valid as long as the loop executor; futures and promises made for
 *             it keep what they need of it themselves. */
AT_API at_executor *at_loop_executor_executor(at_loop_executor *loop);

/** Gives a descriptor that is readable as long as works are queued, for poll, epoll and their kin.
 *  It is written when the first work is queued and not again until none is left. Only poll it.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, valid as long as the loop executor. */
AT_API int at_loop_executor_fd(const at_loop_executor *loop);

/** Runs queued works, and those that these queue: `max_works` at most (AT_UNLIMITED: no bound), and
 *  none after `budget` has gone by on the current clock (AT_FOREVER: no bound; 0: one work).
 *  `*work_count` (NULL where it is not wanted) says how many it took off the queue; those that were
 *  cancelled there count too.
 *  Threads:   one at a time, mostly always the same; not a work that it runs, which aborts.
 *  Blocks:    never, but for the works themselves.
 *  Ordering:  what a thread did before it queued a work happens before that work.
 *  Errors:    AT_ERROR_INVALID for a negative bound, AT_ERROR_FORKED: nothing has run. */
AT_API AT_NODISCARD at_status at_loop_executor_dispatch(at_loop_executor *loop, int64_t max_works,
                                                        at_duration budget, int64_t *work_count);

/** Refuses further works (AT_ERROR_CLOSED), runs those that are queued, and closes the descriptor.
 *  In the child of a fork it runs nothing: what was queued is the parent's.
 *  Threads:   as at_loop_executor_dispatch.      Blocks: never, but for the works themselves.
 *  Ownership: takes `loop`; NULL is allowed. */
AT_API void at_loop_executor_destroy(at_loop_executor *loop);

AT_DECLARATIONS_END

#endif
