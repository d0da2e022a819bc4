/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_FUTURE_STOP_H
#define ASYNCTOOLS_FUTURE_STOP_H

/* How code that completes a future from elsewhere is asked to stop. See stop.c. */
#include "base/context.h"
#include "base/lock.h"
#include "future/future.h"
#include "pool/pool.h"

typedef struct ati_stop {
    ati_registration registration; /* first: with the future */
    ati_lock lock;
    bool is_asked;
    bool is_running;
    ati_context *context; /* of the running code alone, owned, or NULL */
    at_pool *pool;        /* where it runs; borrowed while it does */
    void (*release)(struct ati_stop *stop);
} ati_stop;

/* The code while it runs. */
typedef struct ati_stop_run {
    ati_task_run task; /* first, and in it its frame */
    ati_stop *stop;
    ati_context *outer; /* the operation that it runs under */
} ati_stop_run;

/* `future` is pending, and will be completed; then `release` is called. */
void ati_stop_begin(ati_stop *stop, at_future *future, at_pool *pool,
                    void (*release)(ati_stop *stop));

/* Around the code, in its frame. False: it is not wanted any more, and is not to begin. */
bool ati_stop_enter(ati_stop *stop, ati_stop_run *run);
void ati_stop_leave(ati_stop *stop);

#endif
