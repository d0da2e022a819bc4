/* SPDX-License-Identifier: MIT */
#include "serial.h"

#include <stddef.h>

const struct serial_peer *const strand_peers[] = {
    &serial_library_future,
    &serial_library_strand,
    &serial_plain,
#ifdef PEER_BOOST_ASIO
    &serial_boost,
#endif
    NULL,
};

const struct serial_peer *const keyed_peers[] = {
    &serial_library_future,
    &serial_library_keyed,
    &serial_plain,
#ifdef PEER_BOOST_ASIO
    &serial_boost,
#endif
    NULL,
};
