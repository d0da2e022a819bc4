/* SPDX-License-Identifier: MIT
 *
 * Rule X6: a deadline is absolute, on the current clock: the one bound to the thread, else
 * CLOCK_MONOTONIC. */
#include "support/test.h"

#include "base/clock.h"

#include <pthread.h>
#include <time.h>

struct fixed_clock {
    at_clock clock;
    int64_t time;
};

static int64_t read_fixed(at_clock *clock) {
    return ((struct fixed_clock *)clock)->time;
}

/* Rule X6. */
Test(clock, real_is_the_monotonic_clock) {
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    int64_t now = at_clock_now(at_clock_real());
    clock_gettime(CLOCK_MONOTONIC, &after);
    cr_expect_geq(now, before.tv_sec * INT64_C(1000000000) + before.tv_nsec);
    cr_expect_leq(now, after.tv_sec * INT64_C(1000000000) + after.tv_nsec);
    cr_expect_eq(at_clock_current(), at_clock_real());
}

Test(clock, never_goes_back) {
    int64_t last = ati_monotonic_ns();
    for (int i = 0; i < 100000; i++) {
        int64_t now = at_clock_now(at_clock_real());
        cr_assert_geq(now, last);
        last = now;
    }
}

/* Rule X6: at_after reads the bound clock. */
Test(clock, bound_clock_is_the_current_one) {
    struct fixed_clock fixed = {{.now = read_fixed}, AT_HOURS(1)};
    at_clock_bind(&fixed.clock);
    cr_expect_eq(at_clock_current(), &fixed.clock);
    cr_expect_eq(at_after(AT_SECONDS(5)), AT_HOURS(1) + AT_SECONDS(5));
    fixed.time = AT_HOURS(2);
    cr_expect_eq(at_after(0), AT_HOURS(2));
    at_clock_bind(NULL);
    cr_expect_eq(at_clock_current(), at_clock_real());
}

static void *read_current(void *unused) {
    (void)unused;
    return at_clock_current();
}

/* Rule L1: the bound clock belongs to the thread. */
Test(clock, binding_is_of_this_thread_alone) {
    struct fixed_clock fixed = {{.now = read_fixed}, 0};
    pthread_t thread;
    void *seen;
    at_clock_bind(&fixed.clock);
    cr_assert_eq(pthread_create(&thread, NULL, read_current, NULL), 0);
    cr_assert_eq(pthread_join(thread, &seen), 0);
    cr_expect_eq(seen, at_clock_real());
    at_clock_bind(NULL);
}

/* Rule X6, and the words of at_after on what cannot be added. */
Test(clock, after_saturates) {
    struct fixed_clock fixed = {{.now = read_fixed}, AT_HOURS(1)};
    at_clock_bind(&fixed.clock);
    cr_expect_eq(at_after(AT_FOREVER), AT_FOREVER);
    cr_expect_eq(at_after(INT64_MAX - 1), AT_FOREVER);
    cr_expect_eq(at_after(INT64_MAX - AT_HOURS(1)), INT64_MAX);
    cr_expect_eq(at_after(INT64_MAX - AT_HOURS(1) - 1), INT64_MAX - 1);
    cr_expect_eq(at_after(-1), AT_HOURS(1) - 1);
    cr_expect_lt(at_after(INT64_MIN), 0);
    fixed.time = -1;
    cr_expect_lt(at_after(INT64_MIN), 0);
    at_clock_bind(NULL);
}

Test(clock, durations) {
    cr_expect_eq(AT_NANOSECONDS(7), 7);
    cr_expect_eq(AT_MICROSECONDS(7), 7000);
    cr_expect_eq(AT_MILLISECONDS(7), 7000000);
    cr_expect_eq(AT_SECONDS(7), INT64_C(7000000000));
    cr_expect_eq(AT_SECONDS(0.25), 250000000);
    cr_expect_eq(AT_SECONDS(1 + 1), INT64_C(2000000000));
    cr_expect_eq(AT_MINUTES(2), AT_SECONDS(120));
    cr_expect_eq(AT_HOURS(24), AT_MINUTES(1440));
    cr_expect_eq(-AT_SECONDS(1), INT64_C(-1000000000));
    cr_expect_eq(AT_HOURS(24 * 365), AT_SECONDS(31536000));
}
