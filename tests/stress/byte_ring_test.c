/* SPDX-License-Identifier: MIT
 *
 * The ring of byte records between two threads: every record arrives once, whole and in order. */
#include "support/test.h"

#include "queue/byte_ring_spsc.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { ring_size = 4096, record_max = 400, record_count = 2000000 };

static ati_byte_ring ring;

static size_t size_of(uint32_t number) {
    return sizeof number + number * 2654435761u % (record_max - sizeof number);
}

static void *produce(void *unused) {
    (void)unused;
    for (uint32_t number = 0; number < record_count; number++) {
        unsigned char *room;
        size_t size = size_of(number);
        while (!(room = ati_byte_ring_reserve_spsc(&ring, size)))
            sched_yield();
        memcpy(room, &number, sizeof number);
        room[size - 1] = (unsigned char)number;
        ati_byte_ring_commit_spsc(&ring, size);
    }
    return NULL;
}

static bool is_right(const unsigned char *record, size_t size, uint32_t number) {
    uint32_t found;
    memcpy(&found, record, sizeof found);
    return size == size_of(number) && record[size - 1] == (unsigned char)number &&
           (size == sizeof found || found == number);
}

Test(byte_ring_stress, every_record_arrives_once_and_in_order) {
    void *memory = aligned_alloc(64, ring_size);
    ati_byte_ring_init(&ring, memory, ring_size, record_max);
    pthread_t producer;
    cr_assert_eq(pthread_create(&producer, NULL, produce, NULL), 0);
    uint32_t next = 0;
    while (next < record_count) {
        if (ati_byte_ring_look_spsc(&ring) == 0)
            sched_yield();
        size_t size;
        const unsigned char *record;
        while ((record = ati_byte_ring_front_spsc(&ring, &size))) {
            if (!is_right(record, size, next))
                break;
            next++;
            ati_byte_ring_step_spsc(&ring);
        }
        cr_assert_null(record, "record %u is not what was put", next);
        ati_byte_ring_release_spsc(&ring);
    }
    pthread_join(producer, NULL);
    cr_assert_eq(ati_byte_ring_look_spsc(&ring), 0);
    free(memory);
}
