/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_CALLBACK_H
#define ASYNCTOOLS_LOG_CALLBACK_H

#include <asynctools/attributes.h>
#include <asynctools/log.h>
#include <asynctools/pool.h>
#include <asynctools/status.h>
#include <asynctools/task.h>

#include <stddef.h>
#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* Gets a line of a logger: JSON, `length` bytes with the newline at the end, borrowed for the call.
 * It may log: such lines never wait for room, and come to it too. A wait in it holds its worker. */
typedef void (*at_log_callback_fn)(void *context, const char *line, size_t length);

/* Zero is the default for each member; NULL options are all defaults. */
typedef struct at_log_callback_options {
    int64_t queue_bytes; /* of lines that wait for the callback, 8 KiB to 1 GiB; twice as much is
                            allocated; default: 256 KiB */
    at_drop_fn drop;     /* releases `context` after the last call; default: nothing to release */
    uint64_t reserved[4];
} at_log_callback_options;

/** Has every line of `logger` and of those that share its sinks given to `call`, one at a time
 *  and in order, by tasks of `pool`; the logger's thread copies them and goes on. Lines for
 *  which the queue has no room, or that the pool refuses, are given up and counted as `lost`. A
 *  flush waits for the calls; inside one it gives AT_ERROR_DEADLOCK. In a task of `pool` a spare
 *  thread takes over while it waits, as after at_blocking_begin; where there can be none, it gives
 *  AT_ERROR_DEADLOCK too, and a fatal line goes to stderr as well. When the logger is
 *  destroyed, that waits 2 seconds at most for the calls, and `call` gets nothing more. When the
 *  pool is shut down first, `call` gets nothing more either, and lines are given up.
 *  Threads:   any.      Blocks: never for long (while the logger's thread writes).
 *  Ownership: takes `context` on AT_OK. Copies `options`. What it needs of the pool it keeps
 *             itself.
 *  Errors:    AT_ERROR_INVALID (names the member), AT_ERROR_NO_MEMORY, AT_ERROR_FULL: the logger
 *             has eight sinks. On error the caller keeps `context`. */
AT_API AT_NODISCARD at_status at_logger_add_callback(at_logger *logger, at_pool *pool,
                                                     at_log_callback_fn call, void *context,
                                                     const at_log_callback_options *options);

AT_DECLARATIONS_END

#endif
