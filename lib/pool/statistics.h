/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_STATISTICS_INTERNAL_H
#define ASYNCTOOLS_POOL_STATISTICS_INTERNAL_H

#include "base/json_text.h"

#include <asynctools/pool.h>

/* Writes the members of the statistics into an open object, with all buckets or without. */
void ati_statistics_write(at_pool *pool, ati_json *json, bool with_buckets);

#endif
