/* SPDX-License-Identifier: MIT */
/* A test of code that takes days, on a clock where a day passes in microseconds. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

/* The code under test: asks again after a minute, two, four, and at most once a day. */
struct subscription {
    int days_until_paid;
    int reminders;
    int64_t paid_at;
};

static bool is_paid(const struct subscription *subscription, int64_t began) {
    return at_clock_now(at_clock_current()) >= began + AT_HOURS(24) * subscription->days_until_paid;
}

static void *remind(void *argument) {
    struct subscription *subscription = argument;
    int64_t began = at_clock_now(at_clock_current());
    at_duration pause = AT_MINUTES(1);
    while (!is_paid(subscription, began)) {
        subscription->reminders++;
        AT_TRY(at_sleep(pause));
        pause = pause * 2 < AT_HOURS(24) ? pause * 2 : AT_HOURS(24);
    }
    subscription->paid_at = at_clock_now(at_clock_current());
    return subscription;
}

/* Waits, and time passes as fast as nobody has anything to do. */
static void test_a_month(void) {
    at_clock *clock;
    at_pool *pool;
    expect(at_virtual_clock_create(&clock) == AT_OK, "a clock");
    at_clock_bind(clock);
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool, on the current clock");

    int64_t began = at_clock_now(clock);
    struct subscription subscription = {.days_until_paid = 30};
    at_future *done = at_pool_submit(pool, remind, &subscription);
    at_deadline deadline = at_after(AT_HOURS(24 * 365));
    expect(at_future_wait(done, deadline, NULL) == AT_OK, "paid within the year");

    /* 2047 minutes of doubled pauses, then 29 days: to the nanosecond, on every run. */
    expect(subscription.reminders == 11 + 29, "so many reminders");
    expect(subscription.paid_at - began == AT_MINUTES(2047) + AT_HOURS(24 * 29), "at that moment");

    at_future_release(done);
    at_pool_destroy(pool);
    at_clock_bind(NULL);
    at_virtual_clock_destroy(clock);
}

/* Moves the time by hand, to look at what has happened by then. */
static void test_the_first_minutes(void) {
    at_clock *clock;
    at_pool *pool;
    expect(at_virtual_clock_create(&clock) == AT_OK, "a clock");
    at_virtual_clock_hold(clock);
    expect(at_pool_create(&pool, &(at_pool_options){.clock = clock}) == AT_OK, "a pool");

    struct subscription subscription = {.days_until_paid = 1};
    expect(at_pool_start(pool, remind, &subscription) == AT_OK, "the task");
    at_virtual_clock_advance(clock, AT_SECONDS(59));
    expect(subscription.reminders == 1, "the first reminder");
    at_virtual_clock_advance(clock, AT_SECONDS(1) + AT_MINUTES(2));
    expect(subscription.reminders == 3, "the second and the third");

    at_virtual_clock_release(clock); /* the rest of the day passes by itself */
    at_pool_destroy(pool);
    at_virtual_clock_destroy(clock);
}

int main(void) {
    test_a_month();
    test_the_first_minutes();
    return 0;
}
