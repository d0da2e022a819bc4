/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_VIRTUAL_CLOCK_H
#define ASYNCTOOLS_VIRTUAL_CLOCK_H

#include <asynctools/attributes.h>
#include <asynctools/clock.h>
#include <asynctools/status.h>

AT_DECLARATIONS_BEGIN

/* A clock for tests, on which a day passes in microseconds and every sleep ends at its very
 * nanosecond. Pools go by it (at_pool_options.clock), and threads that are bound to it
 * (at_clock_bind). It stands still while any of them does anything: while a worker runs or looks
 * for work, a blocking call is in progress, or a bound thread is anywhere but in a wait of this
 * library. When all of them wait it jumps to the next timer or deadline; at one moment tasks go on
 * first, and bound threads when these wait again. When there is none it stands still.
 *
 * A bound thread that waits for something outside the library (a pthread_join, a read) therefore
 * stops time. In the child of a process fork the clock stands still for ever. */

/** Creates a virtual clock. It shows one hour, so that no time is near 0.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns owned; at_virtual_clock_destroy ends it.
 *  Errors:    AT_ERROR_NO_MEMORY. */
AT_API AT_NODISCARD at_status at_virtual_clock_create(at_clock **clock);

/** Frees a virtual clock that no pool uses any more, that no thread is bound to and nobody holds,
 *  and on which no operation was begun that has not ended; otherwise it is a caller's bug and
 *  aborts.
 *  Threads:   any.      Blocks: never for long.
 *  Ownership: takes `clock`; NULL is allowed. */
AT_API void at_virtual_clock_destroy(at_clock *clock);

/** Stops time until as many calls of at_virtual_clock_release have been made.
 *  Threads:   any.      Blocks: never. */
AT_API void at_virtual_clock_hold(at_clock *clock);

/** Ends what one call of at_virtual_clock_hold began.
 *  Threads:   any.      Blocks: never.
 *  Ownership: borrows `clock` for the call. */
AT_API void at_virtual_clock_release(at_clock *clock);

/** Lets `duration` pass on a clock that the caller holds, and holds it again. It passes no timer
 *  by: at each it stops until what that set going waits again. Zero or less returns at once.
 *  Threads:   any, but not a task.
 *  Blocks:    until the time has passed; for ever if somebody else holds the clock too. */
AT_API void at_virtual_clock_advance(at_clock *clock, at_duration duration);

AT_DECLARATIONS_END

#endif
