/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_FUTURE_KEYED_EXECUTOR_H
#define ASYNCTOOLS_FUTURE_KEYED_EXECUTOR_H

/* The inside of a keyed executor. See key_turns.c for the argument. */
#include "base/lock.h"
#include "base/process_fork.h"
#include "future/drain.h"
#include "future/key_table.h"
#include "pool/parts.h"

#include <asynctools/keyed_executor.h>

/* A drain, and what it has in hand: all its own, but where a lock is named. */
typedef struct ati_key_runner {
    ati_drain drain; /* first */
    at_keyed_executor *keyed;
    ati_key *key;                    /* whose task it runs, or NULL */
    ati_counter begun;               /* tasks ever */
    _Atomic(const at_future *) task; /* that it runs, only to be compared; NULL: none */
    _Atomic(ati_worker *) worker;    /* on whose thread it is, or NULL */
    int ran;                         /* tasks since it was idle; at most a few */
    bool is_arriving;                /* started, and has not looked for a key yet */
    struct ati_key_runner *next;     /* of those that are not under way; arrival_lock */
    struct ati_key_runner *older;    /* of those made for places that were lent; arrival_lock */
} ati_key_runner;

enum {
    ATI_KEPT_KEYS = 64,  /* that were busy lately */
    ATI_SPARE_KEYS = 64, /* for which there is memory */
};

struct at_keyed_executor {
    at_pool *pool;                     /* retained */
    _Atomic uint64_t references;       /* of the owner, of the table if it has keys, of runners
                                          under way */
    uint64_t fork_count;               /* of the process that made it */
    at_keyed_executor_options options; /* as given, but with the defaults put in */
    bool is_serial;                    /* one task of a key at a time */
    bool takes_all;                    /* that a key has queued, at once */
    _Atomic bool has_surplus;          /* more runners than places; written under arrival_lock */
    ati_part part;

    _Alignas(ATI_CACHE_LINE) ati_lock table_lock; /* guards the table; locks of keys nest in it */
    ati_key_table table;
    uint32_t spare_count;
    ati_key
        *spares[ATI_SPARE_KEYS]; /* memory for small keys, so that malloc is not asked for each */
    ati_counter found;           /* keys for tasks that were to be queued; table_lock */
    _Atomic uint64_t refused;    /* of these */
    _Atomic uint64_t continued;  /* continuations that were queued */

    _Alignas(ATI_CACHE_LINE) ati_lock arrival_lock; /* guards the following, and has_surplus; the
                                                       pool's own nest in it */
    bool is_arriving;                               /* a runner is, see there */
    _Atomic(ati_key *) first_arrived;               /* keys that a start has made ready */
    ati_key *last_arrived;
    int64_t waiting;      /* of its tasks, for futures */
    int64_t lent;         /* places, by some of those */
    int64_t runner_count; /* idle or under way */
    int64_t runners_under_way;
    ati_key_runner *idle_runners;
    ati_key_runner *surplus_runners; /* to be used when places are lent again */
    ati_key_runner *lent_runners;    /* all that were made for that, the newest first */

    _Alignas(ATI_CACHE_LINE) ati_lock ready_lock; /* guards the following; arrival_lock nests in
                                                     it */
    uint32_t kept_count;
    uint32_t oldest_kept;
    _Atomic bool has_idle; /* idle_runners; written under arrival_lock */
    _Atomic(ati_key *) first_ready;
    ati_key *last_ready;
    ati_key *kept[ATI_KEPT_KEYS]; /* used lately; a ring */

    ati_key_runner runners[]; /* options.max_running */
};

static inline bool ati_keyed_is_forked(const at_keyed_executor *keyed) {
    return keyed->fork_count != ati_process_fork_count();
}

/* More runners are under way than places: one that ends a task leaves. */
static inline bool ati_keyed_has_surplus(const at_keyed_executor *keyed) {
    return atomic_load_explicit(&((at_keyed_executor *)keyed)->has_surplus, memory_order_relaxed);
}

/* Whether keys wait for a runner: certain under ready_lock and arrival_lock, else as it was lately.
 */
static inline bool ati_keyed_has_ready(const at_keyed_executor *keyed) {
    at_keyed_executor *mine = (at_keyed_executor *)keyed;
    return atomic_load_explicit(&mine->first_ready, memory_order_relaxed) ||
           atomic_load_explicit(&mine->first_arrived, memory_order_relaxed);
}

void ati_keyed_release(at_keyed_executor *keyed);

/* Keys have come or gone: lets the table have as many buckets as it should. Without a lock. */
void ati_keyed_fit_table(at_keyed_executor *keyed, size_t wanted_size);

/* -- References to keys (key_references.c) -- */

/* The memory of a key of so many bytes. */
static inline size_t ati_key_size_of(size_t size) {
    return size <= ATI_SMALL_KEY ? sizeof(ati_key) : offsetof(ati_key, bytes) + size;
}

void ati_key_retain(at_executor *executor);
void ati_key_release(at_executor *executor);

/* Keys that are to lose one reference each, once no lock is held. */
typedef struct ati_key_list {
    size_t count;
    ati_key *keys[ATI_KEPT_KEYS];
} ati_key_list;

/* Under ready_lock: a runner begins to use the key, which has a task queued. */
void ati_key_begin_use(ati_key *key);

/* The same when it does no more: the key is kept for a while. */
void ati_key_end_use(ati_key *key, ati_key_list *unkept);

/* Those that are kept and not used are kept no more. Without a lock. */
void ati_keyed_forget(at_keyed_executor *keyed);

/* Takes the references of those in the list. Without a lock. */
void ati_keyed_let_go(at_keyed_executor *keyed, const ati_key_list *list);

/* -- Turns (key_turns.c) -- */

/* What the executor of a key does. */
at_status ati_key_start(at_executor *executor, ati_task_node *nodes, size_t count,
                        bool is_continuation);

void ati_key_visit_queued(at_executor *executor, bool (*visit)(const ati_work *work, void *context),
                          void *context);

/* For the search for stuck waits (deadlock.c). Calls visit for the works that could begin if there
 * were a place, as long as it says true. */
void ati_keyed_visit_ready(at_keyed_executor *keyed,
                           bool (*visit)(const ati_work *work, void *context), void *context);

/* What a runner does as a drain. */
bool ati_key_runner_take(ati_drain *drain, ati_work *work);
void ati_key_runner_pause(ati_drain *drain);

/* -- Runners (key_runners.c) -- */

/* Makes the runners, all idle. */
void ati_keyed_init_runners(at_keyed_executor *keyed);

/* Frees the runners that were allocated for lent places. */
void ati_keyed_free_runners(at_keyed_executor *keyed);

/* Under arrival_lock: starts one, if one is idle and none is arriving. It waits for the lock, if it
 * begins at once. Other than AT_OK: the pool has refused, and none is under way. */
at_status ati_keyed_start_runner(at_keyed_executor *keyed);

/* More keys are ready than runners have taken: starts one more. Under no lock but ready_lock. */
void ati_keyed_call_runner(at_keyed_executor *keyed);

/* A runner that was started begins. */
void ati_key_runner_arrive(ati_key_runner *runner);

/* Whether a runner that has ended a task is to leave, because places were taken back. Under
 * ready_lock. */
bool ati_keyed_may_leave(at_keyed_executor *keyed);

/* A runner has nothing to run, or is to leave. False: that has changed. */
bool ati_key_runner_end(ati_key_runner *runner);

/* -- Waits of its tasks (key_runners.c) -- */

/* The keyed executor whose task runs on this stack, or waits below on it; or NULL. */
at_keyed_executor *ati_keyed_of_stack(void);

/* That task is about to wait for `target`. `*lends`: it gives its place to others meanwhile. Other
 * than AT_OK: there is no memory for it, and the wait must not begin. */
at_status ati_keyed_begin_wait(at_keyed_executor *keyed, const at_future *target, bool *lends);
void ati_keyed_end_wait(at_keyed_executor *keyed, bool lends);

/* Whether works are ready, all places are taken, and is_stuck says so of each task that has begun
 * and not ended. */
bool ati_keyed_is_stuck(at_keyed_executor *keyed,
                        bool (*is_stuck)(const at_future *task, void *context), void *context);

/* Lends one place. False: no memory. */
bool ati_keyed_lend(at_keyed_executor *keyed);
void ati_keyed_take_back(at_keyed_executor *keyed);

static inline at_keyed_executor *ati_keyed_of(const at_executor *executor) {
    return executor->start == ati_key_start ? ((const ati_key *)executor)->keyed : NULL;
}

/* What a dump says of it (key_dump.c). */
extern const ati_part_section ati_keyed_section;

#endif
