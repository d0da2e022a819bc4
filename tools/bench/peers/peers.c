/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <stddef.h>

const struct peer *const peers[] = {
    &peer_library,
    &peer_library_future,
    &peer_plain,
#ifdef PEER_TBB
    &peer_tbb_group,
    &peer_tbb_enqueue,
#endif
#ifdef PEER_OPENMP
    &peer_openmp,
#endif
#ifdef PEER_GLIB
    &peer_glib,
#endif
#ifdef PEER_LIBUV
    &peer_libuv,
#endif
#ifdef PEER_MOODYCAMEL
    &peer_moodycamel,
#endif
    NULL,
};
