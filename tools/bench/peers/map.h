/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_MAP_H
#define BENCH_PEERS_MAP_H

#include "peer.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Something that calls a function for each of many items and keeps what it gives, as at-bench sees
 * it. */
struct map_peer {
    const char *name;
    bool is_library;

    /* With room for the results of `count` items. Gives NULL when it cannot be made. */
    void *(*create)(int workers, size_t count);
    /* Calls `run` with the address of each byte of `items`, of which there are at most `count`. */
    void (*map)(void *pool, peer_run_fn run, char *items, size_t count);
    void (*destroy)(void *pool);
};

extern const struct map_peer map_library;
extern const struct map_peer map_library_progress;
extern const struct map_peer map_tbb_auto;
extern const struct map_peer map_tbb_simple;
extern const struct map_peer map_openmp;

/* All that this program was built with; ends with NULL. */
extern const struct map_peer *const map_peers[];

#ifdef __cplusplus
}
#endif

#endif
