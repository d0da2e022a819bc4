/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_FUTURE_WAIT_GRAPH_H
#define ASYNCTOOLS_FUTURE_WAIT_GRAPH_H

/* Which futures cannot complete before which others; see deadlock.c for the argument. One search at
 * a time uses this, under its lock. */
#include "future/wait.h"

enum { ATI_GRAPH_ROOTS = 256 }; /* tasks of waits that are searched together */

typedef struct ati_graph_edge {
    at_future *to;             /* retained */
    ati_registration *through; /* NULL: `to` is queued behind the other */
    uint64_t number;           /* of the wait, or 0 */
    bool runs;                 /* `to` is on a stack that waits */
    uint32_t depth; /* tasks above `to` on the waiting stack; the edges to them come right before */
} ati_graph_edge;

/* A future that was seen. */
typedef struct ati_graph_node {
    at_future *future;
    uint32_t parent;   /* index of the node it was reached from */
    uint32_t through;  /* index of the edge */
    uint32_t next;     /* index of the edge to be followed next */
    uint32_t end;      /* of its edges */
    bool is_under_way; /* on the way to the one that is being looked at */
} ati_graph_node;

typedef struct ati_wait_graph {
    at_future *roots[ATI_GRAPH_ROOTS]; /* retained */
    uint32_t root_count;
    ati_graph_edge *edges;
    uint32_t edge_count;
    uint32_t edge_room;
    ati_graph_node *nodes;
    uint32_t node_count;
    uint32_t node_room;
    uint32_t *table; /* index of a node and 1, by the address of its future; 0: free */
    uint32_t table_room;
    bool lacks_memory; /* it is not whole */
    bool is_cut;       /* the same, because queues are too long to be looked at now */
    bool looks_long;   /* at long queues */
} ati_wait_graph;

/* Gives twice as much room, at least `least`, with the same content. False: there is no memory. */
bool ati_graph_grow(void **array, uint32_t *room, uint32_t least, size_t item_bytes);

/* Forgets what was seen, so that another search can begin at the same roots. */
void ati_graph_forget(ati_wait_graph *graph);

/* User code may run: what is dropped last is freed. */
void ati_graph_free(ati_wait_graph *graph);

/* The node of a future that was seen, or NULL. */
ati_graph_node *ati_graph_find(const ati_wait_graph *graph, const at_future *future);

/* Enters a future that was not seen before, reached from node `parent` by the edge `through`, and
 * lists its edges. `runs`: it was seen on a stack that waits. False: there is no memory. */
bool ati_graph_enter(ati_wait_graph *graph, at_future *future, bool runs, uint32_t parent,
                     uint32_t through);

/* Sees everything that cannot complete before what is ready to begin in a keyed executor. */
void ati_graph_reach_from_ready(ati_wait_graph *graph, at_keyed_executor *keyed);

/* A task that was seen on a stack. True: it is there still, and locked, so it does not end; else
 * its executor has gone on. */
bool ati_graph_lock_running(at_future *task);

/* Whether it is queued, and has the bits `also` in its state. */
bool ati_graph_is_queued(const at_future *future, uint32_t also);

#endif
