/* SPDX-License-Identifier: MIT
 *
 * The deque as one thread sees it. */
#include "support/test.h"

#include "queue/deque.h"

#include <stdint.h>

static ati_deque deque;

static ati_work numbered(uintptr_t number) {
    return (ati_work){.argument = (void *)number, .context = (void *)(number * 2), .site = "s"};
}

static uintptr_t number_of(const ati_work *work) {
    return (uintptr_t)work->argument;
}

static void push_numbers(uintptr_t first, uintptr_t count) {
    for (uintptr_t i = 0; i < count; i++) {
        ati_work work = numbered(first + i);
        cr_assert(ati_deque_push(&deque, &work, 1));
    }
}

static void deinit(void) {
    ati_deque_deinit(&deque);
}

TestSuite(deque, .fini = deinit);

Test(deque, empty_gives_nothing) {
    ati_work work;
    cr_expect(!ati_deque_pop(&deque, &work));
    cr_expect_eq(ati_deque_steal(&deque, &work), ATI_STEAL_EMPTY);
    cr_expect_eq(ati_deque_size(&deque), 0);
    cr_expect_eq(ati_deque_room(&deque), 0);
}

Test(deque, pops_last_in_first_out) {
    push_numbers(1, 3);
    ati_work work;
    for (uintptr_t expected = 3; expected > 0; expected--) {
        cr_assert(ati_deque_pop(&deque, &work));
        cr_expect_eq(number_of(&work), expected);
        cr_expect_eq((uintptr_t)work.context, expected * 2);
    }
    cr_expect(!ati_deque_pop(&deque, &work));
}

Test(deque, steals_first_in_first_out) {
    push_numbers(1, 3);
    ati_work work;
    for (uintptr_t expected = 1; expected <= 3; expected++) {
        cr_assert_eq(ati_deque_steal(&deque, &work), ATI_STEAL_DONE);
        cr_expect_eq(number_of(&work), expected);
    }
    cr_expect_eq(ati_deque_steal(&deque, &work), ATI_STEAL_EMPTY);
}

Test(deque, pushes_many_so_that_the_first_is_popped_first) {
    ati_work works[5];
    for (uintptr_t i = 0; i < 5; i++)
        works[i] = numbered(i);
    cr_assert(ati_deque_push(&deque, works, 5));
    ati_work work;
    for (uintptr_t expected = 0; expected < 5; expected++) {
        cr_assert(ati_deque_pop(&deque, &work));
        cr_expect_eq(number_of(&work), expected);
    }
}

Test(deque, grows_and_keeps_what_it_holds) {
    enum { count = 10000 };
    push_numbers(0, count);
    cr_expect_eq(ati_deque_size(&deque), count);
    ati_work work;
    for (uintptr_t low = 0, high = count; low < high;) {
        cr_assert_eq(ati_deque_steal(&deque, &work), ATI_STEAL_DONE);
        cr_assert_eq(number_of(&work), low++);
        if (low == high)
            break;
        cr_assert(ati_deque_pop(&deque, &work));
        cr_assert_eq(number_of(&work), --high);
    }
    cr_expect_eq(ati_deque_size(&deque), 0);
}

Test(deque, wraps_around_its_array) {
    cr_assert(ati_deque_reserve(&deque, 4));
    size_t room = ati_deque_room(&deque);
    ati_work work;
    for (uintptr_t i = 0; i < 10 * room; i++) {
        push_numbers(i, 1);
        cr_assert_eq(ati_deque_steal(&deque, &work), ATI_STEAL_DONE);
        cr_assert_eq(number_of(&work), i);
    }
    cr_expect_eq(ati_deque_room(&deque), room, "it did not grow");
}
