/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_WATCH_H
#define ASYNCTOOLS_POOL_WATCH_H

/* A moment at which somebody looks at an operation who otherwise would not: a task of a pool. A
 * shutdown does not wait for it, and whoever takes it back does not wait either. */
#include "base/context.h"

#include <asynctools/pool.h>

typedef struct ati_watch ati_watch;

/* Prepares one that calls look(context); keeps both. NULL: no memory. */
ati_watch *ati_watch_create(at_pool *pool, ati_context *context,
                            void (*look)(ati_context *context));

/* Sets the moment, once, from any thread; the pool cannot end meanwhile. */
void ati_watch_set(ati_watch *watch, at_deadline moment);

/* Takes it back; a look that is on its way is still taken. NULL is allowed. */
void ati_watch_end(ati_watch *watch);

/* Leaves one that is set to itself, until its moment or the end of the pool. NULL is allowed. */
void ati_watch_leave(ati_watch *watch);

#endif
