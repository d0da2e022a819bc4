/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LIMIT_H
#define BENCH_LIMIT_H

#include <stddef.h>

/* What the machine can do, measured without the library: each function prints its rows. */
void limits_of_one_thread(void);
void limits_of_the_kernel(void);
void limits_of_two_threads(void);
void limits_of_copies(void);

/* Prints one row; a time below 0 says that it cannot be measured here. */
void limits_print(const char *what, double ns);

/* Binds the calling thread to the allowed CPU number `index` of this process; -1 frees it again.
 * Gives 0, or -1 where there is none. */
int limits_bind(int index);

/* How many CPUs the process was allowed when it began. */
int limits_cpu_count(void);

/* Runs `loop(count)` several times; gives the median nanoseconds of one turn. */
double limits_time(void (*loop)(long count), long count);

#endif
