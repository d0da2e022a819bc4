/* SPDX-License-Identifier: MIT */
#include "base/histogram.h"

enum { cuts = 1 << ATI_HISTOGRAM_BITS };

static uint32_t bucket_of(uint64_t value) {
    if (value < cuts)
        return (uint32_t)value;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(value);
    if (power >= ATI_HISTOGRAM_TOP)
        return ATI_HISTOGRAM_BUCKETS - 1;
    uint32_t shift = power - ATI_HISTOGRAM_BITS;
    return ((shift + 1) << ATI_HISTOGRAM_BITS) + (uint32_t)(value >> shift) - cuts;
}

uint64_t ati_histogram_lowest(uint32_t bucket) {
    if (bucket < cuts)
        return bucket;
    uint32_t shift = (bucket >> ATI_HISTOGRAM_BITS) - 1;
    return (uint64_t)(cuts + bucket % cuts) << shift;
}

static uint64_t middle_of(uint32_t bucket) {
    uint64_t lowest = ati_histogram_lowest(bucket);
    return lowest + (ati_histogram_lowest(bucket + 1) - lowest) / 2;
}

void ati_histogram_record(ati_histogram *histogram, int64_t value) {
    uint64_t natural = value < 0 ? 0 : (uint64_t)value;
    ati_counter_add(&histogram->sum, natural);
    uint64_t max = ati_counter_read(&histogram->max);
    if (natural > max)
        ati_counter_add(&histogram->max, natural - max);
    ati_counter_add(&histogram->buckets[bucket_of(natural)], 1);
}

void ati_histogram_record_shared(ati_histogram *histogram, int64_t value) {
    uint64_t natural = value < 0 ? 0 : (uint64_t)value;
    uint64_t max = ati_counter_read(&histogram->max);
    while (natural > max &&
           !atomic_compare_exchange_weak_explicit(&histogram->max.value, &max, natural,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    ati_counter_add_shared(&histogram->sum, natural);
    ati_counter_add_shared(&histogram->buckets[bucket_of(natural)], 1);
}

void ati_histogram_clear(ati_histogram *histogram) {
    atomic_store_explicit(&histogram->sum.value, 0, memory_order_relaxed);
    atomic_store_explicit(&histogram->max.value, 0, memory_order_relaxed);
    for (uint32_t i = 0; i < ATI_HISTOGRAM_BUCKETS; i++)
        atomic_store_explicit(&histogram->buckets[i].value, 0, memory_order_relaxed);
}

void ati_histogram_add(ati_histogram_total *total, const ati_histogram *histogram) {
    total->sum += ati_counter_read(&histogram->sum);
    uint64_t max = ati_counter_read(&histogram->max);
    if (max > total->max)
        total->max = max;
    for (uint32_t i = 0; i < ATI_HISTOGRAM_BUCKETS; i++) {
        uint64_t count = ati_counter_read(&histogram->buckets[i]);
        total->buckets[i] += count;
        total->count += count;
    }
}

uint64_t ati_histogram_quantile(const ati_histogram_total *total, uint32_t per_thousand) {
    uint64_t rank = total->count / 1000 * per_thousand;
    rank += (total->count % 1000 * per_thousand + 999) / 1000;
    uint64_t passed = 0;
    for (uint32_t i = 0; i < ATI_HISTOGRAM_BUCKETS; i++) {
        passed += total->buckets[i];
        if (passed >= rank && passed > 0) {
            uint64_t value = middle_of(i);
            return value > total->max ? total->max : value;
        }
    }
    return 0;
}
