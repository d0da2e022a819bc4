/* SPDX-License-Identifier: MIT */
/* Durations, deadlines and the clock behind them. */
#include <asynctools/asynctools.h>

int main(void) {
    /* A duration is a number of nanoseconds. A fraction is welcome. */
    if (AT_SECONDS(0.25) != AT_MILLISECONDS(250) || AT_HOURS(1) != AT_MINUTES(60))
        return 1;
    if (AT_MICROSECONDS(1) != AT_NANOSECONDS(1000))
        return 1;

    /* A deadline is a moment of the current clock. It can be handed on: what is called with it
     * ends at the same moment, whatever has been spent in between. */
    at_clock *clock = at_clock_current();
    int64_t before = at_clock_now(clock);
    at_deadline deadline = at_after(AT_SECONDS(2));
    int64_t after = at_clock_now(clock);
    if (deadline < before + AT_SECONDS(2) || deadline > after + AT_SECONDS(2))
        return 1;

    /* What cannot be reached is never. */
    if (at_after(AT_FOREVER) != AT_FOREVER || at_after(AT_FOREVER - 1) != AT_FOREVER)
        return 1;

    /* The real clock is CLOCK_MONOTONIC. Another one is bound to a thread, not to the process. */
    at_clock_bind(at_clock_real());
    int same = at_clock_current() == at_clock_real();
    at_clock_bind(NULL); /* the real one again */
    return same && at_clock_current() == at_clock_real() ? 0 : 1;
}
