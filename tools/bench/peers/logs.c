/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <stddef.h>

const struct log_peer *const log_peers[] = {
    &log_library,
#ifdef PEER_SPDLOG
    &log_spdlog,
#endif
#ifdef PEER_GLIB
    &log_glib,
#endif
    &log_plain,   NULL,
};

const struct log_peer *const operation_peers[] = {
    &operation_library,
#ifdef PEER_SPDLOG
    &operation_spdlog,
#endif
    &operation_plain,
    NULL,
};
