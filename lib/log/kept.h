/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_KEPT_H
#define ASYNCTOOLS_LOG_KEPT_H

/* Lines of an operation that are below what is written: kept, finished as they are, until it is
 * known whether anybody wants them. The context of the operation has the buffer, and the level from
 * which on lines are kept; that level is asked for by ati_log_verbose_add like any other. */
#include "base/lock.h"

#include <asynctools/log.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ati_log_kept ati_log_kept;

/* Holds at most `bytes`, of which lines take what they need. NULL: no memory. */
ati_log_kept *ati_log_kept_create(size_t bytes);

/* Frees it with the lines that are left. Nobody adds any more. NULL is allowed. */
void ati_log_kept_destroy(ati_log_kept *kept);

/* Keeps a line of the core with this serial number. Where there is no room the oldest lines go.
 * When the operation has ended, the line goes where the others went. By a thread that is inside
 * ati_log_thread_enter(). */
void ati_log_kept_add(ati_log_kept *kept, uint64_t core_serial, at_log_level level,
                      const char *line, size_t length);

/* Writes what is kept so far, oldest line first, each to the logger that it was meant for, if that
 * is still there. Waits for room in full rings for 10 ms at most, then lines are dropped and
 * counted. Any thread; lines that others add meanwhile stay. */
void ati_log_kept_write(ati_log_kept *kept);

/* The operation has ended, once: what is kept is written if it `is_wanted`, else it goes. */
void ati_log_kept_end(ati_log_kept *kept, bool is_wanted);

/* The same, but lines from level `lowest` on go to another buffer, behind those that it has. It
 * stays for as long as this one. */
void ati_log_kept_hand_on(ati_log_kept *kept, ati_log_kept *to, at_log_level lowest);

/* Around process_fork: no thread is inside any buffer. */
void ati_log_kept_before_fork(void);
void ati_log_kept_after_fork(void);

#endif
