/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_CPU_H
#define ASYNCTOOLS_CPU_H

#include <asynctools/attributes.h>

AT_DECLARATIONS_BEGIN

/** Counts the CPUs this process may really use: the CPUs in its affinity mask, or the smallest CPU
 *  quota of all its cgroup levels, rounded up, whichever is less; never less than 1. Reads /proc
 *  and /sys anew at each call (some 50 microseconds).
 *  Threads:   any.      Blocks: never (it reads a few small kernel files). */
AT_API int at_cpu_count(void);

AT_DECLARATIONS_END

#endif
