/* SPDX-License-Identifier: MIT */
#include "timer.h"

#include <stddef.h>

const struct timer_peer *const timer_peers[] = {
    &timer_library,
    &timer_library_sleep,
#ifdef PEER_LIBUV
    &timer_libuv,
#endif
#ifdef PEER_LIBEVENT
    &timer_libevent,
    &timer_libevent_common,
    &timer_libevent_precise,
#endif
    &timer_nanosleep,
    NULL,
};
