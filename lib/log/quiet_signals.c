/* SPDX-License-Identifier: MIT */
#include "log/quiet_signals.h"

#include <pthread.h>
#include <stddef.h>
#include <time.h>

static const int signals[] = {SIGPIPE, SIGXFSZ};

enum { signal_count = sizeof signals / sizeof *signals };

void ati_quiet_signals_begin(ati_quiet_signals *quiet) {
    sigset_t blocked;
    sigemptyset(&blocked);
    for (int i = 0; i < signal_count; i++)
        sigaddset(&blocked, signals[i]);
    sigemptyset(&quiet->pending_before);
    sigpending(&quiet->pending_before);
    pthread_sigmask(SIG_BLOCK, &blocked, &quiet->before);
}

void ati_quiet_signals_end(const ati_quiet_signals *quiet) {
    const struct timespec at_once = {0, 0};
    sigset_t pending;
    sigset_t raised;
    sigemptyset(&pending);
    sigemptyset(&raised);
    sigpending(&pending);
    for (int i = 0; i < signal_count; i++)
        if (sigismember(&pending, signals[i]) == 1 &&
            sigismember(&quiet->pending_before, signals[i]) == 0) {
            sigaddset(&raised, signals[i]);
            sigtimedwait(&raised, NULL, &at_once);
            sigdelset(&raised, signals[i]);
        }
    pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
}
