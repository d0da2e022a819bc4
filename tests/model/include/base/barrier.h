/* SPDX-License-Identifier: MIT
 *
 * In the place of lib/base/barrier.h: a light barrier and a heavy one are together as good as two
 * full fences. */
#ifndef ASYNCTOOLS_BASE_BARRIER_H
#define ASYNCTOOLS_BASE_BARRIER_H

#include "base/atomic.h"

#include <stdbool.h>

bool ati_barrier_is_unequal(void);
void ati_heavy_barrier(void);

static inline void ati_light_barrier(void) {
    atomic_thread_fence(memory_order_seq_cst);
}

#endif
