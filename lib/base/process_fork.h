/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_PROCESS_FORK_H
#define ASYNCTOOLS_BASE_PROCESS_FORK_H

#include "base/atomic.h"

/* 0: nobody counts yet; else one more than the number of forks. */
extern _Atomic uint64_t ati_process_forks;

/* Begins to count; gives ati_process_forks. */
uint64_t ati_process_fork_install(void);

/* How often this process is the child of a fork, counted from the first call in any ancestor. What
 * was created under another number belongs to a parent. */
static inline uint64_t ati_process_fork_count(void) {
    uint64_t count = atomic_load_explicit(&ati_process_forks, memory_order_relaxed);
    return (count != 0 ? count : ati_process_fork_install()) - 1;
}

#endif
