/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_PROCESS_FORK_H
#define ASYNCTOOLS_BASE_PROCESS_FORK_H

#include <stdint.h>

/* How often this process is the child of a fork, counted from the first call in any ancestor. What
 * was created under another number belongs to a parent. */
uint64_t ati_process_fork_count(void);

#endif
