/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_WORKER_H
#define ASYNCTOOLS_POOL_WORKER_H

/* One thread of a pool and its deque; and how a task is run on it. */
#include "base/atomic.h"
#include "base/context.h"
#include "base/frame.h"
#include "base/lock.h"
#include "base/owner_lock.h"
#include "base/topology.h"
#include "pool/blocking.h"
#include "pool/fork.h"
#include "pool/sample.h"
#include "pool/waiter.h"
#include "queue/deque.h"

#include <asynctools/pool.h>

#include <pthread.h>

/* What one worker did; read by the audit and the statistics. All are written by the worker's own
 * thread. */
typedef struct ati_worker_counts {
    ati_counter accepted; /* pushed onto the own deque */
    ati_counter begun;
    ati_counter succeeded;
    ati_counter failed;
    ati_counter cancelled;
    ati_counter claimed;    /* run in place by a wait; their works still lie in a queue */
    ati_counter tombstones; /* such works that were met in a queue */
    ati_counter stolen;
    ati_counter sleeps;
    ati_counter wakes; /* ends of a sleep by somebody else */
    ati_counter resumed;
    ati_counter max_suspended;
} ati_worker_counts;

/* While a worker completes a task, the first work that this releases needs no wake, because the
 * worker itself takes it next; the second does, whether its queue was empty or not. */
typedef enum ati_quiet { ATI_QUIET_NO, ATI_QUIET_FIRST, ATI_QUIET_SECOND } ati_quiet;

/* Tasks that are to be resumed, in order. */
typedef struct ati_ready_list {
    ati_waiter *first;
    ati_waiter *last;
} ati_ready_list;

/* Picks that do not take what is at hand first. */
typedef enum ati_turn {
    ATI_TURN_FAIR = 1, /* those who wait longer come first */
    ATI_TURN_LOW = 2,  /* those of low priority do */
} ati_turn;

enum {
    ATI_TURN_INTERVAL = 30, /* every so many picks it is the turn of one of the two */
    ATI_BATCH_LIMIT = 64,   /* works taken from the injector at once */
    ATI_LINGER_TIMES = 3,   /* some 1 or 2 microseconds */
};

typedef struct ati_worker {
    /* The thread's own. */
    at_pool *pool;
    uint32_t index; /* in pool->workers */
    bool is_spare;
    uint32_t picks_left;         /* until one of another kind is due */
    uint32_t turn_count;         /* such picks that were due */
    uint32_t owes;               /* ati_turn bits: those that are */
    bool took_few;               /* its last batch from outside was all there was */
    uint64_t crowded_at;         /* ati_ticks() when others had taken its CPU */
    bool puts_off;               /* a task of low priority that is ready was passed by */
    ati_lane lane;               /* of the running stack: of the task that began it */
    const ati_lane *nested_lane; /* of the task that a wait runs in place there; NULL: none */
    bool ended;                  /* the loop is over */
    bool kept_time;              /* nobody may be keeping the next timer any more */
    ati_quiet quiet;             /* whether its pushes wake others */
    int cpu;                     /* that its thread is pinned to, or -1 */
    uint32_t *victims;           /* workers to steal from, the nearest first, or NULL: any */
    uint32_t victim_ends[ATI_CPU_DISTANCES]; /* where those of each distance end in `victims` */
    uint32_t next_shard;                     /* of the injector, to be looked at first */
    size_t size_before;                      /* of the deque, at the fair pick before */
    bool has_own;             /* its deque may hold works that its own tasks started */
    uint32_t blocking_depth;  /* sections that block the thread, of all tasks on this stack */
    bool is_replaced;         /* by a spare, while in such a section */
    uint32_t depth;           /* tasks that run nested on this stack */
    int64_t reference_change; /* references to the pool taken less those given back here */
    uint64_t random;
    uint64_t ticks;             /* at the last look at the timers */
    size_t size_before_expired; /* of the deque, before the tasks that then expired */
    char *stack_end;            /* lowest address of the stack */
    ati_worker_counts counts;

    /* Its stacks and the tasks that wait on them; see suspend.c. */
    ati_fiber *fiber; /* the stack that runs */
    ati_fiber thread_fiber;
    bool thread_fiber_is_free;
    ati_fiber *free_fibers;
    ati_fiber *exited; /* to be freed from another stack */
    uint32_t free_count;
    ati_ready_list ready;
    ati_ready_list yielded;        /* ready once a work of the queues has had its turn */
    int64_t turn_began;            /* a moment at which the running task ran already; 0: unknown */
    ati_counter suspended_count;   /* length of `suspended` */
    ati_owner_lock suspended_lock; /* guards `suspended`; nothing nests in it */
    ati_waiter *suspended;         /* the tasks that wait, the newest first */
    ati_waiter *oldest;            /* the last of them */
    _Atomic(ati_waiter *) unsearched; /* the oldest of them that is still to be searched; written
                                         under suspended_lock */

    /* For those who look from outside; see view.c and sample.c. */
    _Atomic(const char *) site;    /* where the running task was started, or, until the worker looks
                                      further for work, the last one; NULL: none */
    _Atomic uint64_t operation_id; /* that the running task is in; 0: none */
    const char *site_before;       /* of the task that ran before the one that was resumed */
    const ati_frame *named; /* the uppermost running task that has a name of its own, or forked
                               call; under suspended_lock */
    _Atomic int64_t clock;  /* of the coarse clock, when it was looked at last */
    _Atomic bool blocks;    /* the running task does, by at_blocking_begin */
    int64_t slow_reported;  /* slow resumes up to this moment are reported */
    int64_t timed_from;     /* when the running task began, if that is being measured */
    _Atomic(ati_worker_times *) times; /* or NULL */

    ati_deque deque;
    ati_forks forks;

    /* Written by those who wake tasks. */
    _Alignas(ATI_CACHE_LINE) ati_lock inbox_lock; /* guards inbox; outside idle.lock */
    ati_ready_list inbox;
    _Atomic int64_t inbox_since; /* when the first of these was put there; CLOCK_MONOTONIC */
    _Atomic bool inbox_is_full;  /* written under inbox_lock */

    /* Sleeping, and parking as a spare. */
    _Alignas(ATI_CACHE_LINE) _Atomic uint32_t signal; /* futex; 1: woken */
    _Atomic bool asleep;      /* in the stack of sleepers; written under idle.lock */
    int64_t sleeps_until;     /* when it gets up by itself; idle.lock */
    int64_t retires_at;       /* of CLOCK_MONOTONIC: a spare one that is not needed; idle.lock */
    bool sleeps_soundly;      /* a spare one, because it is needed; idle.lock */
    struct ati_worker *below; /* next in the stack of sleepers (idle.lock) or of spares
                                 (spares_lock) */
    struct ati_worker *above; /* in the stack of sleepers (idle.lock) */
    bool is_parked;           /* spares_lock */
    bool has_ended;           /* its thread, for want of need; spares_lock */
    bool has_thread;          /* `thread` is to be joined; spares_lock, or before it starts */
    pthread_t thread;
} ati_worker;

/* The next at_check of the worker's task looks what there is to do. Any thread that knows the
 * worker to be there; see turn.c. */
static inline void ati_worker_ask_to_look(ati_worker *worker) {
    /* ORDER worker.look: release. Publishes the reason.
     * Pairs with: acquire in reset_look(). If relaxed: the worker takes the wish back and does not
     * see its reason. */
    AT_INLINE_STORE(&worker->forks.line.look, 1, __ATOMIC_RELEASE);
}

/* The worker of the calling thread, or NULL in a plain thread. */
extern _Thread_local ati_worker *ati_worker_current;

/* The priority that what the running task starts inherits. */
static inline ati_lane ati_lane_inherited(void) {
    const ati_worker *worker = ati_worker_current;
    if (!worker)
        return ati_blocking_caller_current.lane;
    return worker->nested_lane ? *worker->nested_lane : worker->lane;
}

/* Before the operation of the running code changes. Who takes a forked call by force reads it in
 * the frame of its task; so none is left to be taken so, and those that were forked keep the one
 * that they were forked under. */
static inline void ati_worker_hand_out_forks(void) {
    ati_worker *worker = ati_worker_current;
    if (worker && ati_forks_count(&worker->forks) > 0)
        ati_fork_share_all(worker);
}

/* A task in progress on a worker. */
typedef struct ati_task_run {
    ati_frame frame;
    size_t fork_count;            /* unjoined on this stack when it began */
    const ati_frame *outer_owner; /* of the forks */
    uint64_t outer_operation_id;
    struct at_inline_worker *outer_line;
} ati_task_run;

/* Gives the name that the program gave the task, else that of its function, else "unnamed". */
const char *ati_task_name_of(const ati_frame *frame);

/* Publishes which operation the running task is in. */
static inline void ati_worker_show_operation(ati_worker *worker, uint64_t id) {
    atomic_store_explicit(&worker->operation_id, id, memory_order_relaxed);
}

/* Publishes which running task has a name of its own, or is a forked call; NULL: none (view.c). */
void ati_view_show_named(ati_worker *worker, const ati_frame *frame);

/* It ends; the next one below that is to be published, if there is one, takes its place. */
void ati_view_hide_named(ati_worker *worker, const ati_frame *frame);

/* Begins a task on the calling worker, which counts it (NULL: nobody does, because it runs inline
 * or is a drop function): own frame (identity and taken_from may be set in it afterwards), own
 * context. `site` is where it was started, `name` what the program called it (valid until its end;
 * "" or NULL: nothing). */
void ati_task_begin(ati_worker *worker, ati_task_run *run, ati_context *context, const char *site,
                    const char *name);

/* A task called process_fork and goes on in the child as if it were in its pool. */
_Noreturn void ati_task_end_forked_process(void);

/* Ends it; `status` says how. */
void ati_task_end(ati_worker *worker, ati_task_run *run, at_status status);

/* Says how a work function ended, by what it returned: AT_OK, or the status of the error, which is
 * moved out of the frame and names the task. */
at_status ati_task_outcome(ati_frame *frame, void *returned, const char *site, at_error **error);

/* Runs a work of normal or any priority, in its place. */
void ati_worker_run(ati_worker *worker, const ati_work *work);

/* No task runs: the worker looks further for work than where it is at hand. */
static inline void ati_worker_show_none(ati_worker *worker) {
    atomic_store_explicit(&worker->site, NULL, memory_order_relaxed);
}

/* Notes the time, for those who look from outside. */
static inline void ati_worker_note_clock(ati_worker *worker, int64_t now) {
    atomic_store_explicit(&worker->clock, now, memory_order_relaxed);
}

/* Whether one more task may run nested on this stack. */
bool ati_worker_may_nest(const ati_worker *worker);

/* -- Finding work (find.c) -- */

/* Gives the CPU away for a moment, in which more of what it takes may gather; at most
 * ATI_LINGER_TIMES in a row. False: not now, others want this CPU. */
bool ati_worker_linger(ati_worker *worker);

/* Finds the next work, sleeping until there is one. One without a function stands for the task that
 * is ready to go on. False: the thread is to end. */
bool ati_worker_find_work(ati_worker *worker, ati_work *work);

/* Another kind of pick is due. */
void ati_worker_begin_turn(ati_worker *worker);

/* Counts a pick, or a step from one waiting task to the next. */
static inline void ati_worker_count_pick(ati_worker *worker) {
    if (worker->picks_left-- == 0)
        ati_worker_begin_turn(worker);
}

/* Takes a work off the worker's own deque, if it is the last there. */
bool ati_worker_take_back(ati_worker *worker, void *(*run)(void *argument), const void *argument);

/* Tells what a quiet push has left. */
void ati_worker_end_quiet(ati_worker *worker);

/* Runs works and resumes tasks until the pool ends. */
void ati_worker_loop(ati_worker *worker);

/* Wakes a worker that sleeps or is parked; the caller has taken it off its list. */
void ati_worker_wake(ati_worker *worker);
void ati_worker_signal(ati_worker *worker); /* the same without the futex call */

/* What a worker's thread runs. */
void *ati_worker_main(void *worker);

ati_worker *ati_worker_create(at_pool *pool, uint32_t index, bool is_spare);
void ati_worker_destroy(ati_worker *worker);

#endif
