/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_HISTOGRAM_H
#define ASYNCTOOLS_BASE_HISTOGRAM_H

/* How often values of which size occurred. Below 32 each value has a bucket of its own; above, each
 * power of two is cut into 32 equal buckets, so that the middle of a bucket is off by 1/64 at most
 * from what it stands for (the layout of G. Tene's HdrHistogram). Values from 2^47 on share the
 * last bucket: as nanoseconds, 39 hours.
 *
 * One thread writes at a time, or all do by ati_histogram_record_shared; any thread may read. */
#include "base/atomic.h"

#include <stdint.h>

enum {
    ATI_HISTOGRAM_BITS = 5,
    ATI_HISTOGRAM_TOP = 47,
    ATI_HISTOGRAM_BUCKETS = (ATI_HISTOGRAM_TOP - ATI_HISTOGRAM_BITS + 1) << ATI_HISTOGRAM_BITS,
};

/* Zeroed is empty. */
typedef struct ati_histogram {
    ati_counter sum;
    ati_counter max;
    ati_counter buckets[ATI_HISTOGRAM_BUCKETS];
} ati_histogram;

/* What several histograms hold together; zeroed is empty. */
typedef struct ati_histogram_total {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t buckets[ATI_HISTOGRAM_BUCKETS];
} ati_histogram_total;

/* Negative values count as 0. */
void ati_histogram_record(ati_histogram *histogram, int64_t value);

/* The same, for several threads at once. */
void ati_histogram_record_shared(ati_histogram *histogram, int64_t value);

/* Forgets all values; one that is recorded meanwhile may be forgotten in part. */
void ati_histogram_clear(ati_histogram *histogram);

void ati_histogram_add(ati_histogram_total *total, const ati_histogram *histogram);

/* The smallest value that at least `per_thousand` of a thousand are not above, but for the error
 * above; 0 if there is none. */
uint64_t ati_histogram_quantile(const ati_histogram_total *total, uint32_t per_thousand);

/* The lowest value of a bucket. */
uint64_t ati_histogram_lowest(uint32_t bucket);

#endif
