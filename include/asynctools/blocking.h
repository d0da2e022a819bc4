/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BLOCKING_H
#define ASYNCTOOLS_BLOCKING_H

#include <asynctools/attributes.h>
#include <asynctools/task.h>

AT_DECLARATIONS_BEGIN

/** Calls `run(argument)`, which blocks its thread (a read, a lock, a foreign library), on a spare
 *  thread: the task is suspended meanwhile and its worker goes on with other work. `run` is a part
 *  of the task: its error and what it says by at_return count as the task's own, at_pool_current()
 *  is the task's pool, and what it starts there is started by the task, while the pool closes too.
 *  But it is not on a worker: the library's waits block that thread. Where no spare thread can be
 *  started (out of threads, max_spares AT_NONE) and in a plain thread, it is called in place. The
 *  pool starts one spare thread for each CPU at once, further ones every 25 milliseconds while
 *  calls wait, at most max_spares; they end after a second without a call.
 *  Threads:   any, but not an inline continuation (there it is called in place).
 *  Blocks:    until `run` has returned; cancellation and deadlines do not stop it.
 *  Ownership: borrows `argument`; returns what `run` returned, AT_FAILED included. */
AT_API void *at_blocking_call(at_run_fn run, void *argument);

/** Announces that this task is about to block its thread, in code that must stay on it. Until
 *  at_blocking_end a spare thread does the worker's work; tasks that are suspended on this very
 *  worker wait until then, so do not block on something that one of them is to do: use
 *  at_blocking_call for that. The library's waits inside block the thread too. Sections nest. In a
 *  plain thread it does nothing.
 *  Threads:   any.      Blocks: never for long (it may start a thread). */
AT_API void at_blocking_begin(void);

/** Ends what at_blocking_begin began. A task that returns before that is a caller's bug and aborts.
 *  Threads:   the one that began.      Blocks: never. */
AT_API void at_blocking_end(void);

AT_DECLARATIONS_END

#endif
