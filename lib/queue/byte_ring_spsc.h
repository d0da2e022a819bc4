/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_QUEUE_BYTE_RING_SPSC_H
#define ASYNCTOOLS_QUEUE_BYTE_RING_SPSC_H

/* A ring of records of bytes, from one producer to one consumer, in the caller's memory. A record
 * lies in one piece, is written in place and read in place. See byte_ring_spsc.c for the argument.
 */
#include "base/atomic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ati_byte_ring {
    unsigned char *bytes;
    uint64_t mask;       /* size - 1 */
    uint64_t last_start; /* no record starts behind this offset */
    /* The producer's line. */
    _Alignas(ATI_CACHE_LINE) _Atomic uint64_t tail; /* producer writes, consumer reads */
    uint64_t seen_head;                             /* producer only */
    /* The consumer's line. */
    _Alignas(ATI_CACHE_LINE) _Atomic uint64_t head; /* consumer writes, producer reads */
    uint64_t front;                                 /* consumer only: head <= front <= seen_tail */
    uint64_t seen_tail;                             /* consumer only */
} ati_byte_ring;

/* `bytes` holds `size`, a power of two, and is aligned to 8. Records have at most `record_max`
 * bytes, and size is at least twice that and 16 more. */
void ati_byte_ring_init(ati_byte_ring *ring, void *bytes, size_t size, size_t record_max);

/* Producer: room for a record of `size` bytes, or NULL if the ring is too full. Takes nothing yet,
 * may be called again. The look at the consumer's progress is sequentially consistent. */
void *ati_byte_ring_reserve_spsc(ati_byte_ring *ring, size_t size);

/* Producer: publishes a record of `size` bytes, not more than were reserved. Who then looks whether
 * the consumer sleeps puts a light barrier in between (base/barrier.h), or a fence. */
void ati_byte_ring_commit_spsc(ati_byte_ring *ring, size_t size);

/* Producer: whether more than half of the ring is in use. Seldom looks at the consumer's line. */
bool ati_byte_ring_half_full_spsc(ati_byte_ring *ring);

/* Producer: whether the consumer has released all records. */
bool ati_byte_ring_drained_spsc(ati_byte_ring *ring);

/* Consumer: looks how far the producer is; that is where ati_byte_ring_front ends from now on.
 * Gives the bytes in between, 0: empty. A consumer that announces its sleep and then looks puts a
 * heavy barrier in between, or a fence. */
uint64_t ati_byte_ring_look_spsc(ati_byte_ring *ring);

/* Consumer: the bytes between the last step and the last look. */
static inline uint64_t ati_byte_ring_left_spsc(const ati_byte_ring *ring) {
    return ring->seen_tail - ring->front;
}

/* Consumer: the next record, or NULL; it stays until it is released. */
const void *ati_byte_ring_front_spsc(const ati_byte_ring *ring, size_t *size);

/* Consumer: steps over the record that ati_byte_ring_front gave. */
void ati_byte_ring_step_spsc(ati_byte_ring *ring);

/* Consumer: gives the room of all records stepped over back to the producer. The store is
 * sequentially consistent: whoever then looks whether the producer waits cannot miss it. */
void ati_byte_ring_release_spsc(ati_byte_ring *ring);

/* A look at what the consumer has not stepped over, by a third thread that changes nothing: for a
 * process that ends and whose consumer may be stuck, or may yet go on. */
typedef struct ati_byte_ring_view {
    ati_byte_ring *ring;
    uint64_t position;
    uint64_t end;
} ati_byte_ring_view;

ati_byte_ring_view ati_byte_ring_look_on(ati_byte_ring *ring);

/* Copies the next record to `copy`, which has room for the longest one; gives its size, 0: there is
 * none left. (No record is empty.) Those that the consumer releases meanwhile are left out. */
size_t ati_byte_ring_copy_next(ati_byte_ring_view *view, void *copy, size_t room);

#endif
