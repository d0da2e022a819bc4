/* SPDX-License-Identifier: MIT
 *
 * Why a fiber never leaves its thread: compilers take the address of a thread-local variable once
 * in a function and keep it across calls, __errno_location() is declared to give the same answer
 * always, and user code holds mutexes and thread-specific data. All of that stays right if a
 * function that waits goes on where it was; none of it can be told to any compiler. So a thread-
 * local read after a switch may be the one from before, and is the same.
 *
 * Why errno is kept: it belongs to the thread, and others run on it meanwhile. A call that waits
 * leaves it as it was, like any other that does not fail.
 *
 * What the compiler may not do is move memory accesses across a switch: ati_switch is an opaque
 * function, which may read and write all that has ever been reachable.
 *
 * Where no guard page could be had, each switch away looks at the page below the stack. It comes
 * too late to prevent damage to the stack below, but before that stack's fiber or anybody else on
 * this thread goes on; the process ends. */
#include "pool/fiber.h"

#include "base/check.h"
#include "pool/crash.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#if ATI_FIBER_TSAN
_Atomic uint32_t ati_fiber_tools_count;
#endif

/* The innermost address of a suspended stack has to be that of its own frame, and a switch is worth
 * one call. */
#define OWN_FRAME __attribute__((noinline))

static void begin(ati_switch_point *point) {
    ati_fiber *fiber = (ati_fiber *)(void *)point;
    ati_fiber_tools_resume(&fiber->tools);
    fiber->entry(fiber->argument);
    __builtin_trap(); /* it ends in ati_fiber_exit */
}

static void check_overflow(const ati_fiber *fiber) {
    if (ati_stack_check(fiber->stack))
        return;
    ati_crash_report_overflow();
    abort();
}

static void find_own_stack(ati_fiber *fiber) {
    pthread_attr_t attributes;
    void *lowest = __builtin_frame_address(0); /* unknown: nothing is left below */
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &lowest, &fiber->size);
        pthread_attr_destroy(&attributes);
    }
    fiber->lowest = lowest;
}

void ati_fiber_init_thread(ati_fiber *fiber) {
    *fiber = (ati_fiber){.home = fiber};
    find_own_stack(fiber);
    ati_switch_init(&fiber->point);
    ati_fiber_tools_init_thread(&fiber->tools, fiber->lowest, fiber->size);
}

ati_fiber *ati_fiber_create(ati_stack *stack, ati_fiber *home, void (*entry)(void *argument),
                            void *argument) {
    ati_fiber *fiber = (ati_fiber *)(void *)stack - 1;
    size_t size = (size_t)((char *)fiber - stack->lowest);
    *fiber = (ati_fiber){
        .home = home,
        .stack = stack,
        .is_checked = stack->is_checked,
        .entry = entry,
        .argument = argument,
        .lowest = stack->lowest,
        .size = size,
    };
    if (!ati_fiber_tools_init(&fiber->tools, fiber->lowest, size))
        return NULL;
    ati_switch_prepare(&fiber->point, &home->point, fiber->lowest, size, begin);
    return fiber;
}

ati_stack *ati_fiber_destroy(ati_fiber *fiber) {
    ati_fiber_tools_deinit(&fiber->tools);
    return fiber->stack;
}

OWN_FRAME void ati_fiber_switch(ati_fiber *from, ati_fiber *to) {
    char *here = __builtin_frame_address(0);
    ATI_ASSERT(from->home == to->home);
    ATI_ASSERT(!from->stack || (size_t)(here - from->lowest) <= from->size);
    int error = errno;
    if (__builtin_expect(from->is_checked, 0))
        check_overflow(from);
    ati_fiber_tools_suspend(&from->tools, &to->tools, here);
    ati_switch(&from->point, &to->point);
    ati_fiber_tools_resume(&from->tools);
    errno = error;
}

_Noreturn void ati_fiber_exit(ati_fiber *from, ati_fiber *to) {
    ATI_ASSERT(from->home == to->home);
    if (from->is_checked)
        check_overflow(from);
    ati_fiber_tools_end(&to->tools);
    ati_switch(&from->point, &to->point);
    __builtin_trap(); /* nobody comes back */
}
