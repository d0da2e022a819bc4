/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_BLOCKING_H
#define ASYNCTOOLS_POOL_BLOCKING_H

/* Threads for calls that block. See blocking.c. */
#include "base/lock.h"
#include "pool/timers.h"
#include "queue/work.h"

#include <asynctools/pool.h>

struct ati_blocking_call;
struct ati_blocking_thread;

/* The task whose call this thread makes; zeroed: none. What the call starts is started by it. */
typedef struct ati_blocking_caller {
    at_pool *pool;
    ati_lane lane;
} ati_blocking_caller;

extern _Thread_local ati_blocking_caller ati_blocking_caller_current;

/* Of one pool. Zeroed but for `limit` and `at_once`. */
typedef struct ati_blocking {
    uint32_t limit;                  /* threads in all */
    uint32_t at_once;                /* threads that are started without delay */
    ati_lock lock;                   /* all below; innermost but for the clock's */
    struct ati_blocking_call *first; /* calls that no thread has taken yet, in order */
    struct ati_blocking_call *last;
    struct ati_blocking_thread *threads; /* all that ever were */
    struct ati_blocking_thread *idle;    /* those without a call, the last one first */
    uint32_t record_count;               /* length of `threads` */
    uint32_t thread_count;               /* those that run */
    uint32_t call_count;                 /* calls in progress on them */
    uint64_t queued_count;               /* calls that no thread has taken yet */
    bool grows;                          /* the timer is set */
    bool ending;
    ati_pool_timer growth; /* starts a further thread while calls wait */
} ati_blocking;

/* Has a further thread started if calls wait; called by the timer. */
void ati_blocking_grow(ati_pool_timer *timer);

/* Ends the threads; no call is in progress. */
void ati_blocking_end_threads(at_pool *pool);

#endif
