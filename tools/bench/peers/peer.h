/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_PEER_H
#define BENCH_PEERS_PEER_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A pool of threads as at-bench sees it, the library's own among them. All are used the way their
 * documentation shows, with the same number of workers. */
typedef void *(*peer_run_fn)(void *argument);
typedef void (*peer_body_fn)(void *context, int producer);

enum { PEER_MANY = 1000 }; /* so many at most in one call */

struct peer {
    const char *name;
    bool is_library;
    bool is_beside;        /* no pool of its own kind: shown, but not a bar */
    bool one_producer;     /* only one outside thread may submit */
    bool no_nesting;       /* tasks may not submit tasks */
    bool is_plain;         /* what people write themselves, no package */
    bool no_hand_over;     /* a round trip would not leave the submitting thread */
    bool waits_by_running; /* a thread that waits for a task may run it itself */

    /* Gives NULL when it cannot be made. */
    void *(*create)(int workers);
    /* Outside threads and tasks; it ends the process if it fails. */
    void (*submit)(void *pool, peer_run_fn run, void *argument);
    /* The like for many tasks, each of which gets the address of a byte of `items`. NULL: one call
     * for each task. */
    void (*submit_many)(void *pool, peer_run_fn run, char *items, size_t count);
    /* Runs body(context, 0 to producers - 1) on threads that may submit; NULL: on plain ones. */
    void (*enter)(void *pool, int producers, peer_body_fn body, void *context);
    /* Called by each producer after its last submit; may wait for the tasks. NULL: nothing to do.
     */
    void (*drain)(void *pool);
    /* Submits one task and waits for its end. NULL: a flag under a mutex and a condition variable.
     */
    void (*round_trip)(void *pool, peer_run_fn run, void *argument);
    void (*destroy)(void *pool);
};

extern const struct peer peer_plain;
extern const struct peer peer_tbb_group;
extern const struct peer peer_tbb_enqueue;
extern const struct peer peer_openmp;
extern const struct peer peer_glib;
extern const struct peer peer_libuv;
extern const struct peer peer_moodycamel;
extern const struct peer peer_library;
extern const struct peer peer_library_future;

/* All that this program was built with; ends with NULL. */
extern const struct peer *const peers[];

#ifdef __cplusplus
}
#endif

#endif
