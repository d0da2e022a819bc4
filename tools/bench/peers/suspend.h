/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_SUSPEND_H
#define BENCH_PEERS_SUSPEND_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SUSPEND_STACK_BYTES = 64 * 1024,
    SUSPEND_PROMISES = 1000, /* made at a time, before the clock starts; they stay in the cache */
};

/* Something that can stop in the middle of a function and go on later, as at-bench sees it. All on
 * one thread. What a subject cannot do is NULL. */
struct suspend_peer {
    const char *name;
    bool is_library;
    bool is_beside; /* does less than a task that waits: shown, but not a bar */

    /* Each makes `count` changes from one stack to another, as nearly as it can; gives the
     * nanoseconds that they took, preparations left out. */
    uint64_t (*switch_stacks)(long count); /* bare, nobody chooses who is next */
    uint64_t (*yield)(long count);         /* two tasks, each lets the other go first */
    uint64_t (*suspend)(long count);       /* two tasks, each suspends after it has set the other
                                            * going, by what promises are made from */
    uint64_t (*wait)(long count);          /* two tasks, each waits for what the other sets; count
                                            * is a multiple of 2 * SUSPEND_PROMISES */

    /* As `wait`, but each sets what it then waits for: nobody suspends. */
    uint64_t (*wait_over)(long count);

    /* A task asks `count` times whether it is to give way: nobody waits for it to; or something
     * might, so that it looks. */
    uint64_t (*check)(long count);
    uint64_t (*check_and_look)(long count);

    /* Starts `count` tasks that all wait; returns when the last does. */
    void (*hold)(long count);
    /* Lets them go on; returns when the last has ended. Then hold may be called again. */
    void (*release)(void);
};

extern const struct suspend_peer suspend_library;
extern const struct suspend_peer suspend_boost_context;
extern const struct suspend_peer suspend_boost_fiber;
extern const struct suspend_peer suspend_boost_fiber_pooled;
extern const struct suspend_peer suspend_swapcontext;
extern const struct suspend_peer suspend_page;

/* All that this program was built with; ends with NULL. */
extern const struct suspend_peer *const suspend_peers[];

#ifdef __cplusplus
}
#endif

#endif
