/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_FUTURE_DRAIN_H
#define ASYNCTOOLS_FUTURE_DRAIN_H

/* Works that wait in a list of their own, above a pool, and are run on its workers by turns. A turn
 * is one work in the pool's queues and runs several of the list; a work that waits suspends the
 * turn with it. */
#include "pool/pool.h"

typedef struct ati_drain {
    ati_task_node node;
    at_pool *pool;
    /* Gives the next work, when the one before has ended. False: there is none, the turns have come
     * to their end, and the drain is not touched any more. */
    bool (*take)(struct ati_drain *drain, ati_work *work);
    /* The work before has ended, and it may last until the next is taken. NULL: no matter. */
    void (*pause)(struct ati_drain *drain);
} ati_drain;

/* A node that is taken next, and what lies before it in the object that it belongs to, which
 * another CPU has written. NULL is allowed. */
static inline void ati_prefetch_node(const ati_task_node *node) {
    if (!node)
        return;
    __builtin_prefetch(node, 1);
    __builtin_prefetch((const char *)node - ATI_CACHE_LINE, 1);
}

void ati_drain_init(ati_drain *drain, at_pool *pool, bool (*take)(ati_drain *drain, ati_work *work),
                    void (*pause)(ati_drain *drain));

/* Starts its turns, which are not in progress; they cannot fail to go on. Other than AT_OK: the
 * pool has refused. */
at_status ati_drain_start(ati_drain *drain);

/* The same from where no task runs, a worker that looks for work for example, for a pool that has
 * suspended tasks: it cannot fail. */
void ati_drain_start_from_outside(ati_drain *drain);

#endif
