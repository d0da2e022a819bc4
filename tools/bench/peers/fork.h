/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_FORK_H
#define BENCH_PEERS_FORK_H

#include "fork_kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A framework for forking and joining as at-bench sees it: the same programs, each written the way
 * that its documentation shows. */

enum fork_problem {
    FORK_FIBONACCI,
    FORK_SKYNET,
    FORK_QUEENS,
    FORK_TREE,
    FORK_CHAIN,
    FORK_MATRIX,
    FORK_LOOP,
    FORK_PROBLEMS,
};

/* Gives the number found; a matrix program fills the product and gives 0. */
typedef int64_t (*fork_program)(void *pool, const struct fork_work *work);

struct fork_peer {
    const char *name;
    bool is_library;
    bool is_slow; /* a fork takes so long that smaller trees are enough */

    /* The caller of a program counts as one of the workers, or sleeps meanwhile. Gives NULL when it
     * cannot be made. */
    void *(*create)(int workers);
    void (*destroy)(void *pool);
    fork_program programs[FORK_PROBLEMS]; /* NULL: it has none for this problem */
};

/* Without any framework; its pool is NULL. */
extern const struct fork_peer fork_sequential;

extern const struct fork_peer fork_library;
extern const struct fork_peer fork_shared;
extern const struct fork_peer fork_tbb_group;
extern const struct fork_peer fork_tbb_parallel;
extern const struct fork_peer fork_openmp;

/* All that this program was built with, less the sequential one; ends with NULL. */
extern const struct fork_peer *const fork_peers[];

#ifdef __cplusplus
}
#endif

#endif
