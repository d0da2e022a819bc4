/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_STAMP_CLOCK_H
#define ASYNCTOOLS_LOG_STAMP_CLOCK_H

/* The time of lines that follow each other closely: of CLOCK_REALTIME now and then, and counted on
 * from there by the CPU's counter, which takes half as long to read. One for each thread. See
 * stamp_clock.c for how exact it is. */
#include "base/clock.h"

#include <stdint.h>

typedef struct ati_stamp_clock {
    uint64_t asked_at; /* in ticks; of CLOCK_REALTIME */
    uint64_t window;   /* ticks from there until it is asked again */
    uint64_t rate;     /* nanoseconds a tick, times 2^32 */
    int64_t time;      /* what it said then; 0: nothing that can be counted on from */
} ati_stamp_clock;

enum {
    ATI_STAMP_CLOCK_WINDOW = 100000, /* nanoseconds: CLOCK_REALTIME is asked as often as this */
};

/* Before the first thread has one. */
void ati_stamp_clock_prepare(void);

/* The way of ati_stamp_clock_now() that asks; `ticks` have just been read. */
int64_t ati_stamp_clock_ask(ati_stamp_clock *clock, uint64_t ticks);

/* Nanoseconds since 1970. */
static inline int64_t ati_stamp_clock_now(ati_stamp_clock *clock) {
    uint64_t ticks = ati_ticks();
    uint64_t since = ticks - clock->asked_at;
    if (__builtin_expect(since >= clock->window, 0))
        return ati_stamp_clock_ask(clock, ticks);
    return clock->time + (int64_t)(since * clock->rate >> 32);
}

#endif
