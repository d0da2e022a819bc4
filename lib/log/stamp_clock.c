/* SPDX-License-Identifier: MIT */
#include "log/stamp_clock.h"

#include "log/stamp.h"

#include <stdbool.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* How fast the counter runs is told by the last two times that CLOCK_REALTIME was asked, if they
 * are near each other, and believed for twice as long as lay between them, ATI_STAMP_CLOCK_WINDOW
 * at most. So nothing has to be measured in advance, and what changes the counter or the clock,
 * slowly or at once, is followed:
 *
 * - Between CLOCK_REALTIME and the counter, read behind it, lies less than doubtful_ticks, or they
 *   are not counted on from. That makes some 2 microseconds at most, and 20 ns usually.
 * - Who sets the clock is seen after a window. If that was between two times near each other, the
 *   next window has a wrong rate, and is over when it says 100 microseconds, or after twice
 *   longest_gap. So a millisecond later all is right again.
 * - A counter that has jumped, on another CPU or by a sleep of the machine, is outside the window.
 *
 * A counter that may stand still is not used: its window would not end. */

enum {
    longest_gap = 20 * ATI_TICKS_SHORT, /* ticks between two times near each other */
    longest_passed = 2 * ATI_STAMP_CLOCK_WINDOW,
    doubtful_ticks = ATI_TICKS_SHORT / 25,
};

static bool counter_is_steady; /* written by ati_stamp_clock_prepare() */

void ati_stamp_clock_prepare(void) {
#if defined(__x86_64__)
    enum { power_leaf = 0x80000007, invariant_counter = 1 << 8 };
    unsigned a, b, c, d = 0;
    counter_is_steady = __get_cpuid(power_leaf, &a, &b, &c, &d) && (d & invariant_counter);
#endif
}

int64_t ati_stamp_clock_ask(ati_stamp_clock *clock, uint64_t ticks) {
    int64_t time = ati_stamp_now();
    if (!counter_is_steady)
        return time;
    uint64_t asked_at = ati_ticks();
    uint64_t gap = asked_at - clock->asked_at;
    int64_t passed = time - clock->time;
    bool is_doubtful = asked_at - ticks > doubtful_ticks;
    clock->window = 0;
    if (!is_doubtful && gap > 0 && gap <= longest_gap && passed > 0 && passed <= longest_passed) {
        clock->rate = ((uint64_t)passed << 32) / gap;
        clock->window = 2 * passed <= ATI_STAMP_CLOCK_WINDOW
                            ? 2 * gap
                            : gap * ATI_STAMP_CLOCK_WINDOW / (uint64_t)passed;
    }
    clock->asked_at = asked_at;
    clock->time = is_doubtful ? 0 : time;
    return time;
}
