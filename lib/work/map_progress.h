/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_WORK_MAP_PROGRESS_H
#define ASYNCTOOLS_WORK_MAP_PROGRESS_H

/* How far a map has come, for those who want to be told. */
#include "base/atomic.h"
#include "base/context.h"
#include "base/lock.h"

#include <asynctools/clock.h>
#include <asynctools/concurrent_executor.h>

typedef struct ati_map_progress {
    const at_map_options *options; /* valid as long as items run */
    ati_context *context;          /* of the lines, borrowed; or NULL */
    size_t total;
    _Alignas(ATI_CACHE_LINE) _Atomic uint64_t completed;
    ati_try_lock telling; /* guards what follows; held while the user's function runs */
    uint64_t told;
    at_deadline next_line;
} ati_map_progress;

void ati_map_progress_init(ati_map_progress *progress, const at_map_options *options,
                           ati_context *context, size_t total);

/* So many more items have ended; tells of it, unless somebody is telling now. */
void ati_map_progress_add(ati_map_progress *progress, uint64_t count);

/* All items have ended that were begun, all but `not_run`; nobody else is telling any more. */
void ati_map_progress_end(ati_map_progress *progress, uint64_t not_run);

#endif
