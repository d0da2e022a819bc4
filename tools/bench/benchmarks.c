/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include <stddef.h>

const struct benchmark *const benchmarks[] = {
    &benchmark_submit,
    &benchmark_submit_many,
    &benchmark_nested,
    &benchmark_round_trip,
    &benchmark_round_trip_idle,
    &benchmark_futures,
    &benchmark_then,
    &benchmark_log,
    &benchmark_log_disk,
    &benchmark_log_call,
    &benchmark_fork_fibonacci,
    &benchmark_fork_skynet,
    &benchmark_fork_queens,
    &benchmark_fork_tree,
    &benchmark_fork_chain,
    &benchmark_fork_matrix,
    &benchmark_fork_loop,
    &benchmark_switch,
    &benchmark_yield,
    &benchmark_suspend,
    &benchmark_wait,
    &benchmark_check,
    &benchmark_suspended,
    &benchmark_timers,
    &benchmark_timer_lateness,
    &benchmark_cancel_suspended,
    &benchmark_scope,
    &benchmark_submit_in_scope,
    NULL,
};
