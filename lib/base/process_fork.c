/* SPDX-License-Identifier: MIT */
#include "base/process_fork.h"

#include <pthread.h>

_Atomic uint64_t ati_process_forks;
static pthread_once_t install_once = PTHREAD_ONCE_INIT;

/* In a child there is one thread, the one that forked. */
static void count_fork(void) {
    uint64_t count = atomic_load_explicit(&ati_process_forks, memory_order_relaxed);
    atomic_store_explicit(&ati_process_forks, count + 1, memory_order_relaxed);
}

static void install(void) {
    /* Without memory for the handler a child would not notice; nothing better can be done here. */
    (void)pthread_atfork(NULL, NULL, count_fork);
    atomic_store_explicit(&ati_process_forks, 1, memory_order_relaxed);
}

uint64_t ati_process_fork_install(void) {
    pthread_once(&install_once, install);
    return atomic_load_explicit(&ati_process_forks, memory_order_relaxed);
}
