/* SPDX-License-Identifier: MIT
 *
 * The source of task stacks (rule W5). */
#include "pool/stacks.h"

#include "support/fault.h"
#include "support/test.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

FAULT_INSTALL;

enum { stack_bytes = 256 * 1024, per_slab = 64 };

static ati_stack *held[4 * per_slab];

static void take_all(ati_stacks *stacks, int count) {
    for (int i = 0; i < count; i++) {
        held[i] = ati_stacks_take(stacks, 1);
        cr_assert_not_null(held[i]);
        cr_assert_null(held[i]->next);
    }
}

/* All in one list. */
static void give_all(ati_stacks *stacks, int count) {
    for (int i = 0; i < count; i++)
        held[i]->next = i + 1 < count ? held[i + 1] : NULL;
    ati_stacks_give(stacks, held[0]);
}

static bool is_resident(const char *address, size_t page_bytes) {
    unsigned char resident = 0;
    char *page = (char *)((uintptr_t)address / page_bytes * page_bytes);
    cr_assert_eq(mincore(page, page_bytes, &resident), 0);
    return resident & 1;
}

Test(stacks, can_be_written_from_end_to_end) {
    ati_stacks stacks;
    ati_stacks_init(&stacks, stack_bytes, 8, ATI_STACK_GUARD_ADVICE);
    take_all(&stacks, per_slab + 3);
    for (int i = 0; i < per_slab + 3; i++) {
        cr_assert_geq(ati_stack_size(held[i]), stack_bytes - 1024);
        memset(held[i]->lowest, i, ati_stack_size(held[i]));
    }
    for (int i = 0; i < per_slab + 3; i++)
        cr_assert_eq(held[i]->lowest[0], (char)i);
    give_all(&stacks, per_slab + 3);
    cr_assert_eq(stacks.taken_count, 0);
    ati_stacks_deinit(&stacks);
}

Test(stacks, any_size_will_do) {
    ati_stacks stacks;
    for (size_t bytes = 65536; bytes < 90000; bytes += 1001) {
        ati_stacks_init(&stacks, bytes, 8, ATI_STACK_GUARD_ADVICE);
        take_all(&stacks, 3);
        for (int i = 0; i < 3; i++)
            cr_assert_geq(ati_stack_size(held[i]), bytes - 1024);
        cr_assert_eq(stacks.stride / stacks.page_bytes % 2, 1);
        give_all(&stacks, 3);
        ati_stacks_deinit(&stacks);
    }
}

Test(stacks, a_gibibyte_each_is_only_reserved) {
    ati_stacks stacks;
    ati_stacks_init(&stacks, (size_t)1 << 30, 1, ATI_STACK_GUARD_ADVICE);
    take_all(&stacks, 3);
    give_all(&stacks, 3);
    ati_stacks_deinit(&stacks);
}

Test(stacks, those_given_back_keep_some_memory_up_to_a_bound) {
    ati_stacks stacks;
    ati_stacks_init(&stacks, stack_bytes, 2, ATI_STACK_GUARD_ADVICE);
    take_all(&stacks, 5);
    for (int i = 0; i < 5; i++)
        memset(held[i]->lowest, 1, ati_stack_size(held[i]));
    char *lowest[5];
    for (int i = 0; i < 5; i++)
        lowest[i] = held[i]->lowest;
    give_all(&stacks, 5);
    cr_assert_eq(stacks.warm_count, 2);
    cr_assert_eq(stacks.spent_count, 3);
    ati_stacks_return(&stacks);
    cr_assert_eq(stacks.spent_count, 0);
    for (int i = 0; i < 5; i++) {
        cr_assert(!is_resident(lowest[i], stacks.page_bytes));
        char *top = lowest[i] + stacks.stride - 2 * stacks.page_bytes;
        cr_assert_eq(is_resident(top, stacks.page_bytes), i < 2);
    }
    ati_stack *list = ati_stacks_take(&stacks, 10);
    cr_assert(list && list->next && !list->next->next);
    cr_assert_eq(stacks.warm_count, 0);
    cr_assert_eq(stacks.taken_count, 2);
    ati_stacks_give(&stacks, list);
    ati_stacks_deinit(&stacks);
}

static void write_all(int count) {
    for (int i = 0; i < count; i++)
        *((char *)held[i] - 1) = 1;
}

static void give_some(ati_stacks *stacks, int first, int end, int step) {
    for (int i = first; i < end; i += step)
        ati_stacks_give(stacks, held[i]);
}

/* No more is kept than is in use, and what goes without being asked for goes in large pieces. */
Test(stacks, memory_is_returned_in_large_pieces) {
    ati_stacks stacks;
    ati_stacks_init(&stacks, stack_bytes, 0, ATI_STACK_GUARD_ADVICE);
    take_all(&stacks, 2 * per_slab);
    write_all(2 * per_slab);
    cr_assert_eq(ati_stacks_return_at(&stacks), AT_FOREVER);
    give_some(&stacks, 0, per_slab, 1);
    cr_assert_eq(stacks.spent_count, per_slab, "as much as is in use");
    give_some(&stacks, per_slab, per_slab + 31, 1);
    cr_assert_eq(stacks.spent_count, per_slab + 31, "half a slab at least");
    ati_stacks_give(&stacks, held[per_slab + 31]);
    cr_assert_eq(stacks.spent_count, per_slab);
    for (int i = 0; i < 2 * per_slab; i++)
        cr_assert_eq(is_resident((char *)held[i], stacks.page_bytes),
                     i < per_slab || i >= per_slab + 32);
    give_some(&stacks, per_slab + 32, 2 * per_slab, 2);
    cr_assert_eq(stacks.spent_count, per_slab + 16, "not in many pieces");
    cr_assert_neq(ati_stacks_return_at(&stacks), AT_FOREVER);
    ati_stacks_return(&stacks);
    cr_assert_eq(stacks.spent_count, 0);
    for (int i = per_slab + 32; i < 2 * per_slab; i++)
        cr_assert_eq(is_resident((char *)held[i], stacks.page_bytes), i % 2);
    /* One with memory is taken before one without. */
    char *lowest = held[per_slab + 33]->lowest;
    ati_stacks_give(&stacks, held[per_slab + 33]);
    held[per_slab + 33] = ati_stacks_take(&stacks, 1);
    cr_assert_eq(held[per_slab + 33]->lowest, lowest);
    cr_assert_eq(stacks.spent_count, 0);
    give_some(&stacks, per_slab + 33, 2 * per_slab, 2);
    ati_stacks_return(&stacks);
    cr_assert_eq(stacks.slab_count, 1);
    ati_stacks_deinit(&stacks);
}

Test(stacks, the_guard_page_outlives_the_memory) {
    ati_stacks stacks;
    for (int guard = ATI_STACK_GUARD_ADVICE; guard <= ATI_STACK_GUARD_CHECK; guard++) {
        ati_stacks_init(&stacks, stack_bytes, 0, guard);
        for (int round = 0; round < 3; round++) {
            take_all(&stacks, 3);
            for (int i = 0; i < 3; i++) {
                cr_assert_eq(held[i]->is_checked, guard == ATI_STACK_GUARD_CHECK);
                memset(held[i]->lowest, 1, ati_stack_size(held[i]));
            }
            give_all(&stacks, 3);
        }
        ati_stacks_deinit(&stacks);
    }
}

Test(stacks, without_a_guard_page_a_write_below_is_seen) {
    ati_stacks stacks;
    ati_stacks_init(&stacks, stack_bytes, 8, ATI_STACK_GUARD_CHECK);
    take_all(&stacks, 2);
    cr_assert(ati_stack_check(held[1]));
    for (int distance = 1; distance <= 4096; distance += 819) {
        held[1]->lowest[-distance] = 1;
        cr_assert(!ati_stack_check(held[1]));
        held[1]->lowest[-distance] = 0;
    }
    cr_assert(ati_stack_check(held[1]));
    give_all(&stacks, 2);
    ati_stacks_deinit(&stacks);
}

Test(stacks, unused_slabs_are_unmapped) {
    ati_stacks stacks;
    ati_stacks_init(&stacks, stack_bytes, 0, ATI_STACK_GUARD_ADVICE);
    take_all(&stacks, 4 * per_slab);
    cr_assert_eq(stacks.slab_count, 4);
    give_all(&stacks, 4 * per_slab);
    cr_assert_eq(stacks.slab_count, 3, "one was unmapped, and one is kept without memory");
    ati_stacks_return(&stacks);
    cr_assert_eq(stacks.slab_count, 1);
    take_all(&stacks, 2 * per_slab);
    cr_assert_eq(stacks.slab_count, 2);
    /* Every second one: both slabs stay, and are used again. */
    for (int i = 0; i < 2 * per_slab; i += 2)
        ati_stacks_give(&stacks, held[i]);
    cr_assert_eq(stacks.slab_count, 2);
    for (int i = 0; i < 2 * per_slab; i += 2)
        held[i] = ati_stacks_take(&stacks, 1);
    cr_assert_eq(stacks.slab_count, 2);
    give_all(&stacks, 2 * per_slab);
    ati_stacks_deinit(&stacks);
    cr_assert_eq(stacks.slab_count, 0);
}

static void take_and_give(void *context) {
    (void)context;
    ati_stacks stacks;
    ati_stacks_init(&stacks, stack_bytes, 1, ATI_STACK_GUARD_ADVICE);
    ati_stack *stack = ati_stacks_take(&stacks, 1);
    cr_assert(stack || fault_count() > 0);
    if (stack)
        ati_stacks_give(&stacks, stack);
    ati_stacks_deinit(&stacks);
}

Test(stacks, without_memory_there_is_none) {
    struct fault_usage before = fault_usage();
    cr_assert_gt(fault_each(fault_memory, take_and_give, NULL), 0);
    fault_check_leaks(before);
}

/* A source that only protects falls back on checking at the limit of the process. */
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
Test(stacks, past_16000_protected_ones_they_are_checked) {
    enum { count = 16100 };
    ati_stacks stacks;
    ati_stacks_init(&stacks, 64 * 1024, 0, ATI_STACK_GUARD_PROTECTION);
    ati_stack *list = NULL;
    int checked = 0;
    for (int i = 0; i < count; i++) {
        ati_stack *stack = ati_stacks_take(&stacks, 1);
        cr_assert_not_null(stack);
        checked += stack->is_checked;
        stack->next = list;
        list = stack;
    }
    cr_assert_eq(checked, count - 16000);
    ati_stacks_give(&stacks, list);
    ati_stacks_deinit(&stacks);
    /* The places are free again. */
    ati_stacks_init(&stacks, 64 * 1024, 0, ATI_STACK_GUARD_PROTECTION);
    take_all(&stacks, 1);
    cr_assert(!held[0]->is_checked);
    give_all(&stacks, 1);
    ati_stacks_deinit(&stacks);
}

/* Slabs become smaller as the address space does; then there is none, and what is there works. */
Test(stacks, without_address_space_there_is_none) {
    enum { large = 16 * 1024 * 1024 };
    struct rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = (rlim_t)3 << 30;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    ati_stacks stacks;
    ati_stacks_init(&stacks, large, 0, ATI_STACK_GUARD_ADVICE);
    int count = 0;
    while (count < 4 * per_slab && (held[count] = ati_stacks_take(&stacks, 1)))
        count++;
    cr_assert_geq(count, per_slab);
    cr_assert_lt(count, 4 * per_slab);
    for (int i = 0; i < count; i++)
        memset(held[i]->lowest, 1, 64);
    give_all(&stacks, count);
    take_all(&stacks, per_slab);
    give_all(&stacks, per_slab);
    ati_stacks_deinit(&stacks);
}
#endif
