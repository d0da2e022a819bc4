/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_WORK_TASK_POOL_H
#define ASYNCTOOLS_WORK_TASK_POOL_H

/* The inside of a task pool. See task_pool.c. */
#include "base/context.h"
#include "base/lock.h"
#include "base/process_fork.h"
#include "pool/executor.h"
#include "pool/parts.h"
#include "pool/waiter.h"

#include <asynctools/cancel.h>
#include <asynctools/task_pool.h>

/* One item, from its submit until its outcome is gathered. */
typedef struct ati_task_pool_item {
    ati_task_node node;
    struct ati_task_pool_item *next;      /* in the queue, or in a list of changes */
    struct ati_task_pool_item *next_kept; /* in the order of the submits */
    at_task_pool *workers;
    at_run_fn run;
    void *argument;
    at_drop_fn drop; /* of the argument, while `run` has not run; or NULL */
    const char *site;
    at_deadline expires; /* in the queue */
    at_outcome outcome;  /* its status is AT_OK as long as it has not ended */
    size_t size;         /* of this allocation */
    char name[];
} ati_task_pool_item;

typedef struct ati_item_list {
    ati_task_pool_item *first;
    ati_task_pool_item *last;
    uint64_t count;
} ati_item_list;

/* One who waits, on the stack: for room for its item, or, without one, for the end of all items. */
typedef struct ati_task_pool_wait {
    ati_waiter waiter;
    ati_task_pool_item *item;
    bool is_over;     /* it is to be woken, or was */
    at_status status; /* of a submit that is over: AT_OK, or it was turned away */
    struct ati_task_pool_wait *next;
} ati_task_pool_wait;

typedef struct ati_wait_list {
    ati_task_pool_wait *first;
    ati_task_pool_wait *last;
} ati_wait_list;

struct at_task_pool {
    at_pool *pool;
    uint64_t process_fork_count; /* of the process that it was created in */
    ati_context *context;        /* the operation of the items, owned */
    at_cancel_callback on_cancel;
    ati_part part;
    uint64_t pool_size;
    uint64_t capacity; /* pool_size and queue_size */
    uint64_t kept_limit;
    bool keeps_outcomes;
    at_task_pool_policy when_full;
    at_duration expiry; /* 0: none */

    ati_lock lock; /* guards what follows; nothing nests in it */
    uint64_t running;
    uint64_t running_in_callers;
    uint64_t ending;     /* neither queued nor running; to be counted as ended soon */
    ati_item_list queue; /* not empty only while `running` is at pool_size */
    ati_task_pool_item *first_kept;
    ati_task_pool_item *last_kept;
    ati_wait_list submits;              /* that wait for room */
    ati_wait_list joins;                /* that wait for the end of all items */
    at_task_pool_statistics statistics; /* but for what can be read from the above */
};

/* What is to be done when the lock has been released. */
typedef struct ati_task_pool_changes {
    ati_item_list starts;
    ati_item_list ends; /* never ran: their arguments are to be dropped */
    ati_wait_list wakes;
    ati_wait_list joins; /* the last: the task pool may be gone then */
} ati_task_pool_changes;

/* -- Under the lock (task_pool_queue.c) -- */

bool ati_task_pool_has_room(const at_task_pool *workers);
bool ati_task_pool_has_ended(const at_task_pool *workers); /* all that it has accepted */
bool ati_task_pool_may_keep(const at_task_pool *workers);  /* one outcome more */

/* The item counts as submitted; it is queued, or `ending`, or runs in its caller. */
void ati_task_pool_accept(at_task_pool *workers, ati_task_pool_item *item);
void ati_task_pool_enqueue(at_task_pool *workers, ati_task_pool_item *item);

/* Ends the item that has been queued longest without a run. */
void ati_task_pool_leave_out(at_task_pool *workers, at_status status,
                             ati_task_pool_changes *changes);
/* The same for one that is not queued. */
void ati_task_pool_leave_out_item(at_task_pool *workers, ati_task_pool_item *item, at_status status,
                                  ati_task_pool_changes *changes);

/* The same for those that have been queued for too long. */
void ati_task_pool_expire(at_task_pool *workers, ati_task_pool_changes *changes);

/* Starts what can be started, lets in who waits for room, and lets go who waits for the end. */
void ati_task_pool_settle(at_task_pool *workers, ati_task_pool_changes *changes);

void ati_wait_list_add(ati_wait_list *list, ati_task_pool_wait *wait);
void ati_wait_list_remove(ati_wait_list *list, ati_task_pool_wait *wait);

/* -- Without it -- */

void ati_task_pool_apply(at_task_pool *workers, ati_task_pool_changes *changes);

/* Whether the caller is an item, or was started by one. */
bool ati_task_pool_is_inside(const at_task_pool *workers);

/* Whether this process is a fork of the one that it was created in. */
static inline bool ati_task_pool_is_forked(const at_task_pool *workers) {
    return workers->process_fork_count != ati_process_fork_count();
}

/* Waits until no item is left, whatever the caller's operation says. */
void ati_task_pool_await_end(at_task_pool *workers);

/* Frees an item whose outcome has gone elsewhere; or that nobody wants. */
void ati_task_pool_free_item(ati_task_pool_item *item);
void ati_task_pool_discard_item(ati_task_pool_item *item);

/* What a dump says of it (task_pool_results.c). */
extern const ati_part_section ati_task_pool_section;

#endif
