/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

const struct benchmark *const benchmarks[] = {
    &benchmark_submit,
    &benchmark_nested,
    &benchmark_round_trip,
    &benchmark_round_trip_idle,
    &benchmark_futures,
    &benchmark_then,
    NULL,
};
