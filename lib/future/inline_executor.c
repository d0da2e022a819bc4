/* SPDX-License-Identifier: MIT */
/* The executor that runs a continuation at once. Nesting is bounded: what would nest deeper waits
 * in a list of this thread until the outermost has returned, so no chain overflows the stack. */
#include "pool/executor.h"

enum { nesting_limit = 16 };

static _Thread_local int depth;
static _Thread_local ati_task_node *first;
static _Thread_local ati_task_node *last;

static void run(ati_task_node *node) {
    depth++;
    node->work.run(node->work.argument);
    depth--;
}

static void defer(ati_task_node *node) {
    node->next = NULL;
    if (first)
        last->next = node;
    else
        first = node;
    last = node;
}

static at_status start(at_executor *executor, ati_task_node *nodes, size_t count,
                       bool is_continuation) {
    (void)executor;
    (void)is_continuation;
    while (count-- > 0) {
        ati_task_node *node = nodes;
        nodes = node->next; /* the node may be gone when it has run */
        if (depth == nesting_limit)
            defer(node);
        else
            run(node);
    }
    while (depth == 0 && first) {
        ati_task_node *next = first;
        first = next->next;
        run(next);
    }
    return AT_OK;
}

static void keep(at_executor *executor) {
    (void)executor;
}

static at_executor inline_executor = {.start = start, .retain = keep, .release = keep};

at_executor *at_executor_inline(void) {
    return &inline_executor;
}
