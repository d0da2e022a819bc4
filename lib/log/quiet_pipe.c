/* SPDX-License-Identifier: MIT */
#include "log/quiet_pipe.h"

#include <pthread.h>
#include <time.h>

static sigset_t pipe_only(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    return set;
}

static bool is_pending(void) {
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

void ati_quiet_pipe_begin(ati_quiet_pipe *quiet) {
    sigset_t blocked = pipe_only();
    quiet->pending_before = is_pending();
    pthread_sigmask(SIG_BLOCK, &blocked, &quiet->before);
}

void ati_quiet_pipe_end(const ati_quiet_pipe *quiet) {
    if (!quiet->pending_before && is_pending()) {
        sigset_t taken = pipe_only();
        const struct timespec at_once = {0, 0};
        sigtimedwait(&taken, NULL, &at_once);
    }
    pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
}
