/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_WORK_MAP_H
#define ASYNCTOOLS_WORK_MAP_H

/* One call of a function for many items. See map.c. */
#include "base/atomic.h"
#include "base/context.h"
#include "base/lock.h"
#include "work/map_progress.h"

#include <asynctools/concurrent_executor.h>

/* What to call, and for what. */
typedef struct ati_map_call {
    const char *site;
    at_pool *pool;
    ati_context *context; /* the operation of the items */
    at_run_fn run;
    at_items items;       /* at least one */
    at_outcome *outcomes; /* NULL: nobody wants them */
    uint64_t max_workers;
    const at_map_options *options; /* never NULL */
} ati_map_call;

typedef struct ati_item_map ati_item_map;

/* Prepares it. NULL: out of memory. */
ati_item_map *ati_map_create(const ati_map_call *call);

/* Makes it. `*ran`: the outcomes are filled; otherwise it could not be begun. */
at_status ati_map_run(ati_item_map *map, bool *ran);

/* How many items have been given out to runners. Any thread. */
uint64_t ati_map_given_out(const ati_item_map *map);

void ati_map_release(ati_item_map *map);

#endif
