/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_SERIAL_H
#define BENCH_PEERS_SERIAL_H

#include "peer.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Something that runs tasks one at a time, or those of one key, on a pool, as at-bench sees it. */
struct serial_peer {
    const char *name;
    bool is_library;
    bool is_parallel; /* it runs them at the same time after all, to be compared with */

    /* Gives NULL when it cannot be made. */
    void *(*create)(int workers);
    /* From one outside thread; it ends the process if it fails. */
    void (*submit)(void *pool, long key, peer_run_fn run, void *argument);
    void (*destroy)(void *pool);
};

extern const struct serial_peer serial_library_future;
extern const struct serial_peer serial_library_strand;
extern const struct serial_peer serial_library_keyed;
extern const struct serial_peer serial_plain;
extern const struct serial_peer serial_boost;

/* All that this program was built with; each list ends with NULL. */
extern const struct serial_peer *const strand_peers[]; /* the key is always 0 */
extern const struct serial_peer *const keyed_peers[];

#ifdef __cplusplus
}
#endif

#endif
