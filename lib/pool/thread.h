/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_THREAD_H
#define ASYNCTOOLS_POOL_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ati_thread_options {
    size_t stack_bytes;
    const int *cpus; /* NULL: no restriction */
    size_t cpu_count;
    const char *name; /* of the group; the thread is "<name>-<n>" in 15 characters */
    bool is_helper;   /* "<name>-b<n>" */
    uint32_t number;
} ati_thread_options;

/* Starts a thread with all signals blocked but those of faults, SIGPROF and SIGPIPE; the mask is
 * set before the thread exists. False: the system has none to give. */
bool ati_thread_start(pthread_t *thread, const ati_thread_options *options, void *(*run)(void *),
                      void *argument);

#endif
