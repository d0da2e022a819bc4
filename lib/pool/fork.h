/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_FORK_H
#define ASYNCTOOLS_POOL_FORK_H

/* The forked calls of a worker, and how others get them. See fork.c for the argument. */
#include "base/atomic.h"
#include "base/context.h"
#include "base/lock.h"
#include "pool/forked_call.h"

#include <asynctools/fork.h>
#include <asynctools/inline/fork.h>

struct ati_worker;
struct at_pool;

typedef struct ati_fork_array ati_fork_array;

/* Of one worker. */
typedef struct ati_forks {
    _Alignas(ATI_CACHE_LINE) struct at_inline_worker line; /* first: public code has its address */

    _Alignas(ATI_CACHE_LINE) ati_lock lock; /* guards what follows; nothing nests in it */
    struct at_inline_call *base;            /* the first place of the running stack's array */
    struct at_inline_call *end;             /* behind its last */
    _Atomic(struct at_inline_call *) split; /* calls below were handed out; read by all */
    ati_fork_array *array;                  /* NULL: base is line.place */
    ati_fork_array *spare;                  /* one that no stack uses, or NULL */
    const ati_frame *owner;                 /* of the private calls: the frame of their task */
    bool is_unequal;                        /* barriers are; written before the worker starts */
    _Atomic bool wanted;                    /* somebody wants a call; read by all */
    int64_t wanted_since;                   /* CLOCK_MONOTONIC */
    _Atomic bool is_low;                    /* the owner's task is of low priority; a hint */

    /* Hints. */
    _Atomic uint32_t vain;     /* calls handed out in vain since one was taken */
    _Atomic int64_t next_look; /* not before this moment should thieves look here again */

    /* Of the worker as a thief. */
    bool awaits_answer;  /* has asked for a call, and sees it still */
    bool is_watching;    /* market.is_watched is its doing */
    int64_t watch_began; /* 0: it does not watch */
    uint32_t vain_count; /* watches that have ended since it found work */

    ati_counter shared; /* calls handed out by the owner */
    ati_counter forced; /* calls taken from an owner that did not answer */
    ati_counter taken;  /* calls of other workers, made here */
} ati_forks;

/* What a stack keeps while it is suspended. */
typedef struct ati_fork_stack {
    ati_fork_array *array; /* NULL: it has no unjoined forks */
    struct at_inline_call *head;
    const ati_frame *owner;
} ati_fork_stack;

/* What the forks of a pool share. */
typedef struct ati_fork_market {
    _Atomic bool is_open;    /* some worker of the pool has forked */
    _Atomic bool has_answer; /* a worker has answered, and may not be asked any more */
    _Atomic bool is_watched; /* a worker that sleeps gets up now and then to look for calls */
    ati_try_lock force_lock; /* guards last_force */
    int64_t last_force;      /* CLOCK_MONOTONIC */
} ati_fork_market;

void ati_forks_init(ati_forks *forks, bool is_unequal);
void ati_forks_deinit(ati_forks *forks);

/* -- The worker itself -- */

/* How many forks of the running stack are not joined. */
static inline size_t ati_forks_count(const ati_forks *forks) {
    return (size_t)(AT_INLINE_LOAD(&((ati_forks *)forks)->line.head, __ATOMIC_RELAXED) -
                    forks->base);
}

/* Whether the owner has a call that it keeps to itself, for others to take; a hint. */
static inline bool ati_forks_has_private(const ati_forks *forks) {
    ati_forks *mine = (ati_forks *)forks;
    return AT_INLINE_LOAD(&mine->line.head, __ATOMIC_RELAXED) >
           atomic_load_explicit(&mine->split, memory_order_relaxed);
}

/* Hands out all calls of the running stack, the oldest first: it is about to wait. */
void ati_fork_share_all(struct ati_worker *worker);

/* The running stack is about to be suspended, or goes on. Its calls have been handed out. */
void ati_fork_leave_stack(struct ati_worker *worker, ati_fork_stack *stack);
void ati_fork_enter_stack(struct ati_worker *worker, const ati_fork_stack *stack);

/* From now on the worker runs another task, or the same under another context. */
void ati_fork_set_owner(struct ati_worker *worker, const ati_frame *owner);

/* -- Thieves -- */

/* Looks at the calls that `victim` keeps to itself: asks for one, or, when that was in vain, gets
 * the oldest. True: `work` is the one that makes it, unless its owner does. */
bool ati_fork_steal(struct ati_worker *thief, struct ati_worker *victim, int64_t now,
                    ati_work *work);

/* Whether a call can be seen that its owner keeps to itself, and that others may make. */
bool ati_pool_has_forks(struct at_pool *pool);

/* Asks every worker of the pool for a call: the one that forks next wakes somebody. Afterwards
 * ati_pool_has_forks sees what was forked before. */
void ati_fork_ask_all(struct at_pool *pool);

/* -- Falling asleep (fork_watch.c) -- */

/* To be called by a worker that has announced its sleep. Gives the moment until which it may
 * sleep. */
int64_t ati_fork_watch(struct ati_worker *worker);

/* It does not sleep any more. */
void ati_fork_end_watch(struct ati_worker *worker);

/* It has found work. */
void ati_fork_found_work(struct ati_worker *worker);

/* Whether somebody should watch, and nobody does. */
bool ati_fork_needs_watch(struct at_pool *pool);

#endif
