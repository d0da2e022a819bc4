/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_GROUP_H
#define BENCH_PEERS_GROUP_H

#include "peer.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct group_bounds {
    long running; /* tasks that run at once, at most */
    long queued;  /* tasks that wait, at most; 0: any number */
    long tasks;   /* that will be submitted */
};

/* A group of tasks with bounds, on a pool, as at-bench sees it. */
struct group_peer {
    const char *name;
    bool is_library;
    bool may_refuse; /* with a full queue not all tasks run */

    /* Gives NULL when it cannot be made. */
    void *(*create)(int workers);
    void (*open)(void *pool, const struct group_bounds *bounds); /* NULL: nothing to do */
    /* From one outside thread; it ends the process if it fails. */
    void (*submit)(void *pool, peer_run_fn run, void *argument);
    /* Waits until all tasks have ended. NULL: they count themselves (tasks.h). */
    void (*join)(void *pool);
    void (*close)(void *pool); /* NULL: nothing to do */
    void (*destroy)(void *pool);
};

extern const struct group_peer group_library_start;
extern const struct group_peer group_library_manager;
extern const struct group_peer group_library_outcomes;
extern const struct group_peer group_library_futures;
extern const struct group_peer group_plain;
extern const struct group_peer group_tbb_arena;
extern const struct group_peer group_tbb_flow;
extern const struct group_peer group_glib;

extern const struct group_peer queue_library_wait;
extern const struct group_peer queue_library_gather;
extern const struct group_peer queue_library_run;
extern const struct group_peer queue_library_refuse;
extern const struct group_peer queue_library_drop_newest;
extern const struct group_peer queue_library_drop_oldest;
extern const struct group_peer queue_plain;

/* All that this program was built with; each list ends with NULL. */
extern const struct group_peer *const group_peers[];       /* with a limit */
extern const struct group_peer *const group_sleep_peers[]; /* whose tasks may sleep at once */
extern const struct group_peer *const queue_peers[];       /* with a bounded queue */

#ifdef __cplusplus
}
#endif

#endif
