/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_QUEUE_TIMER_WHEEL_H
#define ASYNCTOOLS_QUEUE_TIMER_WHEEL_H

/* Timers in the order of their expiry, to the nanosecond: add, remove and take in constant time,
 * whatever their number. Its user holds a lock. See timer_wheel.c for how it works. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ati_timer_link {
    struct ati_timer_link *next;
    struct ati_timer_link *previous; /* NULL: not in a wheel */
} ati_timer_link;

/* In storage of whoever uses it, zeroed before its first use; the wheel allocates nothing. */
typedef struct ati_timer {
    ati_timer_link link;
    int64_t expiry;
    const void *ahead; /* a later timer of the slot, or where one has been: only to prefetch */
    uint32_t recent;   /* its place in ati_timer_wheel.recent, where another may have followed it */
} ati_timer;

enum {
    ATI_TIMER_SLOT_BITS = 10,
    ATI_TIMER_SLOTS = 1 << ATI_TIMER_SLOT_BITS,
    ATI_TIMER_SLOT_WORDS = ATI_TIMER_SLOTS / 64,
    ATI_TIMER_LEVELS = 8, /* one for what is due, and 63 bits of time by 10 */
    ATI_TIMER_AHEAD = 16, /* how far ahead memory is prefetched */
};

/* Its members mean something only while it is occupied. */
typedef struct ati_timer_slot {
    ati_timer_link timers; /* a ring, in the order of adding */
    int64_t earliest;      /* no timer in here expires earlier */
    uint64_t count;        /* how many were put in here since it was empty */
} ati_timer_slot;

/* Of its 1.3 MiB only the slots that are used are ever touched. */
typedef struct ati_timer_wheel {
    int64_t position;        /* timers up to this moment are due */
    ati_timer_slot *opening; /* the slot whose timers are on the way to lower levels, or NULL */
    int64_t opening_to;      /* the position once it is empty */
    uint32_t levels;         /* bit n: words[n] is not 0 */
    uint32_t words[ATI_TIMER_LEVELS]; /* bit n: its occupied[n] is not 0 */
    uint64_t occupied[ATI_TIMER_LEVELS][ATI_TIMER_SLOT_WORDS];
    ati_timer_slot slots[ATI_TIMER_LEVELS * ATI_TIMER_SLOTS];
    /* The last timers of each slot, those that have left as NULL; as many as its `count` says. */
    ati_timer *recent[ATI_TIMER_LEVELS * ATI_TIMER_SLOTS * ATI_TIMER_AHEAD];
} ati_timer_wheel;

/* In storage that need not be zeroed. */
void ati_timer_wheel_init(ati_timer_wheel *wheel);

/* Adds a timer that is in no wheel. A moment that has passed, or is negative, makes it due. */
void ati_timer_wheel_add(ati_timer_wheel *wheel, ati_timer *timer, int64_t expiry);

/* False: the timer was not in the wheel. */
bool ati_timer_wheel_remove(ati_timer_wheel *wheel, ati_timer *timer);

/* Takes the earliest timer that has expired at `now`, a moment that the clock has reached; of equal
 * ones the one that was added first. What had expired when it was added comes at once, in the order
 * of adding. Each timer that is moved takes one from `budget`. NULL with some of it left: nothing
 * more has expired; with none left: look again. */
ati_timer *ati_timer_wheel_take(ati_timer_wheel *wheel, int64_t now, uint32_t *budget);

/* When ati_timer_wheel_take is to be called next, if it has just said that nothing more has
 * expired: at the earliest expiry, or before it where many timers have to be sorted until then, or
 * where one that was earlier has been removed. AT_FOREVER: the wheel is empty. */
int64_t ati_timer_wheel_next(const ati_timer_wheel *wheel);

/* The earliest expiry itself, or a moment that the wheel has reached if some may have expired.
 * Looks at every timer of the earliest slot. AT_FOREVER: the wheel is empty. */
int64_t ati_timer_wheel_earliest(ati_timer_wheel *wheel);

static inline bool ati_timer_is_added(const ati_timer *timer) {
    return timer->link.previous != NULL;
}

#endif
