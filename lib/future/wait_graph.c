/* SPDX-License-Identifier: MIT */
#include "future/wait_graph.h"

#include "base/clock.h"
#include "base/memory.h"
#include "future/keyed_executor.h"
#include "pool/pool.h"

#include <string.h>

enum {
    edge_room = 64,    /* edges that there is room for at first */
    table_room = 64,   /* places of the table at first: a power of two */
    short_queue = 256, /* works */
};

static const at_duration long_look_interval = AT_MILLISECONDS(100);

static int64_t last_long_look; /* of the coarse clock; of all searches */

/* -- Memory -- */

bool ati_graph_grow(void **array, uint32_t *room, uint32_t least, size_t item_bytes) {
    uint32_t wider = *room * 2 > least ? *room * 2 : least;
    void *grown = ati_allocate_zeroed(wider * item_bytes);
    if (!grown)
        return false;
    if (*array) {
        memcpy(grown, *array, *room * item_bytes);
        ati_release(*array, *room * item_bytes);
    }
    *array = grown;
    *room = wider;
    return true;
}

void ati_graph_forget(ati_wait_graph *graph) {
    graph->node_count = 0;
    if (graph->table)
        memset(graph->table, 0, graph->table_room * sizeof *graph->table);
}

void ati_graph_free(ati_wait_graph *graph) {
    for (uint32_t i = 0; i < graph->edge_count; i++)
        ati_future_release_inside(graph->edges[i].to);
    for (uint32_t i = 0; i < graph->root_count; i++)
        ati_future_release_inside(graph->roots[i]);
    if (graph->edges)
        ati_release(graph->edges, graph->edge_room * sizeof *graph->edges);
    if (graph->nodes)
        ati_release(graph->nodes, graph->node_room * sizeof *graph->nodes);
    if (graph->table)
        ati_release(graph->table, graph->table_room * sizeof *graph->table);
}

/* -- The futures that were seen -- */

/* The place of a future in the table, or the free one where it belongs. */
static uint32_t *find_place(const ati_wait_graph *graph, const at_future *future) {
    uint64_t hash = (uint64_t)(uintptr_t)future * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t index = (uint32_t)(hash >> 32);
    for (;; index++) {
        uint32_t *place = &graph->table[index & (graph->table_room - 1)];
        if (*place == 0 || graph->nodes[*place - 1].future == future)
            return place;
    }
}

static bool grow_table(ati_wait_graph *graph) {
    if (graph->table)
        ati_release(graph->table, graph->table_room * sizeof *graph->table);
    uint32_t room = graph->table ? 2 * graph->table_room : table_room;
    graph->table = ati_allocate_zeroed(room * sizeof *graph->table);
    graph->table_room = graph->table ? room : 0;
    if (!graph->table)
        return false;
    for (uint32_t i = 0; i < graph->node_count; i++)
        *find_place(graph, graph->nodes[i].future) = i + 1;
    return true;
}

ati_graph_node *ati_graph_find(const ati_wait_graph *graph, const at_future *future) {
    uint32_t seen = graph->table_room ? *find_place(graph, future) : 0;
    return seen ? &graph->nodes[seen - 1] : NULL;
}

/* -- Edges -- */

typedef struct edge_listing {
    ati_wait_graph *graph;
    uint32_t missed; /* edges that there was no room for */
    uint32_t queued; /* works that were looked at */
} edge_listing;

static void add_edge(edge_listing *listing, ati_graph_edge edge) {
    ati_wait_graph *graph = listing->graph;
    if (graph->edge_count == graph->edge_room) {
        listing->missed++;
        return;
    }
    ati_future_retain_inside(edge.to);
    graph->edges[graph->edge_count++] = edge;
}

static at_future *follower_of(ati_registration *registration) {
    if (registration->fire == ati_fire_continuation)
        return (at_future *)((char *)registration - offsetof(at_future, registration));
    if (registration->fire == ati_fire_forward)
        return (at_future *)((char *)registration - offsetof(at_future, forward));
    return ati_combination_of(registration);
}

static ati_visit add_edges(ati_registration *registration, void *context) {
    if (registration->fire == ati_fire_wait) {
        const ati_future_wait *wait = ati_future_wait_of(registration);
        uint32_t depth = 0;
        for (const ati_frame *frame = wait->frame; frame; frame = frame->outer)
            if (frame->identity)
                add_edge(context, (ati_graph_edge){.to = (at_future *)frame->identity,
                                                   .through = registration,
                                                   .number = wait->number,
                                                   .runs = true,
                                                   .depth = depth++});
    } else {
        at_future *follower = follower_of(registration);
        if (follower)
            add_edge(context, (ati_graph_edge){.to = follower, .through = registration});
    }
    return ATI_VISIT_NEXT;
}

/* A long queue costs milliseconds, and a strand's tasks may wait many times a second. */
static bool may_look_on(edge_listing *listing, const at_future *queued) {
    ati_wait_graph *graph = listing->graph;
    if (++listing->queued <= short_queue || graph->looks_long)
        return true;
    int64_t now = ati_coarse_ns();
    graph->looks_long = now - last_long_look >= long_look_interval ||
                        ati_clock_is_virtual(queued->executor->pool->options.clock);
    graph->is_cut |= !graph->looks_long;
    if (graph->looks_long)
        last_long_look = now;
    return graph->looks_long;
}

bool ati_graph_is_queued(const at_future *future, uint32_t also) {
    uint32_t wanted = ATI_PHASE_QUEUED | also;
    uint32_t state = atomic_load_explicit(&((at_future *)future)->state, memory_order_relaxed);
    return (state & (ATI_PHASE_MASK | also)) == wanted;
}

static bool add_queued(const ati_work *work, void *context) {
    at_future *to = ati_future_of_work(work);
    if (!to)
        return true;
    if (ati_graph_is_queued(to, ATI_STATE_LISTED))
        add_edge(context, (ati_graph_edge){.to = to});
    return may_look_on(context, to);
}

bool ati_graph_lock_running(at_future *task) {
    uint32_t state = ati_future_lock(task);
    if ((state & (ATI_PHASE_MASK | ATI_STATE_FORWARD)) == ATI_PHASE_RUNNING)
        return true;
    ati_future_unlock(task, 0, 0);
    return false;
}

static void add_edges_behind(edge_listing *listing, at_future *task) {
    at_executor *executor = task->executor;
    if (!executor->visit_queued || !ati_graph_lock_running(task))
        return;
    executor->visit_queued(executor, add_queued, listing);
    ati_future_unlock(task, 0, 0);
}

/* Lists the edges of a future behind all others; gives the index of the first. Where the room does
 * not do, what was listed stays until the end, and all is listed again. False: no memory. */
static bool list_edges(ati_wait_graph *graph, at_future *future, bool runs, uint32_t *first) {
    for (;;) {
        edge_listing listed = {.graph = graph};
        *first = graph->edge_count;
        ati_future_visit(future, add_edges, &listed);
        if (runs)
            add_edges_behind(&listed, future);
        if (listed.missed == 0)
            return true;
        if (!ati_graph_grow((void **)&graph->edges, &graph->edge_room,
                            graph->edge_count * 2 + listed.missed + edge_room,
                            sizeof *graph->edges))
            return false;
    }
}

/* -- The search -- */

/* Makes a node of a future and lists its edges. */
static bool add_node(ati_wait_graph *graph, at_future *future, bool runs, uint32_t parent,
                     uint32_t through) {
    if (graph->node_count * 2 >= graph->table_room && !grow_table(graph))
        return false;
    if (graph->node_count == graph->node_room &&
        !ati_graph_grow((void **)&graph->nodes, &graph->node_room, table_room,
                        sizeof *graph->nodes))
        return false;
    uint32_t first;
    if (!list_edges(graph, future, runs, &first))
        return false;
    uint32_t *place = find_place(graph, future);
    graph->nodes[graph->node_count] = (ati_graph_node){
        .future = future,
        .parent = parent,
        .through = through,
        .next = first,
        .end = graph->edge_count,
        .is_under_way = true,
    };
    *place = ++graph->node_count;
    return true;
}

bool ati_graph_enter(ati_wait_graph *graph, at_future *future, bool runs, uint32_t parent,
                     uint32_t through) {
    bool added = add_node(graph, future, runs, parent, through);
    graph->lacks_memory |= !added;
    return added;
}

/* -- What is ready -- */

/* As list_edges. */
static bool list_ready(ati_wait_graph *graph, at_keyed_executor *keyed, uint32_t *first) {
    for (;;) {
        edge_listing listed = {.graph = graph};
        *first = graph->edge_count;
        ati_keyed_visit_ready(keyed, add_queued, &listed);
        if (listed.missed == 0)
            return true;
        if (!ati_graph_grow((void **)&graph->edges, &graph->edge_room,
                            graph->edge_count * 2 + listed.missed + edge_room,
                            sizeof *graph->edges))
            return false;
    }
}

/* Enters what the edges from `begin` to `end` lead to, from node `parent`. */
static void enter_all(ati_wait_graph *graph, uint32_t parent, uint32_t begin, uint32_t end) {
    for (uint32_t i = begin; i < end && !graph->lacks_memory; i++) {
        const ati_graph_edge edge = graph->edges[i];
        if (!ati_graph_find(graph, edge.to))
            (void)ati_graph_enter(graph, edge.to, edge.runs, parent, i);
    }
}

void ati_graph_reach_from_ready(ati_wait_graph *graph, at_keyed_executor *keyed) {
    uint32_t first;
    ati_graph_forget(graph);
    graph->lacks_memory |= !list_ready(graph, keyed, &first);
    enter_all(graph, 0, first, graph->edge_count);
    for (uint32_t i = 0; i < graph->node_count; i++)
        enter_all(graph, i, graph->nodes[i].next, graph->nodes[i].end);
}
