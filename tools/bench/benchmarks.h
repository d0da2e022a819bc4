/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCHMARKS_H
#define BENCH_BENCHMARKS_H

#include "benchmark.h"

extern const struct benchmark benchmark_submit;
extern const struct benchmark benchmark_submit_many;
extern const struct benchmark benchmark_nested;
extern const struct benchmark benchmark_round_trip;
extern const struct benchmark benchmark_round_trip_idle;
extern const struct benchmark benchmark_futures;
extern const struct benchmark benchmark_then;
extern const struct benchmark benchmark_log;
extern const struct benchmark benchmark_log_disk;
extern const struct benchmark benchmark_log_call;
extern const struct benchmark benchmark_log_off;
extern const struct benchmark benchmark_operation;
extern const struct benchmark benchmark_operation_off;
extern const struct benchmark benchmark_fork_fibonacci;
extern const struct benchmark benchmark_fork_skynet;
extern const struct benchmark benchmark_fork_queens;
extern const struct benchmark benchmark_fork_tree;
extern const struct benchmark benchmark_fork_chain;
extern const struct benchmark benchmark_fork_matrix;
extern const struct benchmark benchmark_fork_loop;
extern const struct benchmark benchmark_switch;
extern const struct benchmark benchmark_yield;
extern const struct benchmark benchmark_suspend;
extern const struct benchmark benchmark_wait;
extern const struct benchmark benchmark_check;
extern const struct benchmark benchmark_suspended;
extern const struct benchmark benchmark_timers;
extern const struct benchmark benchmark_timer_lateness;
extern const struct benchmark benchmark_cancel_suspended;
extern const struct benchmark benchmark_scope;
extern const struct benchmark benchmark_submit_in_scope;
extern const struct benchmark benchmark_manager;
extern const struct benchmark benchmark_manager_sleep;
extern const struct benchmark benchmark_map;
extern const struct benchmark benchmark_strand;
extern const struct benchmark benchmark_keyed;
extern const struct benchmark benchmark_task_pool;
extern const struct benchmark benchmark_tracker;
extern const struct benchmark benchmark_tracker_snapshot;

#endif
