/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_QUIET_PIPE_H
#define ASYNCTOOLS_LOG_QUIET_PIPE_H

/* A pipe that nobody reads must not end the process because of a log line: SIGPIPE is blocked
 * around writes on threads that are not ours, and taken back if a write raised it. */
#include <signal.h>
#include <stdbool.h>

typedef struct ati_quiet_pipe {
    sigset_t before;
    bool pending_before;
} ati_quiet_pipe;

void ati_quiet_pipe_begin(ati_quiet_pipe *quiet);
void ati_quiet_pipe_end(const ati_quiet_pipe *quiet);

#endif
