/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_SLEEP_H
#define ASYNCTOOLS_SLEEP_H

#include <asynctools/attributes.h>
#include <asynctools/clock.h>
#include <asynctools/status.h>

AT_DECLARATIONS_BEGIN

/** Lets time pass on the current clock: a task is suspended and its worker goes on with other work,
 *  a plain thread sleeps. Zero or less returns at once.
 *  Threads:   any, but not an inline continuation.
 *  Blocks:    for `duration`, or until the deadline of the current operation.
 *  Errors:    AT_ERROR_TIMED_OUT when the operation's deadline comes first. AT_ERROR_CANCELLED when
 *             the operation is cancelled already. AT_ERROR_DEADLOCK in an inline continuation. */
AT_API at_status at_sleep(at_duration duration);

/** Gives the worker to others: to the tasks that are ready to go on, or else to one that is queued;
 *  then this task goes on. In a plain thread it gives the CPU to other threads.
 *  Threads:   any, but not an inline continuation, where it does nothing.
 *  Blocks:    until others have had their turn. */
AT_API void at_yield(void);

#define AT_CHECK_INLINE AT_NODISCARD static inline

/** For loops that compute for long: says whether the current operation still wants the result, and
 *  gives way to tasks that are ready once this one has run for a millisecond. In a task it costs
 *  one load while there is nothing to do.
 *  Threads:   any.      Blocks: until others have had their turn.
 *  Errors:    AT_ERROR_CANCELLED, AT_ERROR_TIMED_OUT: stop and return. */
AT_CHECK_INLINE at_status at_check(void);

AT_DECLARATIONS_END

#include <asynctools/inline/check.h>

#endif
