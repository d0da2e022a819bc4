/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_CLOCK_H
#define ASYNCTOOLS_CLOCK_H

#include <asynctools/attributes.h>
#include <asynctools/limits.h>

#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* A length of time in nanoseconds. */
typedef int64_t at_duration;

/* A moment on the current clock, absolute, in nanoseconds. AT_FOREVER never comes; a moment that
 * has passed (0, say) makes a wait look once and return. */
typedef int64_t at_deadline;

/* Durations; a fraction is welcome: AT_SECONDS(0.25). */
#define AT_NANOSECONDS(n) ((at_duration)(n))
#define AT_MICROSECONDS(n) ((at_duration)((n)*1000LL))
#define AT_MILLISECONDS(n) ((at_duration)((n)*1000000LL))
#define AT_SECONDS(n) ((at_duration)((n)*1000000000LL))
#define AT_MINUTES(n) ((at_duration)((n)*60000000000LL))
#define AT_HOURS(n) ((at_duration)((n)*3600000000000LL))

/* A source of time. The real one is CLOCK_MONOTONIC. */
typedef struct at_clock at_clock;

/** Gives the real clock, CLOCK_MONOTONIC.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, valid for ever. */
AT_API at_clock *at_clock_real(void);

/** Binds `clock` to the calling thread; NULL binds the real clock again. Tests use it.
 *  Threads:   any.      Blocks: never.
 *  Ownership: borrows `clock` until another one is bound or the thread ends. */
AT_API void at_clock_bind(at_clock *clock);

/** Gives the current clock: the one bound to this thread, else the real one.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed. */
AT_API at_clock *at_clock_current(void);

/** Reads `clock`.
 *  Threads:   any.      Blocks: never.
 *  Ownership: borrows `clock` for the call. */
AT_API int64_t at_clock_now(at_clock *clock);

/** Turns a duration into a deadline on the current clock. A negative duration gives a moment that
 *  has passed; AT_FOREVER and whatever would overflow give AT_FOREVER.
 *  Threads:   any.      Blocks: never. */
AT_API at_deadline at_after(at_duration duration);

AT_DECLARATIONS_END

#endif
