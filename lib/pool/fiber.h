/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_FIBER_H
#define ASYNCTOOLS_POOL_FIBER_H

/* A stack that a thread can leave and come back to. All belong to one thread, their home, which is
 * itself a fiber on its own stack: a fiber is created for a thread, runs on no other and ends
 * there. See fiber.c for why. */
#include "pool/fiber_tools.h"
#include "pool/stacks.h"
#include "pool/switch.h"

typedef struct ati_fiber {
    ati_switch_point point; /* while suspended; the first member */
    struct ati_fiber *home; /* that of the thread */
    struct ati_fiber *next; /* in a list of its holder */
    ati_stack *stack;       /* NULL: the thread's own */
    bool is_checked;        /* the stack has no guard page */
    void (*entry)(void *argument);
    void *argument;
    char *lowest; /* of the stack */
    size_t size;  /* from there up; of a fiber, to itself */
    ati_fiber_tools tools;
} ati_fiber;

/* Makes the calling thread's own stack a fiber, the home of others. The floating point control
 * words that the thread has now are what its fibers begin with. Without memory to find the bounds
 * of the stack, `lowest` is where it stands now. */
void ati_fiber_init_thread(ati_fiber *fiber);

/* Makes a fiber of the calling thread on a stack from ati_stacks_take; the first switch to it calls
 * entry(argument), which ends in ati_fiber_exit. The fiber lies at the top of the stack and is
 * valid until it is destroyed. NULL: ThreadSanitizer knows no more; the stack stays the caller's.
 * Otherwise nothing is allocated and nothing fails. */
ati_fiber *ati_fiber_create(ati_stack *stack, ati_fiber *home, void (*entry)(void *argument),
                            void *argument);

/* Gives the stack back to the caller. The fiber has exited or never begun. */
ati_stack *ati_fiber_destroy(ati_fiber *fiber);

/* Suspends the running fiber, `from`, and goes on in `to`. Returns when somebody switches back.
 * Keeps errno. Aborts if the stack has overflowed and has no guard page. */
void ati_fiber_switch(ati_fiber *from, ati_fiber *to);

/* Leaves the running fiber, `from`, for good; `to` or a later one destroys it. */
_Noreturn void ati_fiber_exit(ati_fiber *from, ati_fiber *to);

#endif
