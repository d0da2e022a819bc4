/* SPDX-License-Identifier: MIT */
#include "fork.h"

#include <stddef.h>

const struct fork_peer *const fork_peers[] = {
    &fork_library,
#ifdef PEER_SHARED
    &fork_shared,
#endif
#ifdef PEER_TBB
    &fork_tbb_group,
    &fork_tbb_parallel,
#endif
#ifdef PEER_OPENMP
    &fork_openmp,
#endif
    NULL,
};
