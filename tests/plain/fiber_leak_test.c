/* SPDX-License-Identifier: MIT
 *
 * LeakSanitizer finds what only a suspended stack points to, and what nothing points to. */
#include "pool/fiber.h"
#include "support/plain.h"

#if !ATI_FIBER_ASAN

int main(void) {
    plain_skip("needs LeakSanitizer");
}

#else

#include <stdint.h>
#include <stdlib.h>

static ati_fiber home;
static ati_stacks stacks;

typedef struct place {
    ati_fiber *fiber, *other;
} place;

/* The pointer is nowhere but in this frame, hidden from everything but the stack. */
static void hold_in_frame(void *argument) {
    place *it = argument;
    void *volatile block = malloc(100);
    ati_fiber_switch(it->fiber, it->other);
    free(block);
    ati_fiber_exit(it->fiber, &home);
}

/* A variable whose address is taken may live on AddressSanitizer's fake stack. */
static void __attribute__((noinline)) fill(void **block) {
    *block = malloc(200);
}

static void hold_in_variable(void *argument) {
    place *it = argument;
    void *block;
    fill(&block);
    ati_fiber_switch(it->fiber, it->other);
    free(block);
    ati_fiber_exit(it->fiber, &home);
}

static ati_fiber *make(void (*entry)(void *), void *argument) {
    ati_stack *stack = ati_stacks_take(&stacks, 1);
    plain_check(stack);
    return ati_fiber_create(stack, &home, entry, argument);
}

static void look(void *argument) {
    place *it = argument;
    plain_check(__lsan_do_recoverable_leak_check() == 0);
    ati_fiber_switch(it->fiber, it->other);
    ati_fiber_exit(it->fiber, &home);
}

static void run(void (*hold)(void *)) {
    place holder = {.other = &home};
    place looker = {.other = &home};
    holder.fiber = make(hold, &holder);
    looker.fiber = make(look, &looker);
    ati_fiber_switch(&home, holder.fiber);
    plain_check(__lsan_do_recoverable_leak_check() == 0); /* from the thread's own stack */
    ati_fiber_switch(&home, looker.fiber);                /* and from another one */
    ati_fiber_switch(&home, holder.fiber);
    ati_fiber_switch(&home, looker.fiber);
    ati_stacks_give(&stacks, ati_fiber_destroy(holder.fiber));
    ati_stacks_give(&stacks, ati_fiber_destroy(looker.fiber));
}

/* The thread's own stack is suspended too. */
static void __attribute__((noinline)) hold_at_home(void) {
    place looker = {.other = &home};
    void *volatile block = malloc(300);
    void *variable;
    fill(&variable);
    looker.fiber = make(look, &looker);
    ati_fiber_switch(&home, looker.fiber);
    ati_fiber_switch(&home, looker.fiber);
    ati_stacks_give(&stacks, ati_fiber_destroy(looker.fiber));
    free(block);
    free(variable);
}

static void lose(void *argument) {
    place *it = argument;
    void *volatile block = malloc(400);
    block = NULL;
    (void)block;
    ati_fiber_exit(it->fiber, &home);
}

int main(void) {
    ati_fiber_init_thread(&home);
    ati_stacks_init(&stacks, 256 * 1024, 4, ATI_STACK_GUARD_ADVICE);
    run(hold_in_frame);
    run(hold_in_variable);
    hold_at_home();
    place loser = {0};
    loser.fiber = make(lose, &loser);
    ati_fiber_switch(&home, loser.fiber);
    ati_stacks_give(&stacks, ati_fiber_destroy(loser.fiber));
    int found = __lsan_do_recoverable_leak_check();
    ati_stacks_deinit(&stacks);
    plain_check(found != 0);
    _exit(0); /* the leak is wanted */
}

#endif
