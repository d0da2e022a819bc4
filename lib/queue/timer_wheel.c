/* SPDX-License-Identifier: MIT */
/* Purpose: the timers of a pool, millions of them.
 *
 * Source: G. Varghese, T. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 7. The
 * level of a timer is that of the highest bit in which its expiry and the wheel's position differ,
 * so no slot ever wraps around, and the earliest one is found by three bit scans.
 *
 * Level 0 has one slot, for what is due. Level n > 0 has 1024 slots of 2^(10(n-1)) ns each. A slot
 * of level 1 is one nanosecond: nothing is ever rounded.
 *
 * Invariants
 *   1. A timer outside the due slot expires after `position` and lies where place() would put it
 *      now, but for the levels below a slot that is being opened.
 *   2. So the timers of a level expire before those of a higher level, and within a level those of
 *      a slot before those of the next.
 *   3. The position may move to any moment before the start of the earliest slot: down to the level
 *      of any timer it keeps the bits that it shares with that timer, and in that level it stays
 *      below. However long the way, this is one store.
 *   4. A slot with few timers stays as it is: the earliest is searched when it is to be taken.
 *   5. A slot with more is opened once its time has begun: one by one, in their order, its timers
 * go to lower levels, which are empty then (2). They are placed as if the position were the
 *      earliest of them, or `now`; timers of one moment become due at once. Until the slot is empty
 *      the position stands just before its start, so that what is added for its time goes to its
 *      end: timers of one moment keep the order in which they were added.
 *   6. While a slot is being opened, whoever adds moves two of its timers on. So it gets empty.
 *   7. recent[] holds only timers of its slot: who leaves the slot leaves it too.
 *
 * Costs: a timer moves at most once for each level. Walking a list of timers that lie all over the
 * memory would wait for each of them; `ahead` lets their memory be fetched in time.
 *
 * Checked by: tests/unit/timer_wheel_test.c. */
#include "queue/timer_wheel.h"

#include "base/check.h"

#include <asynctools/limits.h>

#include <string.h>

enum { few_timers = 16 };

void ati_timer_wheel_init(ati_timer_wheel *wheel) {
    wheel->position = 0;
    wheel->opening = NULL;
    wheel->levels = 0;
    memset(wheel->words, 0, sizeof wheel->words);
    memset(wheel->occupied, 0, sizeof wheel->occupied);
}

static bool is_occupied(const ati_timer_wheel *wheel, size_t level, size_t index) {
    return wheel->occupied[level][index / 64] >> index % 64 & 1;
}

static void note_occupied(ati_timer_wheel *wheel, size_t level, size_t index) {
    wheel->occupied[level][index / 64] |= UINT64_C(1) << index % 64;
    wheel->words[level] |= 1u << index / 64;
    wheel->levels |= 1u << level;
}

static void note_empty(ati_timer_wheel *wheel, size_t level, size_t index) {
    wheel->occupied[level][index / 64] &= ~(UINT64_C(1) << index % 64);
    if (wheel->occupied[level][index / 64] == 0)
        wheel->words[level] &= ~(1u << index / 64);
    if (wheel->words[level] == 0)
        wheel->levels &= ~(1u << level);
}

static void clear_slot(ati_timer_wheel *wheel, ati_timer_slot *slot) {
    size_t number = (size_t)(slot - wheel->slots);
    note_empty(wheel, number / ATI_TIMER_SLOTS, number % ATI_TIMER_SLOTS);
    if (slot == wheel->opening) {
        wheel->position = wheel->opening_to;
        wheel->opening = NULL;
    }
}

static void unlink_timer(ati_timer_wheel *wheel, ati_timer *timer) {
    ati_timer_link *next = timer->link.next, *previous = timer->link.previous;
    next->previous = previous;
    previous->next = next;
    timer->link.previous = NULL;
    if (wheel->recent[timer->recent] == timer)
        wheel->recent[timer->recent] = NULL;
    if (next == previous) /* the slot itself: it has become empty */
        clear_slot(wheel, (ati_timer_slot *)next);
}

static void append_timer(ati_timer_wheel *wheel, size_t slot_number, ati_timer *timer) {
    ati_timer_slot *slot = &wheel->slots[slot_number];
    ati_timer_link *last = slot->timers.previous;
    timer->link = (ati_timer_link){&slot->timers, last};
    last->next = &timer->link;
    slot->timers.previous = &timer->link;

    timer->recent = (uint32_t)(slot_number * ATI_TIMER_AHEAD + slot->count % ATI_TIMER_AHEAD);
    ati_timer *behind = slot->count < ATI_TIMER_AHEAD ? NULL : wheel->recent[timer->recent];
    if (behind)
        behind->ahead = timer;
    timer->ahead = NULL;
    wheel->recent[timer->recent] = timer;
    slot->count++;
}

/* Puts a timer where it belongs while the position is `position`. */
static void place(ati_timer_wheel *wheel, ati_timer *timer, int64_t position) {
    int64_t expiry = timer->expiry;
    size_t level = 0, index = 0;
    if (expiry > position) {
        size_t highest = 63 - (size_t)__builtin_clzll((uint64_t)(expiry ^ position));
        level = highest / ATI_TIMER_SLOT_BITS;
        index = (size_t)(expiry >> level * ATI_TIMER_SLOT_BITS) % ATI_TIMER_SLOTS;
        level++;
    }
    size_t slot_number = level * ATI_TIMER_SLOTS + index;
    ati_timer_slot *slot = &wheel->slots[slot_number];
    if (!is_occupied(wheel, level, index)) {
        note_occupied(wheel, level, index);
        *slot = (ati_timer_slot){{&slot->timers, &slot->timers}, .earliest = expiry};
    }
    if (expiry < slot->earliest)
        slot->earliest = expiry;
    append_timer(wheel, slot_number, timer);
}

/* Takes the first timer out of a slot that is emptied from the front. */
static ati_timer *take_first(ati_timer_wheel *wheel, ati_timer_slot *slot) {
    ati_timer *timer = (ati_timer *)slot->timers.next;
    __builtin_prefetch(timer->ahead);
    __builtin_prefetch((const char *)timer->ahead + 64); /* whatever it is a part of */
    unlink_timer(wheel, timer);
    return timer;
}

void ati_timer_wheel_add(ati_timer_wheel *wheel, ati_timer *timer, int64_t expiry) {
    ATI_ASSERT(!ati_timer_is_added(timer));
    timer->expiry = expiry;
    place(wheel, timer, wheel->position);
    int64_t position = wheel->opening_to;
    for (int i = 0; i < 2 && wheel->opening; i++)
        place(wheel, take_first(wheel, wheel->opening), position);
}

bool ati_timer_wheel_remove(ati_timer_wheel *wheel, ati_timer *timer) {
    if (!ati_timer_is_added(timer))
        return false;
    unlink_timer(wheel, timer);
    return true;
}

/* The earliest slot and when its time begins. The wheel is not empty and nothing is due. */
static const ati_timer_slot *find_earliest(const ati_timer_wheel *wheel, int64_t *start) {
    size_t level = (size_t)__builtin_ctz(wheel->levels);
    size_t word = (size_t)__builtin_ctz(wheel->words[level]);
    size_t index = word * 64 + (size_t)__builtin_ctzll(wheel->occupied[level][word]);
    size_t shift = (level - 1) * ATI_TIMER_SLOT_BITS;
    int64_t above = wheel->position >> shift & ~(int64_t)(ATI_TIMER_SLOTS - 1);
    *start = (above | (int64_t)index) << shift;
    return &wheel->slots[level * ATI_TIMER_SLOTS + index];
}

static int64_t when_to_look(const ati_timer_slot *slot, int64_t start) {
    return slot->count > few_timers ? start : slot->earliest;
}

/* Takes the earliest timer of a slot that has few. NULL: even that is later than `now`. */
static ati_timer *take_of_few(ati_timer_wheel *wheel, ati_timer_slot *slot, int64_t now) {
    ati_timer *first = (ati_timer *)slot->timers.next;
    int64_t second = AT_FOREVER;
    for (ati_timer_link *link = first->link.next; link != &slot->timers; link = link->next) {
        ati_timer *timer = (ati_timer *)link;
        if (timer->expiry < first->expiry) {
            second = first->expiry;
            first = timer;
        } else if (timer->expiry < second) {
            second = timer->expiry;
        }
    }
    if (first->expiry > now) {
        slot->earliest = first->expiry;
        return NULL;
    }
    slot->earliest = second;
    unlink_timer(wheel, first);
    return first;
}

/* Moves the position on to `now`, or as far as what is left allows. */
static void move_position(ati_timer_wheel *wheel, int64_t now) {
    int64_t reached = now, start;
    if (wheel->levels != 0) {
        find_earliest(wheel, &start);
        reached = now < start ? now : start - 1;
    }
    if (wheel->position < reached)
        wheel->position = reached;
}

/* The next timer that has expired, when nothing is due and no slot is being opened. NULL: none, or
 * a slot has been opened. */
static ati_timer *take_earliest(ati_timer_wheel *wheel, int64_t now) {
    if (wheel->levels == 0)
        return NULL;
    int64_t start;
    ati_timer_slot *slot = (ati_timer_slot *)find_earliest(wheel, &start);
    if (when_to_look(slot, start) > now)
        return NULL;
    if (slot->count <= few_timers)
        return take_of_few(wheel, slot, now);
    wheel->position = start - 1;
    wheel->opening = slot;
    wheel->opening_to = slot->earliest < now ? slot->earliest : now;
    return NULL;
}

ati_timer *ati_timer_wheel_take(ati_timer_wheel *wheel, int64_t now, uint32_t *budget) {
    for (; *budget > 0; --*budget) {
        ati_timer *timer;
        if (wheel->levels & 1) {
            timer = take_first(wheel, wheel->slots);
        } else if (wheel->opening) {
            int64_t position = wheel->opening_to;
            timer = take_first(wheel, wheel->opening);
            if (timer->expiry > position) {
                place(wheel, timer, position);
                continue;
            }
        } else {
            timer = take_earliest(wheel, now);
            if (!timer && wheel->opening)
                continue;
        }
        if (timer)
            --*budget;
        else
            move_position(wheel, now);
        return timer;
    }
    return NULL;
}

int64_t ati_timer_wheel_next(const ati_timer_wheel *wheel) {
    if (wheel->levels == 0)
        return AT_FOREVER;
    if (wheel->levels & 1 || wheel->opening)
        return wheel->position;
    int64_t start;
    const ati_timer_slot *slot = find_earliest(wheel, &start);
    return when_to_look(slot, start);
}

int64_t ati_timer_wheel_earliest(ati_timer_wheel *wheel) {
    if (wheel->levels == 0 || wheel->levels & 1 || wheel->opening)
        return ati_timer_wheel_next(wheel);
    int64_t start;
    ati_timer_slot *slot = (ati_timer_slot *)find_earliest(wheel, &start);
    slot->earliest = AT_FOREVER;
    for (const ati_timer_link *link = slot->timers.next; link != &slot->timers; link = link->next)
        if (((const ati_timer *)link)->expiry < slot->earliest)
            slot->earliest = ((const ati_timer *)link)->expiry;
    return slot->earliest;
}
