/* SPDX-License-Identifier: MIT */
#include "base/process_fork.h"

#include "base/atomic.h"

#include <pthread.h>
#include <stdbool.h>

static _Atomic uint64_t fork_count;
static pthread_once_t install_once = PTHREAD_ONCE_INIT;
static _Atomic bool installed;

/* In a child there is one thread, the one that forked. */
static void count_fork(void) {
    uint64_t count = atomic_load_explicit(&fork_count, memory_order_relaxed);
    atomic_store_explicit(&fork_count, count + 1, memory_order_relaxed);
}

static void install(void) {
    /* Without memory for the handler a child would not notice; nothing better can be done here. */
    (void)pthread_atfork(NULL, NULL, count_fork);
    atomic_store_explicit(&installed, true, memory_order_relaxed);
}

uint64_t ati_process_fork_count(void) {
    if (!atomic_load_explicit(&installed, memory_order_relaxed))
        pthread_once(&install_once, install);
    return atomic_load_explicit(&fork_count, memory_order_relaxed);
}
