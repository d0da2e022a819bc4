/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_BARRIER_H
#define ASYNCTOOLS_BASE_BARRIER_H

/* A barrier of two unequal halves, for two threads of which each writes a word and then reads the
 * other's. With a light barrier between the two accesses in one and a heavy one in the other, at
 * least one of them reads what the other wrote, as with a full fence in both.
 *
 * The light half only binds the compiler; the heavy half makes every thread of the process that
 * runs pass a full fence (membarrier), which costs some ten microseconds. Where the system has no
 * such call, ati_barrier_is_unequal() says so, once and for all: those who would use the light half
 * take a lock instead.
 *
 * What the halves order is atomic words only, so ThreadSanitizer needs no other form of them. */
#include "base/atomic.h"

#include <stdbool.h>

/* Whether the two halves work in this process. */
bool ati_barrier_is_unequal(void);

/* The light half; public inline code has its own. */
static inline void ati_light_barrier(void) {
    __asm__ volatile("" ::: "memory");
}

/* The heavy half. Only if they work. */
void ati_heavy_barrier(void);

#endif
