/* SPDX-License-Identifier: MIT
 *
 * Many threads take stacks from one source, write to them and give them back. */
#include "pool/stacks.h"

#include "base/random.h"
#include "support/test.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { rounds = 3000 };
#else
enum { rounds = 30000 };
#endif
enum { thread_count = 4, held_limit = 150 };

static ati_stacks stacks;

typedef struct user {
    pthread_t thread;
    uint64_t random;
    ati_stack *held;
    int held_count;
    bool failed;
} user;

/* Each user writes its own mark at both ends, and nobody else may change it. */
static void mark(const user *it, ati_stack *stack) {
    memcpy(stack->lowest, &it, sizeof it);
    memcpy((char *)stack - sizeof it, &it, sizeof it);
}

static bool is_marked(const user *it, const ati_stack *stack) {
    return memcmp(stack->lowest, &it, sizeof it) == 0 &&
           memcmp((const char *)stack - sizeof it, &it, sizeof it) == 0;
}

static void take(user *it, uint32_t count) {
    ati_stack *list = ati_stacks_take(&stacks, count);
    if (!list)
        it->failed = true;
    while (list) {
        ati_stack *stack = list;
        list = stack->next;
        mark(it, stack);
        stack->next = it->held;
        it->held = stack;
        it->held_count++;
    }
}

static void give(user *it, int count) {
    ati_stack *list = it->held;
    ati_stack **end = &list;
    for (int i = 0; i < count && *end; i++) {
        it->failed = it->failed || !is_marked(it, *end);
        it->held_count--;
        end = &(*end)->next;
    }
    it->held = *end;
    *end = NULL;
    ati_stacks_give(&stacks, list);
}

static void *use(void *argument) {
    user *it = argument;
    for (int i = 0; i < rounds; i++) {
        uint32_t count = 1 + (uint32_t)(ati_random_step(&it->random) % 8);
        if (it->held_count < held_limit && ati_random_step(&it->random) % 2)
            take(it, count);
        else
            give(it, (int)count);
        if (ati_random_step(&it->random) % 500 == 0)
            give(it, held_limit);
    }
    give(it, it->held_count);
    return NULL;
}

static void run(uint32_t warm_limit, ati_stack_guard guard) {
    ati_stacks_init(&stacks, 64 * 1024, warm_limit, guard);
    user users[thread_count] = {{0}};
    for (int i = 0; i < thread_count; i++) {
        users[i].random = ati_random_next();
        pthread_create(&users[i].thread, NULL, use, &users[i]);
    }
    for (int i = 0; i < thread_count; i++)
        pthread_join(users[i].thread, NULL);
    for (int i = 0; i < thread_count; i++)
        cr_assert(!users[i].failed);
    cr_assert_eq(stacks.taken_count, 0);
    cr_assert_leq(stacks.warm_count, warm_limit);
    ati_stacks_deinit(&stacks);
    cr_assert_eq(stacks.slab_count, 0);
}

Test(stacks, many_threads_with_light_guards) {
    run(20, ATI_STACK_GUARD_ADVICE);
}

Test(stacks, many_threads_with_protected_pages) {
    run(3, ATI_STACK_GUARD_PROTECTION);
}

Test(stacks, many_threads_without_guards) {
    run(0, ATI_STACK_GUARD_CHECK);
}
