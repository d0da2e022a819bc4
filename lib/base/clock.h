/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_CLOCK_H
#define ASYNCTOOLS_BASE_CLOCK_H

#include "base/atomic.h"

#include <asynctools/clock.h>

#include <stdbool.h>

/* What every clock is behind its handle. `now` may be called from any thread. */
struct at_clock {
    int64_t (*now)(at_clock *clock);
    /* A virtual clock stands still while somebody is inside; NULL in the real one. Who leaves holds
     * no lock of a pool: time may run on, and wake others. */
    void (*enter)(at_clock *clock);
    void (*leave)(at_clock *clock);
    /* A thread is bound to a virtual clock, until it is unbound: it is inside. */
    void (*bind)(at_clock *clock);
    void (*unbind)(at_clock *clock);
    _Atomic int64_t operation_count; /* that go by it; of a virtual one */
};

static inline bool ati_clock_is_virtual(const at_clock *clock) {
    return clock->enter;
}

static inline void ati_clock_enter(at_clock *clock) {
    if (clock->enter)
        clock->enter(clock);
}

static inline void ati_clock_leave(at_clock *clock) {
    if (clock->leave)
        clock->leave(clock);
}

/* An operation goes by it, or does no more: till then nobody is to destroy it. */
static inline void ati_clock_count_operation(at_clock *clock, int64_t change) {
    if (ati_clock_is_virtual(clock))
        atomic_fetch_add_explicit(&clock->operation_count, change, memory_order_relaxed);
}

/* Makes `clock` the current one of a thread of the library, which enters and leaves it as it
 * works; NULL: not any more. */
void ati_clock_lend(at_clock *clock);

/* A moment and a duration later, or the time from one moment to another: as far as that goes, for
 * moments that somebody has given. */
static inline int64_t ati_time_after(int64_t moment, at_duration duration) {
    int64_t after;
    if (__builtin_add_overflow(moment, duration, &after))
        return duration > 0 ? INT64_MAX : INT64_MIN;
    return after;
}
static inline at_duration ati_time_between(int64_t from, int64_t to) {
    at_duration between;
    if (__builtin_sub_overflow(to, from, &between))
        return from < to ? INT64_MAX : INT64_MIN;
    return between;
}

/* The real clock, whatever is bound to this thread. */
int64_t ati_monotonic_ns(void);

/* The same at a quarter of the price, and behind by some milliseconds at most. */
int64_t ati_coarse_ns(void);

/* Counts up with time, cheaply, in a unit of its own: ATI_TICKS_SHORT are some 20 microseconds,
 * more or less. */
static inline uint64_t ati_ticks(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)ati_coarse_ns();
#endif
}

#if defined(__x86_64__)
#define ATI_TICKS_SHORT 50000
#elif defined(__aarch64__)
#define ATI_TICKS_SHORT 1000
#else
#define ATI_TICKS_SHORT 1
#endif

/* A millisecond, more or less. */
#define ATI_TICKS_LONG ((uint64_t)50 * ATI_TICKS_SHORT)

#endif
