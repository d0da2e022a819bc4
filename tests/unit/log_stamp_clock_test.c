/* SPDX-License-Identifier: MIT
 *
 * The clock of log lines (rule J1) beside the system's. */
#include "support/test.h"

#include "base/clock.h"
#include "log/stamp.h"
#include "log/stamp_clock.h"

#include <asynctools/clock.h>

enum {
    readings = 200000,
    tolerance_ns = 5000,
};

/* Whether a reading now is of now. */
static bool is_right(ati_stamp_clock *clock) {
    int64_t before = ati_stamp_now();
    int64_t time = ati_stamp_clock_now(clock);
    return time >= before - tolerance_ns && time <= ati_stamp_now() + tolerance_ns;
}

/* Reads it, as lines do that follow each other closely. */
static void read_for(ati_stamp_clock *clock, at_duration time) {
    for (int64_t end = ati_monotonic_ns() + time; ati_monotonic_ns() < end;)
        (void)ati_stamp_clock_now(clock);
}

static bool stays_right(ati_stamp_clock *clock) {
    for (int i = 0; i < 1000; i++)
        if (!is_right(clock))
            return false;
    return true;
}

TestSuite(log_stamp_clock, .init = ati_stamp_clock_prepare);

Test(log_stamp_clock, says_what_the_system_says) {
    ati_stamp_clock clock = {0};
    for (int i = 0; i < readings; i++)
        cr_assert(is_right(&clock), "reading %d", i);
}

/* As if CLOCK_REALTIME had been set meanwhile. */
Test(log_stamp_clock, follows_a_clock_that_is_set) {
    static const int64_t changes[] = {AT_SECONDS(3600),     -AT_SECONDS(3600),
                                      AT_MICROSECONDS(90),  -AT_MICROSECONDS(90),
                                      AT_MICROSECONDS(150), 1};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        ati_stamp_clock clock = {0};
        read_for(&clock, AT_MILLISECONDS(1));
        clock.time += changes[i];
        read_for(&clock, AT_MILLISECONDS(2));
        cr_assert(stays_right(&clock), "changed by %lld", (long long)changes[i]);
    }
}

/* As on another CPU whose counter is elsewhere, or behind a sleep of the machine. */
Test(log_stamp_clock, follows_a_counter_that_jumps) {
    for (int shift = 0; shift < 64; shift++) {
        ati_stamp_clock clock = {0};
        read_for(&clock, AT_MILLISECONDS(1));
        clock.asked_at += (uint64_t)1 << shift;
        read_for(&clock, AT_MILLISECONDS(2));
        cr_assert(stays_right(&clock), "changed by 2^%d", shift);
    }
}

Test(log_stamp_clock, is_asked_anew_after_a_pause) {
    ati_stamp_clock clock = {0};
    for (int i = 0; i < 1000; i++) {
        read_for(&clock, ATI_STAMP_CLOCK_WINDOW / 2);
        int64_t end = ati_monotonic_ns() + 2 * ATI_STAMP_CLOCK_WINDOW;
        while (ati_monotonic_ns() < end)
            ;
        cr_assert(is_right(&clock), "pause %d", i);
    }
}
