/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_QUIET_SIGNALS_H
#define ASYNCTOOLS_LOG_QUIET_SIGNALS_H

/* A pipe that nobody reads, or a file that may not grow, must not end the process because of a log
 * line: SIGPIPE and SIGXFSZ are blocked around writes on threads that are not ours, and taken back
 * if a write raised them. */
#include <signal.h>

typedef struct ati_quiet_signals {
    sigset_t before;
    sigset_t pending_before;
} ati_quiet_signals;

void ati_quiet_signals_begin(ati_quiet_signals *quiet);
void ati_quiet_signals_end(const ati_quiet_signals *quiet);

#endif
