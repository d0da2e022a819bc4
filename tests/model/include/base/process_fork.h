/* SPDX-License-Identifier: MIT
 *
 * Stands before lib/base/process_fork.h on the include path of the models: nobody forks there, and
 * the count is no word of a model's memory. */
#ifndef MODEL_BASE_PROCESS_FORK_H
#define MODEL_BASE_PROCESS_FORK_H

#include <stdint.h>

static inline uint64_t ati_process_fork_count(void) {
    return 0;
}

#endif
