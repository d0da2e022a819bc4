/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_STACKS_H
#define ASYNCTOOLS_POOL_STACKS_H

/* One pool's source of task stacks, all of one size. They are reserved in slabs of many, so that
 * they need few mappings, and take memory page by page as they are touched. Below each lies a page
 * that no task may reach:
 *   - a guard page of MADV_GUARD_INSTALL, which needs no mapping of its own (Linux 6.13);
 *   - else one of mprotect, which needs two, for the first 16,000 of the process;
 *   - else a page that must stay zero, checked at each switch (ati_stack_check).
 * What is given back is kept for reuse up to a bound; beyond it its memory is returned to the
 * system in large pieces, and the mapping too once a slab is wholly unused and another one is. */
#include "base/atomic.h"
#include "base/lock.h"

#include <stdbool.h>
#include <stddef.h>

/* The best that a source may use. Where that cannot be had, the next one is used. */
typedef enum ati_stack_guard {
    ATI_STACK_GUARD_ADVICE,
    ATI_STACK_GUARD_PROTECTION,
    ATI_STACK_GUARD_CHECK,
} ati_stack_guard;

typedef struct ati_stack_slab ati_stack_slab;

/* Stands at the top of the stack that it describes. */
typedef struct ati_stack {
    char *lowest;           /* what may be used is from here up to this record */
    struct ati_stack *next; /* in a list of its holder */
    ati_stack_slab *slab;
    bool is_checked; /* there is no guard page */
} ati_stack;

typedef struct ati_stacks {
    size_t stride; /* from one to the next, the page below included */
    size_t page_bytes;
    uint32_t warm_limit;
    ati_stack_guard guard;

    ati_lock lock;                /* all below */
    ati_stack *warm;              /* given back, their memory kept */
    uint32_t warm_count;          /* and those that are on their way there */
    uint32_t taken_count;         /* held by users */
    uint32_t slab_count;          /* mapped */
    _Atomic uint32_t spent_count; /* given back, their memory to be returned; written under lock */
    _Atomic int64_t spent_at;     /* ati_coarse_ns() when the last of them was; the same */
    _Atomic bool is_watched;      /* a worker that sleeps gets up to return their memory: set and
                                     cleared by that one */
    ati_stack_slab *partial;      /* slabs with some cold or spent stacks and some others */
    ati_stack_slab *full;         /* slabs without */
    ati_stack_slab *unused;       /* one slab with cold stacks only, or NULL */
} ati_stacks;

/* `stack_bytes` is rounded up to pages. `warm_limit` stacks keep their memory. Cannot fail: nothing
 * is reserved before the first take. */
void ati_stacks_init(ati_stacks *stacks, size_t stack_bytes, uint32_t warm_limit,
                     ati_stack_guard guard);

/* Unmaps all stacks, given back or not: nobody will run on them, because their threads are in the
 * parent of this process. The source can be used again. */
void ati_stacks_abandon(ati_stacks *stacks);

/* All stacks are back. */
void ati_stacks_deinit(ati_stacks *stacks);

/* Gives a list of 1 to `count` stacks, more than one only of those kept for reuse; NULL: no memory
 * or address space. Any thread. */
ati_stack *ati_stacks_take(ati_stacks *stacks, uint32_t count);

/* Gives back all of a list. Any thread; nobody runs on them. */
void ati_stacks_give(ati_stacks *stacks, ati_stack *list);

/* When the memory that is still to be returned may be: once none has been added for some time;
 * AT_FOREVER: there is none. Of ati_coarse_ns(). */
int64_t ati_stacks_return_at(const ati_stacks *stacks);

/* Returns some of it, for up to a millisecond: for when there is nothing better to do. */
void ati_stacks_return(ati_stacks *stacks);

static inline bool ati_stacks_has_spent(const ati_stacks *stacks) {
    return atomic_load_explicit(&((ati_stacks *)stacks)->spent_count, memory_order_relaxed) != 0;
}

/* The stack's own bytes, from `lowest` on. */
static inline size_t ati_stack_size(const ati_stack *stack) {
    return (size_t)((const char *)stack - stack->lowest);
}

/* Whether the page below the stack is as it should be; for stacks without a guard page. */
bool ati_stack_check(const ati_stack *stack);

#endif
