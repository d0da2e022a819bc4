/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_WORK_TASK_MANAGER_H
#define ASYNCTOOLS_WORK_TASK_MANAGER_H

/* The inside of a task manager. See task_manager.c for the argument. */
#include "base/block_cache.h"
#include "base/context.h"
#include "base/lock.h"
#include "pool/executor.h"
#include "pool/waiter.h"

#include <asynctools/task_manager.h>

/* What is known of a child. It is one block of the cache in base/block_cache.h. */
typedef struct ati_child {
    ati_task_node node; /* in the manager's queue or the pool's */
    at_task_manager *manager;
    union {
        at_run_fn run;   /* until it has run */
        at_error *error; /* from then on: owned, or NULL */
    };
    union {
        void *argument;
        void *value; /* owned with `drop` */
    };
    at_drop_fn drop; /* of either */
    const char *site;
    char *name;              /* owned, or NULL: that of its function */
    struct ati_child *newer; /* in the list of those whose outcomes are kept */
    at_status status;        /* how it ended */
    bool was_refused;        /* the pool did not take it: it was no child */
    uint64_t index;          /* in the order in which they were started */
    at_future *future;       /* of a submitted one, which owns the value: kept inside, or NULL */
    ati_context *context;    /* of its own: owned, or NULL */
} ati_child;

_Static_assert(sizeof(ati_child) <= ATI_BLOCK_SIZE, "a child is one block");

/* One that waits until all children have ended. */
typedef struct ati_join_wait {
    ati_waiter waiter; /* first */
    struct ati_join_wait *next;
} ati_join_wait;

enum { ATI_OTHER_LIMIT = 64 }; /* errors kept beside the first one */

struct at_task_manager {
    at_pool *pool;        /* kept by a reference */
    ati_context *context; /* the operation of the children; owned */
    uint64_t max_concurrent;
    bool keeps_outcomes;
    at_task_manager_policy policy;
    at_task_manager_decide_fn decide; /* or NULL */
    void *decide_context;
    uint64_t fork_count; /* of the process that made it */

    ati_lock lock;  /* guards what follows; nothing nests in it */
    bool is_closed; /* a join has ended: no further start */
    ati_task_node *first_queued;
    ati_task_node *last_queued;
    ati_child *first_kept; /* in the order of their starts */
    ati_child *last_kept;
    ati_child *lent; /* their outcomes were gathered, and are in their futures */
    ati_join_wait *joins;
    at_task_manager_decision decision; /* the first that is not to go on */
    at_task_manager_counts counts;
    at_error *first_error;             /* in time; owned */
    at_error *others[ATI_OTHER_LIMIT]; /* owned */
    size_t other_count;
    uint64_t others_dropped;
    uint64_t next_index; /* of a child */
};

/* Whether the running code belongs to a child. */
bool ati_task_manager_is_inside(const at_task_manager *manager);

/* Makes a child, which no start has accepted yet. NULL: out of memory. */
ati_child *ati_child_create(const char *site, at_task_manager *manager,
                            const at_task_options *options);
void ati_child_release(ati_child *child); /* without its outcome or argument */

/* Starts it, or queues it; takes it. Other than AT_OK, with an error: it never runs, and what it
 * was to own is the caller's. */
at_status ati_child_start(ati_child *child, const char *call);

/* Drops the outcome and releases the child. */
void ati_child_drop(ati_child *child);

#endif
