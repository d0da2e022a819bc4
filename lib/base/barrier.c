/* SPDX-License-Identifier: MIT */
#include "base/barrier.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_once_t register_once = PTHREAD_ONCE_INIT;
static bool is_registered;

static long call_membarrier(int command) {
    int saved_errno = errno;
    long result = syscall(SYS_membarrier, command, 0, 0);
    errno = saved_errno;
    return result;
}

static void register_process(void) {
    is_registered = call_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

bool ati_barrier_is_unequal(void) {
    pthread_once(&register_once, register_process);
    return is_registered;
}

void ati_heavy_barrier(void) {
    (void)call_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}
