/* SPDX-License-Identifier: MIT
 *
 * In the place of lib/base/process_fork.h: there is one process, and each look at the number of its
 * forks would be one more step of the model. */
#ifndef ASYNCTOOLS_BASE_PROCESS_FORK_H
#define ASYNCTOOLS_BASE_PROCESS_FORK_H

#include "base/atomic.h"

static inline uint64_t ati_process_fork_install(void) {
    return 1;
}

static inline uint64_t ati_process_fork_count(void) {
    return 0;
}

#endif
