/* SPDX-License-Identifier: MIT */
#include "base/random.h"

#include "base/clock.h"

#include <sys/random.h>

uint64_t ati_random_next(void) {
    static _Thread_local uint64_t state;
    if (state == 0 && getrandom(&state, sizeof state, GRND_NONBLOCK) != sizeof state)
        state = (uint64_t)ati_monotonic_ns() ^ (uint64_t)(uintptr_t)&state;
    return ati_random_step(&state);
}
