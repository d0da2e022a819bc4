/* SPDX-License-Identifier: MIT */
#include "map.h"

#include <stddef.h>

const struct map_peer *const map_peers[] = {
    &map_library,  &map_library_progress,
#ifdef PEER_TBB
    &map_tbb_auto, &map_tbb_simple,
#endif
#ifdef PEER_OPENMP
    &map_openmp,
#endif
    NULL,
};
