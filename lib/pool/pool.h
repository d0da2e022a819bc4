/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_POOL_H
#define ASYNCTOOLS_POOL_POOL_H

/* The inside of a pool, for lib/pool, and for lib/future to run its tasks on. */
#include "base/atomic.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/process_fork.h"
#include "base/registry.h"
#include "pool/blocking.h"
#include "pool/executor.h"
#include "pool/idle.h"
#include "pool/parts.h"
#include "pool/search.h"
#include "pool/stacks.h"
#include "pool/timers.h"
#include "pool/worker.h"
#include "queue/injector.h"

#include <asynctools/pool.h>

#include <pthread.h>

typedef enum ati_pool_state {
    ATI_POOL_RUNNING,
    ATI_POOL_CLOSING, /* starts from outside are refused */
    ATI_POOL_STOPPED, /* everything is refused; the threads are gone or going */
} ati_pool_state;

/* Tasks whose own storage is their place in the queue, for when there is no memory for another. */
typedef struct ati_overflow {
    ati_lock lock; /* guards first and last; may be taken inside a shard's push_lock */
    ati_task_node *first;
    ati_task_node *last;
    _Atomic uint64_t pushed; /* written under lock */
    _Atomic uint64_t taken;  /* written under lock */
} ati_overflow;

/* The queue of what has another priority than normal; for all workers. */
typedef struct ati_priority_lane {
    ati_injector injector;
    _Atomic uint64_t queued; /* at least the works in it */
} ati_priority_lane;

struct at_pool {
    at_executor executor; /* first: an at_executor of a pool is the pool */
    ati_registry_entry registry_entry;

    /* Read by all, written before the workers start. */
    struct ati_worker **workers; /* worker_limit places; filled up to worker_count */
    uint32_t worker_limit;
    uint32_t thread_count;
    at_pool_options options;     /* as given, but with the defaults put in */
    char *name;                  /* owned */
    int *cpus;                   /* owned */
    _Atomic uint64_t fork_count; /* of the process that the threads are in */

    /* Who may still use this struct: its owner, and what was made for its executor. Workers count
     * their changes for themselves; they are added when the workers have ended, and until then
     * a bias keeps this from reaching zero. */
    _Alignas(ATI_CACHE_LINE) _Atomic int64_t references;

    _Alignas(ATI_CACHE_LINE) _Atomic uint32_t state; /* ati_pool_state; set before a settle */
    /* It is to end, and all was at rest: what is only to look starts no task any more. Set under
     * idle.lock; who reads it has got up under that. */
    _Atomic bool has_rested;
    _Atomic bool ending;                /* the workers' threads are to end */
    _Atomic uint32_t worker_count;      /* places of `workers` that are filled */
    _Atomic uint64_t bounded_count;     /* tasks queued from outside, if there is a bound */
    _Atomic uint64_t cancelled_outside; /* queued tasks, by whatever thread; they are claimed too */
    _Atomic uint64_t claimed_unqueued;  /* tasks that were claimed before the pool refused them */

    ati_idle idle;
    ati_injector injector;
    ati_overflow overflow;
    ati_priority_lane high;
    ati_priority_lane low;
    _Atomic uint32_t low_count; /* workers that run a task of low priority */
    uint32_t low_limit;         /* how many may */
    ati_fork_market fork_market;
    ati_stacks stacks; /* of the tasks that wait */
    ati_blocking blocking;
    ati_search search;

    _Alignas(ATI_CACHE_LINE) ati_lock rest_lock; /* guards rest_waits; innermost */
    struct ati_rest_wait *rest_waits;            /* those who wait for the end of all tasks */

    struct at_pool *next_of_clock; /* jump_lock of the virtual clock */
    bool is_passed_by;             /* nobody is there to fire its timers; the same lock */

    ati_lock spares_lock;      /* guards what follows; outside idle.lock, never nests in it */
    struct ati_worker *spares; /* parked spare workers */
    struct ati_worker *ended;  /* spare workers whose thread has ended or is about to */
    uint32_t spare_count;      /* threads of spare workers, parked or not */
    uint32_t max_spare_count;  /* the most there were */
    _Atomic uint32_t surplus;  /* threads at work beyond thread_count; a hint outside the lock */

    ati_parts parts; /* what stands on it */

    _Alignas(ATI_CACHE_LINE) _Atomic uint32_t next_probe;
    ati_probe probes[ATI_PROBES];

    ati_timers timers; /* the last: much of it is never touched */
};

/* How many places of `workers` are filled. */
static inline uint32_t ati_pool_worker_count(const at_pool *pool) {
    /* ORDER pool.workers: acquire. Sees the workers below the count.
     * Pairs with: release in add_worker(). If relaxed: reads an unwritten pointer. */
    return atomic_load_explicit(&((at_pool *)pool)->worker_count, memory_order_acquire);
}

/* The pool of the running task, or NULL: of a worker's, or of the one whose at_blocking_call this
 * thread makes. */
static inline at_pool *ati_pool_current(void) {
    ati_worker *worker = ati_worker_current;
    return worker ? worker->pool : ati_blocking_caller_current.pool;
}

/* Whether it is about to end, and takes nothing from outside any more. */
static inline bool ati_pool_is_closing(const at_pool *pool) {
    return atomic_load_explicit(&((at_pool *)pool)->state, memory_order_relaxed) !=
           ATI_POOL_RUNNING;
}

/* Writes all that can be seen of a pool (dump.c). */
void ati_pool_write_dump(ati_registry_entry *entry, ati_json *json);

/* -- Starting work (start.c) -- */

/* So many that were queued from outside are so no more. */
static inline void ati_pool_uncount_bounded(at_pool *pool, size_t count) {
    if (pool->options.queue_bound != AT_UNLIMITED)
        atomic_fetch_sub_explicit(&pool->bounded_count, count, memory_order_relaxed);
}

/* Starts the works of a list of `count` nodes, all or none; those of one list are picked in its
 * order as far as one worker picks them. Cannot fail for memory. `continuation`: passes the bound
 * and a closing pool. */
at_status ati_pool_start_nodes(at_pool *pool, ati_task_node *nodes, size_t count,
                               bool continuation);

/* The same for one node from a task of the pool, behind what is queued there: it always succeeds.
 */
void ati_pool_start_node_last(at_pool *pool, ati_task_node *node);

/* Whether the current task or thread may start more than continuations; else the error says why. */
at_status ati_pool_check_open(at_pool *pool);

/* For the fire function of a timer that may take long, with others behind it: has some worker call
 * run(pool) soon, as a work of the library's own, which is no task and is not counted. */
void ati_pool_start_chore(at_pool *pool, void (*run)(at_pool *pool));

/* Takes one task that found its place only in its own storage. */
bool ati_overflow_take(at_pool *pool, ati_work *work);

/* How many there are. */
static inline uint64_t ati_overflow_size(at_pool *pool) {
    uint64_t taken = atomic_load_explicit(&pool->overflow.taken, memory_order_relaxed);
    return atomic_load_explicit(&pool->overflow.pushed, memory_order_relaxed) - taken;
}

/* Whether a work can be seen in any queue. */
bool ati_pool_has_work(at_pool *pool);

/* Whether a task is suspended; exact while no worker is awake. */
bool ati_pool_has_suspended(at_pool *pool);

/* -- Priorities (lane.c) -- */

/* The lane for what the current task or thread starts with this priority. */
ati_lane ati_lane_of(at_priority priority);

static inline bool ati_priority_is_valid(at_priority priority) {
    return (unsigned)priority <= AT_PRIORITY_LOW;
}

bool ati_lane_init(ati_priority_lane *lane); /* false: no memory */
void ati_lane_deinit(ati_priority_lane *lane);

/* Whether a work can be seen that some worker may run. */
bool ati_lane_has_work(at_pool *pool);

/* A worker is about to run a work of low priority. False: enough do. */
bool ati_lane_enter_low(at_pool *pool);
void ati_lane_leave_low(at_pool *pool);

/* Whether one more worker may now. */
static inline bool ati_lane_has_place(const at_pool *pool) {
    /* ORDER lane.low_count: seq_cst. Comes after a fork can be seen.
     * Pairs with: seq_cst in ati_lane_leave_low(). If relaxed: a worker sleeps on a fork. */
    return atomic_load_explicit(&((at_pool *)pool)->low_count, memory_order_seq_cst) <
           pool->low_limit;
}

/* Before a worker runs what it has found in a deque, a fork of low priority perhaps: finds it a
 * place, or puts it with the others that wait for one. True: the worker is to run it. */
bool ati_lane_admit_low(ati_worker *worker, const ati_work *work);
static inline bool ati_lane_admit(ati_worker *worker, const ati_work *work) {
    return ati_work_lane(work) != ATI_LANE_LOW || ati_lane_admit_low(worker, work);
}

/* A task of low priority goes on after a wait. */
static inline void ati_lane_return_to_low(at_pool *pool) {
    atomic_fetch_add_explicit(&pool->low_count, 1, memory_order_relaxed);
}

/* -- Timers (find.c, timer.c) -- */

/* Fires the timers that are due; `busy`: there is other work. True: that has put works onto this
 * worker's deque. */
bool ati_worker_fire_set_timers(ati_worker *worker, bool busy);
static inline bool ati_worker_fire_timers(ati_worker *worker, bool busy) {
    return ati_timers_next(&worker->pool->timers) != AT_FOREVER &&
           ati_worker_fire_set_timers(worker, busy);
}

/* A worker starts the tasks whose timers have expired. */
void ati_timer_start_tasks(at_pool *pool, const ati_expired *expired);

/* -- Blocking (spare.c) -- */

/* The current worker is about to block in a task: a spare thread takes its place until `end`.
 * False: there can be none, and no `end` is to follow. */
bool ati_pool_block_begin(ati_worker *worker);
void ati_pool_block_end(ati_worker *worker);

/* A spare worker without work, while there is a surplus: sleeps until it is needed again. False:
 * its thread is to end. */
bool ati_spare_park(ati_worker *worker);
void ati_spare_wake_all(at_pool *pool);

/* A worker that had to look at the timers is about to run something that may last: somebody else
 * keeps the time from now on. */
static inline void ati_worker_hand_time_over(ati_worker *worker) {
    if (!worker->kept_time)
        return;
    worker->kept_time = false;
    ati_idle_keep_time(worker->pool);
}

/* -- References (references.c) -- */

void ati_pool_init_references(at_pool *pool); /* the owner's */
void ati_pool_retain(at_pool *pool);
void ati_pool_release(at_pool *pool);

/* Gives back the owner's, and adds what the ended workers have counted. */
void ati_pool_release_owner(at_pool *pool, int64_t worker_changes);

/* -- Life (pool.c) -- */

/* Frees the storage when the last reference has gone. */
void ati_pool_free(at_pool *pool);

/* Starts the thread of a worker. False: the system has none to give. */
bool ati_pool_start_thread(at_pool *pool, ati_worker *worker);

/* -- The pool's clock: a worker is inside from before its thread starts until that ends, but while
 * it sleeps, is parked or waits in place -- */

static inline void ati_pool_enter_clock(at_pool *pool) {
    ati_clock_enter(pool->options.clock);
}

static inline void ati_pool_leave_clock(at_pool *pool) {
    ati_clock_leave(pool->options.clock);
}

/* Called when no worker is awake: a waiting at_pool_shutdown looks whether all is done. */
void ati_pool_come_to_rest(at_pool *pool);

/* Has every running task look, at its next at_check, whether there is something to do: a timer is
 * due that nobody keeps, or one of them is asked to stop (idle.c). */
void ati_pool_ask_to_look(at_pool *pool);

/* A queued task has been cancelled, by any thread; its work is still in the queue. */
void ati_pool_count_cancelled(at_pool *pool);

/* The pool has refused a task that had been claimed or cancelled by then: it was counted, so it was
 * accepted, and no work of it will be met in a queue. */
void ati_pool_count_claimed_unqueued(at_pool *pool);

/* Whether this process is a fork of the one that the pool's threads are in. */
static inline bool ati_pool_is_forked(const at_pool *pool) {
    /* ORDER pool.fork_count: acquire. Sees what was built anew.
     * Pairs with: release in set_fork_count(). If relaxed: a thread of the child uses what is not
     * built yet. */
    uint64_t count = atomic_load_explicit(&((at_pool *)pool)->fork_count, memory_order_acquire);
    return count != ati_process_fork_count();
}

/* Builds a forked pool anew, if it was created so. AT_ERROR_FORKED: it was not. */
at_status ati_pool_start_afresh(at_pool *pool);

/* -- Options (options.c) -- */

/* Puts the defaults in and checks what was given. */
at_status ati_pool_complete_options(at_pool_options *options);

/* How many CPUs the pool may use. */
int64_t ati_pool_usable_cpus(const at_pool_options *options);

#endif
