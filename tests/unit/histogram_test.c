/* SPDX-License-Identifier: MIT
 *
 * Histograms: what goes in comes out, off by 1/64 at most. */
#include "support/test.h"

#include "base/histogram.h"

#include <stdlib.h>

TestSuite(histogram, .timeout = 200);

static uint64_t only_value(int64_t value) {
    static ati_histogram histogram;
    static ati_histogram_total total;
    histogram = (ati_histogram){0};
    total = (ati_histogram_total){0};
    ati_histogram_record(&histogram, value);
    /* A larger one, so that the maximum does not help. */
    ati_histogram_record(&histogram, INT64_MAX);
    ati_histogram_add(&total, &histogram);
    return ati_histogram_quantile(&total, 500);
}

Test(histogram, small_values_are_exact) {
    for (int64_t value = 0; value < 32; value++)
        cr_expect_eq(only_value(value), (uint64_t)value);
    cr_expect_eq(only_value(-5), 0);
}

static void expect_near(int64_t value) {
    int64_t found = (int64_t)only_value(value);
    int64_t error = found > value ? found - value : value - found;
    cr_expect_leq(error * 64, value, "%lld is said to be %lld", (long long)value, (long long)found);
}

Test(histogram, others_are_near) {
    for (int power = 5; power < ATI_HISTOGRAM_TOP; power++) {
        int64_t base = (int64_t)1 << power;
        expect_near(base - 1);
        expect_near(base);
        expect_near(base + base / 3);
        expect_near(base + base / 64);
        expect_near(base + base / 2 - 1);
    }
}

Test(histogram, buckets_follow_each_other) {
    for (uint32_t i = 0; i < ATI_HISTOGRAM_BUCKETS; i++) {
        cr_assert_lt(ati_histogram_lowest(i), ati_histogram_lowest(i + 1));
        int64_t lowest = (int64_t)ati_histogram_lowest(i);
        ati_histogram histogram = {0};
        ati_histogram_record(&histogram, lowest);
        cr_assert_eq(ati_counter_read(&histogram.buckets[i]), 1, "bucket %u", i);
    }
    cr_expect_eq(ati_histogram_lowest(ATI_HISTOGRAM_BUCKETS), (uint64_t)1 << ATI_HISTOGRAM_TOP);
}

Test(histogram, quantiles_of_several_histograms) {
    ati_histogram low = {0}, high = {0};
    ati_histogram_total total = {0};
    cr_expect_eq(ati_histogram_quantile(&total, 500), 0, "nothing was recorded");
    for (int i = 0; i < 900; i++)
        ati_histogram_record(&low, 10);
    for (int i = 0; i < 99; i++)
        ati_histogram_record(&high, 20);
    ati_histogram_record(&high, 1000000007);
    ati_histogram_add(&total, &low);
    ati_histogram_add(&total, &high);
    cr_expect_eq(total.count, 1000);
    cr_expect_eq(total.sum, 9000 + 1980 + 1000000007);
    cr_expect_eq(total.max, 1000000007);
    cr_expect_eq(ati_histogram_quantile(&total, 0), 10);
    cr_expect_eq(ati_histogram_quantile(&total, 500), 10);
    cr_expect_eq(ati_histogram_quantile(&total, 900), 10);
    cr_expect_eq(ati_histogram_quantile(&total, 901), 20);
    cr_expect_eq(ati_histogram_quantile(&total, 999), 20);
    uint64_t last = ati_histogram_quantile(&total, 1000);
    cr_expect_leq(last, 1000000007);
    cr_expect_geq(last, 1000000007 / 64 * 63);
}

Test(histogram, all_ways_to_record_are_the_same) {
    ati_histogram one = {0}, shared = {0};
    for (int64_t value = 0; value < INT64_MAX / 4; value = value * 3 + 2) {
        ati_histogram_record(&one, value);
        ati_histogram_record_shared(&shared, value);
    }
    cr_expect_arr_eq(&one, &shared, sizeof one);
    ati_histogram_clear(&shared);
    one = (ati_histogram){0};
    cr_expect_arr_eq(&one, &shared, sizeof one);
}

/* Longer than the last bucket begins. */
Test(histogram, very_large_values_are_counted) {
    ati_histogram histogram = {0};
    ati_histogram_total total = {0};
    ati_histogram_record(&histogram, INT64_MAX);
    ati_histogram_add(&total, &histogram);
    cr_expect_eq(total.count, 1);
    cr_expect_eq(total.max, (uint64_t)INT64_MAX);
    cr_expect_eq(total.buckets[ATI_HISTOGRAM_BUCKETS - 1], 1);
}
