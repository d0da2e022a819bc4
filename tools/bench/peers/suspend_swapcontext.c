/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "messages.h"
#include "suspend.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

/* POSIX's own switch, which saves the signal mask by a system call each time. */
struct context {
    ucontext_t own;
    ucontext_t resumer;
    long turns; /* how often it is to be resumed before it ends */
};

static struct {
    struct context *contexts;
    char *stacks;
    long count;
} held;

static void run_context(unsigned high, unsigned low) {
    struct context *context = (struct context *)((uintptr_t)high << 32 | low);
    while (--context->turns > 0)
        swapcontext(&context->own, &context->resumer);
}

static void make_context(struct context *context, char *stack, long turns) {
    uintptr_t address = (uintptr_t)context;
    getcontext(&context->own);
    context->own.uc_stack.ss_sp = stack;
    context->own.uc_stack.ss_size = SUSPEND_STACK_BYTES;
    context->own.uc_link = &context->resumer;
    context->turns = turns;
    makecontext(&context->own, (void (*)(void))run_context, 2, (unsigned)(address >> 32),
                (unsigned)address);
}

static char *map_stacks(long count) {
    size_t bytes = (size_t)count * SUSPEND_STACK_BYTES;
    char *stacks = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks == MAP_FAILED)
        give_up("cannot map %ld stacks", count);
    madvise(stacks, bytes, MADV_NOHUGEPAGE);
    return stacks;
}

static uint64_t switch_stacks(long count) {
    struct context context;
    char *stack = map_stacks(1);
    make_context(&context, stack, count / 2);
    uint64_t start = now_ns();
    for (long i = 0; i < count / 2; i++)
        swapcontext(&context.resumer, &context.own);
    uint64_t time = now_ns() - start;
    munmap(stack, SUSPEND_STACK_BYTES);
    return time;
}

static void hold(long count) {
    if (!held.stacks) {
        held.stacks = map_stacks(count);
        held.contexts = malloc((size_t)count * sizeof(*held.contexts));
        if (!held.contexts)
            give_up("there is no memory for %ld contexts", count);
    }
    held.count = count;
    for (long i = 0; i < count; i++) {
        struct context *context = &held.contexts[i];
        make_context(context, held.stacks + i * SUSPEND_STACK_BYTES, 2);
        swapcontext(&context->resumer, &context->own);
    }
}

static void release(void) {
    for (long i = 0; i < held.count; i++)
        swapcontext(&held.contexts[i].resumer, &held.contexts[i].own);
}

const struct suspend_peer suspend_swapcontext = {
    .name = "swapcontext",
    .is_beside = true,
    .switch_stacks = switch_stacks,
    .hold = hold,
    .release = release,
};
