/* SPDX-License-Identifier: MIT
 *
 * The injector as one thread sees it. */
#include "support/test.h"

#include "queue/injector.h"

#include <stdint.h>

enum { batch = 50 };

static ati_injector injector;

static void init(void) {
    cr_assert(ati_injector_init(&injector, 4));
}

static void deinit(void) {
    ati_injector_deinit(&injector);
}

TestSuite(injector, .init = init, .fini = deinit);

/* Pushes `count` numbers at once; gives whether the shard was empty before. */
static bool push(uintptr_t first, size_t count) {
    ati_injector_shard *shard = ati_injector_open(&injector);
    cr_assert(ati_injector_reserve(shard, count));
    for (size_t i = 0; i < count; i++)
        ati_injector_write(shard, &(ati_work){.argument = (void *)(first + i)});
    bool edge = ati_injector_publish(shard, count);
    ati_injector_close(&injector, shard);
    return edge;
}

/* Pushes `count` numbers as a series; gives whether the shard was empty before. */
static bool push_series(uintptr_t first, size_t count) {
    ati_injector_shard *shard = ati_injector_open(&injector);
    cr_assert(ati_injector_reserve(shard, ATI_SERIES_PLACES));
    ati_work work = {.argument = (void *)first, .context = &injector};
    ati_injector_write_series(shard, &(ati_works){&work, count, 1});
    bool edge = ati_injector_publish(shard, count);
    ati_injector_close(&injector, shard);
    return edge;
}

static size_t take(ati_work *works, size_t limit) {
    ati_works found;
    ati_injector_shard *shard = ati_injector_begin_take(&injector, 0, limit, &found);
    if (!shard)
        return 0;
    for (size_t i = 0; i < found.count; i++)
        works[i] = ati_works_get(&found, i);
    (void)ati_injector_end_take(shard, found.count);
    return found.count;
}

Test(injector, empty_gives_nothing) {
    ati_work works[batch];
    cr_expect(ati_injector_is_empty(&injector));
    cr_expect_eq(take(works, batch), 0);
}

Test(injector, gives_first_in_first_out_over_many_blocks) {
    enum { count = 1000 };
    for (uintptr_t i = 0; i < count; i++)
        push(i, 1);
    cr_expect_eq(ati_injector_size(&injector), count);
    ati_work works[batch];
    for (uintptr_t seen = 0; seen < count;) {
        size_t got = take(works, batch);
        cr_assert_gt(got, 0);
        for (size_t i = 0; i < got; i++)
            cr_assert_eq((uintptr_t)works[i].argument, seen++);
    }
    cr_expect(ati_injector_is_empty(&injector));
    cr_expect_eq(ati_injector_pushed(&injector), count);
}

/* What lies in one block is taken at once. */
Test(injector, takes_many_pushed_at_once) {
    push(0, 700);
    ati_work works[800];
    size_t count = 0;
    int takes = 0;
    while (count < 700) {
        size_t taken = take(works + count, 800 - count);
        cr_assert_gt(taken, 0);
        count += taken;
        takes++;
    }
    cr_expect_leq(takes, 7);
    for (uintptr_t i = 0; i < 700; i++)
        cr_assert_eq((uintptr_t)works[i].argument, i);
}

/* Whatever lies before and behind it, and wherever blocks end; a series alone is taken at once as
 * far as it is asked for. */
Test(injector, gives_series_in_their_order) {
    enum { rounds = 300 };
    uintptr_t pushed = 0;
    for (uintptr_t i = 0; i < rounds; i++) {
        push(pushed, i % 3);
        pushed += i % 3;
        push_series(pushed, 2 + i);
        pushed += 2 + i;
    }
    cr_expect_eq(ati_injector_size(&injector), pushed);
    ati_work works[batch];
    for (uintptr_t seen = 0; seen < pushed;) {
        size_t got = take(works, 1 + seen % batch);
        cr_assert_gt(got, 0);
        for (size_t i = 0; i < got; i++)
            cr_assert_eq((uintptr_t)works[i].argument, seen++);
    }
    cr_expect(ati_injector_is_empty(&injector));
    push_series(7, 1000);
    cr_expect_eq(take(works, batch), batch);
    cr_expect_eq((uintptr_t)works[batch - 1].argument, 7 + batch - 1);
    cr_expect_eq(works[batch - 1].context, &injector, "all but the argument is that of the first");
}

Test(injector, tells_the_edge_of_a_series) {
    ati_work works[batch];
    cr_expect(push_series(0, 3));
    cr_expect_eq(take(works, 2), 2);
    cr_expect(!push_series(3, 3));
    cr_expect_eq(take(works, batch), 1);
    cr_expect_eq(take(works, batch), 3);
    cr_expect(push(6, 1));
}

Test(injector, tells_the_edge_from_empty_to_full) {
    ati_work works[batch];
    cr_expect(push(1, 1));
    cr_expect(!push(2, 1));
    cr_expect_eq(take(works, 1), 1);
    cr_expect(!push(3, 1));
    cr_expect_eq(take(works, batch), 2);
    cr_expect(push(4, 3));
}

Test(injector, shows_works_until_their_take_ends) {
    push(1, 2);
    ati_works works;
    ati_injector_shard *shard = ati_injector_begin_take(&injector, 0, batch, &works);
    cr_assert_not_null(shard);
    cr_expect_eq(works.count, 2);
    cr_expect(!ati_injector_is_empty(&injector));
    ati_works other;
    cr_expect_null(ati_injector_begin_take(&injector, 0, batch, &other), "one taker a shard");
    cr_expect_not(ati_injector_end_take(shard, works.count));
    cr_expect(ati_injector_is_empty(&injector));
}

Test(injector, says_whether_a_take_left_works_behind) {
    push(1, 2);
    ati_works works;
    ati_injector_shard *shard = ati_injector_begin_take(&injector, 0, 1, &works);
    cr_assert_not_null(shard);
    cr_expect(ati_injector_end_take(shard, 1));
    cr_assert_eq(ati_injector_begin_take(&injector, 0, batch, &works), shard);
    cr_expect_not(ati_injector_end_take(shard, 1));
}

Test(injector, passes_over_held_shards_to_the_last) {
    ati_injector_shard *held[5];
    for (int i = 0; i < 5; i++) {
        held[i] = ati_injector_open(&injector);
        for (int j = 0; j < i; j++)
            cr_assert_neq(held[i], held[j]);
    }
    for (int i = 0; i < 5; i++)
        ati_injector_close(&injector, held[i]);
    ati_injector_settle(&injector);
}
