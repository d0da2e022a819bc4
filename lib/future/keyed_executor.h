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

typedef struct ati_key_runner {
    ati_drain drain; /* first */
    at_keyed_executor *keyed;
    ati_key *key;                /* whose task it runs, kept, or NULL; written under the lock */
    const at_future *task;       /* that, only to be compared; the lock */
    struct ati_key_runner *next; /* of those that are not under way; the lock */
    struct ati_key_runner *next_made; /* of those that were allocated for lent places */
} ati_key_runner;

struct at_keyed_executor {
    at_pool *pool;                     /* retained */
    _Atomic uint64_t references;       /* of the owner, of keys, of runners under way */
    uint64_t fork_count;               /* of the process that made it */
    at_keyed_executor_options options; /* as given, but with the defaults put in */
    ati_part part;

    ati_lock lock; /* guards what follows, and in keys; the pool's own nest in it */
    ati_key_table table;
    ati_key *first_ready;
    ati_key *last_ready;
    int64_t queued;       /* tasks of all keys */
    int64_t running;      /* the same */
    int64_t waiting;      /* of its tasks, for futures */
    int64_t lent;         /* places, by some of those */
    int64_t runner_count; /* idle or under way */
    int64_t runners_under_way;
    ati_key_runner *idle_runners;
    ati_key_runner *surplus_runners; /* to be used when places are lent again */
    ati_key_runner *made_runners;

    ati_key_runner runners[]; /* options.max_running */
};

static inline bool ati_keyed_is_forked(const at_keyed_executor *keyed) {
    return keyed->fork_count != ati_process_fork_count();
}

void ati_keyed_release(at_keyed_executor *keyed);

/* Keys have come or gone: lets the table have as many buckets as it should. Without the lock. */
void ati_keyed_fit_table(at_keyed_executor *keyed, size_t wanted_size);

/* What the executor of a key does (key_turns.c). */
at_status ati_key_start(at_executor *executor, ati_task_node *nodes, size_t count,
                        bool is_continuation);
void ati_key_retain(at_executor *executor);
void ati_key_release(at_executor *executor);
void ati_key_visit_queued(at_executor *executor, bool (*visit)(const ati_work *work, void *context),
                          void *context);

/* Makes the runners, all idle. */
void ati_keyed_init_runners(at_keyed_executor *keyed);

/* Frees the runners that were allocated for lent places. */
void ati_keyed_free_runners(at_keyed_executor *keyed);

/* The keyed executor whose task runs on this stack, or waits below on it; or NULL. */
at_keyed_executor *ati_keyed_of_stack(void);

/* That task is about to wait for `target`. `*lends`: it gives its place to others meanwhile. Other
 * than AT_OK: there is no memory for it, and the wait must not begin. */
at_status ati_keyed_begin_wait(at_keyed_executor *keyed, const at_future *target, bool *lends);
void ati_keyed_end_wait(at_keyed_executor *keyed, bool lends);

/* For the search for stuck waits (deadlock.c). Calls visit for the works that could begin if there
 * were a place, as long as it says true. */
void ati_keyed_visit_ready(at_keyed_executor *keyed,
                           bool (*visit)(const ati_work *work, void *context), void *context);

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
