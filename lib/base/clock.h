/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_CLOCK_H
#define ASYNCTOOLS_BASE_CLOCK_H

#include <asynctools/clock.h>

/* What every clock is behind its handle. `now` may be called from any thread. */
struct at_clock {
    int64_t (*now)(at_clock *clock);
};

/* The real clock, whatever is bound to this thread. */
int64_t ati_monotonic_ns(void);

#endif
