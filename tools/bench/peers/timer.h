/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_TIMER_H
#define BENCH_PEERS_TIMER_H

#include <stdbool.h>
#include <stdint.h>

/* Something that calls back later, as at-bench sees it. */
struct timer_peer {
    const char *name;
    bool is_library;
    bool is_beside;
    const char *note;

    /* Makes `count` timers that are not set yet. */
    void *(*create)(int workers, long count);
    /* Sets timer i to come after delays_ms[i]. */
    void (*insert)(void *timers, const uint32_t *delays_ms);
    /* Unsets all, in the order in which they were made. */
    void (*cancel)(void *timers);
    /* Sees to it that nothing calls back before expire. NULL: nothing does. */
    void (*hold_back)(void *timers);
    /* Calls back all timers, which are due; gives their number. */
    long (*expire)(void *timers);
    /* Sets one timer to come after 1 ms; gives by how many nanoseconds it came later than that. */
    int64_t (*wait_one_ms)(void *timers);
    void (*destroy)(void *timers);
};

extern const struct timer_peer timer_library;
extern const struct timer_peer timer_library_sleep;
extern const struct timer_peer timer_libuv;
extern const struct timer_peer timer_libevent;
extern const struct timer_peer timer_libevent_common;
extern const struct timer_peer timer_libevent_precise;
extern const struct timer_peer timer_nanosleep;

/* All that this program was built with; ends with NULL. */
extern const struct timer_peer *const timer_peers[];

#endif
