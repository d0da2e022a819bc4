/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_CRASH_H
#define ASYNCTOOLS_POOL_CRASH_H

#include <asynctools/crash.h>

#include <stdbool.h>

/* Gives the calling thread an alternate signal stack, unless it has one that is large enough: a
 * handler cannot run on a stack that has overflowed. Every worker has one, so that it does not
 * matter when the handler is installed; it is address space until it is used. False: no memory. */
bool ati_crash_thread_enter(void);

/* Before the thread ends: takes away the one that enter gave; the one before is there again. */
void ati_crash_thread_leave(void);

/* Writes with write(2) only which task of which pool has overflowed its stack, as far as that is
 * known, and what to do. Async-signal-safe. */
void ati_crash_report_overflow(void);

#endif
