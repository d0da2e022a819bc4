/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TICKS_H
#define BENCH_TICKS_H

/* The time-stamp counter, for times of a few hundred nanoseconds. What comes before a reading has
 * ended by then, and what comes behind it has not begun. Elsewhere the monotonic clock. */
#include "clock.h"

#include <stdint.h>

#if defined(__x86_64__)
static inline uint64_t ticks_now(void) {
    uint32_t low, high;
    __asm__ __volatile__("rdtscp\n\tlfence" : "=a"(low), "=d"(high) : : "rcx", "memory");
    return (uint64_t)high << 32 | low;
}
#else
static inline uint64_t ticks_now(void) {
    return now_ns();
}
#endif

#endif
