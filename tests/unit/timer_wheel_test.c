/* SPDX-License-Identifier: MIT
 *
 * The timing wheel: everything comes at its nanosecond, in order, in small steps. */
#include "support/test.h"

#include "base/random.h"
#include "queue/timer_wheel.h"

#include <asynctools/clock.h>

#include <stdlib.h>
#include <string.h>

enum { small_budget = 3, any_budget = 1000 };

typedef struct numbered {
    ati_timer timer; /* first */
    size_t number;
} numbered;

static ati_timer_wheel wheel;

/* Its storage may hold anything. */
static void init(void) {
    memset(&wheel, 0xa5, sizeof wheel);
    ati_timer_wheel_init(&wheel);
}

TestSuite(timer_wheel, .init = init);

static ati_timer *take(int64_t now) {
    for (;;) {
        uint32_t budget = any_budget;
        ati_timer *timer = ati_timer_wheel_take(&wheel, now, &budget);
        if (timer || budget > 0)
            return timer;
    }
}

static numbered *add_all(const int64_t *expiries, size_t count) {
    numbered *timers = calloc(count, sizeof *timers);
    cr_assert_not_null(timers);
    for (size_t i = 0; i < count; i++) {
        timers[i].number = i;
        ati_timer_wheel_add(&wheel, &timers[i].timer, expiries[i]);
    }
    return timers;
}

Test(timer_wheel, has_nothing_at_first) {
    cr_expect_eq(ati_timer_wheel_next(&wheel), AT_FOREVER);
    cr_expect_null(take(0));
    cr_expect_null(take(INT64_MAX));
}

Test(timer_wheel, not_one_nanosecond_early) {
    static const int64_t expiries[] = {1,       2,       63,      64,      65,           4095,
                                       4096,    4097,    262143,  262144,  1000000,      16777215,
                                       1 << 24, 1 << 30, 1 << 30, 3 << 29, 1000000000000};
    enum { count = sizeof expiries / sizeof *expiries };
    numbered *timers = add_all(expiries, count);
    for (size_t i = 0; i < count; i++) {
        cr_expect_eq(ati_timer_wheel_next(&wheel), expiries[i], "timer %zu", i);
        if (i == 0 || expiries[i - 1] < expiries[i])
            cr_expect_null(take(expiries[i] - 1), "timer %zu is early", i);
        cr_expect_eq(take(expiries[i]), &timers[i].timer, "timer %zu", i);
        cr_expect(!ati_timer_is_added(&timers[i].timer));
    }
    free(timers);
}

/* Every power of two and its neighbours, up to the end of time. */
Test(timer_wheel, edges_of_all_levels) {
    int64_t expiries[63 * 3];
    size_t count = 0;
    for (int bit = 2; bit < 63; bit++)
        for (int64_t offset = -1; offset <= 1; offset++)
            expiries[count++] = (INT64_C(1) << bit) + offset;
    expiries[count++] = INT64_MAX - 1;
    expiries[count++] = INT64_MAX;
    numbered *timers = add_all(expiries, count);
    for (size_t i = 0; i < count; i++) {
        cr_expect_eq(ati_timer_wheel_next(&wheel), expiries[i], "timer %zu", i);
        cr_expect_null(take(expiries[i] - 1), "timer %zu is early", i);
        cr_expect_eq(take(expiries[i]), &timers[i].timer, "timer %zu", i);
    }
    free(timers);
}

Test(timer_wheel, the_past_is_due_at_once) {
    cr_expect_null(take(AT_HOURS(1)));
    static const int64_t expiries[] = {0, INT64_MIN, -1, AT_HOURS(1), 17};
    numbered *timers = add_all(expiries, 5);
    cr_expect_leq(ati_timer_wheel_next(&wheel), AT_HOURS(1));
    for (size_t i = 0; i < 5; i++)
        cr_expect_eq(take(AT_HOURS(1)), &timers[i].timer, "in the order of adding");
    cr_expect_null(take(AT_HOURS(1)));
    free(timers);
}

Test(timer_wheel, a_jump_over_years_is_one_step) {
    int64_t expiries[] = {AT_HOURS(24 * 365 * 100), AT_HOURS(24 * 365 * 200)};
    numbered *timers = add_all(expiries, 2);
    for (size_t i = 0; i < 2; i++) {
        uint32_t budget = 1;
        cr_expect_null(ati_timer_wheel_take(&wheel, expiries[i] - 1, &budget));
        cr_expect_eq(budget, 1, "nothing had to be moved");
        cr_expect_eq(ati_timer_wheel_next(&wheel), expiries[i]);
        cr_expect_eq(ati_timer_wheel_take(&wheel, expiries[i], &budget), &timers[i].timer);
    }
    free(timers);
}

Test(timer_wheel, remove_tells_whether_it_was_in) {
    numbered timer = {.number = 0};
    cr_expect(!ati_timer_wheel_remove(&wheel, &timer.timer), "never added");
    ati_timer_wheel_add(&wheel, &timer.timer, 1000);
    cr_expect(ati_timer_is_added(&timer.timer));
    cr_expect(ati_timer_wheel_remove(&wheel, &timer.timer));
    cr_expect(!ati_timer_wheel_remove(&wheel, &timer.timer), "removed before");
    cr_expect_eq(ati_timer_wheel_next(&wheel), AT_FOREVER);
    cr_expect_null(take(2000));
    ati_timer_wheel_add(&wheel, &timer.timer, 3000);
    cr_expect_eq(take(3000), &timer.timer);
    cr_expect(!ati_timer_wheel_remove(&wheel, &timer.timer), "expired");
    ati_timer_wheel_add(&wheel, &timer.timer, 3000);
    cr_expect(ati_timer_wheel_remove(&wheel, &timer.timer), "due");
    cr_expect_null(take(AT_FOREVER));
}

Test(timer_wheel, next_is_exact_after_one_look_when_the_earliest_is_removed) {
    static const int64_t expiries[] = {AT_SECONDS(100), AT_SECONDS(100) + AT_MILLISECONDS(1),
                                       AT_SECONDS(100) + AT_MILLISECONDS(2)};
    numbered *timers = add_all(expiries, 3);
    cr_expect(ati_timer_wheel_remove(&wheel, &timers[0].timer));
    int64_t next = ati_timer_wheel_next(&wheel);
    cr_expect_lt(next, expiries[1], "they share a slot");
    cr_expect_null(take(next));
    cr_expect_eq(ati_timer_wheel_next(&wheel), expiries[1]);
    cr_expect_eq(take(expiries[1]), &timers[1].timer);
    cr_expect_eq(ati_timer_wheel_next(&wheel), expiries[2]);
    free(timers);
}

/* Also while the slot that they share is being opened. */
Test(timer_wheel, timers_of_one_moment_keep_their_order) {
    enum { before = 2000, meanwhile = 500, count = before + meanwhile };
    numbered *timers = calloc(count, sizeof *timers);
    numbered first = {.number = 0};
    const int64_t moment = AT_HOURS(5);
    for (size_t i = 0; i < count; i++)
        timers[i].number = i;
    ati_timer_wheel_add(&wheel, &first.timer, moment - 10);
    for (size_t i = 0; i < before; i++)
        ati_timer_wheel_add(&wheel, &timers[i].timer, moment);
    cr_expect_eq(take(moment - 5), &first.timer);
    cr_expect_null(take(moment - 1));
    size_t taken = 0;
    for (size_t added = before; taken < count;) {
        uint32_t budget = small_budget;
        ati_timer *timer = ati_timer_wheel_take(&wheel, moment, &budget);
        if (timer)
            cr_assert_eq(((numbered *)timer)->number, taken++);
        if (added < count && taken % 2 == 0)
            ati_timer_wheel_add(&wheel, &timers[added++].timer, moment);
    }
    cr_expect_null(take(moment));
    free(timers);
}

Test(timer_wheel, many_that_expire_as_their_slot_begins) {
    enum { count = 100 };
    int64_t expiries[count];
    for (size_t i = 0; i < count; i++)
        expiries[i] = INT64_C(1) << 30;
    numbered *timers = add_all(expiries, count);
    cr_expect_eq(ati_timer_wheel_next(&wheel), expiries[0]);
    cr_expect_null(take(expiries[0] - 1));
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(take(expiries[0]), &timers[i].timer);
    free(timers);
}

Test(timer_wheel, a_removed_timer_is_not_touched_again) {
    enum { count = 50 };
    numbered timers[count] = {0}, kept[count] = {0};
    unsigned char pattern[sizeof(ati_timer)];
    memset(pattern, 0xa5, sizeof pattern);
    for (size_t i = 0; i < count; i++)
        ati_timer_wheel_add(&wheel, &timers[i].timer, AT_HOURS(1));
    for (size_t i = 0; i < count; i++) {
        ati_timer *last = &timers[count - 1 - i].timer;
        cr_expect(ati_timer_wheel_remove(&wheel, last));
        memset(last, 0xa5, sizeof *last);
        ati_timer_wheel_add(&wheel, &kept[i].timer, AT_HOURS(1));
    }
    for (size_t i = 0; i < count; i++) {
        cr_expect_arr_eq(&timers[i].timer, pattern, sizeof pattern);
        cr_expect_eq(take(AT_HOURS(1)), &kept[i].timer);
    }
}

/* Adds timers for the time of a slot that is being opened, before and after those that have moved
 * on already. */
Test(timer_wheel, what_is_added_while_a_slot_is_opened_is_in_order) {
    enum { before = 1000, count = 2 * before };
    const int64_t start = INT64_C(1) << 36, step = 1000003;
    numbered *timers = calloc(count, sizeof *timers);
    for (size_t i = 0; i < before; i++)
        ati_timer_wheel_add(&wheel, &timers[i].timer, start + step + (int64_t)i * step);
    cr_expect_eq(ati_timer_wheel_next(&wheel), start, "many are sorted in time");
    uint32_t budget = before / 2;
    cr_expect_null(ati_timer_wheel_take(&wheel, start, &budget));
    cr_expect_eq(budget, 0);
    for (size_t i = 0; i < before; i++)
        ati_timer_wheel_add(&wheel, &timers[before + i].timer,
                            start + step + (int64_t)i * step + (int64_t)(i % 3) - 1);
    cr_expect_null(take(start));
    int64_t last = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t next = ati_timer_wheel_next(&wheel);
        ati_timer *timer = take(next);
        if (!timer) { /* it has sorted */
            i--;
            continue;
        }
        cr_assert_eq(timer->expiry, next);
        cr_assert_leq(last, timer->expiry);
        last = timer->expiry;
    }
    cr_expect_eq(ati_timer_wheel_next(&wheel), AT_FOREVER);
    free(timers);
}

Test(timer_wheel, a_slot_gets_empty_while_others_add_to_it) {
    enum { count = 3000 };
    const int64_t start = INT64_C(1) << 40;
    numbered *timers = calloc(count, sizeof *timers);
    size_t added = 0;
    while (added < count / 3)
        ati_timer_wheel_add(&wheel, &timers[added++].timer, start + (1 << 20));
    uint32_t budget = 1;
    cr_expect_null(ati_timer_wheel_take(&wheel, start, &budget));
    cr_expect_not_null(wheel.opening);
    while (wheel.opening) {
        cr_assert_lt(added, (size_t)count);
        ati_timer_wheel_add(&wheel, &timers[added++].timer, start + (1 << 20));
    }
    for (size_t i = 0; i < added; i++)
        cr_assert_eq(take(start + (1 << 20)), &timers[i].timer);
    free(timers);
}

/* A million timers in one slot: each look takes no more than it may, and each timer is moved a
 * bounded number of times. */
Test(timer_wheel, moves_in_slices) {
    enum { count = 1000000, slice = 64 };
    const int64_t start = INT64_C(1) << 42;
    numbered *timers = calloc(count, sizeof *timers);
    uint64_t seed = 42;
    for (size_t i = 0; i < count; i++)
        ati_timer_wheel_add(&wheel, &timers[i].timer,
                            start + (int64_t)(ati_random_step(&seed) >> 22));
    uint64_t steps = 0;
    size_t taken = 0;
    int64_t last = 0;
    while (taken < count) {
        uint32_t budget = slice;
        ati_timer *timer;
        while ((timer = ati_timer_wheel_take(&wheel, INT64_C(1) << 43, &budget))) {
            cr_assert_leq(last, timer->expiry);
            last = timer->expiry;
            taken++;
        }
        cr_assert_leq(budget, (uint32_t)slice);
        steps += slice - budget;
    }
    cr_expect_leq(steps, (uint64_t)count * ATI_TIMER_LEVELS, "%llu", (unsigned long long)steps);
    free(timers);
}

Test(timer_wheel, timers_may_be_removed_while_their_slot_is_opened) {
    enum { count = 1000 };
    const int64_t start = INT64_C(1) << 30;
    for (size_t kept = 0; kept < 3; kept++) {
        numbered *timers = calloc(count, sizeof *timers);
        init();
        for (size_t i = 0; i < count; i++)
            ati_timer_wheel_add(&wheel, &timers[i].timer, start + 1 + (int64_t)(i * 7919 % count));
        uint32_t budget = count / 3;
        cr_expect_null(ati_timer_wheel_take(&wheel, start, &budget));
        cr_expect_not_null(wheel.opening);
        for (size_t i = kept; i < count; i++)
            cr_assert(ati_timer_wheel_remove(&wheel, &timers[i].timer));
        cr_expect_eq(wheel.opening == NULL, true, "what is left has moved on");
        for (size_t i = 0; i < kept; i++)
            cr_expect_eq(take(start + count), &timers[i].timer);
        cr_expect_null(take(start + count));
        cr_expect_eq(ati_timer_wheel_next(&wheel), AT_FOREVER);
        free(timers);
    }
}

/* -- Against a plain list -- */

enum { model_timers = 400, model_steps = 60000 };

typedef struct model_timer {
    ati_timer timer; /* first */
    bool is_added;
    bool was_late; /* when it was added: its place in the order is not defined */
    uint64_t sequence;
} model_timer;

struct model {
    uint64_t seed;
    int64_t now;
    int64_t unit; /* the range of delays */
    uint64_t sequence;
    model_timer timers[model_timers];
};

static bool comes_before(const model_timer *a, const model_timer *b) {
    return a->timer.expiry != b->timer.expiry ? a->timer.expiry < b->timer.expiry
                                              : a->sequence < b->sequence;
}

static int64_t choose_delay(struct model *model) {
    uint64_t random = ati_random_step(&model->seed);
    int64_t delay = (int64_t)(random >> 8) % model->unit;
    switch (random % 16) {
    case 0:
        return -delay;
    case 1:
        return delay % 3;
    case 2:
        return delay * 8;
    case 3:
        return delay / 100000 * 100000; /* equal ones */
    default:
        return delay;
    }
}

static void change_one(struct model *model) {
    model_timer *it = &model->timers[ati_random_step(&model->seed) % model_timers];
    cr_assert_eq(ati_timer_is_added(&it->timer), it->is_added);
    if (it->is_added) {
        cr_assert(ati_timer_wheel_remove(&wheel, &it->timer));
        it->is_added = false;
        return;
    }
    int64_t expiry = model->now + choose_delay(model);
    it->is_added = true;
    it->was_late = expiry <= model->now;
    it->sequence = model->sequence++;
    ati_timer_wheel_add(&wheel, &it->timer, expiry);
}

static int64_t find_earliest_of(const struct model *model) {
    int64_t earliest = AT_FOREVER;
    for (size_t i = 0; i < model_timers; i++)
        if (model->timers[i].is_added && model->timers[i].timer.expiry < earliest)
            earliest = model->timers[i].timer.expiry;
    return earliest;
}

static void advance(struct model *model) {
    uint64_t random = ati_random_step(&model->seed);
    int64_t next = ati_timer_wheel_next(&wheel), earliest = find_earliest_of(model);
    cr_assert(next <= earliest || next <= model->now, "it would sleep too long");
    if (random % 3 == 0 && next != AT_FOREVER)
        model->now = next > model->now ? next : model->now;
    else
        model->now += (int64_t)(random >> 8) % model->unit / 8;
    uint32_t budget = random % 5 == 1 ? 1 + random % 40 : 100000;
    model_timer *last = NULL;
    ati_timer *timer;
    while ((timer = ati_timer_wheel_take(&wheel, model->now, &budget))) {
        model_timer *it = (model_timer *)timer;
        cr_assert(it->is_added);
        cr_assert_leq(it->timer.expiry, model->now, "early");
        it->is_added = false;
        if (it->was_late)
            continue;
        cr_assert(!last || comes_before(last, it), "out of order");
        last = it;
    }
    if (budget > 0)
        cr_assert_gt(find_earliest_of(model), model->now, "one was left behind");
}

static void run_model(uint64_t seed, int64_t unit) {
    static struct model storage;
    struct model *model = &storage;
    memset(model, 0, sizeof *model);
    init();
    model->seed = seed;
    model->unit = unit;
    model->now = seed % 2 ? AT_HOURS(1) : 0;
    /* Many changes between two looks fill the slots, few keep them nearly empty. */
    uint64_t changes = 1 + seed % 7 * 20;
    for (int step = 0; step < model_steps / (int)changes && model->now < INT64_MAX / 4; step++) {
        for (uint64_t i = 0; i < changes; i++)
            change_one(model);
        advance(model);
    }
}

Test(timer_wheel, behaves_like_a_sorted_list) {
    static const int64_t units[] = {100,
                                    5000,
                                    AT_MILLISECONDS(1),
                                    AT_SECONDS(1),
                                    AT_HOURS(1),
                                    AT_HOURS(24 * 365),
                                    1 << 18,
                                    INT64_C(1) << 40};
    for (uint64_t seed = 1; seed <= 7; seed++)
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            run_model(seed, units[i]);
}

/* Rule Q1: a virtual clock jumps to the earliest, whatever was removed, and to nothing in between.
 */
Test(timer_wheel, earliest_is_exact) {
    enum { count = 3000 };
    int64_t expiries[count];
    uint64_t random = 1;
    for (size_t i = 0; i < count; i++)
        expiries[i] = 1 + (int64_t)(ati_random_step(&random) >> (24 + 8 * (i % 4)));
    numbered *timers = add_all(expiries, count);
    for (size_t left = count; left > 0;) {
        size_t removed = (size_t)(ati_random_step(&random) % count);
        left -= ati_timer_wheel_remove(&wheel, &timers[removed].timer);
        int64_t earliest = AT_FOREVER;
        for (size_t i = 0; i < count; i++)
            if (ati_timer_is_added(&timers[i].timer) && expiries[i] < earliest)
                earliest = expiries[i];
        cr_assert_eq(ati_timer_wheel_earliest(&wheel), earliest);
        if (earliest == AT_FOREVER)
            break;
        cr_assert_leq(ati_timer_wheel_next(&wheel), earliest);
        cr_assert_null(take(earliest - 1));
        numbered *taken = (numbered *)take(earliest);
        cr_assert_not_null(taken);
        cr_assert_eq(expiries[taken->number], earliest);
        left--;
        while (take(earliest))
            left--;
    }
    free(timers);
}
