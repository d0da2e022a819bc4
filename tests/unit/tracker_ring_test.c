/* SPDX-License-Identifier: MIT
 *
 * The rings of a tracker (rule E1): a writer that stands still inside one keeps nobody else from
 * writing, and what several rings hold is merged. */
#include "support/test.h"

#include "operation/tracker_ring.h"

TestSuite(tracker_ring, .timeout = 200);

static ati_tracker_rings rings;

static void begin(uint64_t event_count, uint32_t ring_count) {
    cr_assert(ati_tracker_rings_init(&rings, event_count, 8, ring_count));
}

/* Gives the ring that it went into. */
static uint32_t write(uint32_t home, int64_t number) {
    ati_ring_event event = {.duration = number, .members_length = 8};
    ati_tracker_rings_write(&rings, &home, &event, "12345678");
    return home;
}

static void expect_walk(const int64_t *numbers, int count) {
    ati_ring_walk walk;
    ati_ring_event event;
    char members[16];
    ati_ring_walk_begin(&walk, &rings);
    for (int i = 0; i < count; i++) {
        cr_assert(ati_ring_walk_next(&walk, &event, members), "number %d", i);
        cr_assert_eq(event.duration, numbers[i], "%lld", (long long)event.duration);
        cr_assert_arr_eq(members, "12345678", 8);
    }
    cr_assert_not(ati_ring_walk_next(&walk, &event, members));
}

Test(tracker_ring, rings_are_merged_by_time) {
    begin(6, 4);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(write((uint32_t)i % 3, i), (uint32_t)i % 3);
    const int64_t last[] = {99, 98, 97, 96, 95, 94};
    expect_walk(last, 6);
    ati_tracker_rings_deinit(&rings);
}

Test(tracker_ring, a_ring_that_is_no_longer_written_has_older_events) {
    begin(4, 2);
    write(0, 1);
    write(1, 2);
    write(1, 3);
    const int64_t all[] = {3, 2, 1};
    expect_walk(all, 3);
    write(1, 4);
    write(1, 5);
    const int64_t last[] = {5, 4, 3, 2};
    expect_walk(last, 4);
    ati_tracker_rings_deinit(&rings);
}

Test(tracker_ring, others_go_round_a_writer_that_stands_still) {
    begin(4, 2);
    write(0, 1);
    cr_assert(ati_try_lock_acquire(&atomic_load(&rings.rings[0])->writer));
    cr_expect_eq(write(0, 2), 1);
    cr_expect_eq(ati_counter_read(&rings.lost), 0);
    cr_assert(ati_try_lock_acquire(&atomic_load(&rings.rings[1])->writer));
    write(0, 3);
    cr_expect_eq(ati_counter_read(&rings.lost), 1, "both rings are in use");
    const int64_t all[] = {2, 1};
    expect_walk(all, 2);
    ati_try_lock_release(&atomic_load(&rings.rings[0])->writer);
    cr_expect_eq(write(0, 4), 0);
    const int64_t more[] = {4, 2, 1};
    expect_walk(more, 3);
    ati_tracker_rings_deinit(&rings);
}

/* What is overwritten during a walk ends it, and with it what other rings have of that age. */
Test(tracker_ring, a_walk_ends_where_it_is_overtaken) {
    begin(4, 2);
    ati_ring_walk walk;
    ati_ring_event event;
    char members[16];
    for (int i = 0; i < 4; i++)
        write((uint32_t)i % 2, i);
    ati_ring_walk_begin(&walk, &rings);
    cr_assert(ati_ring_walk_next(&walk, &event, members));
    cr_assert_eq(event.duration, 3);
    for (int i = 4; i < 12; i++)
        write(0, i);
    cr_expect_not(ati_ring_walk_next(&walk, &event, members));
    cr_expect_not(ati_ring_walk_next(&walk, &event, members));
    ati_tracker_rings_deinit(&rings);
}

/* What is written after the begin of a walk is not in it. */
Test(tracker_ring, later_events_are_left_out) {
    begin(8, 2);
    write(0, 1);
    ati_ring_walk walk;
    ati_ring_event event;
    char members[16];
    ati_ring_walk_begin(&walk, &rings);
    write(0, 2);
    write(1, 3);
    cr_assert(ati_ring_walk_next(&walk, &event, members));
    cr_expect_eq(event.duration, 1);
    cr_expect_not(ati_ring_walk_next(&walk, &event, members));
    const int64_t all[] = {3, 2, 1};
    expect_walk(all, 3);
    ati_tracker_rings_clear(&rings);
    expect_walk(NULL, 0);
    write(1, 4);
    const int64_t after[] = {4};
    expect_walk(after, 1);
    ati_tracker_rings_deinit(&rings);
}
