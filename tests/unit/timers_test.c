/* SPDX-License-Identifier: MIT
 *
 * The timers of a pool as one thread sees them. */
#include "support/test.h"

#include "pool/timers.h"

#include <stdlib.h>

enum { many = 1000 };

typedef struct noted {
    ati_pool_timer timer; /* first */
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

static void run(int64_t now) {
    ati_expired expired;
    cr_expect_eq(ati_timers_run(&timers, now, &expired), 0);
}

static void set_tasks(ati_task_timer *tasks, int count, int64_t first, int64_t step) {
    ati_lock_acquire(&timers.lock);
    for (int i = 0; i < count; i++)
        ati_timers_set(&timers, &tasks[i].timer, first + i * step);
    ati_timers_count_tasks(&timers, count);
    ati_lock_release(&timers.lock);
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
    ati_task_timer all[count] = {0};
    set_tasks(all, count, 1000, -1);
    cr_expect(ati_timers_has_tasks(&timers));
    ati_expired expired;
    cr_expect_eq(ati_timers_run(&timers, 1000 - 5, &expired), 5);
    cr_expect_eq(expired.lanes[ATI_LANE_NORMAL].count, 5);
    const ati_task_node *task = expired.lanes[ATI_LANE_NORMAL].first;
    for (int i = count - 1; i >= 5; i--, task = task->next)
        cr_expect_eq(task, &all[i].node);
    cr_expect_null(task);
    cr_expect(ati_timers_has_tasks(&timers));
    cr_expect_eq(ati_timers_run(&timers, 1000, &expired), 5);
    cr_expect(!ati_timers_has_tasks(&timers));
    cr_expect_eq(ati_timers_run(&timers, 1000, &expired), 0, "once");
}

/* At most a slice at a time, and of equal moments the one that was set first. */
Test(timers, many_tasks_are_given_in_slices_and_in_order) {
    static ati_task_timer all[many];
    set_tasks(all, many, 1000, 0);
    int next = 0, slices = 0;
    while (next < many) {
        ati_expired expired;
        size_t count = ati_timers_run(&timers, 1000, &expired);
        cr_assert_leq(count, 256);
        cr_assert_eq(expired.lanes[ATI_LANE_NORMAL].count, count);
        for (const ati_task_node *task = expired.lanes[ATI_LANE_NORMAL].first; task;
             task = task->next)
            cr_assert_eq(task, &all[next++].node);
        slices++;
    }
    cr_expect_geq(slices, 4);
    cr_expect(!ati_timers_has_tasks(&timers));
}

Test(timers, tasks_are_given_by_lane) {
    ati_task_timer all[6] = {0};
    for (int i = 0; i < 6; i++)
        all[i].node.work.context = ati_context_in_lane(NULL, (ati_lane)(i % ATI_LANE_COUNT));
    set_tasks(all, 6, 1000, 1);
    ati_expired expired;
    cr_expect_eq(ati_timers_run(&timers, 2000, &expired), 6);
    for (int lane = 0; lane < ATI_LANE_COUNT; lane++) {
        cr_expect_eq(expired.lanes[lane].count, 2);
        cr_expect_eq(expired.lanes[lane].first, &all[lane].node);
        cr_expect_eq(expired.lanes[lane].first->next, &all[lane + ATI_LANE_COUNT].node);
        cr_expect_null(expired.lanes[lane].first->next->next);
    }
}

/* A fire function may do what it likes with the timers, amid tasks that expire. */
static void set_again(ati_pool_timer *timer) {
    ati_expired expired;
    note(timer);
    cr_expect_eq(ati_timers_run(&timers, 5000, &expired), 0, "somebody fires already");
    if (fired_count == 1)
        ati_timers_add(&timers, timer, 3000);
}

Test(timers, fires_between_tasks) {
    ati_task_timer tasks[3] = {0};
    noted between = {.timer.fire = set_again};
    set_tasks(tasks, 3, 1000, 1000);
    ati_timers_add(&timers, &between.timer, 1500);
    ati_expired expired;
    cr_expect_eq(ati_timers_run(&timers, 2500, &expired), 2);
    cr_expect_eq(fired_count, 1);
    cr_expect_eq(expired.lanes[ATI_LANE_NORMAL].first, &tasks[0].node);
    cr_expect_eq(ati_timers_run(&timers, 3000, &expired), 1);
    cr_expect_eq(fired_count, 2);
    cr_expect_eq(expired.lanes[ATI_LANE_NORMAL].first, &tasks[2].node);
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
