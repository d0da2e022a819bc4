/* SPDX-License-Identifier: MIT */
#include "base/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

bool ati_futex_wait(_Atomic uint32_t *word, uint32_t expected, at_deadline deadline) {
    int saved_errno = errno;
    struct timespec until;
    struct timespec *timeout = NULL;
    if (deadline != AT_FOREVER) {
        int64_t moment = deadline > 0 ? deadline : 0;
        until.tv_sec = (time_t)(moment / 1000000000);
        until.tv_nsec = (long)(moment % 1000000000);
        timeout = &until;
    }
    long result = syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG,
                          expected, timeout, NULL, FUTEX_BITSET_MATCH_ANY);
    bool in_time = result == 0 || errno != ETIMEDOUT;
    errno = saved_errno;
    return in_time;
}

void ati_futex_wake(_Atomic uint32_t *word, int count) {
    int saved_errno = errno;
    syscall(SYS_futex, (uint32_t *)word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
    errno = saved_errno;
}
