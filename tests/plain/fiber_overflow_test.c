/* SPDX-License-Identifier: MIT
 *
 * A task stack that overflows ends the process (rule W5): by SIGSEGV where there is a guard page,
 * else by abort at the next switch, with a sentence. */
#include "pool/fiber.h"
#include "support/apart.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

static ati_fiber home;
static ati_stacks stacks;
static ati_fiber *fibers[3];

/* Small frames, so that none steps over a guard page. */
static int descend(ati_fiber *fiber, int level) {
    volatile char block[512];
    memset((char *)block, level | 1, sizeof block);
    ptrdiff_t left = (char *)__builtin_frame_address(0) - fiber->lowest;
    if (left > -1024)
        level = descend(fiber, level + 1);
    return block[511] + level;
}

static void overflow(void *argument) {
    ati_fiber **place = argument;
    descend(*place, 0);
    ati_fiber_switch(*place, &home);
    _exit(3); /* it went through */
}

static void wait_for_ever(void *argument) {
    ati_fiber **place = argument;
    for (;;)
        ati_fiber_switch(*place, &home);
}

/* The one in the middle overflows, into the top of its neighbour. */
static void be_child(ati_stack_guard guard) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    ati_fiber_init_thread(&home);
    ati_stacks_init(&stacks, 64 * 1024, 0, guard);
    for (int i = 0; i < 3; i++) {
        ati_stack *stack = ati_stacks_take(&stacks, 1);
        plain_check(stack);
        fibers[i] = ati_fiber_create(stack, &home, i == 1 ? overflow : wait_for_ever, &fibers[i]);
        plain_check(fibers[i]);
    }
    for (int i = 0; i < 3; i++)
        ati_fiber_switch(&home, fibers[i]);
    _exit(2);
}

/* Gives how a child ended and what it wrote to stderr. */
static int run_child(ati_stack_guard guard, char *output, size_t capacity) {
    int ends[2];
    plain_check(pipe(ends) == 0);
    pid_t child = fork();
    plain_check(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        be_child(guard);
    }
    close(ends[1]);
    return apart_collect(child, ends[0], output, capacity);
}

/* Sanitizers catch the signal and leave with a status of their own. */
static bool died_of_segv(int status) {
#if ATI_FIBER_ASAN || ATI_FIBER_TSAN
    return WIFEXITED(status) && WEXITSTATUS(status) != 2 && WEXITSTATUS(status) != 3;
#else
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
#endif
}

int main(void) {
    char output[16384];
    for (int guard = ATI_STACK_GUARD_ADVICE; guard <= ATI_STACK_GUARD_PROTECTION; guard++)
        plain_check(died_of_segv(run_child(guard, output, sizeof output)));
    int status = run_child(ATI_STACK_GUARD_CHECK, output, sizeof output);
    plain_check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    plain_check(strstr(output, "asynctools: a task has overflowed its stack; give"));
    plain_check(strstr(output, "stack_bytes"));
    return 0;
}
