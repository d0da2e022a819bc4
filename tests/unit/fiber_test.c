/* SPDX-License-Identifier: MIT
 *
 * Switching between stacks of one thread; rule W5 as far as one fiber goes. */
#include "pool/fiber.h"

#include "support/test.h"

#include <errno.h>
#include <execinfo.h>
#include <fenv.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { many = 500 };
#else
enum { many = 5000 };
#endif
enum { stack_bytes = 256 * 1024 };

static ati_fiber home;
static ati_stacks stacks;

static void set_up(void) {
    ati_fiber_init_thread(&home);
    ati_stacks_init(&stacks, stack_bytes, 16, ATI_STACK_GUARD_ADVICE);
}

static void tear_down(void) {
    ati_stacks_deinit(&stacks);
}

TestSuite(fiber, .init = set_up, .fini = tear_down);

static ati_fiber *make(void (*entry)(void *), void *argument) {
    ati_stack *stack = ati_stacks_take(&stacks, 1);
    return stack ? ati_fiber_create(stack, &home, entry, argument) : NULL;
}

static void end(ati_fiber *fiber) {
    ati_stack *stack = ati_fiber_destroy(fiber);
    stack->next = NULL;
    ati_stacks_give(&stacks, stack);
}

typedef struct visit {
    ati_fiber *fiber;
    int count;
    bool is_over;
    int error;
    int rounding[3];
    uintptr_t alignment;
    bool is_inside;
    void *trace[32];
    int trace_length;
} visit;

static void count_visits(void *argument) {
    visit *it = argument;
    while (!it->is_over) {
        it->count++;
        ati_fiber_switch(it->fiber, &home);
    }
    ati_fiber_exit(it->fiber, &home);
}

static void finish(visit *it) {
    it->is_over = true;
    ati_fiber_switch(&home, it->fiber);
    end(it->fiber);
}

Test(fiber, goes_to_and_fro) {
    visit it = {0};
    it.fiber = make(count_visits, &it);
    for (int i = 1; i <= 100; i++) {
        ati_fiber_switch(&home, it.fiber);
        cr_assert_eq(it.count, i);
    }
    finish(&it);
}

Test(fiber, one_that_never_began_is_destroyed) {
    visit it = {0};
    end(make(count_visits, &it));
    cr_assert_eq(it.count, 0);
    cr_assert_eq(stacks.taken_count, 0);
}

static void visit_once(void *argument) {
    visit *it = argument;
    it->count++;
    ati_fiber_exit(it->fiber, &home);
}

Test(fiber, its_stack_serves_again) {
    visit it = {0};
    ati_fiber *first = NULL;
    for (int i = 0; i < 1000; i++) {
        it.fiber = make(visit_once, &it);
        if (i == 0)
            first = it.fiber;
        cr_assert_eq(it.fiber, first);
        ati_fiber_switch(&home, it.fiber);
        end(it.fiber);
    }
    cr_assert_eq(it.count, 1000);
}

/* -- What a switch keeps -- */

static void spoil_errno(void *argument) {
    visit *it = argument;
    while (!it->is_over) {
        errno = it->count++;
        ati_fiber_switch(it->fiber, &home);
        it->error = errno;
    }
    ati_fiber_exit(it->fiber, &home);
}

Test(fiber, each_has_its_own_errno) {
    visit it = {.count = 1000};
    it.fiber = make(spoil_errno, &it);
    for (int i = 0; i < 3; i++) {
        errno = i;
        ati_fiber_switch(&home, it.fiber);
        cr_assert_eq(errno, i);
    }
    cr_assert_eq(it.error, 1001);
    finish(&it);
}

static void round_upward(void *argument) {
    visit *it = argument;
    it->rounding[0] = fegetround();
    fesetround(FE_UPWARD);
    ati_fiber_switch(it->fiber, &home);
    it->rounding[1] = fegetround();
    ati_fiber_exit(it->fiber, &home);
}

static volatile double one = 1, three = 3;
static volatile long double long_one = 1, long_three = 3;

Test(fiber, rounding_stays_with_the_stack) {
    visit it = {0};
    visit later = {0};
    double third = one / three;
    long double long_third = long_one / long_three;
    it.fiber = make(round_upward, &it);
    ati_fiber_switch(&home, it.fiber);
    cr_assert_eq(fegetround(), FE_TONEAREST);
    cr_assert(one / three == third && long_one / long_three == long_third);
    fesetround(FE_DOWNWARD);
    later.fiber = make(round_upward, &later);
    ati_fiber_switch(&home, it.fiber);
    ati_fiber_switch(&home, later.fiber);
    cr_assert_eq(fegetround(), FE_DOWNWARD);
    fesetround(FE_TONEAREST);
    /* It begins with what its thread began with, not with what happens to be set. */
    cr_assert_eq(later.rounding[0], FE_TONEAREST);
    cr_assert_eq(it.rounding[1], FE_UPWARD);
    end(it.fiber);
    ati_fiber_switch(&home, later.fiber);
    end(later.fiber);
}

/* Values that live in registers, in all that a call keeps, across a switch. */
static uint64_t mix(ati_fiber *from, ati_fiber *to, uint64_t seed) {
    uint64_t a = seed, b = seed * 3, c = seed * 5, d = seed * 7, e = seed * 11, f = seed * 13,
             g = seed * 17;
    double x = (double)seed, y = x / 3;
    for (int i = 0; i < 20; i++) {
        a += b, b ^= c, c += d, d ^= e, e += f, f ^= g, g += a, x += y;
        if (from)
            ati_fiber_switch(from, to);
    }
    return a ^ b ^ c ^ d ^ e ^ f ^ g ^ (uint64_t)x;
}

static void mix_in_fiber(void *argument) {
    visit *it = argument;
    it->count = mix(it->fiber, &home, 99) == mix(NULL, NULL, 99);
    ati_fiber_exit(it->fiber, &home);
}

Test(fiber, registers_are_kept) {
    visit it = {0};
    it.fiber = make(mix_in_fiber, &it);
    uint64_t there = mix(&home, it.fiber, 12345);
    ati_fiber_switch(&home, it.fiber);
    cr_assert_eq(there, mix(NULL, NULL, 12345));
    cr_assert(it.count);
    end(it.fiber);
}

/* -- The stack -- */

static void look_around(void *argument) {
    visit *it = argument;
    _Alignas(16) char local[64];
    it->alignment = (uintptr_t)__builtin_frame_address(0) % 16;
    memset(local, 1, sizeof local);
    char *here = __builtin_frame_address(0);
    it->is_inside = here > it->fiber->lowest && here <= it->fiber->lowest + it->fiber->size;
    it->trace_length = backtrace(it->trace, 32);
    ati_fiber_exit(it->fiber, &home);
}

Test(fiber, stack_is_aligned_and_inside_its_bounds) {
    visit it = {0};
    it.fiber = make(look_around, &it);
    cr_assert_gt(it.fiber->size, stack_bytes - 2 * stacks.page_bytes);
    ati_fiber_switch(&home, it.fiber);
    cr_assert_eq(it.alignment, 0);
    cr_assert(it.is_inside);
    end(it.fiber);
}

/* look_around, begin in fiber.c, the trampoline, and no more. */
Test(fiber, unwinding_ends_at_its_entry) {
    visit it = {0};
    it.fiber = make(look_around, &it);
    ati_fiber_switch(&home, it.fiber);
    cr_assert_geq(it.trace_length, 2, "%d", it.trace_length);
    cr_assert_leq(it.trace_length, 5, "%d", it.trace_length);
    end(it.fiber);
}

static int descend(ati_fiber *fiber, int level) {
    volatile char block[1024];
    block[0] = block[1023] = (char)level;
    int below = (size_t)((char *)__builtin_frame_address(0) - fiber->lowest) > 16 * 1024
                    ? descend(fiber, level + 1)
                    : 0;
    if (below == 0)
        ati_fiber_switch(fiber, &home); /* deep down */
    return block[0] == (char)level && block[1023] == (char)level ? below + 1 : -1000000;
}

static void go_deep(void *argument) {
    visit *it = argument;
    it->count = descend(it->fiber, 0);
    ati_fiber_exit(it->fiber, &home);
}

Test(fiber, all_of_the_stack_can_be_used) {
    visit it[3] = {{0}, {0}, {0}}; /* side by side */
    for (int i = 0; i < 3; i++)
        it[i].fiber = make(go_deep, &it[i]);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 3; i++)
            ati_fiber_switch(&home, it[i].fiber);
    for (int i = 0; i < 3; i++) {
        cr_assert_gt(it[i].count, 50, "%d", it[i].count);
        end(it[i].fiber);
    }
}

/* -- Many -- */

Test(fiber, many_are_suspended_at_once) {
    visit *all = calloc(many, sizeof *all);
    for (int i = 0; i < many; i++) {
        all[i].fiber = make(count_visits, &all[i]);
        cr_assert_not_null(all[i].fiber);
    }
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < many; i++)
            ati_fiber_switch(&home, all[i].fiber);
    for (int i = 0; i < many; i++) {
        cr_assert_eq(all[i].count, 3);
        finish(&all[i]);
    }
    free(all);
}

/* From one to the next without the thread's own stack between. */
static visit ring[10];

static void pass_on(void *argument) {
    visit *it = argument;
    visit *next = it + 1 < ring + 10 ? it + 1 : ring;
    while (!it->is_over) {
        it->count++;
        ati_fiber_switch(it->fiber, it->count == 50 && next == ring ? &home : next->fiber);
    }
    ati_fiber_exit(it->fiber, &home);
}

Test(fiber, they_switch_among_themselves) {
    for (int i = 0; i < 10; i++)
        ring[i].fiber = make(pass_on, &ring[i]);
    ati_fiber_switch(&home, ring[0].fiber);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(ring[i].count, 50);
        finish(&ring[i]);
    }
}

static void *run_thread(void *failed) {
    ati_fiber own;
    ati_fiber_init_thread(&own);
    ati_fiber *fiber = NULL;
    uint64_t expected = mix(NULL, NULL, 7);
    for (int i = 0; i < 200; i++) {
        ati_stack *stack = ati_stacks_take(&stacks, 1);
        fiber = ati_fiber_create(stack, &own, NULL, NULL);
        stack = ati_fiber_destroy(fiber);
        stack->next = NULL;
        ati_stacks_give(&stacks, stack);
    }
    *(bool *)failed = expected != mix(NULL, NULL, 7);
    return NULL;
}

Test(fiber, threads_share_the_source_of_stacks) {
    pthread_t threads[4];
    bool failed[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, run_thread, &failed[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++)
        cr_assert(!failed[i]);
    cr_assert_eq(stacks.taken_count, 0);
}

#if ATI_FIBER_TSAN
/* Where ThreadSanitizer itself would end the process. */
Test(fiber, too_many_are_refused) {
    enum { limit = 4000 };
    visit *all = calloc(limit, sizeof *all);
    for (int i = 0; i < limit; i++) {
        all[i].fiber = make(count_visits, &all[i]);
        cr_assert_not_null(all[i].fiber);
    }
    ati_stack *stack = ati_stacks_take(&stacks, 1);
    cr_assert_null(ati_fiber_create(stack, &home, count_visits, &all[0]));
    end(all[0].fiber);
    all[0].fiber = ati_fiber_create(stack, &home, count_visits, &all[0]);
    cr_assert_not_null(all[0].fiber);
    for (int i = 0; i < limit; i++)
        end(all[i].fiber);
    free(all);
}
#endif
