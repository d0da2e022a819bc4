/* SPDX-License-Identifier: MIT */
#include "pool/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { name_size = 16 }; /* of a thread, with its NUL: the kernel's limit */

static void fill_mask(sigset_t *mask) {
    static const int open_signals[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL, SIGTRAP,
                                       SIGSYS,  SIGABRT, SIGPROF, SIGPIPE};
    sigfillset(mask);
    for (size_t i = 0; i < sizeof open_signals / sizeof *open_signals; i++)
        sigdelset(mask, open_signals[i]);
}

static bool set_attributes(pthread_attr_t *attributes, const ati_thread_options *options) {
    if (pthread_attr_setstacksize(attributes, options->stack_bytes) != 0)
        return false;
    if (options->cpu_count == 0)
        return true;
    cpu_set_t set;
    CPU_ZERO(&set);
    for (size_t i = 0; i < options->cpu_count; i++)
        CPU_SET((size_t)options->cpus[i], &set);
    return pthread_attr_setaffinity_np(attributes, sizeof set, &set) == 0;
}

static void name_thread(pthread_t thread, const ati_thread_options *options) {
    char number[13];
    int digits =
        snprintf(number, sizeof number, options->is_helper ? "-b%u" : "-%u", options->number);
    char name[name_size];
    snprintf(name, sizeof name, "%.*s%s", name_size - 1 - digits, options->name, number);
    (void)pthread_setname_np(thread, name);
}

bool ati_thread_start(pthread_t *thread, const ati_thread_options *options, void *(*run)(void *),
                      void *argument) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    bool started = false;
    if (set_attributes(&attributes, options)) {
        sigset_t mask;
        sigset_t outer;
        fill_mask(&mask);
        pthread_sigmask(SIG_SETMASK, &mask, &outer);
        started = pthread_create(thread, &attributes, run, argument) == 0;
        pthread_sigmask(SIG_SETMASK, &outer, NULL);
    }
    pthread_attr_destroy(&attributes);
    if (started)
        name_thread(*thread, options);
    return started;
}
