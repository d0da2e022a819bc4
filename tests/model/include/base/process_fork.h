/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_PROCESS_FORK_H
#define ASYNCTOOLS_BASE_PROCESS_FORK_H

/* In a model no process forks. */
#include <stdint.h>

static inline uint64_t ati_process_fork_count(void) {
    return 0;
}

#endif
