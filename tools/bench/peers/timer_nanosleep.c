/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "timer.h"

#include <errno.h>
#include <stddef.h>

/* How late the kernel itself is. */

static void *create(int workers, long count) {
    static char nothing;
    (void)workers;
    (void)count;
    return &nothing;
}

static int64_t wait_one_ms(void *timers) {
    struct timespec end;
    (void)timers;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_nsec -= 1000000000;
        end.tv_sec++;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
        ;
    return (int64_t)(now_ns() - (uint64_t)end.tv_sec * 1000000000u - (uint64_t)end.tv_nsec);
}

static void destroy(void *timers) {
    (void)timers;
}

const struct timer_peer timer_nanosleep = {
    .name = "clock_nanosleep",
    .is_beside = true,
    .create = create,
    .wait_one_ms = wait_one_ms,
    .destroy = destroy,
};
