/* SPDX-License-Identifier: MIT
 *
 * In the place of lib/base/process_fork.h: the process of a model is nobody's child. */
#ifndef ASYNCTOOLS_BASE_PROCESS_FORK_H
#define ASYNCTOOLS_BASE_PROCESS_FORK_H

#include "base/atomic.h"

static inline uint64_t ati_process_fork_count(void) {
    return 0;
}

#endif
