/* SPDX-License-Identifier: MIT */
#ifndef BENCH_STATISTICS_H
#define BENCH_STATISTICS_H

#include <stddef.h>

/* Sort `values` and give what stands at `part` (0 to 1) of the way, between two where it must. */
double quantile_of(double *values, size_t count, double part);
double median_of(double *values, size_t count);

#endif
