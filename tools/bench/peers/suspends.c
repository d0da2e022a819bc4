/* SPDX-License-Identifier: MIT */
#include "suspend.h"

#include <stddef.h>

const struct suspend_peer *const suspend_peers[] = {
    &suspend_library,
#ifdef PEER_BOOST
    &suspend_boost_fiber,   &suspend_boost_fiber_pooled,
    &suspend_boost_context,
#endif
#ifdef PEER_SWAPCONTEXT
    &suspend_swapcontext,
#endif
    &suspend_page,          NULL,
};
