/* SPDX-License-Identifier: MIT
 *
 * Purpose: of tasks that wait for each other in a circle, one gets AT_ERROR_DEADLOCK, and a report
 * names all.
 *
 * The graph. Its nodes are pending futures. An edge leads from each to every one that cannot
 * complete before it: to a continuation, to what goes on with it, to the result of an `all`, and to
 * the tasks on a stack that waits for it. All these stand in its list of registrations, so nothing
 * has to be written down when a wait begins. A cycle is a deadlock, because every edge is needed. A
 * promise may be set by anybody, so no edge leads to it.
 *
 * A wait closes a cycle only if the way leads from its own task back to it; so the search begins at
 * the tasks of each wait that is to be searched, and sees each future once, depth first.
 *
 * Keeping what is seen. A future is retained while what keeps it alive is held still: the first
 * ones under the lock of the worker's list, where their wait cannot end; all others under the lock
 * of the future whose list leads to them. So who completes such a future sees that it is not the
 * only one who knows it.
 *
 * No false report. An edge may end while the search goes on: a wait has its deadline. So the cycle
 * is gone round once more, and each wait must still be the same one (number); then all of them were
 * in progress together, at the moment between the two rounds. The wait that is to end is taken off
 * its list under the lock, as if it were fired, and woken when the report is written.
 *
 * Checked by: tests/unit/deadlock_test.c, tests/stress/deadlock_test.c. */
#include "base/frame.h"
#include "base/memory.h"
#include "future/wait.h"
#include "pool/search.h"

#include <asynctools/log.h>

#include <stdio.h>
#include <string.h>

enum {
    root_limit = 256,  /* tasks of waits that are searched together */
    nested_limit = 80, /* tasks on one stack, and a few to spare */
    edge_room = 64,    /* edges that there is room for at first */
    table_room = 64,   /* places of the table at first: a power of two */
    line_room = 4096,  /* of names in one line of the report */
    name_room = 200,
};

typedef struct graph_edge {
    at_future *to; /* retained */
    ati_registration *through;
    uint64_t number; /* of the wait, or 0 */
    uint32_t depth; /* tasks above `to` on the waiting stack; the edges to them come right before */
} graph_edge;

/* A future that was seen. */
typedef struct graph_node {
    at_future *future;
    uint32_t parent;   /* index of the node it was reached from */
    uint32_t through;  /* index of the edge */
    uint32_t next;     /* index of the edge to be followed next */
    uint32_t end;      /* of its edges */
    bool is_under_way; /* on the way to the one that is being looked at */
} graph_node;

typedef struct wait_graph {
    at_future *roots[root_limit]; /* retained */
    uint32_t root_count;
    graph_edge *edges;
    uint32_t edge_count;
    uint32_t edge_room;
    graph_node *nodes;
    uint32_t node_count;
    uint32_t node_room;
    uint32_t *table; /* index of a node and 1, by the address of its future; 0: free */
    uint32_t table_room;
    bool lacks_memory; /* it is not whole */
} wait_graph;

/* One search at a time; nobody else touches what follows under it but the futures' own locks. */
static ati_lock search_lock;

/* -- Memory -- */

/* Gives twice as much room, at least `least`, with the same content. False: there is no memory. */
static bool grow(void **array, uint32_t *room, uint32_t least, size_t item_bytes) {
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

static void forget_nodes(wait_graph *graph) {
    graph->node_count = 0;
    if (graph->table)
        memset(graph->table, 0, graph->table_room * sizeof *graph->table);
}

/* User code may run: what is dropped last is freed. */
static void free_graph(wait_graph *graph) {
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
static uint32_t *find_place(wait_graph *graph, const at_future *future) {
    uint64_t hash = (uint64_t)(uintptr_t)future * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t index = (uint32_t)(hash >> 32);
    for (;; index++) {
        uint32_t *place = &graph->table[index & (graph->table_room - 1)];
        if (*place == 0 || graph->nodes[*place - 1].future == future)
            return place;
    }
}

static bool grow_table(wait_graph *graph) {
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

/* -- Edges -- */

typedef struct edge_listing {
    wait_graph *graph;
    uint32_t missed; /* edges that there was no room for */
} edge_listing;

static void add_edge(edge_listing *listing, const at_future *to, ati_registration *through,
                     uint64_t number, uint32_t depth) {
    wait_graph *graph = listing->graph;
    if (graph->edge_count == graph->edge_room) {
        listing->missed++;
        return;
    }
    ati_future_retain_inside((at_future *)to);
    graph->edges[graph->edge_count++] = (graph_edge){(at_future *)to, through, number, depth};
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
                add_edge(context, frame->identity, registration, wait->number, depth++);
    } else {
        const at_future *follower = follower_of(registration);
        if (follower)
            add_edge(context, follower, registration, 0, 0);
    }
    return ATI_VISIT_NEXT;
}

/* Lists the edges of a future behind all others; gives the index of the first. Where the room does
 * not do, what was listed stays until the end, and all is listed again. False: no memory. */
static bool list_edges(wait_graph *graph, at_future *future, uint32_t *first) {
    for (;;) {
        edge_listing listed = {.graph = graph};
        *first = graph->edge_count;
        ati_future_visit(future, add_edges, &listed);
        if (listed.missed == 0)
            return true;
        if (!grow((void **)&graph->edges, &graph->edge_room,
                  graph->edge_count * 2 + listed.missed + edge_room, sizeof *graph->edges))
            return false;
    }
}

/* -- The search -- */

/* Makes a node of a future and lists its edges. */
static bool add_node(wait_graph *graph, at_future *future, uint32_t parent, uint32_t through) {
    if (graph->node_count * 2 >= graph->table_room && !grow_table(graph))
        return false;
    if (graph->node_count == graph->node_room &&
        !grow((void **)&graph->nodes, &graph->node_room, table_room, sizeof *graph->nodes))
        return false;
    uint32_t first;
    if (!list_edges(graph, future, &first))
        return false;
    uint32_t *place = find_place(graph, future);
    graph->nodes[graph->node_count] = (graph_node){
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

/* Enters a future that was not seen before, reached from `parent` by the edge `through`. */
static bool enter(wait_graph *graph, at_future *future, uint32_t parent, uint32_t through) {
    bool added = add_node(graph, future, parent, through);
    graph->lacks_memory |= !added;
    return added;
}

/* A cycle, as indices of its edges; each leads from the future that the one before it leads to. */
typedef struct wait_cycle {
    uint32_t *edges;
    uint32_t count;
    uint32_t room;
    ati_registration *ended; /* of the wait that is to end; it is off its list */
} wait_cycle;

static bool add_to_cycle(wait_cycle *cycle, uint32_t edge) {
    if (cycle->count == cycle->room &&
        !grow((void **)&cycle->edges, &cycle->room, edge_room, sizeof *cycle->edges))
        return false;
    cycle->edges[cycle->count++] = edge;
    return true;
}

/* The edge `closing` leads from node `last` to `first`, which is on the way to it. The cycle is
 * listed backwards, each edge after the one that it is followed by. */
static bool list_cycle(wait_graph *graph, wait_cycle *cycle, uint32_t last, uint32_t first,
                       uint32_t closing) {
    cycle->count = 0;
    bool well = add_to_cycle(cycle, closing);
    for (uint32_t i = last; well && i != first; i = graph->nodes[i].parent)
        well = add_to_cycle(cycle, graph->nodes[i].through);
    graph->lacks_memory |= !well;
    return well;
}

/* The future that edge number `index` of the cycle leads from. */
static at_future *origin_of(const wait_graph *graph, const wait_cycle *cycle, uint32_t index) {
    uint32_t before = index + 1 < cycle->count ? index + 1 : 0;
    return graph->edges[cycle->edges[before]].to;
}

static bool is_same(const graph_edge *edge, const ati_registration *registration) {
    return registration == edge->through &&
           (edge->number == 0 ||
            (registration->fire == ati_fire_wait &&
             ati_future_wait_of((ati_registration *)registration)->number == edge->number));
}

typedef struct edge_lookup {
    const graph_edge *edge;
    bool removes;
    bool found;
} edge_lookup;

static ati_visit look_up(ati_registration *registration, void *context) {
    edge_lookup *lookup = context;
    lookup->found = is_same(lookup->edge, registration);
    if (!lookup->found)
        return ATI_VISIT_NEXT;
    if (!lookup->removes)
        return ATI_VISIT_STOP;
    ati_future_wait_of(registration)->is_deadlock = true;
    return ATI_VISIT_REMOVE;
}

static bool still_leads(at_future *from, const graph_edge *edge) {
    edge_lookup looked = {.edge = edge};
    ati_future_visit(from, look_up, &looked);
    return looked.found;
}

static bool is_confirmed(const wait_graph *graph, const wait_cycle *cycle) {
    for (uint32_t i = 0; i < cycle->count; i++)
        if (!still_leads(origin_of(graph, cycle, i), &graph->edges[cycle->edges[i]]))
            return false;
    return true;
}

/* Takes one wait of the cycle off its list. False: all have ended by themselves, or there is none.
 */
static bool end_one_wait(const wait_graph *graph, wait_cycle *cycle) {
    for (uint32_t i = 0; i < cycle->count; i++) {
        const graph_edge *edge = &graph->edges[cycle->edges[i]];
        edge_lookup looked = {.edge = edge, .removes = true};
        if (edge->number != 0)
            ati_future_visit(origin_of(graph, cycle, i), look_up, &looked);
        if (looked.found) {
            cycle->ended = edge->through;
            return true;
        }
    }
    return false;
}

/* Follows one edge of the node `at`. True: it closes a cycle, of which one wait has been ended.
 * Otherwise `at` is the node to go on from. */
static bool follow_next(wait_graph *graph, wait_cycle *cycle, uint32_t *at) {
    graph_node *here = &graph->nodes[*at];
    uint32_t followed = here->next++;
    at_future *to = graph->edges[followed].to;
    uint32_t seen = graph->table_room ? *find_place(graph, to) : 0;
    if (seen == 0) {
        if (enter(graph, to, *at, followed))
            *at = graph->node_count - 1;
        return false;
    }
    return graph->nodes[seen - 1].is_under_way &&
           list_cycle(graph, cycle, *at, seen - 1, followed) && is_confirmed(graph, cycle) &&
           end_one_wait(graph, cycle);
}

static bool find_from(wait_graph *graph, wait_cycle *cycle, at_future *root) {
    if (graph->table_room && *find_place(graph, root) != 0)
        return false;
    uint32_t at = graph->node_count;
    if (!enter(graph, root, UINT32_MAX, 0))
        return false;
    while (at != UINT32_MAX) {
        graph_node *here = &graph->nodes[at];
        if (here->next == here->end) {
            here->is_under_way = false;
            at = here->parent;
        } else if (follow_next(graph, cycle, &at)) {
            return true;
        }
    }
    return false;
}

/* Ends one wait of one cycle, and gives the cycle. */
static bool find_cycle(wait_graph *graph, wait_cycle *cycle) {
    forget_nodes(graph);
    for (uint32_t i = 0; i < graph->root_count; i++)
        if (find_from(graph, cycle, graph->roots[i]))
            return true;
    return false;
}

/* -- The report -- */

/* A line of the report under way. */
typedef struct naming {
    uint32_t total;
    uint32_t first; /* in this line, counted from 0 */
    uint32_t next;
    size_t length;
    char line[line_room];
} naming;

static void end_line(naming *named) {
    at_log_error(at_logger_default(), "task.deadlock", at_kv("tasks", named->total),
                 at_kv("first", named->first), at_kv("waits", named->line));
    named->first = named->next;
    named->length = 0;
}

static void add_name(naming *named, const at_future *task) {
    const char *name = ati_future_task_name(task);
    int length = snprintf(named->line + named->length, name_room, "%s%s",
                          named->next > named->first ? " -> " : "", *name ? name : "at_future_all");
    named->length += (size_t)(length < name_room ? length : name_room - 1);
    named->next++;
    if (named->next == named->total || named->length + name_room > line_room)
        end_line(named);
}

/* Names the tasks in the order of their waits, in as many lines as it takes. A task that waits in
 * place waits for those above it on its stack. */
static void report(const wait_graph *graph, const wait_cycle *cycle) {
    naming named = {.total = cycle->count};
    for (uint32_t i = 0; i < cycle->count; i++)
        named.total += graph->edges[cycle->edges[i]].depth;
    for (uint32_t i = 0; i < cycle->count; i++) {
        const graph_edge *edge = &graph->edges[cycle->edges[i]];
        for (uint32_t above = 0; above <= edge->depth; above++)
            add_name(&named, (edge - above)->to);
    }
}

static uint32_t count_tasks(const ati_frame *inner, const ati_frame *outer) {
    uint32_t count = outer->identity != NULL;
    for (; inner != outer; inner = inner->outer)
        count += inner->identity != NULL;
    return count;
}

/* From the outer one inwards: each waits in place for the next. */
static void name_tasks(naming *named, const ati_frame *inner, const ati_frame *outer) {
    if (inner != outer)
        name_tasks(named, inner->outer, outer);
    if (inner->identity)
        add_name(named, inner->identity);
}

void ati_deadlock_report_own(const at_future *target, const ati_frame *outer) {
    const ati_frame *inner = ati_frame_current();
    bool is_apart = target != outer->identity;
    naming named = {.total = count_tasks(inner, outer) + is_apart};
    if (is_apart)
        add_name(&named, target);
    name_tasks(&named, inner, outer);
}

/* -- What the pool calls -- */

static void add_roots(ati_waiter *waiter, void *context) {
    wait_graph *graph = context;
    for (const ati_frame *frame = waiter->frame; frame; frame = frame->outer) {
        if (!frame->identity || graph->root_count == root_limit)
            continue;
        at_future *root = (at_future *)frame->identity;
        ati_future_retain_inside(root);
        graph->roots[graph->root_count++] = root;
    }
}

bool ati_deadlock_search(ati_worker *worker, int64_t moment) {
    wait_graph graph = {0};
    wait_cycle cycle = {0};
    bool found;
    while (graph.root_count + nested_limit <= root_limit &&
           ati_search_take(worker, moment, add_roots, &graph))
        ;
    do {
        ati_lock_acquire(&search_lock);
        found = find_cycle(&graph, &cycle);
        ati_lock_release(&search_lock);
        if (found) {
            report(&graph, &cycle);
            ati_waiter_wake(&ati_future_wait_of(cycle.ended)->waiter);
        }
    } while (found && !graph.lacks_memory);
    if (cycle.edges)
        ati_release(cycle.edges, cycle.room * sizeof *cycle.edges);
    free_graph(&graph);
    return !graph.lacks_memory;
}
