/* SPDX-License-Identifier: MIT */
#include "base/random.h"

#include "base/clock.h"
#include "base/process_fork.h"

#include <sys/random.h>

void ati_random_fill(uint64_t *numbers, size_t count) {
    static _Thread_local uint64_t state;
    static _Thread_local uint64_t seeded_fork_count;
    uint64_t fork_count = ati_process_fork_count();
    if (seeded_fork_count != fork_count)
        state = 0; /* the parent goes on with the same state */
    seeded_fork_count = fork_count;
    if (state == 0 && getrandom(&state, sizeof state, GRND_NONBLOCK) != sizeof state)
        state = (uint64_t)ati_monotonic_ns() ^ (uint64_t)(uintptr_t)&state;
    uint64_t local = state;
    for (size_t i = 0; i < count; i++)
        numbers[i] = ati_random_step(&local);
    state = local;
}

uint64_t ati_random_next(void) {
    uint64_t number;
    ati_random_fill(&number, 1);
    return number;
}
