/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_VIEW_H
#define ASYNCTOOLS_POOL_VIEW_H

/* What can be seen of a pool's workers and tasks from outside, while they go on. See view.c. */
#include "pool/worker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ATI_VIEW_CHAIN = 4, /* tasks of one stack that are named */
    ATI_VIEW_NAME = 64, /* longer names are cut */
    ATI_VIEW_OPERATION = 48,
};

enum { ATI_VIEW_ID = 17 };

typedef struct ati_task_name {
    char name[ATI_VIEW_NAME];
    const char *site;                   /* where it was started, or NULL */
    const void *identity;               /* its future, only to be compared, or NULL */
    uint64_t operation_id;              /* that log lines have; 0: it is in none */
    char operation[ATI_VIEW_OPERATION]; /* its name; "": not known any more */
} ati_task_name;

/* A task, or several that run on top of each other on one stack. */
typedef struct ati_task_view {
    uint32_t worker;
    const char *what;    /* the call that it waits in; NULL: it runs */
    bool is_forked_call; /* a part of a task that another worker has taken, no task of its own */
    bool is_ready;       /* its wait is over, and its worker does something else */
    const void *target;  /* the future that it waits for, only to be compared, or NULL */
    int64_t age; /* nanoseconds that it has waited; a running one: that it has run at most */
    uint32_t task_count;                 /* on this stack */
    ati_task_name tasks[ATI_VIEW_CHAIN]; /* the one on top first */
} ati_task_view;

/* The operation's id, as log lines have it. */
const char *ati_view_id(const ati_task_name *task, char text[ATI_VIEW_ID]);

/* The floor above knows the operations that have begun and not ended: finds the name of one, in
 * memory of the caller's, which is left alone if there is none. Under no lock but the registry's.
 */
typedef void ati_view_operation_fn(uint64_t id, char name[ATI_VIEW_OPERATION]);
void ati_view_install_operations(ati_view_operation_fn *find);

/* False: no task runs on this worker. */
bool ati_view_running(ati_worker *worker, ati_task_view *view);

/* Fills up to `limit` views with the tasks that have waited longest on this worker. Gives their
 * number. */
size_t ati_view_suspended(ati_worker *worker, ati_task_view *views, size_t limit);

typedef enum ati_worker_state {
    ATI_WORKER_RUNNING,   /* a task */
    ATI_WORKER_BLOCKED,   /* between at_blocking_begin and at_blocking_end */
    ATI_WORKER_SEARCHING, /* for work, or does something of the library itself */
    ATI_WORKER_ASLEEP,
    ATI_WORKER_PARKED, /* a spare one that is not needed */
    ATI_WORKER_ENDED,  /* a spare one whose thread has ended */
} ati_worker_state;

/* Under the pool's spares_lock. */
ati_worker_state ati_view_state(const ati_worker *worker);

#endif
