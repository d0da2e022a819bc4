/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_WORK_TASK_POOL_H
#define ASYNCTOOLS_WORK_TASK_POOL_H

/* The inside of a task pool. See task_pool.c. */
#include "base/block_cache.h"
#include "base/context.h"
#include "base/lock.h"
#include "base/process_fork.h"
#include "pool/executor.h"
#include "pool/parts.h"
#include "pool/waiter.h"
#include "pool/worker.h"

#include <asynctools/cancel.h>
#include <asynctools/task_pool.h>

/* One item, from its submit until it has ended; without a long name one block of the
 * cache in base/block_cache.h. */
typedef struct ati_task_pool_item {
    ati_task_node node; /* its link: in a queue, or in a list of changes */
    at_outcome *kept;   /* where its outcome goes; NULL: nobody wants it */
    at_task_pool *workers;
    ati_context *context; /* under that of the task pool, if it is of another operation; owned */
    const char *site;
    at_deadline expires; /* in the queue */
    union {
        struct {
            at_run_fn run;
            void *argument;
            at_drop_fn drop; /* of the argument, or NULL */
        };                   /* until it has run, or was left out */
        at_outcome outcome;  /* from then on */
    };
    at_status left_out; /* why it never runs; AT_OK: it does */
    uint32_t in_a_row;  /* items that its task has run before */
    char name[];
} ati_task_pool_item;

_Static_assert(sizeof(ati_task_pool_item) < ATI_BLOCK_SIZE, "an item is one block");

enum { ATI_KEPT_OUTCOMES = 127 };

/* Outcomes, in the order of the submits. */
typedef struct ati_kept_chunk {
    struct ati_kept_chunk *next;
    size_t count;
    at_outcome outcomes[ATI_KEPT_OUTCOMES];
} ati_kept_chunk;

/* What became of items. */
typedef struct ati_task_pool_ends {
    uint64_t succeeded;
    uint64_t failed;
    uint64_t cancelled;
    uint64_t dropped;
    uint64_t expired;
} ati_task_pool_ends;

typedef struct ati_item_list {
    ati_task_pool_item *first;
    ati_task_pool_item *last;
} ati_item_list;

/* One who waits, on the stack: for room for its item, or, without one, for the end of all items. */
typedef struct ati_task_pool_wait {
    ati_waiter waiter;
    ati_task_pool_item *item;
    ati_kept_chunk *spare; /* in case that a place for its outcome is wanted; owned, or NULL */
    bool is_over;          /* it is to be woken, or was */
    bool leads;            /* a submit that is the first, or was: sees to what expires */
    bool is_told;          /* has been woken for that, and not looked yet */
    at_status status;      /* of a submit that is over: AT_OK, or it was turned away */
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
    ati_task_pool_item **ring; /* the queue: items [taken, pushed); owned */
    uint64_t ring_size;        /* a power of two */
    at_duration expiry;        /* 0: none */

    /* The end that is submitted to. */
    _Alignas(ATI_CACHE_LINE) ati_lock submit_lock; /* guards what follows; `lock` nests in it */
    _Atomic uint64_t pushed; /* items ever put into the ring; read by takers */
    uint64_t taken_seen;     /* what `taken` was at the last look */
    ati_item_list arrived;   /* items for which the ring has no room, behind those there */
    uint64_t arrived_count;
    uint64_t running;
    ati_kept_chunk *first_kept;
    ati_kept_chunk *last_kept;
    ati_wait_list submits; /* that wait for room */
    ati_wait_list joins;   /* that wait for the end of all items */
    uint64_t submitted;
    uint64_t kept;
    uint64_t waiting;
    uint64_t refused;
    uint64_t max_queued;
    uint64_t running_in_callers;
    uint64_t leaving;             /* submits that led and are over, and do not know yet */
    uint64_t ending;              /* neither queued nor running; to be counted as ended soon */
    ati_task_pool_ends ends_here; /* of items that no task has run */

    /* The end that is taken from. */
    _Alignas(ATI_CACHE_LINE)
        ati_lock lock;      /* guards what follows; only the wake of a waiting submit nests in it */
    bool is_awaited;        /* submits wait for room */
    uint64_t seen;          /* what `pushed` was at the last look */
    _Atomic uint64_t taken; /* items ever taken out of the ring; read by who pushes */
    ati_task_pool_ends ends;         /* of the others */
    _Atomic(ati_kept_chunk *) spare; /* an empty one, or NULL */
};

/* What is to be done when the locks have been released. */
typedef struct ati_task_pool_changes {
    ati_item_list starts;
    ati_item_list ends; /* never ran: their arguments are to be dropped */
    ati_wait_list wakes;
    ati_wait_list joins; /* the last: the task pool may be gone then */
} ati_task_pool_changes;

/* -- Under one lock (task_pool_queue.c) -- */

/* What can be done with a submit under submit_lock alone. */
typedef enum ati_push { ATI_PUSH_DONE, ATI_PUSH_FULL, ATI_PUSH_UNKNOWN } ati_push;

/* Queues the item if all places are taken, there is room, and nobody waits for that. */
ati_push ati_task_pool_push(at_task_pool *workers, ati_task_pool_wait *wait);

/* Under `lock`: takes the item that has been queued longest, for a place whose item has ended, if
 * that is all there is to do. NULL: it is not. */
ati_task_pool_item *ati_task_pool_take(at_task_pool *workers);
void ati_task_pool_count(ati_task_pool_ends *ends, at_status status);

/* -- Under both -- */

void ati_task_pool_lock(at_task_pool *workers); /* as much as there is room for is in the ring */
void ati_task_pool_lock_rest(at_task_pool *workers); /* the same, with submit_lock held */
void ati_task_pool_unlock(at_task_pool *workers);

uint64_t ati_task_pool_queued(const at_task_pool *workers);
ati_task_pool_item *ati_task_pool_first(const at_task_pool *workers); /* queued; or NULL */
bool ati_task_pool_has_room(const at_task_pool *workers);
bool ati_task_pool_has_ended(const at_task_pool *workers);           /* all that it has accepted */
at_duration ati_task_pool_until_expiry(const at_task_pool *workers); /* the next; or AT_FOREVER */
bool ati_task_pool_may_keep(const at_task_pool *workers);            /* one outcome more */

/* The item of a submit counts as submitted; it is queued, or `ending`, or runs in its caller. */
void ati_task_pool_accept(at_task_pool *workers, ati_task_pool_wait *wait);
void ati_task_pool_enqueue(at_task_pool *workers, ati_task_pool_wait *wait);

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

/* Takes the first of the items that are to be started; NULL: there is none. */
ati_task_pool_item *ati_task_pool_take_start(ati_task_pool_changes *changes);

/* -- Under none -- */

/* Whether something is queued; a hint. */
bool ati_task_pool_has_queued(const at_task_pool *workers);

/* Runs an item: in a task of the pool, whose worker counts it, or with NULL as a part of what runs
 * here (task_pool_run.c). */
void ati_task_pool_run_item(ati_task_pool_item *item, ati_worker *worker);

/* The work of an item that is started, and of those that follow it. */
void *ati_task_pool_run_started(void *item);

/* Has the item started as a task of its own. */
void ati_task_pool_start(at_task_pool *workers, ati_task_pool_item *item);

void ati_task_pool_apply(at_task_pool *workers, ati_task_pool_changes *changes);

/* Whether the caller is an item, or was started by one. */
bool ati_task_pool_is_inside(const at_task_pool *workers);

/* Whether this process is a fork of the one that it was created in. */
static inline bool ati_task_pool_is_forked(const at_task_pool *workers) {
    return workers->process_fork_count != ati_process_fork_count();
}

/* Waits until no item is left, whatever the caller's operation says. */
void ati_task_pool_await_end(at_task_pool *workers);

/* An item that no task has run has ended: counts it. False: nothing follows from that, and the task
 * pool may be gone. */
bool ati_task_pool_end_here(at_task_pool *workers, uint64_t *among, at_status status,
                            ati_task_pool_changes *changes);

/* The outcome of an item goes where it is wanted, and the item goes. */
void ati_task_pool_finish_item(ati_task_pool_item *item);

void ati_task_pool_free_item(ati_task_pool_item *item);

/* Drops an outcome that nobody wants. */
void ati_task_pool_discard(at_outcome *outcome);

/* An empty chunk; NULL: no memory. */
ati_kept_chunk *ati_task_pool_take_spare(at_task_pool *workers);

/* Keeps one that was not needed; gives the one that was there, or NULL. */
ati_kept_chunk *ati_task_pool_exchange_spare(at_task_pool *workers, ati_kept_chunk *chunk);

/* What a dump says of it (task_pool_results.c). */
extern const ati_part_section ati_task_pool_section;

#endif
