/* SPDX-License-Identifier: MIT
 *
 * Which executions are run. Every decision of an execution, a thread to go on or a value to be
 * read, is a node; the nodes from the first decision to the last are a stack. The next execution
 * repeats the stack up to the last node that has an alternative left, and takes that.
 *
 * With a bound on preemptions each node tries all threads that the bound allows. Without one, only
 * those are tried that can change an outcome: dynamic partial order reduction with source sets and
 * sleep sets (P. Abdulla, S. Aronis, B. Jonsson, K. Sagonas, "Optimal Dynamic Partial Order
 * Reduction", POPL 2014, algorithm 1). Two operations depend on each other when they are of one
 * thread, or on one location and one of them writes. Threads are masks of bits. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

enum { node_limit = 2 * event_limit };

typedef struct node {
    bool is_value;
    int chosen; /* thread or value */
    int count;  /* of values */
    unsigned enabled;
    unsigned backtrack; /* to be tried */
    unsigned done;      /* tried */
    unsigned sleep;     /* tried elsewhere to the same effect */
} node;

typedef struct event {
    operation done;
    int node;
    uint16_t clock[thread_limit]; /* per thread: one more than its last event that came before */
} event;

static node nodes[node_limit];
static int node_count;
static int first_new; /* the first node that this execution does not repeat */

static event events[event_limit];

/* Of the execution in progress. */
static int depth;
static int event_count;
static int last_event[thread_limit];
static int event_before; /* the one before it of the same thread, or -1 */
static int previous;
static int preemptions;
static unsigned sleep_now;

static model_bounds bounds;

static unsigned bit(int thread) {
    return 1u << thread;
}

static int lowest(unsigned threads) {
    return __builtin_ctz(threads);
}

static _Noreturn void give_up(const char *why) {
    fprintf(stderr, "model checker: %s\n", why);
    exit(2);
}

void explore_begin_case(const model_bounds *given) {
    bounds = *given;
    node_count = 0;
    first_new = 0;
}

void explore_begin_execution(void) {
    depth = 0;
    event_count = 0;
    previous = 0;
    preemptions = 0;
    sleep_now = 0;
    for (int i = 0; i < thread_limit; i++)
        last_event[i] = -1;
}

static bool depend(const operation *a, const operation *b) {
    if (a->thread == b->thread || a->is_fence || b->is_fence)
        return true;
    return a->location != no_location && a->location == b->location && (a->writes || b->writes);
}

/* -- Races between events, without a bound on preemptions -- */

/* The threads with which an execution could go on in the place of events[first], and still reach
 * events[second] without it. `clock` is of events[second], as known so far. */
static unsigned find_initials(int first, int second, const uint16_t *clock) {
    unsigned initials = 0;
    int first_of[thread_limit] = {0}; /* one more than the thread's first event in between */
    int left_out = events[first].done.thread;
    for (int i = first + 1; i <= second; i++) {
        const uint16_t *known = i == second ? clock : events[i].clock;
        int thread = events[i].done.thread;
        if (i < second && known[left_out] > first)
            continue; /* comes after events[first] */
        if (first_of[thread])
            continue;
        bool comes_first = true;
        for (int other = 1; other < thread_limit; other++)
            if (first_of[other] && known[other] >= first_of[other])
                comes_first = false;
        first_of[thread] = i + 1;
        if (comes_first)
            initials |= bit(thread);
    }
    return initials;
}

/* Two dependent events that could have come in the other order. */
static void try_other_order(int first, int second, const uint16_t *clock) {
    node *before = &nodes[events[first].node];
    unsigned initials = find_initials(first, second, clock);
    if (before->backtrack & initials)
        return;
    int thread = events[second].done.thread;
    initials &= before->enabled;
    if (initials & bit(thread))
        before->backtrack |= bit(thread);
    else if (initials)
        before->backtrack |= bit(lowest(initials));
    else
        before->backtrack |= before->enabled;
}

static void order_event(int index) {
    event *added = &events[index];
    int thread = added->done.thread;
    uint16_t *clock = added->clock;
    for (int i = 0; i < thread_limit; i++)
        clock[i] = last_event[thread] >= 0 ? events[last_event[thread]].clock[i] : 0;
    for (int i = index - 1; i >= 0; i--) {
        const event *earlier = &events[i];
        if (clock[earlier->done.thread] > i || !depend(&earlier->done, &added->done))
            continue;
        try_other_order(i, index, clock);
        for (int k = 0; k < thread_limit; k++)
            if (clock[k] < earlier->clock[k])
                clock[k] = earlier->clock[k];
    }
    clock[thread] = (uint16_t)(index + 1);
}

static void add_event(const operation *done, int at_node, bool is_new) {
    int index = event_count++;
    event_before = last_event[done->thread];
    if (is_new) {
        events[index].done = *done;
        events[index].node = at_node;
        order_event(index);
    }
    last_event[done->thread] = index;
}

int explore_event(void) {
    return event_count - 1;
}

bool explore_follows(int other) {
    if (bounds.preemptions != MODEL_UNBOUNDED)
        return true;
    return event_before >= 0 && events[event_before].clock[events[other].done.thread] > other;
}

/* -- Decisions -- */

static node *add_node(void) {
    if (node_count == node_limit)
        give_up("an execution has too many decisions");
    nodes[node_count] = (node){0};
    return &nodes[node_count++];
}

/* What may be tried at a new node. */
static unsigned allowed_threads(unsigned enabled) {
    if (bounds.preemptions == MODEL_UNBOUNDED)
        return enabled & ~sleep_now;
    if ((enabled & bit(previous)) && preemptions == bounds.preemptions)
        return bit(previous);
    return enabled;
}

static bool begin_thread_node(unsigned enabled) {
    unsigned allowed = allowed_threads(enabled);
    if (!allowed)
        return false;
    node *added = add_node();
    added->enabled = enabled;
    added->sleep = sleep_now;
    added->chosen = allowed & bit(previous) ? previous : lowest(allowed);
    added->backtrack = bounds.preemptions == MODEL_UNBOUNDED ? bit(added->chosen) : allowed;
    return true;
}

explore_outcome explore_choose_thread(unsigned enabled, const operation *pending, int *thread) {
    bool is_new = depth >= first_new;
    if (depth == node_count && !begin_thread_node(enabled))
        return EXPLORE_REDUNDANT;
    node *here = &nodes[depth++];
    if (here->is_value || here->enabled != enabled)
        give_up("an execution does not repeat itself");
    int chosen = here->chosen;
    if (bounds.preemptions == MODEL_UNBOUNDED) {
        sleep_now = 0;
        for (int i = 1; i < thread_limit; i++)
            if ((here->sleep | here->done) & bit(i) && !depend(&pending[i], &pending[chosen]))
                sleep_now |= bit(i);
        add_event(&pending[chosen], depth - 1, is_new);
    }
    if (chosen != previous && (enabled & bit(previous)))
        preemptions++;
    previous = chosen;
    *thread = chosen;
    return EXPLORE_THREAD;
}

int explore_choose_value(int count) {
    if (count == 1)
        return 0;
    if (depth == node_count) {
        node *added = add_node();
        added->is_value = true;
        added->count = count;
    }
    node *here = &nodes[depth++];
    if (!here->is_value || here->count != count)
        give_up("an execution does not repeat itself");
    return here->chosen;
}

/* The next alternative of a node. False: none is left. */
static bool advance(node *last) {
    if (last->is_value)
        return ++last->chosen < last->count;
    last->done |= bit(last->chosen);
    unsigned left = last->backtrack & ~last->done & ~last->sleep;
    if (!left)
        return false;
    last->chosen = lowest(left);
    return true;
}

bool explore_next_execution(void) {
    while (node_count > 0 && !advance(&nodes[node_count - 1]))
        node_count--;
    first_new = node_count - 1;
    return node_count > 0;
}
