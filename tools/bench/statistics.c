/* SPDX-License-Identifier: MIT */
#include "statistics.h"

#include <stdlib.h>

static int compare_values(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double quantile_of(double *values, size_t count, double part) {
    if (count == 0)
        return 0;
    qsort(values, count, sizeof(*values), compare_values);
    double place = part * (double)(count - 1);
    size_t below = (size_t)place;
    if (below + 1 >= count)
        return values[count - 1];
    double share = place - (double)below;
    return values[below] * (1 - share) + values[below + 1] * share;
}

double median_of(double *values, size_t count) {
    return quantile_of(values, count, 0.5);
}
