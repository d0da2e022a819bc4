/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OPERATION_WATCH_H
#define ASYNCTOOLS_OPERATION_WATCH_H

#include <asynctools/attributes.h>
#include <asynctools/clock.h>
#include <asynctools/log.h>
#include <asynctools/operation.h>
#include <asynctools/pool.h>
#include <asynctools/status.h>

#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* Looks from time to time at all operations of the process that have begun and not ended, on
 * whatever thread, and logs those that go on for too long, each once:
 *
 *     NAME.slow        warn: it has run for longer than its `slow`: `age_ms`, `slow_ms`
 *     NAME.overdue     warn: its deadline has passed: `age_ms`, `overdue_ms`, `cancelled`
 *
 * and `begun_by`, the thread that began it, as the system numbers them. The lines are the
 * operation's: they have its name, ids and fields. An operation that has ended by the time of a
 * look logs none of them; its end says how long it took. Those whose `end_level` is AT_LOG_OFF log
 * nothing of their own, this neither.
 *
 * A look is a short task of a pool; operations pay nothing for it. There is no need for more than
 * one watch; several share the work, and each line is written once. On a virtual clock its timer
 * counts like any other: time runs on from look to look while nobody works.
 *
 * It looks while the pool has work, also during a shutdown, and stops at the shutdown's end. In the
 * child of a process fork it does not look. */
typedef struct at_operation_watch at_operation_watch;

/* Zero is the default for each member; NULL options are all defaults. */
typedef struct at_operation_watch_options {
    at_duration interval; /* from look to look, at least 1 ms; default: 1 second */
    at_logger *logger;    /* of the lines, borrowed until the watch is destroyed; default: each
                             operation's own */
    uint64_t reserved[4];
} at_operation_watch_options;

/** Creates a watch, which looks for the first time after one interval.
 *  Threads:   any, also inside tasks.      Blocks: never.
 *  Ownership: returns owned; at_operation_watch_destroy ends it. Copies `options`. Keeps what it
 *             uses of `pool`, which may be destroyed before the watch.
 *  Errors:    AT_ERROR_INVALID (names the member), AT_ERROR_NO_MEMORY, AT_ERROR_CLOSED when the
 *             pool is shut down, AT_ERROR_FORKED: `*watch` is untouched. */
AT_API AT_NODISCARD at_status at_operation_watch_create(at_operation_watch **watch, at_pool *pool,
                                                        const at_operation_watch_options *options);

/** Ends a watch: afterwards it neither looks nor logs.
 *  Threads:   any, but not in an inline continuation.
 *  Blocks:    while it looks.
 *  Ownership: takes `watch`; NULL is allowed. */
AT_API void at_operation_watch_destroy(at_operation_watch *watch);

AT_DECLARATIONS_END

#endif
