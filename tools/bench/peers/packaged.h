/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_PACKAGED_H
#define BENCH_PEERS_PACKAGED_H

#include "peer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What C++ programs do without a library: std::packaged_task on a pool of their own, here the
 * plain one. Submits `count` tasks, then gets all of their values. */
void packaged_run_batch(void *plain_pool, peer_run_fn run, int count);

#ifdef __cplusplus
}
#endif

#endif
