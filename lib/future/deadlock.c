/* SPDX-License-Identifier: MIT
 *
 * Purpose: of tasks that wait for each other in a circle, one gets AT_ERROR_DEADLOCK, and a report
 * names all.
 *
 * The graph. Its nodes are pending futures. An edge leads from each to every one that cannot
 * complete before it: to a continuation, to what goes on with it, to the result of an `all`, and to
 * the tasks on a stack that waits for it. All these stand in its list of registrations, so nothing
 * has to be written down when a wait begins. And from a task that waits while it runs on a strand,
 * or under a key that runs one at a time, to those that are queued there and that somebody waits
 * for; a task that is locked does not end, so the strand does not go on while they are listed. They
 * may be many, and where they are, they are looked at once in 100 ms. A cycle is a deadlock,
 * because every edge is needed. A promise may be set by anybody, so no edge leads to it.
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
 * Places. Where there is no cycle, all that has begun in a keyed executor may wait for what cannot
 * begin there for want of a place; see docs/design/pool.md. A false alarm does no harm: some wait
 * lends its place that need not.
 *
 * Checked by: tests/unit/deadlock_test.c, tests/unit/deadlock_serial_test.c,
 * tests/stress/deadlock_test.c, tests/stress/deadlock_serial_test.c. */
#include "base/frame.h"
#include "base/memory.h"
#include "future/keyed_executor.h"
#include "future/wait_graph.h"
#include "pool/search.h"

enum {
    nested_limit = 80, /* tasks on one stack, and a few to spare */
    cycle_room = 64,   /* edges of a cycle that there is room for at first */
    keyed_limit = 16,  /* keyed executors that are looked at in one search */
};

/* One search at a time; nobody else touches the graph under it but the futures' own locks. */
static ati_lock search_lock;

/* A cycle, as indices of its edges; each leads from the future that the one before it leads to. */
typedef struct wait_cycle {
    uint32_t *edges;
    uint32_t count;
    uint32_t room;
    ati_registration *ended; /* of the wait that is to end; it is off its list */
} wait_cycle;

static bool add_to_cycle(wait_cycle *cycle, uint32_t edge) {
    if (cycle->count == cycle->room &&
        !ati_graph_grow((void **)&cycle->edges, &cycle->room, cycle_room, sizeof *cycle->edges))
        return false;
    cycle->edges[cycle->count++] = edge;
    return true;
}

/* The edge `closing` leads from node `last` to `first`, which is on the way to it. The cycle is
 * listed backwards, each edge after the one that it is followed by. */
static bool list_cycle(ati_wait_graph *graph, wait_cycle *cycle, uint32_t last, uint32_t first,
                       uint32_t closing) {
    cycle->count = 0;
    bool well = add_to_cycle(cycle, closing);
    for (uint32_t i = last; well && i != first; i = graph->nodes[i].parent)
        well = add_to_cycle(cycle, graph->nodes[i].through);
    graph->lacks_memory |= !well;
    return well;
}

/* The future that edge number `index` of the cycle leads from. */
static at_future *origin_of(const ati_wait_graph *graph, const wait_cycle *cycle, uint32_t index) {
    uint32_t before = index + 1 < cycle->count ? index + 1 : 0;
    return graph->edges[cycle->edges[before]].to;
}

static bool is_same(const ati_graph_edge *edge, const ati_registration *registration) {
    return registration == edge->through &&
           (edge->number == 0 ||
            (registration->fire == ati_fire_wait &&
             ati_future_wait_of((ati_registration *)registration)->number == edge->number));
}

typedef struct edge_lookup {
    const ati_graph_edge *edge;
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

/* What was behind a task that runs still is as long as both are as they were. */
static bool is_still_behind(const at_future *queued, at_future *task) {
    if (!ati_graph_lock_running(task))
        return false;
    bool holds = ati_graph_is_queued(queued, 0);
    ati_future_unlock(task, 0, 0);
    return holds;
}

static bool still_leads(at_future *from, const ati_graph_edge *edge) {
    if (!edge->through)
        return is_still_behind(edge->to, from);
    edge_lookup looked = {.edge = edge};
    ati_future_visit(from, look_up, &looked);
    return looked.found;
}

static bool is_confirmed(const ati_wait_graph *graph, const wait_cycle *cycle) {
    for (uint32_t i = 0; i < cycle->count; i++)
        if (!still_leads(origin_of(graph, cycle, i), &graph->edges[cycle->edges[i]]))
            return false;
    return true;
}

/* Takes one wait of the cycle off its list. False: all have ended by themselves, or there is none.
 */
static bool end_one_wait(const ati_wait_graph *graph, wait_cycle *cycle) {
    for (uint32_t i = 0; i < cycle->count; i++) {
        const ati_graph_edge *edge = &graph->edges[cycle->edges[i]];
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
static bool follow_next(ati_wait_graph *graph, wait_cycle *cycle, uint32_t *at) {
    ati_graph_node *here = &graph->nodes[*at];
    uint32_t followed = here->next++;
    at_future *to = graph->edges[followed].to;
    const ati_graph_node *seen = ati_graph_find(graph, to);
    if (!seen) {
        if (ati_graph_enter(graph, to, graph->edges[followed].runs, *at, followed))
            *at = graph->node_count - 1;
        return false;
    }
    return seen->is_under_way &&
           list_cycle(graph, cycle, *at, (uint32_t)(seen - graph->nodes), followed) &&
           is_confirmed(graph, cycle) && end_one_wait(graph, cycle);
}

static bool find_from(ati_wait_graph *graph, wait_cycle *cycle, at_future *root) {
    if (ati_graph_find(graph, root))
        return false;
    uint32_t at = graph->node_count;
    if (!ati_graph_enter(graph, root, true, UINT32_MAX, 0))
        return false;
    while (at != UINT32_MAX) {
        ati_graph_node *here = &graph->nodes[at];
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
static bool find_cycle(ati_wait_graph *graph, wait_cycle *cycle) {
    ati_graph_forget(graph);
    for (uint32_t i = 0; i < graph->root_count; i++)
        if (find_from(graph, cycle, graph->roots[i]))
            return true;
    return false;
}

/* -- Places of keyed executors -- */

static bool was_seen(const at_future *task, void *graph) {
    return ati_graph_find(graph, task);
}

/* The keyed executors whose tasks were seen. */
static uint32_t list_keyed(const ati_wait_graph *graph, at_keyed_executor **list) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < graph->node_count && count < keyed_limit; i++) {
        at_keyed_executor *keyed = ati_keyed_of(graph->nodes[i].future->executor);
        uint32_t known = 0;
        while (known < count && list[known] != keyed)
            known++;
        if (keyed && known == count)
            list[count++] = keyed;
    }
    return count;
}

typedef struct lending {
    const ati_graph_edge *edge; /* to the task that is to lend its place */
    at_keyed_executor *keyed;
    bool is_done;
} lending;

static ati_visit let_lend(ati_registration *registration, void *context) {
    lending *wanted = context;
    if (!is_same(wanted->edge, registration))
        return ATI_VISIT_NEXT;
    ati_future_wait *wait = ati_future_wait_of(registration);
    wanted->is_done = wait->keyed == wanted->keyed && !wait->lends;
    wait->lends |= wanted->is_done;
    return ATI_VISIT_STOP;
}

/* One of the waits that were seen lends its place from now on, as if its target were of the same
 * executor. False: none is left, or there is no memory. */
static bool let_one_lend(ati_wait_graph *graph, at_keyed_executor *keyed) {
    lending wanted = {.keyed = keyed};
    if (!ati_keyed_lend(keyed)) {
        graph->lacks_memory = true;
        return false;
    }
    for (uint32_t i = 0; i < graph->node_count && !wanted.is_done; i++) {
        const ati_graph_node *node = &graph->nodes[i];
        wanted.edge = &graph->edges[node->through];
        if (wanted.edge->number != 0)
            ati_future_visit(graph->nodes[node->parent].future, let_lend, &wanted);
    }
    if (!wanted.is_done)
        ati_keyed_take_back(keyed);
    return wanted.is_done;
}

/* There is no cycle; but all places of a keyed executor may be held by tasks that wait for others
 * which cannot begin for want of one. */
static void help_keyed(ati_wait_graph *graph) {
    at_keyed_executor *list[keyed_limit];
    uint32_t count = list_keyed(graph, list);
    for (uint32_t i = 0; i < count && !graph->lacks_memory; i++) {
        ati_graph_reach_from_ready(graph, list[i]);
        /* Until it goes on: there may have been more tasks than places. */
        while (ati_keyed_is_stuck(list[i], was_seen, graph) && let_one_lend(graph, list[i]))
            ;
    }
}

/* -- What the pool calls -- */

typedef struct operation_lookup {
    const ati_graph_edge *edge;
    const at_future *task; /* on the stack that waits */
    ati_naming *named;
} operation_lookup;

static ati_visit look_up_operation(ati_registration *registration, void *context) {
    const operation_lookup *lookup = context;
    if (!is_same(lookup->edge, registration))
        return ATI_VISIT_NEXT;
    ati_naming_set_operation(lookup->named, ati_future_wait_of(registration)->frame, lookup->task);
    return ATI_VISIT_STOP;
}

/* The stack of a wait stays there while that is listed, and of the one that is to end until it is
 * woken. */
static void set_operation(ati_naming *named, const wait_cycle *cycle, at_future *origin,
                          const ati_graph_edge *edge, const at_future *task) {
    operation_lookup lookup = {.edge = edge, .task = task, .named = named};
    if (edge->number == 0)
        return;
    if (edge->through == cycle->ended)
        (void)look_up_operation(edge->through, &lookup);
    else
        ati_future_visit(origin, look_up_operation, &lookup);
}

/* Names the tasks in the order of their waits. A task that waits in place waits for those above it
 * on its stack. */
static void report(const ati_wait_graph *graph, const wait_cycle *cycle) {
    ati_naming named = {.total = cycle->count};
    for (uint32_t i = 0; i < cycle->count; i++)
        named.total += graph->edges[cycle->edges[i]].depth;
    for (uint32_t i = 0; i < cycle->count; i++) {
        const ati_graph_edge *edge = &graph->edges[cycle->edges[i]];
        for (uint32_t above = 0; above <= edge->depth; above++) {
            const at_future *task = (edge - above)->to;
            set_operation(&named, cycle, origin_of(graph, cycle, i), edge, task);
            ati_naming_add(&named, task);
        }
    }
}

static void add_roots(ati_waiter *waiter, void *context) {
    ati_wait_graph *graph = context;
    for (const ati_frame *frame = waiter->frame; frame; frame = frame->outer) {
        if (!frame->identity || graph->root_count == ATI_GRAPH_ROOTS)
            continue;
        at_future *root = (at_future *)frame->identity;
        ati_future_retain_inside(root);
        graph->roots[graph->root_count++] = root;
    }
}

bool ati_deadlock_search(ati_worker *worker, int64_t moment) {
    ati_wait_graph graph = {0};
    wait_cycle cycle = {0};
    bool found;
    while (graph.root_count + nested_limit <= ATI_GRAPH_ROOTS &&
           ati_search_take(worker, moment, add_roots, &graph))
        ;
    do {
        ati_lock_acquire(&search_lock);
        found = find_cycle(&graph, &cycle);
        if (!found)
            help_keyed(&graph);
        ati_lock_release(&search_lock);
        if (found) {
            report(&graph, &cycle);
            ati_waiter_wake(&ati_future_wait_of(cycle.ended)->waiter);
        }
    } while (found && !graph.lacks_memory);
    if (cycle.edges)
        ati_release(cycle.edges, cycle.room * sizeof *cycle.edges);
    ati_graph_free(&graph);
    return !graph.lacks_memory && !graph.is_cut;
}
