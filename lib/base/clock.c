/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include "base/check.h"

#include <pthread.h>
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
static _Thread_local bool clock_is_lent; /* the library bound it */

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_end_key;
static bool key_exists;

at_clock *at_clock_real(void) {
    return &real_clock;
}

static void bind_clock(at_clock *clock) {
    at_clock *before = bound_clock;
    if (clock && clock->bind)
        clock->bind(clock);
    bound_clock = clock;
    if (before && before->unbind)
        before->unbind(before);
}

static void end_thread(void *clock) {
    if (clock == bound_clock && !clock_is_lent)
        bind_clock(NULL);
}

static void create_key(void) {
    key_exists = pthread_key_create(&thread_end_key, end_thread) == 0;
}

/* Without a place for this the thread has to unbind itself before it ends. */
static void unbind_at_thread_end(at_clock *clock) {
    pthread_once(&key_once, create_key);
    if (key_exists)
        (void)pthread_setspecific(thread_end_key, clock);
}

void at_clock_bind(at_clock *clock) {
    ATI_CALLER_CHECK(!clock_is_lent, "at_clock_bind",
                     "a thread of a pool goes by the pool's clock; set at_pool_options.clock");
    if (clock == bound_clock)
        return;
    if (clock && clock->bind)
        unbind_at_thread_end(clock);
    bind_clock(clock);
}

void ati_clock_lend(at_clock *clock) {
    bound_clock = clock;
    clock_is_lent = clock;
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
    return ati_time_after(at_clock_now(at_clock_current()), duration);
}
