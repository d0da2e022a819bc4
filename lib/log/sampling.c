/* SPDX-License-Identifier: MIT */
#include "log/sampling.h"

#include "base/atomic.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"

#include <string.h>

/* Purpose: count the lines of each event in the running interval, by all threads, without a lock.
 *
 * A table of slots that never grows. The hash of an event (name and level, never 0) leads to
 * `probe_length` places, any of which may be its slot.
 *
 *   slot.key    0: free. Else the hash of the event that it counts. Written by compare-and-swap: by
 *               who finds no slot of its event, into one that is free or whose interval has ended.
 *   slot.count  the number of the interval, above, and the lines in it, in the lower 28 bits; 0: no
 *               line was counted. Written by compare-and-swap: a line of the same interval, or of
 *               an earlier one (its thread was slow), adds 1; a line of a later one makes it 1.
 *
 * Invariants:
 *   1. Each line that is counted gets a number of its own in the interval that the count then has:
 *      the swap decides. So of n lines of an event in an interval exactly
 *      first + (n - first) / every are written.
 *   2. The interval of a count never goes back (within 2^35 intervals: ten years of the
 *      shortest).
 *   3. The lines of an interval do not run over: at 2^28 - 1 the count stays, and no line is
 *      written.
 *
 * What may go wrong is a line too many or too few, never the memory:
 *   - A slot changes its event between a thread's look at the key and its swap of the count: the
 *     line is counted for the new event.
 *   - Two threads find no slot at once, and see different free ones, as one is taken between their
 *     looks: the event has two slots, of which the one that is looked at first counts from then on.
 *     At most `first` lines too many, once.
 *   - No place is free: the line is written. With more events than slots, some are not sampled.
 *   - Two events with one hash of 64 bits share a slot. The hash has a secret seed.
 *
 * Nothing is published by the table: all orders are relaxed. Progress: lock-free; a swap fails only
 * because another one was done.
 *
 * Checked by: tests/stress/log_sampling_test.c */

enum {
    probe_length = 8,
    line_bits = 28,
    rule_most = 1000000, /* lines */
    lines_max = (1 << line_bits) - 1,
};

typedef struct slot {
    _Atomic uint64_t key;
    _Atomic uint64_t count;
} slot;

struct ati_sampling {
    int64_t start;
    _Atomic int64_t first;
    _Atomic int64_t every;
    _Atomic int64_t interval;
    ati_hash_seed seed;
    slot slots[ATI_SAMPLING_EVENTS];
};

at_status ati_sampling_check(const ati_sampling_rule *rule, const char *call) {
    const char *wrong = NULL;
    if (rule->first < 0 || rule->first > rule_most)
        wrong = "`sample_first` is not between 0 and 1000000";
    else if (rule->every < 0 || rule->every > rule_most)
        wrong = "`sample_every` is not between 0 and 1000000";
    else if (rule->every > 0 && rule->first == 0)
        wrong = "`sample_every` needs `sample_first`";
    else if (rule->interval != 0 &&
             (rule->interval < AT_MILLISECONDS(10) || rule->interval > AT_SECONDS(3600)))
        wrong = "`sample_interval` is not between 10 ms and an hour";
    return wrong ? ati_fail(AT_ERROR_INVALID, "%s: %s", call, wrong) : AT_OK;
}

void ati_sampling_set(ati_sampling *sampling, const ati_sampling_rule *rule) {
    atomic_store_explicit(&sampling->first, rule->first, memory_order_relaxed);
    atomic_store_explicit(&sampling->every, rule->every, memory_order_relaxed);
    at_duration interval = rule->interval ? rule->interval : AT_SECONDS(1);
    atomic_store_explicit(&sampling->interval, interval, memory_order_relaxed);
}

ati_sampling *ati_sampling_create(const ati_sampling_rule *rule, int64_t now) {
    ati_sampling *made = ati_allocate_zeroed(sizeof *made);
    if (!made)
        return NULL;
    made->start = now;
    made->seed = ati_hash_seed_make();
    ati_sampling_set(made, rule);
    return made;
}

void ati_sampling_destroy(ati_sampling *sampling) {
    ati_release(sampling, sizeof *sampling);
}

/* Whether the count is of an interval before this one. Numbers of intervals go round. */
static bool is_over(uint64_t count, uint64_t interval) {
    return (int64_t)((interval << line_bits) - (count & ~(uint64_t)lines_max)) > 0;
}

/* Whether the slot counts the event of `key`, or can be made to. */
static bool claim(slot *place, uint64_t key, uint64_t interval) {
    uint64_t held = atomic_load_explicit(&place->key, memory_order_relaxed);
    uint64_t count = atomic_load_explicit(&place->count, memory_order_relaxed);
    if (held != 0 && (count == 0 || !is_over(count, interval)))
        return held == key;
    return atomic_compare_exchange_strong_explicit(&place->key, &held, key, memory_order_relaxed,
                                                   memory_order_relaxed) ||
           held == key;
}

/* NULL: there is none. */
static slot *find_slot(ati_sampling *sampling, uint64_t key, uint64_t interval) {
    for (uint64_t i = 0; i < probe_length; i++) {
        slot *place = &sampling->slots[(key + i) % ATI_SAMPLING_EVENTS];
        if (atomic_load_explicit(&place->key, memory_order_relaxed) == key)
            return place;
    }
    for (uint64_t i = 0; i < probe_length; i++) {
        slot *place = &sampling->slots[(key + i) % ATI_SAMPLING_EVENTS];
        if (claim(place, key, interval))
            return place;
    }
    return NULL;
}

/* Counts a line; gives its number in its interval, from 1 on, or lines_max. */
static int64_t count_line(slot *place, uint64_t interval) {
    uint64_t before = atomic_load_explicit(&place->count, memory_order_relaxed);
    uint64_t after;
    do {
        if (before == 0 || is_over(before, interval))
            after = interval << line_bits | 1;
        else if ((before & lines_max) == lines_max)
            return lines_max;
        else
            after = before + 1;
    } while (!atomic_compare_exchange_weak_explicit(&place->count, &before, after,
                                                    memory_order_relaxed, memory_order_relaxed));
    return (int64_t)(after & lines_max);
}

bool ati_sampling_take(ati_sampling *sampling, const char *event, at_log_level level, int64_t now) {
    int64_t first = atomic_load_explicit(&sampling->first, memory_order_relaxed);
    int64_t every = atomic_load_explicit(&sampling->every, memory_order_relaxed);
    if (first == 0)
        return true;
    int64_t since = now > sampling->start ? now - sampling->start : 0;
    uint64_t interval =
        (uint64_t)(since / atomic_load_explicit(&sampling->interval, memory_order_relaxed));
    uint64_t key = ati_hash_bytes(&sampling->seed, event, strlen(event)) + (uint64_t)level;
    slot *place = find_slot(sampling, key ? key : 1, interval);
    if (!place)
        return true;
    int64_t number = count_line(place, interval);
    if (number == lines_max)
        return false;
    return number <= first || (every > 0 && (number - first) % every == 0);
}
