/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_WORKER_H
#define ASYNCTOOLS_POOL_WORKER_H

/* One thread of a pool and its deque; and how a task is run on it. */
#include "base/atomic.h"
#include "base/context.h"
#include "base/frame.h"
#include "pool/fork.h"
#include "queue/deque.h"

#include <asynctools/pool.h>

#include <pthread.h>

/* What one worker did; read by the audit. All are written by the worker's own thread. */
typedef struct ati_worker_counts {
    ati_counter accepted; /* pushed onto the own deque */
    ati_counter running;  /* begun and not ended */
    ati_counter succeeded;
    ati_counter failed;
    ati_counter cancelled;
    ati_counter claimed;    /* run in place by a wait; their works still lie in a queue */
    ati_counter tombstones; /* such works that were met in a queue */
} ati_worker_counts;

/* While a worker completes a task, the first work that this releases needs no wake, because the
 * worker itself takes it next; the second does, whether its queue was empty or not. */
typedef enum ati_quiet { ATI_QUIET_NO, ATI_QUIET_FIRST, ATI_QUIET_SECOND } ati_quiet;

typedef struct ati_worker {
    /* The thread's own. */
    at_pool *pool;
    uint32_t index; /* in pool->workers */
    bool is_spare;
    uint32_t pick_count;      /* picks, for fairness */
    ati_quiet quiet;          /* whether its pushes wake others */
    uint32_t next_shard;      /* of the injector, to be looked at first */
    size_t size_before;       /* of the deque, at the fair pick before */
    bool has_own;             /* its deque may hold works that its own tasks started */
    uint32_t depth;           /* tasks that run nested on this stack */
    int64_t reference_change; /* references to the pool taken less those given back here */
    uint64_t random;
    char *stack_end; /* lowest address of the stack */
    ati_worker_counts counts;

    ati_deque deque;
    ati_forks forks;

    /* Sleeping, and parking as a spare. */
    _Alignas(ATI_CACHE_LINE) _Atomic uint32_t signal; /* futex; 1: woken */
    struct ati_worker *below; /* next in the stack of sleepers (idle.lock) or of spares
                                 (spares_lock) */
    bool is_parked;           /* spares_lock */
    bool has_thread;          /* `thread` is to be joined; spares_lock, or before it starts */
    pthread_t thread;
} ati_worker;

/* The worker of the calling thread, or NULL in a plain thread. */
extern _Thread_local ati_worker *ati_worker_current;

/* A task in progress on a worker. */
typedef struct ati_task_run {
    ati_frame frame;
    ati_context *outer_context;
    size_t fork_count; /* unjoined on this stack when it began */
} ati_task_run;

/* Begins a task on the calling worker, which counts it (NULL: nobody does, because it runs inline
 * or is a drop function): own frame (identity and taken_from may be set in it afterwards), own
 * context. */
void ati_task_begin(ati_worker *worker, ati_task_run *run, ati_context *context);

/* Ends it; `status` says how. */
void ati_task_end(ati_worker *worker, ati_task_run *run, at_status status);

/* Says how a work function ended, by what it returned: AT_OK, or the status of the error, which is
 * moved out of the frame and names the task. */
at_status ati_task_outcome(ati_frame *frame, void *returned, const char *site, at_error **error);

/* Whether one more task may run nested on this stack. */
bool ati_worker_may_nest(const ati_worker *worker);

/* Wakes a worker that sleeps or is parked; the caller has taken it off its list. */
void ati_worker_wake(ati_worker *worker);

/* What a worker's thread runs. */
void *ati_worker_main(void *worker);

ati_worker *ati_worker_create(at_pool *pool, uint32_t index, bool is_spare);
void ati_worker_destroy(ati_worker *worker);

#endif
