/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_FIBER_TOOLS_H
#define ASYNCTOOLS_POOL_FIBER_TOOLS_H

/* What the sanitizers and valgrind are told about stacks. Nothing in an ordinary build, but for
 * valgrind, which costs a few instructions when a stack is made.
 *
 * AddressSanitizer: each switch, with the bounds of the stack that is entered; that a stack is left
 * for good, so that its fake stack is freed; and that its memory is clean again.
 * LeakSanitizer: it looks at the stack that each thread runs on. A suspended one is a root region
 * from its innermost frame up, and so is its fake stack, where AddressSanitizer moves variables
 * whose address is taken.
 * ThreadSanitizer: one of its fibers for each. It knows 8,128 threads and fibers together (gcc 12)
 * and ends the process beyond: so there are at most 4,000, and one more is refused as if
 * there were no memory. Each takes 0.9 MB of ThreadSanitizer's own. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ATI_FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ATI_FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define ATI_FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ATI_FIBER_TSAN 1
#endif
#endif
#if !defined(ATI_FIBER_ASAN)
#define ATI_FIBER_ASAN 0
#endif
#if !defined(ATI_FIBER_TSAN)
#define ATI_FIBER_TSAN 0
#endif

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif

#if ATI_FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif
#if ATI_FIBER_TSAN
#include "base/atomic.h"
#include <sanitizer/tsan_interface.h>
#endif

/* Part of each fiber. */
typedef struct ati_fiber_tools {
#if ATI_FIBER_ASAN
    const char *lowest; /* of the stack */
    size_t size;
    void *fake_stack; /* while suspended */
    const char *root; /* LeakSanitizer looks from here up; while suspended */
#endif
#if ATI_FIBER_TSAN
    void *fiber;
#endif
#if defined(VALGRIND_STACK_REGISTER)
    unsigned valgrind_id;
#endif
} ati_fiber_tools;

/* -- AddressSanitizer and LeakSanitizer -- */

#if ATI_FIBER_ASAN

enum {
    ati_fiber_slack = 1024, /* what the switch itself may have below the caller's frame */
    ati_fiber_fake_log_min = 16,
    ati_fiber_fake_log_max = 20,
};

/* How large AddressSanitizer makes the fake stack of a stack: a page, a flag for each 64 bytes of
 * one size of frames, and 11 sizes of frames, each as large as the stack, within limits. */
static inline size_t ati_fiber_fake_bytes(size_t stack_size) {
    int log = 64 - __builtin_clzll((unsigned long long)stack_size - 1);
    if (log < ati_fiber_fake_log_min)
        log = ati_fiber_fake_log_min;
    if (log > ati_fiber_fake_log_max)
        log = ati_fiber_fake_log_max;
    return 4096 + ((size_t)1 << (log - 5)) + ((size_t)11 << log);
}

static inline void ati_fiber_tools_add_roots(ati_fiber_tools *tools, const char *innermost) {
    tools->root = innermost - ati_fiber_slack;
    if (tools->root < tools->lowest)
        tools->root = tools->lowest;
    __lsan_register_root_region(tools->root, (size_t)(tools->lowest + tools->size - tools->root));
    tools->fake_stack = __asan_get_current_fake_stack();
    if (tools->fake_stack)
        __lsan_register_root_region(tools->fake_stack, ati_fiber_fake_bytes(tools->size));
}

static inline void ati_fiber_tools_remove_roots(ati_fiber_tools *tools) {
    if (!tools->root)
        return; /* it begins */
    __lsan_unregister_root_region(tools->root, (size_t)(tools->lowest + tools->size - tools->root));
    if (tools->fake_stack)
        __lsan_unregister_root_region(tools->fake_stack, ati_fiber_fake_bytes(tools->size));
}

#endif

/* -- ThreadSanitizer -- */

#if ATI_FIBER_TSAN

enum { ati_fiber_tools_limit = 4000 };

extern _Atomic uint32_t ati_fiber_tools_count;

static inline bool ati_fiber_tools_begin_tsan(ati_fiber_tools *tools) {
    tools->fiber = NULL;
    if (atomic_fetch_add_explicit(&ati_fiber_tools_count, 1, memory_order_relaxed) <
        ati_fiber_tools_limit)
        tools->fiber = __tsan_create_fiber(0);
    else
        atomic_fetch_sub_explicit(&ati_fiber_tools_count, 1, memory_order_relaxed);
    return tools->fiber != NULL;
}

#endif

/* -- What fiber.c calls -- */

static inline void ati_fiber_tools_set(ati_fiber_tools *tools, const char *lowest, size_t size) {
    (void)lowest, (void)size;
    memset(tools, 0, sizeof *tools);
#if ATI_FIBER_ASAN
    tools->lowest = lowest;
    tools->size = size;
#endif
}

/* The calling thread's own stack. */
static inline void ati_fiber_tools_init_thread(ati_fiber_tools *tools, const char *lowest,
                                               size_t size) {
    ati_fiber_tools_set(tools, lowest, size);
#if ATI_FIBER_TSAN
    tools->fiber = __tsan_get_current_fiber();
#endif
}

/* A stack that nobody has run on since it was made or ended. False: no more are possible. */
static inline bool ati_fiber_tools_init(ati_fiber_tools *tools, const char *lowest, size_t size) {
    ati_fiber_tools_set(tools, lowest, size);
#if ATI_FIBER_TSAN
    if (!ati_fiber_tools_begin_tsan(tools))
        return false;
#endif
#if defined(VALGRIND_STACK_REGISTER)
    tools->valgrind_id = VALGRIND_STACK_REGISTER(lowest, lowest + size);
#endif
    return true;
}

static inline void ati_fiber_tools_deinit(ati_fiber_tools *tools) {
#if ATI_FIBER_ASAN
    __asan_unpoison_memory_region(tools->lowest, tools->size);
#endif
#if ATI_FIBER_TSAN
    __tsan_destroy_fiber(tools->fiber);
    atomic_fetch_sub_explicit(&ati_fiber_tools_count, 1, memory_order_relaxed);
#endif
#if defined(VALGRIND_STACK_REGISTER)
    VALGRIND_STACK_DEREGISTER(tools->valgrind_id);
#endif
    (void)tools;
}

/* A cleanup handler of a thread has been entered, whose frame is at `here`, from another stack than
 * the thread's. The frames below were left without a return. */
static inline void ati_fiber_tools_forget_frames(const ati_fiber_tools *thread, const char *here) {
    (void)thread, (void)here;
#if ATI_FIBER_ASAN
    if (here >= thread->lowest && (size_t)(here - thread->lowest) <= thread->size)
        __asan_unpoison_memory_region(thread->lowest, (size_t)(here - thread->lowest));
#endif
}

/* Right before a switch; `innermost` is an address in the frame that is suspended. */
static inline void ati_fiber_tools_suspend(ati_fiber_tools *from, const ati_fiber_tools *to,
                                           const char *innermost) {
    (void)from, (void)to, (void)innermost;
#if ATI_FIBER_ASAN
    ati_fiber_tools_add_roots(from, innermost);
    __sanitizer_start_switch_fiber(&from->fake_stack, to->lowest, to->size);
#endif
#if ATI_FIBER_TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
}

/* Right before the last switch away from a stack. */
static inline void ati_fiber_tools_end(const ati_fiber_tools *to) {
    (void)to;
#if ATI_FIBER_ASAN
    __sanitizer_start_switch_fiber(NULL, to->lowest, to->size);
#endif
#if ATI_FIBER_TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
}

/* First thing on the stack that a switch has entered. */
static inline void ati_fiber_tools_resume(ati_fiber_tools *self) {
    (void)self;
#if ATI_FIBER_ASAN
    __sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
    ati_fiber_tools_remove_roots(self);
#endif
}

#endif
