/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include "base/check.h"

#include <time.h>

int64_t ati_monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t ati_coarse_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t read_real(at_clock *clock) {
    (void)clock;
    return ati_monotonic_ns();
}

static at_clock real_clock = {.now = read_real};

static _Thread_local at_clock *bound_clock;

at_clock *at_clock_real(void) {
    return &real_clock;
}

void at_clock_bind(at_clock *clock) {
    bound_clock = clock;
}

at_clock *at_clock_current(void) {
    return bound_clock ? bound_clock : &real_clock;
}

int64_t at_clock_now(at_clock *clock) {
    ATI_CALLER_CHECK(clock, "at_clock_now", "`clock` is NULL");
    return clock->now(clock);
}

at_deadline at_after(at_duration duration) {
    if (duration == AT_FOREVER)
        return AT_FOREVER;
    at_deadline moment;
    if (__builtin_add_overflow(at_clock_now(at_clock_current()), duration, &moment))
        return duration > 0 ? AT_FOREVER : INT64_MIN;
    return moment;
}
