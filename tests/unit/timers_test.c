/* SPDX-License-Identifier: MIT
 *
 * The timers of a pool as one thread sees them. */
#include "support/test.h"

#include "pool/timers.h"

#include <stdlib.h>

enum { many = 1000 };

typedef struct noted {
    ati_pool_timer timer; /* first */
    ati_task_node task;
    int number;
} noted;

static ati_timers timers;
static int fired[many];
static int fired_count;

static void init(void) {
    ati_timers_init(&timers);
}

TestSuite(timers, .init = init);

static void note(ati_pool_timer *timer) {
    fired[fired_count++] = ((noted *)timer)->number;
}

static void expire_task(ati_pool_timer *timer) {
    ati_timers_expire_task(&timers, &((noted *)timer)->task);
}

static void run(int64_t now) {
    ati_task_node *tasks;
    cr_expect_eq(ati_timers_run(&timers, now, &tasks), 0);
}

Test(timers, none_at_first) {
    cr_expect_eq(ati_timers_next(&timers), AT_FOREVER);
    cr_expect(!ati_timers_has_tasks(&timers));
    run(INT64_MAX - 1);
}

Test(timers, add_tells_who_is_the_next_one) {
    noted a = {.timer.fire = note, .number = 1};
    noted b = {.timer.fire = note, .number = 2};
    noted c = {.timer.fire = note, .number = 3};
    cr_expect(ati_timers_add(&timers, &a.timer, AT_SECONDS(2)));
    cr_expect(!ati_timers_add(&timers, &b.timer, AT_SECONDS(3)));
    cr_expect_eq(ati_timers_next(&timers), AT_SECONDS(2));
    cr_expect(ati_timers_add(&timers, &c.timer, AT_SECONDS(1)));
    cr_expect_eq(ati_timers_next(&timers), AT_SECONDS(1));
    run(AT_SECONDS(1) - 1);
    cr_expect_eq(fired_count, 0);
    run(AT_SECONDS(1));
    cr_expect_eq(fired_count, 1);
    cr_expect_eq(ati_timers_next(&timers), AT_SECONDS(2));
    run(AT_SECONDS(10));
    cr_expect_eq(fired_count, 3);
    cr_expect(fired[0] == 3 && fired[1] == 1 && fired[2] == 2, "in order");
    cr_expect_eq(ati_timers_next(&timers), AT_FOREVER);
}

Test(timers, what_is_removed_does_not_fire) {
    noted a = {.timer.fire = note}, b = {.timer.fire = note};
    ati_timers_add(&timers, &a.timer, 100);
    ati_timers_add(&timers, &b.timer, 200);
    cr_expect(ati_timers_remove(&timers, &a.timer));
    cr_expect(!ati_timers_remove(&timers, &a.timer));
    run(150);
    cr_expect_eq(fired_count, 0);
    run(200);
    cr_expect_eq(fired_count, 1);
    cr_expect(!ati_timers_remove(&timers, &b.timer), "it has fired");
}

/* A worker has other things to do as well. */
Test(timers, fires_in_slices) {
    static noted all[many];
    for (int i = 0; i < many; i++) {
        all[i] = (noted){.timer.fire = note, .number = i};
        ati_timers_add(&timers, &all[i].timer, 1000 + i);
    }
    int slices = 0;
    for (int before = 0; fired_count < many; before = fired_count) {
        run(AT_SECONDS(1));
        cr_assert_leq(fired_count - before, 256);
        cr_assert(fired_count == many || ati_timers_next(&timers) <= AT_SECONDS(1));
        slices++;
    }
    cr_expect_geq(slices, 4);
    for (int i = 0; i < many; i++)
        cr_assert_eq(fired[i], i);
}

Test(timers, tasks_are_given_in_order) {
    enum { count = 10 };
    noted all[count];
    ati_lock_acquire(&timers.lock);
    for (int i = 0; i < count; i++) {
        all[i] = (noted){.timer.fire = expire_task, .number = i};
        ati_timers_set(&timers, &all[i].timer, 1000 - i);
    }
    ati_timers_count_tasks(&timers, count);
    ati_lock_release(&timers.lock);
    cr_expect(ati_timers_has_tasks(&timers));
    ati_task_node *task;
    cr_expect_eq(ati_timers_run(&timers, 1000 - 5, &task), 5);
    for (int i = count - 1; i >= 5; i--, task = task->next)
        cr_expect_eq(task, &all[i].task);
    cr_expect_null(task);
    cr_expect(ati_timers_has_tasks(&timers));
    cr_expect_eq(ati_timers_run(&timers, 1000, &task), 5);
    cr_expect(!ati_timers_has_tasks(&timers));
    cr_expect_eq(ati_timers_run(&timers, 1000, &task), 0, "once");
}

Test(timers, settle_gives_the_earliest_that_is_left) {
    noted a = {.timer.fire = note};
    noted b = {.timer.fire = note};
    cr_expect_eq(ati_timers_settle(&timers), AT_FOREVER);
    ati_timers_add(&timers, &a.timer, AT_SECONDS(2));
    ati_timers_add(&timers, &b.timer, AT_SECONDS(2) + 1);
    cr_expect_eq(ati_timers_settle(&timers), AT_SECONDS(2));
    cr_expect(ati_timers_remove(&timers, &a.timer));
    cr_expect_eq(ati_timers_settle(&timers), AT_SECONDS(2) + 1);
    cr_expect_eq(ati_timers_next(&timers), AT_SECONDS(2) + 1);
    run(AT_SECONDS(2));
    cr_expect_eq(fired_count, 0);
    run(AT_SECONDS(2) + 1);
    cr_expect_eq(fired_count, 1);
    cr_expect_eq(ati_timers_settle(&timers), AT_FOREVER);
}
