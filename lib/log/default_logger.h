/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_DEFAULT_LOGGER_H
#define ASYNCTOOLS_LOG_DEFAULT_LOGGER_H

/* The default logger, for lines of the library itself: its threads write them at times that the
 * program does not know, so it cannot wait for them before it destroys the logger. */
#include <asynctools/log.h>

/* Gives the default logger, which is not destroyed until it is given back; NULL: there is none,
 * which may be given back too. For lines that are rare: both take a lock. */
at_logger *ati_default_logger_take(void);
void ati_default_logger_give_back(at_logger *logger);

/* Before `top` and all below it are destroyed: if the default logger is among them, there is none
 * any more; waits until all of them are given back. */
void ati_default_logger_forget(at_logger *top);

/* In the child of a process fork, for `top` and all below it: who had taken one is not there. Under
 * the registry's lock. */
void ati_default_logger_after_fork(at_logger *top);

#endif
