/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_YIELD_H
#define ASYNCTOOLS_BASE_YIELD_H

/* Giving the CPU away while looking for something that is expected within microseconds. */
#include "base/clock.h"

#include <sched.h>
#include <stdbool.h>

/* False: somebody else had the CPU for longer than such a look is to last (some 20 us). It is
 * wanted, then: better sleep, for who is woken gets it back sooner than who yields again. */
static inline bool ati_yield_briefly(void) {
    uint64_t before = ati_ticks();
    sched_yield();
    return ati_ticks() - before < ATI_TICKS_SHORT;
}

#endif
