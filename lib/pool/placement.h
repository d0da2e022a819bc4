/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_PLACEMENT_H
#define ASYNCTOOLS_POOL_PLACEMENT_H

/* On which CPU each worker runs, if workers are pinned, and whom it steals from first. */
#include "base/topology.h"
#include "pool/pool.h"

/* Gives each of the pool's workers its CPU and its order of victims, if the pool pins. False: no
 * memory. */
bool ati_placement_init(at_pool *pool);
void ati_placement_deinit(at_pool *pool);

#endif
