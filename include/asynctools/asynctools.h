/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_ASYNCTOOLS_H
#define ASYNCTOOLS_ASYNCTOOLS_H

/* The whole library. */
#include <asynctools/attributes.h>
#include <asynctools/blocking.h>
#include <asynctools/cancel.h>
#include <asynctools/cancel_reason.h>
#include <asynctools/clock.h>
#include <asynctools/concurrent_executor.h>
#include <asynctools/cpu.h>
#include <asynctools/crash.h>
#include <asynctools/dump.h>
#include <asynctools/error.h>
#include <asynctools/executor.h>
#include <asynctools/field.h>
#include <asynctools/fork.h>
#include <asynctools/future.h>
#include <asynctools/gather.h>
#include <asynctools/keyed_executor.h>
#include <asynctools/limits.h>
#include <asynctools/log.h>
#include <asynctools/log_callback.h>
#include <asynctools/log_config.h>
#include <asynctools/loop_executor.h>
#include <asynctools/memory.h>
#include <asynctools/operation.h>
#include <asynctools/operation_outcome.h>
#include <asynctools/operation_watch.h>
#include <asynctools/outcome.h>
#include <asynctools/parallel.h>
#include <asynctools/pool.h>
#include <asynctools/pool_statistics.h>
#include <asynctools/promise.h>
#include <asynctools/sleep.h>
#include <asynctools/status.h>
#include <asynctools/strand.h>
#include <asynctools/task.h>
#include <asynctools/task_manager.h>
#include <asynctools/task_pool.h>
#include <asynctools/timer.h>
#include <asynctools/traceparent.h>
#include <asynctools/tracker.h>
#include <asynctools/version.h>
#include <asynctools/virtual_clock.h>

#endif
