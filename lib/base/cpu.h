/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_CPU_H
#define ASYNCTOOLS_BASE_CPU_H

#include <asynctools/cpu.h>

#include <sched.h>
#include <stddef.h>

/* What sched_getaffinity does: fills `size` bytes; not 0 and EINVAL if they are too few. */
typedef int (*ati_affinity_fn)(pid_t thread, size_t size, cpu_set_t *mask);

/* Counts the CPUs in the calling thread's affinity mask, however large that is. 0: it cannot be
 * read. Keeps errno. */
int ati_cpu_count_affinity(ati_affinity_fn get_affinity);

/* Gives the smallest CPU quota of all the cgroup levels of this process in CPUs, rounded up, at
 * least 1; INT_MAX where there is none. `root` stands before every path that is read: "" for the
 * system's own files. Keeps errno. */
int ati_cpu_count_quota(const char *root);

#endif
