/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_FORKED_CALL_H
#define ASYNCTOOLS_POOL_FORKED_CALL_H

/* A forked call that was handed out: who makes it, and what comes of it. See forked_call.c. */
#include "base/atomic.h"
#include "base/context.h"
#include "base/frame.h"
#include "queue/work.h"

#include <stdbool.h>

struct ati_worker;

typedef struct ati_forked_call ati_forked_call;

/* Makes one for a call that its owner is to join. NULL: no memory. It is held twice: by the one who
 * joins, and by the work that is to make the call. */
ati_forked_call *ati_forked_call_create(void);
void ati_forked_call_fill(ati_forked_call *call, void *(*run)(void *argument), void *argument,
                          const ati_frame *owner, ati_lane lane);

/* Nobody has seen it. */
void ati_forked_call_discard(ati_forked_call *call);

/* The work that makes the call, unless its owner has begun to. */
ati_work ati_forked_call_work(ati_forked_call *call);

/* No work is queued for it. */
void ati_forked_call_release(ati_forked_call *call);

/* For the one who joins: makes the call in place if nobody has taken it, otherwise waits for its
 * end. `*in_vain`: it was not worth the handing out. */
void *ati_forked_call_join(struct ati_worker *worker, ati_forked_call *call,
                           void *(*run)(void *argument), bool *in_vain);

#endif
