/* SPDX-License-Identifier: MIT
 *
 * The ring of byte records on one thread: order, contents, the end of the memory, full and empty.
 */
#include "support/test.h"

#include "queue/byte_ring_spsc.h"

#include <stdint.h>
#include <string.h>

enum { ring_size = 256, record_max = 56 };

static _Alignas(8) unsigned char memory[ring_size + 16];

static void make_ring(ati_byte_ring *ring) {
    memset(memory, 0xee, sizeof memory);
    ati_byte_ring_init(ring, memory, ring_size, record_max);
}

static bool put(ati_byte_ring *ring, size_t size, unsigned char fill) {
    unsigned char *room = ati_byte_ring_reserve_spsc(ring, size);
    if (!room)
        return false;
    memset(room, fill, size);
    ati_byte_ring_commit_spsc(ring, size);
    return true;
}

/* Takes one record and says whether it is what was put. */
static bool take(ati_byte_ring *ring, size_t size, unsigned char fill) {
    size_t found = 0;
    const unsigned char *record = ati_byte_ring_front_spsc(ring, &found);
    if (!record || found != size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (record[i] != fill)
            return false;
    ati_byte_ring_step_spsc(ring);
    return true;
}

Test(byte_ring, fresh_ring_is_empty) {
    ati_byte_ring ring;
    size_t size;
    make_ring(&ring);
    cr_assert_eq(ati_byte_ring_look_spsc(&ring), 0);
    cr_assert_null(ati_byte_ring_front_spsc(&ring, &size));
    cr_assert(ati_byte_ring_drained_spsc(&ring));
    cr_assert_not(ati_byte_ring_half_full_spsc(&ring));
}

Test(byte_ring, records_come_out_in_order_and_whole) {
    ati_byte_ring ring;
    make_ring(&ring);
    cr_assert(put(&ring, 1, 'a'));
    cr_assert(put(&ring, 0, 0));
    cr_assert(put(&ring, record_max, 'b'));
    cr_assert_gt(ati_byte_ring_look_spsc(&ring), 0);
    cr_assert(take(&ring, 1, 'a'));
    cr_assert(take(&ring, 0, 0));
    cr_assert(take(&ring, record_max, 'b'));
    size_t size;
    cr_assert_null(ati_byte_ring_front_spsc(&ring, &size));
}

Test(byte_ring, consumer_sees_nothing_behind_its_last_look) {
    ati_byte_ring ring;
    size_t size;
    make_ring(&ring);
    cr_assert(put(&ring, 3, 'a'));
    ati_byte_ring_look_spsc(&ring);
    cr_assert(put(&ring, 3, 'b'));
    cr_assert(take(&ring, 3, 'a'));
    cr_assert_null(ati_byte_ring_front_spsc(&ring, &size));
    ati_byte_ring_look_spsc(&ring);
    cr_assert(take(&ring, 3, 'b'));
}

Test(byte_ring, full_ring_takes_nothing_until_room_is_released) {
    ati_byte_ring ring;
    make_ring(&ring);
    int count = 0;
    while (put(&ring, 24, (unsigned char)count))
        count++;
    cr_assert_geq(count, 5);
    cr_assert(ati_byte_ring_half_full_spsc(&ring));
    ati_byte_ring_look_spsc(&ring);
    cr_assert(take(&ring, 24, 0));
    cr_assert_not(put(&ring, 24, 'x'), "room is not back before it is released");
    for (int i = 1; i < count; i++)
        cr_assert(take(&ring, 24, (unsigned char)i));
    cr_assert_not(ati_byte_ring_drained_spsc(&ring));
    ati_byte_ring_release_spsc(&ring);
    cr_assert(ati_byte_ring_drained_spsc(&ring));
    cr_assert_not(ati_byte_ring_half_full_spsc(&ring));
    cr_assert(put(&ring, 24, 'x'));
}

/* All sizes, over many laps: nothing is written behind the end, nothing is lost. */
Test(byte_ring, sizes_of_all_kinds_over_many_laps) {
    ati_byte_ring ring;
    make_ring(&ring);
    uint32_t next_put = 0;
    uint32_t next_take = 0;
    uint64_t state = 1;
    while (next_take < 200000) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        for (uint32_t n = state >> 61; n > 0; n--)
            if (put(&ring, next_put % (record_max + 1), (unsigned char)next_put))
                next_put++;
        ati_byte_ring_look_spsc(&ring);
        for (uint32_t n = (state >> 40) & 7; n > 0 && next_take < next_put; n--) {
            cr_assert(take(&ring, next_take % (record_max + 1), (unsigned char)next_take));
            next_take++;
        }
        ati_byte_ring_release_spsc(&ring);
    }
    for (size_t i = ring_size; i < sizeof memory; i++)
        cr_assert_eq(memory[i], 0xee);
}

/* Whether the next record of a look from outside is what was put. */
static bool looks_at(ati_byte_ring_view *view, size_t size, unsigned char fill) {
    unsigned char copy[record_max];
    if (ati_byte_ring_copy_next(view, copy, sizeof copy) != size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (copy[i] != fill)
            return false;
    return true;
}

/* J3: for a process that ends. */
Test(byte_ring, looking_on_sees_what_the_consumer_has_not_stepped_over) {
    ati_byte_ring ring;
    make_ring(&ring);
    for (int lap = 0; lap < 20; lap++) {
        cr_assert(put(&ring, 9, 'a') && put(&ring, record_max, 'b') && put(&ring, 3, 'c'));
        ati_byte_ring_look_spsc(&ring);
        cr_assert(take(&ring, 9, 'a')); /* and is not released */
        ati_byte_ring_view view = ati_byte_ring_look_on(&ring);
        cr_assert(put(&ring, 1, 'd')); /* behind the look */
        cr_assert(looks_at(&view, record_max, 'b') && looks_at(&view, 3, 'c'));
        cr_assert(looks_at(&view, 0, 0));
        ati_byte_ring_look_spsc(&ring);
        cr_assert(take(&ring, record_max, 'b') && take(&ring, 3, 'c') && take(&ring, 1, 'd'));
        ati_byte_ring_release_spsc(&ring);
    }
    cr_assert(ati_byte_ring_drained_spsc(&ring));
}

Test(byte_ring, looking_on_leaves_out_what_is_released_meanwhile) {
    ati_byte_ring ring;
    make_ring(&ring);
    cr_assert(put(&ring, 9, 'a') && put(&ring, 10, 'b') && put(&ring, 11, 'c'));
    ati_byte_ring_view view = ati_byte_ring_look_on(&ring);
    ati_byte_ring_look_spsc(&ring);
    cr_assert(take(&ring, 9, 'a') && take(&ring, 10, 'b'));
    ati_byte_ring_release_spsc(&ring);
    cr_assert(looks_at(&view, 11, 'c'));
    cr_assert(looks_at(&view, 0, 0));
    view = ati_byte_ring_look_on(&ring);
    cr_assert(take(&ring, 11, 'c'));
    ati_byte_ring_release_spsc(&ring);
    cr_assert(looks_at(&view, 0, 0));
}
