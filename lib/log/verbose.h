/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_VERBOSE_H
#define ASYNCTOOLS_LOG_VERBOSE_H

/* Operations that ask for lines which their loggers would not write. While there are such, the test
 * in front of every line lets lines of their level pass, in all loggers that are not off; what is
 * written is decided by a second test, which looks at the operation. */
#include <asynctools/log.h>

#include <stdint.h>

/* The lowest level that the first tests let pass for operations; AT_LOG_OFF: none. Guarded by the
 * registry's lock. */
extern int32_t ati_log_verbose_level;

/* An operation begins that asks for lines from `level` on, and one ends, on whichever thread. From
 * the return of the first call on, its lines pass the first tests. AT_LOG_DEFAULT and AT_LOG_OFF
 * ask for nothing. */
void ati_log_verbose_add(at_log_level level);
void ati_log_verbose_remove(at_log_level level);

/* Lets the first tests stop again what no operation asks for, if it is a second since they were
 * told to let it pass. `now` is of CLOCK_MONOTONIC. */
void ati_log_verbose_settle(int64_t now);

#endif
