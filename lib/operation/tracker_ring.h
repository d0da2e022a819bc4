/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OPERATION_TRACKER_RING_H
#define ASYNCTOOLS_OPERATION_TRACKER_RING_H

/* The last events of a tracker: a few rings, each of which one thread at a time writes and any
 * number read. See tracker_ring.c for the argument. */
#include "base/barrier.h"
#include "base/lock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ATI_TRACKER_RINGS = 8 }; /* of a tracker, at most */

/* What each event has, besides its members. */
typedef struct ati_ring_event {
    uint64_t order; /* ati_ticks() when it was recorded */
    uint64_t epoch; /* how many snapshots had begun then */
    const void *name;
    int64_t started_at;
    int64_t duration;
    uint64_t id;
    uint64_t trace_id[2];
    uint64_t parent_id;
    int32_t thread;
    int32_t status;
    uint32_t outcome;
    uint32_t members_length;
    uint64_t members_cut;
} ati_ring_event;

enum { ATI_RING_EVENT_WORDS = sizeof(ati_ring_event) / sizeof(uint64_t) };

typedef struct ati_tracker_ring {
    ati_try_lock writer;      /* held by the one that records */
    _Atomic uint64_t head;    /* events that were written; written under `writer` */
    _Atomic uint64_t words[]; /* of the slots: the number of the event, event, members */
} ati_tracker_ring;

typedef struct ati_tracker_rings {
    uint64_t slot_count;    /* of each ring, a power of two */
    uint64_t kept_count;    /* of the slots, those that a snapshot asks for: fewer */
    size_t slot_words;      /* words of a slot */
    uint32_t ring_count;    /* a power of two, at most ATI_TRACKER_RINGS */
    bool is_unequal;        /* ati_barrier_is_unequal() */
    _Atomic uint64_t epoch; /* counts the snapshots that have begun */
    _Atomic uint64_t floor; /* events of earlier epochs are forgotten */
    ati_counter lost;       /* events for which all rings were in use */
    _Atomic(ati_tracker_ring *) rings[ATI_TRACKER_RINGS]; /* made when they are needed */
} ati_tracker_rings;

/* False: no memory. `member_bytes` is a multiple of 8. */
bool ati_tracker_rings_init(ati_tracker_rings *rings, uint64_t event_count, size_t member_bytes,
                            uint32_t ring_count);
void ati_tracker_rings_deinit(ati_tracker_rings *rings);

/* Writes an event with its `members_length` bytes of members, which it completes by order and
 * epoch. `*home` is the ring to begin with, and that which was found. Nobody waits: if all rings
 * are in use, the event is lost, and counted. */
void ati_tracker_rings_write(ati_tracker_rings *rings, uint32_t *home, ati_ring_event *event,
                             const char *members);

/* Forgets all events. */
void ati_tracker_rings_clear(ati_tracker_rings *rings);

/* A walk over all rings, from the newest event to older ones. */
typedef struct ati_ring_cursor {
    const ati_tracker_ring *ring;
    uint64_t next;  /* one more than the number of the candidate */
    uint64_t order; /* of the candidate */
} ati_ring_cursor;

typedef struct ati_ring_walk {
    const ati_tracker_rings *rings;
    uint64_t last_epoch; /* events of later ones are not in the snapshot */
    uint64_t floor;
    uint64_t left; /* how many more events it may give */
    bool is_over;
    uint32_t count;
    ati_ring_cursor cursors[ATI_TRACKER_RINGS]; /* those that have a candidate */
} ati_ring_walk;

void ati_ring_walk_begin(ati_ring_walk *walk, ati_tracker_rings *rings);

/* Gives the next event, and its members in `members`, of as many bytes as they may have and 8 more.
 * False: there is none that is whole and belongs to the others. */
bool ati_ring_walk_next(ati_ring_walk *walk, ati_ring_event *event, char *members);

#endif
