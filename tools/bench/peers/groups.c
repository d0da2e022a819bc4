/* SPDX-License-Identifier: MIT */
#include "group.h"

#include <stddef.h>

const struct group_peer *const group_peers[] = {
    &group_library_start,
    &group_library_manager,
    &group_library_outcomes,
    &group_library_futures,
    &group_plain,
#ifdef PEER_TBB
    &group_tbb_arena,
    &group_tbb_flow,
#endif
#ifdef PEER_GLIB
    &group_glib,
#endif
    NULL,
};

const struct group_peer *const group_sleep_peers[] = {
    &group_library_start,
    &group_library_manager,
    &group_library_outcomes,
    &group_library_futures,
    NULL,
};

const struct group_peer *const queue_peers[] = {
    &queue_library_wait,
    &queue_library_gather,
    &queue_library_run,
    &queue_library_refuse,
    &queue_library_drop_newest,
    &queue_library_drop_oldest,
    &queue_plain,
    NULL,
};
