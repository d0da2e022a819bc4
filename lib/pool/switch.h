/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_SWITCH_H
#define ASYNCTOOLS_POOL_SWITCH_H

/* The raw switch from one stack to another on one thread: own assembler for 64-bit x86 and ARM
 * (switch.S), ucontext elsewhere (switch.c). What a switch keeps is what a function call
 * keeps: the registers that the ABI gives to the caller, and the floating point control words
 * (rounding, masked exceptions, flush to zero). They too are the caller's in both ABIs, and a task
 * that waits may not find another task's rounding when it goes on. The status flags are not kept,
 * nor the signal mask: all stacks of a thread share it.
 *
 * Shadow stacks: a switch returns to where another call came from, which a shadow stack forbids,
 * so the assembler is not marked for them, and a linker then marks no program with it. Indirect
 * branch tracking is served: every indirect branch lands on a marked instruction or is a return,
 * in both architectures, where the compiler was asked for it. */
#include <stddef.h>
#include <stdint.h>

/* The build defines it as 1 where there is no assembler for the processor. */
#if !defined(ATI_SWITCH_UCONTEXT)
#define ATI_SWITCH_UCONTEXT 0
#endif

#if ATI_SWITCH_UCONTEXT
#include <fenv.h>
#include <ucontext.h>
#endif

/* Where a suspended stack goes on. */
typedef struct ati_switch_point {
#if ATI_SWITCH_UCONTEXT
    ucontext_t context;
    fenv_t control; /* as below */
    void (*entry)(struct ati_switch_point *point);
#else
    void *stack_pointer; /* all else lies on the stack */
    uint64_t control;    /* of a thread's own stack: its floating point control words */
#endif
} ati_switch_point;

/* Notes the calling thread's floating point control words: what stacks prepared with `home` start
 * with, whatever a task has made of them since. */
void ati_switch_init(ati_switch_point *home);

/* Lets `point` begin at entry(point), which may not return, on a stack of `size` bytes. Of these it
 * writes the highest few. */
void ati_switch_prepare(ati_switch_point *point, const ati_switch_point *home, char *lowest,
                        size_t size, void (*entry)(ati_switch_point *point));

/* Suspends the running stack in `from` and goes on at `to`. Returns when another switch comes back
 * to `from`. */
void ati_switch(ati_switch_point *from, ati_switch_point *to);

#endif
