/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_CRASH_DRAIN_H
#define ASYNCTOOLS_LOG_CRASH_DRAIN_H

/* For signal handlers: what was logged before is written, in a few seconds at most, whatever the
 * signal has interrupted. Async-signal-safe; one thread at a time. */
#include <asynctools/log.h>

/* The process will not go on: writes the lines in rings, in batches and in what sinks kept, some
 * perhaps twice, and `line` last. */
void ati_log_crash_drain(const at_log_line *line);

/* The process may go on: lets the backends write what is in the rings, and waits for that until
 * `deadline`. */
void ati_log_crash_flush(at_deadline deadline);

#endif
